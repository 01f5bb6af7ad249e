"""The node's own API: open to probes, the rest only in local mode and never to a web page of another origin."""

import io
import json
import sys
import threading
import urllib.error
import urllib.request
import zipfile

import pytest

from tests.harness import RunningNode, wait_until
from tests.unit.console.conftest import Control

LOCAL_ONLY = [("POST", "reset"), ("GET", "clock"), ("GET", "trace"), ("GET", "events"), ("GET", "sqs/peek")]


def test_probes_tell_health_readiness_and_version(control):
    status, health = control("GET", "health")
    assert (status, health["status"], health["loaded"]) == (200, "ok", [])
    assert "sqs" in health["services"]
    assert control("GET", "ready") == (200, {"status": "ready"})
    assert control("GET", "version")[1]["version"].count(".") == 2


def test_health_shows_services_in_use(node, control):
    node.client("sqs").list_queues()
    assert control("GET", "health")[1]["loaded"] == ["sqs"]


def test_node_that_is_not_local_answers_probes_only(tmp_path):
    running = RunningNode(tmp_path / "data", local=False).start()
    try:
        control = Control(running)
        for name in ("health", "ready", "version"):
            assert control("GET", name)[0] == 200
        for method, name in LOCAL_ONLY:
            assert control(method, name)[0] == 403
    finally:
        running.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example:4566"},
    ],
)
@pytest.mark.parametrize(("method", "name"), LOCAL_ONLY)
def test_web_page_of_another_origin_is_refused(control, method, name, headers):
    assert control(method, name, headers=headers) == (
        403,
        {"error": "AccessDenied", "message": "This is refused to web pages of another origin."},
    )


@pytest.mark.parametrize("host", ["localhost:{}", "console.localhost:{}", "LOCALHOST:{}", "[::1]:{}", "127.0.0.1"])
def test_local_names_are_let_in(node, control, host):
    headers = {"Host": host.format(node.node.port), "Sec-Fetch-Site": "same-origin"}
    headers["Origin"] = f"http://{headers['Host']}"
    assert control("GET", "clock", headers=headers)[0] == 200


def test_reset_takes_post_only(node, control):
    sqs = node.client("sqs")
    sqs.create_queue(QueueName="kept")
    assert control("GET", "reset")[0] == 405
    assert len(sqs.list_queues()["QueueUrls"]) == 1


@pytest.mark.parametrize("name", ["", "nothing", "sqs/nothing", "nothing/nothing", "s3/x/y"])
def test_unknown_name_is_404(control, name):
    status, answer = control("GET", name)
    assert (status, answer["error"]) == (404, "NotFound")


# --- the clock ---


def test_clock_is_frozen_advanced_and_resumed(node, control):
    assert control("POST", "clock", {"freeze": 1_767_225_600}) == (200, {"now": 1_767_225_600.0, "frozen": True})
    assert control("POST", "clock", {"advance": 60}) == (200, {"now": 1_767_225_660.0, "frozen": True})
    assert node.clock.now() == 1_767_225_660.0
    status, answer = control("POST", "clock", {"resume": True})
    assert (status, answer["frozen"]) == (200, False)
    assert 1_767_225_660 <= answer["now"] < 1_767_225_690


def test_clock_shows_itself_and_is_not_changed_by_get(control):
    before = control("POST", "clock", {"freeze": True})[1]
    assert control("GET", "clock") == (200, before)
    assert control("GET", "clock", {"advance": 5})[0] == 405
    assert control("GET", "clock") == (200, before)


def test_advance_makes_hidden_messages_visible(node, control):
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "3600"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="m")
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    control("POST", "clock", {"advance": 3600})
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {"freez": True},
        {"freeze": "now"},
        {"freeze": False},
        {"resume": False},
        {"freeze": True, "advance": 1},
        {"advance": -1},
        {"advance": 1e300},
        {"freeze": -5},
        b'{"advance": 1e400}',
    ],
)
def test_wrong_change_is_refused_and_changes_nothing(control, body):
    before = control("POST", "clock", {"freeze": 1_767_225_600})
    status, answer = control("POST", "clock", body)
    assert (status, answer["error"]) == (400, "ValidationException")
    assert control("GET", "clock") == before


