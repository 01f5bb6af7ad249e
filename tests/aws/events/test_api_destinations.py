import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.node import Node
from forebay.store.commands import ClaimedTimer, ListTimers
from tests.aws.events.inboxes import Inbox, refusal
from tests.aws.events.servers import Server, serving
from tests.harness import ACCOUNT, RunningNode, wait_until

PREFIX = f"arn:aws:events:us-east-1:{ACCOUNT}:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/caller"
BASIC = {"BasicAuthParameters": {"Username": "ann", "Password": "secret"}}
KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "secret"}}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def oauth(url: str, **members: Any) -> Any:
    client = {"ClientID": "ann", "ClientSecret": "secret"}
    return {
        "OAuthParameters": {
            "ClientParameters": client,
            "AuthorizationEndpoint": url,
            "HttpMethod": "POST",
            **members,
        }
    }


def connect(events: Any, kind: str = "BASIC", parameters: Any = None, name: str = "there") -> str:
    created = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=parameters or BASIC)
    return created["ConnectionArn"]


def send_to(events: Any, connection: str, url: str, *, method: str = "POST", rate: int = 300, **members: Any) -> str:
    """Make an API destination and a rule that sends all events to it; return its ARN."""
    created = events.create_api_destination(
        Name="api",
        ConnectionArn=connection,
        InvocationEndpoint=url,
        HttpMethod=method,
        InvocationRateLimitPerSecond=rate,
    )
    arn = created["ApiDestinationArn"]
    events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    target = {"Id": "t", "Arn": arn, "RoleArn": ROLE, **members}
    assert events.put_targets(Rule="all", Targets=[target])["FailedEntryCount"] == 0
    return arn