# --- reset ---

MAKERS = {
    "sqs": (
        lambda client: client.create_queue(QueueName="thing"),
        lambda client: client.list_queues().get("QueueUrls", []),
    ),
    "iam": (
        lambda client: client.create_user(UserName="thing"),
        lambda client: client.list_users()["Users"],
    ),
    "s3": (
        lambda client: client.create_bucket(Bucket="thing"),
        lambda client: client.list_buckets()["Buckets"],
    ),
    "events": (
        lambda client: client.create_event_bus(Name="thing"),
        lambda client: [bus for bus in client.list_event_buses()["EventBuses"] if bus["Name"] != "default"],
    ),
    "logs": (
        lambda client: client.create_log_group(logGroupName="thing"),
        lambda client: client.describe_log_groups()["logGroups"],
    ),
    "ssm": (
        lambda client: client.put_parameter(Name="thing", Value="v", Type="String"),
        lambda client: client.describe_parameters()["Parameters"],
    ),
    "secretsmanager": (
        lambda client: client.create_secret(Name="thing", SecretString="v"),
        lambda client: client.list_secrets()["SecretList"],
    ),
    "apigatewayv2": (
        lambda client: client.create_api(Name="thing", ProtocolType="HTTP"),
        lambda client: client.get_apis()["Items"],
    ),
}


@pytest.mark.parametrize("service", MAKERS)
def test_reset_wipes_a_service_that_works_on(node, control, service):
    make, list_all = MAKERS[service]
    client = node.client(service)
    make(client)
    assert len(list_all(client)) == 1
    assert control("POST", "reset") == (200, {"status": "wiped"})
    assert list_all(client) == []
    make(client)
    assert len(list_all(client)) == 1
    node.restart()
    assert len(list_all(node.client(service))) == 1


def test_reset_forgets_rules_also_in_memory(node, control):
    sqs, events = node.client("sqs"), node.client("events")

    def make_queue():
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    url, arn = make_queue()
    events.put_rule(Name="r", EventPattern='{"source": ["s"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}"}
    events.put_events(Entries=[entry])
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    control("POST", "reset")
    url, arn = make_queue()
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert events.list_rules()["Rules"] == []


def test_reset_while_a_receiver_waits_leaves_the_node_usable(node, control):
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    outcome = []

    def wait():
        try:
            outcome.append(node.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20))
        except Exception as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: "sqs" in control("GET", "health")[1]["loaded"])
    control("POST", "reset")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="after")
    # The receiver of the queue that is gone must not take what the new one holds.
    assert sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"][0]["Body"] == "after"
    node.clock.advance(20)
    waiting.join(20)
    assert not waiting.is_alive()
    assert isinstance(outcome[0], Exception) or "Messages" not in outcome[0]


def test_after_a_reset_workers_still_run_at_the_next_start(node, control):
    node.client("sqs").create_queue(QueueName="q")
    control("POST", "reset")
    node.restart()
    assert wait_until(lambda: control("GET", "health")[1]["loaded"]) == ["sqs"]


# --- traces and live views ---


def test_trace_tells_the_path_of_an_event(node, control):
    sqs, events = node.client("sqs"), node.client("events")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="fits", EventPattern='{"source": ["s"]}')
    events.put_rule(Name="other", EventPattern='{"source": ["else"]}')
    events.put_targets(Rule="fits", Targets=[{"Id": "1", "Arn": arn}])
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}"}
    event_id = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
    status, answer = control("GET", "trace", id=event_id)
    assert (status, answer["event_id"]) == (200, event_id)
    whats = [step["what"] for step in answer["steps"]]
    assert "matched" in whats
    assert "unmatched" in whats
    (delivered,) = [step for step in answer["steps"] if step["what"] == "delivered"]
    assert delivered["target"] == arn