def put(events: Any, detail: Any) -> None:
    entry = {"Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_connection_is_created_and_described_without_its_secrets(events: Any) -> None:
    hidden = {"Key": "token", "Value": "secret", "IsValueSecret": True}
    shown = {"Key": "plain", "Value": "seen", "IsValueSecret": False}
    parameters = {**KEY, "InvocationHttpParameters": {"HeaderParameters": [hidden, shown]}}
    arn = connect(events, "API_KEY", parameters)
    assert re.fullmatch(re.escape(PREFIX) + r"connection/there/[0-9a-f-]{36}", arn)
    described = events.describe_connection(Name="there")
    assert (described["ConnectionArn"], described["ConnectionState"]) == (arn, "AUTHORIZED")
    assert described["AuthorizationType"] == "API_KEY"
    assert ":secret:events!connection/there/" in described["SecretArn"]
    assert described["AuthParameters"] == {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key"},
        "InvocationHttpParameters": {"HeaderParameters": [{"Key": "token", "IsValueSecret": True}, shown]},
    }
    assert "secret" not in json.dumps(described["AuthParameters"])
    assert [each["Name"] for each in events.list_connections(NamePrefix="th")["Connections"]] == ["there"]
    assert events.list_connections(ConnectionState="DEAUTHORIZED")["Connections"] == []


def test_connection_that_cannot_be_is_refused(events: Any) -> None:
    connect(events)
    assert refusal(lambda: connect(events)) == ("ResourceAlreadyExistsException", "Connection there already exists.")
    code, text = refusal(lambda: connect(events, "API_KEY", BASIC))
    assert code == "ValidationException"
    assert "ApiKeyAuthParameters" in text
    assert refusal(lambda: connect(events, "BASIC", {**BASIC, **KEY}))[0] == "ValidationException"
    assert refusal(lambda: connect(events, "OAUTH_CLIENT_CREDENTIALS", oauth("nowhere")))[0] == "ValidationException"
    assert refusal(lambda: events.describe_connection(Name="none")) == (
        "ResourceNotFoundException",
        "Failed to describe the connection(s). Connection 'none' does not exist.",
    )


def test_secrets_are_nowhere_in_the_data_folder_in_clear(node: RunningNode, tmp_path: Path, events: Any) -> None:
    connect(events, parameters={"BasicAuthParameters": {"Username": "ann", "Password": "hush-hush-hush"}})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hush-hush-hush" in path.read_bytes()]
    (key,) = [path for path in files if path.name == "secrets.key"]
    assert key.stat().st_mode & 0o077 == 0


def test_node_with_another_key_says_so(node: RunningNode, tmp_path: Path, events: Any) -> None:
    connect(events)
    (key,) = tmp_path.rglob("secrets.key")
    key.unlink()
    node.restart()
    code, _ = refusal(lambda: connect(node.client("events"), name="other"))
    assert code == "InternalFailure"


def test_update_keeps_secrets_that_it_does_not_name(events: Any, server: Server) -> None:
    connection = connect(events)
    events.update_connection(Name="there", AuthParameters={"BasicAuthParameters": {"Username": "bob"}})
    send_to(events, connection, server.url)
    put(events, {})
    word = base64.b64encode(b"bob:secret").decode()
    assert wait_until(lambda: server.asked)[0].headers["authorization"] == f"Basic {word}"


def test_connection_with_oauth_is_authorised_or_not_when_it_is_made(events: Any, server: Server) -> None:
    def state() -> str:
        return events.describe_connection(Name="there")["ConnectionState"]

    server.answer("/token", 200, '{"access_token": "t"}')
    server.answer("/token", 403, "no")
    created = events.create_connection(
        Name="there", AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters=oauth(server.url + "/token")
    )
    assert created["ConnectionState"] == "AUTHORIZING"
    wait_until(lambda: state() == "AUTHORIZED")
    assert "LastAuthorizedTime" in events.describe_connection(Name="there")
    changed = oauth(server.url + "/token", HttpMethod="PUT")
    events.update_connection(Name="there", AuthParameters=changed)
    wait_until(lambda: state() == "DEAUTHORIZED")
    assert "status 403" in events.describe_connection(Name="there")["StateReason"]


def test_api_destination_is_created_changed_and_deleted(events: Any) -> None:
    connection = connect(events)
    created = events.create_api_destination(
        Name="api", ConnectionArn=connection, InvocationEndpoint="https://example.com/*", HttpMethod="POST"
    )
    assert created["ApiDestinationState"] == "ACTIVE"
    assert created["ApiDestinationArn"].startswith(PREFIX + "api-destination/api/")
    described = events.describe_api_destination(Name="api")
    assert described["InvocationRateLimitPerSecond"] == 300
    assert "Description" not in described
    events.update_api_destination(Name="api", HttpMethod="PUT", Description="Over there")
    described = events.describe_api_destination(Name="api")
    assert (described["HttpMethod"], described["Description"]) == ("PUT", "Over there")
    assert described["InvocationEndpoint"] == "https://example.com/*"
    assert [each["Name"] for each in events.list_api_destinations(ConnectionArn=connection)["ApiDestinations"]] == [
        "api"
    ]
    events.deauthorize_connection(Name="there")
    assert events.describe_api_destination(Name="api")["ApiDestinationState"] == "INACTIVE"
    assert refusal(
        lambda: events.create_api_destination(
            Name="b",
            ConnectionArn=connection.replace("there", "here"),
            InvocationEndpoint="https://a.b",
            HttpMethod="GET",
        )
    ) == ("ResourceNotFoundException", "Connection 'here' does not exist.")
    events.delete_api_destination(Name="api")
    assert refusal(lambda: events.describe_api_destination(Name="api"))[0] == "ResourceNotFoundException"


def test_event_is_sent_with_the_connections_parameters(events: Any, server: Server) -> None:
    added = {
        "HeaderParameters": [{"Key": "X-Of", "Value": "connection"}],
        "QueryStringParameters": [{"Key": "q", "Value": "a b"}],
        "BodyParameters": [{"Key": "more", "Value": "yes"}],
    }
    connection = connect(events, "BASIC", {**BASIC, "InvocationHttpParameters": added})
    given = {
        "PathParameterValues": ["$.detail.id"],
        "HeaderParameters": {"x-of": "target", "X-Kind": "$.detail-type"},
        "QueryStringParameters": {"q": "lost", "r": "1"},
    }
    send_to(events, connection, server.url + "/orders/*", HttpParameters=given)
    put(events, {"id": "a/1"})
    (asked,) = wait_until(lambda: server.asked)
    assert (asked.method, asked.path) == ("POST", "/orders/a%2F1?q=a%20b&r=1")
    assert asked.headers["authorization"] == "Basic YW5uOnNlY3JldA=="
    assert (asked.headers["x-of"], asked.headers["x-kind"]) == ("connection", "Order")
    assert asked.headers["content-type"] == "application/json; charset=utf-8"
    assert asked.headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    assert (asked.json()["detail"], asked.json()["more"]) == ({"id": "a/1"}, "yes")


def test_api_key_is_sent_in_its_header(events: Any, server: Server) -> None:
    send_to(events, connect(events, "API_KEY", KEY), server.url + "/", Input='{"only": "this"}')
    put(events, {})
    (asked,) = wait_until(lambda: server.asked)
    assert (asked.headers["x-key"], asked.json()) == ("secret", {"only": "this"})


def test_oauth_token_is_fetched_once_and_renewed_when_refused(node: RunningNode, events: Any, server: Server) -> None:
    server.answer("/token", 200, '{"access_token": "one", "expires_in": 3600}')
    server.answer("/token", 200, '{"access_token": "two", "expires_in": 3600}')
    for status in (200, 200, 401, 200):
        server.answer("/api", status)
    extra = {"OAuthHttpParameters": {"BodyParameters": [{"Key": "scope", "Value": "all"}]}}
    connection = connect(events, "OAUTH_CLIENT_CREDENTIALS", oauth(server.url + "/token", **extra))
    assert events.describe_connection(Name="there")["ConnectionState"] == "AUTHORIZING"
    send_to(events, connection, server.url + "/api")
    for count in (1, 2, 3):
        put(events, {})
        wait_until(lambda count=count: len(server.at("/api")) >= count)
    node.clock.advance(2)
    wait_until(lambda: len(server.at("/api")) == 4)
    bearers = [asked.headers["authorization"] for asked in server.at("/api")]
    assert bearers == ["Bearer one", "Bearer one", "Bearer one", "Bearer two"]
    form = "grant_type=client_credentials&client_id=ann&client_secret=secret&scope=all"
    assert [asked.body for asked in server.at("/token")] == [form, form]
    assert events.describe_connection(Name="there")["ConnectionState"] == "AUTHORIZED"


def test_failure_is_tried_again_as_the_server_asks(node: RunningNode, events: Any, server: Server) -> None:
    server.answer("/", 503, headers={"Retry-After": "30"})
    server.answer("/", 200)
    send_to(events, connect(events), server.url + "/")
    put(events, {})
    wait_until(lambda: server.asked)
    wait_until(lambda: waiting(node) == 1)
    node.clock.advance(20)
    assert len(server.asked) == 1
    node.clock.advance(15)
    wait_until(lambda: len(server.asked) == 2)


def waiting(node: RunningNode) -> int:
    """Return how many deliveries wait for another attempt."""

    async def read(running: Node) -> tuple[ClaimedTimer, ...]:
        return await running.store.view(lambda view: view.ask(ListTimers("delivery", 10)))

    return sum(bool(json.loads(timer.data).get("last_code")) for timer in node.run(read))


def test_refusal_goes_to_the_dead_letter_queue_at_once(
    events: Any, server: Server, inbox: Callable[[str], Inbox]
) -> None:
    server.answer("/", 400)
    dead = inbox("dead")
    arn = send_to(events, connect(events), server.url + "/", DeadLetterConfig={"Arn": dead.arn})
    put(events, {"id": 1})
    (message,) = wait_until(dead.messages)
    assert json.loads(message["Body"])["detail"] == {"id": 1}
    attributes = {name: each["StringValue"] for name, each in message["MessageAttributes"].items()}
    assert attributes["TARGET_ARN"] == arn
    assert attributes["ERROR_CODE"] == "SDK_CLIENT_ERROR"
    assert attributes["ERROR_MESSAGE"] == "Unable to invoke ApiDestination endpoint: Request failed with status 400"
    assert len(server.asked) == 1


def test_rate_limit_delays_what_is_too_much(node: RunningNode, events: Any, server: Server) -> None:
    send_to(events, connect(events), server.url + "/", rate=1)
    node.clock.freeze()
    for number in range(3):
        put(events, {"n": number})
    wait_until(lambda: waiting(node) == 2 and server.asked)
    assert len(server.asked) == 1

    def step() -> bool:
        node.clock.advance(0.5)
        return len(server.asked) == 3

    wait_until(step)


def test_target_without_a_role_is_refused(events: Any) -> None:
    events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    arn = PREFIX + "api-destination/api/1"
    assert refusal(lambda: events.put_targets(Rule="all", Targets=[{"Id": "t", "Arn": arn}])) == (
        "ValidationException",
        f"RoleArn is required for target {arn}.",
    )