def test_trace_of_an_unknown_event_is_404(control):
    status, answer = control("GET", "trace", id="nobody")
    assert status == 404
    assert "nobody" in answer["message"]


def test_arrivals_are_paged_and_waited_for(node, control):
    events = node.client("events")
    start = control("GET", "events")[1]
    assert start == {"next": 0, "events": []}
    pages = []
    waiting = threading.Thread(target=lambda: pages.append(control("GET", "events", after=0, wait=20)))
    waiting.start()
    # Frozen or not: the wait is real time.
    node.clock.freeze()
    events.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": '{"n": 1}'}])
    waiting.join(20)
    ((status, page),) = pages
    assert status == 200
    assert [arrival["event"]["detail"] for arrival in page["events"]] == [{"n": 1}]
    assert control("GET", "events", after=page["next"]) == (200, {"next": page["next"], "events": []})
    assert control("GET", "events")[1]["next"] == page["next"]


def test_wait_ends_although_the_clock_is_frozen(node, control):
    node.clock.freeze()
    assert control("GET", "events", after=0, wait=1) == (200, {"next": 0, "events": []})


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": "-1"}, {"after": "0", "wait": "soon"}, {"after": "²"}, {"after": "1" * 30}]
)
def test_page_query_that_is_no_number_is_refused(control, query):
    assert control("GET", "events", **query)[0] == 400


# --- reset, of what lives in memory ---

_CODE = "import json\ndef handler(event, context):\n    return {'n': VALUE}\n"


def _archive(value):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", _CODE.replace("VALUE", str(value)))
    return data.getvalue()


def _make_function(node, value):
    """Make a queue, a function that answers `value`, and a mapping between them; return the queue's URL."""
    sqs, functions = node.client("sqs"), node.client("lambda")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    functions.create_function(
        FunctionName="f",
        Runtime=f"python3.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/r",
        Handler="app.handler",
        Code={"ZipFile": _archive(value)},
    )
    functions.create_event_source_mapping(
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:jobs", FunctionName="f", BatchSize=1
    )
    return url


def _answer(node):
    return json.loads(node.client("lambda").invoke(FunctionName="f")["Payload"].read())


def _is_drained(node, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = node.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return set(counts.values()) == {"0"}


def test_reset_ends_functions_and_mappings_and_new_ones_take_their_place(node, control):
    url = _make_function(node, 1)
    node.client("sqs").send_message(QueueUrl=url, MessageBody="m")
    wait_until(lambda: _is_drained(node, url))
    assert _answer(node) == {"n": 1}

    assert control("POST", "reset")[0] == 200
    functions = node.client("lambda")
    assert functions.list_functions()["Functions"] == []
    assert functions.list_event_source_mappings()["EventSourceMappings"] == []

    # A queue of the old name is nobody's now.
    url = node.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
    node.client("sqs").send_message(QueueUrl=url, MessageBody="stays")
    assert node.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"][0]["Body"] == "stays"
    node.client("sqs").delete_queue(QueueUrl=url)
    node.clock.advance(61)

    url = _make_function(node, 2)
    assert _answer(node) == {"n": 2}
    node.client("sqs").send_message(QueueUrl=url, MessageBody="m")
    wait_until(lambda: _is_drained(node, url))


def test_reset_ends_http_apis_also_where_they_are_served(node, control):
    apis = node.client("apigatewayv2")
    made = apis.create_api(Name="a", ProtocolType="HTTP", Target="https://localhost/nowhere")
    path = f"{node.url}/_aws/execute-api/{made['ApiId']}/x"

    def status():
        try:
            return urllib.request.urlopen(path, timeout=10).status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    before = status()
    control("POST", "reset")
    assert status() == 404
    assert before != 404
