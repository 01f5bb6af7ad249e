import pytest

from forebay.api import events as api
from forebay.delivery.contract import Delivered, Rejected, Retry
from forebay.services.events.api_destination import ApiDestination
from forebay.services.events.api_destination_target import Rate
from forebay.services.events.connection import Connection
from forebay.services.events.invocation import HttpAnswer, invocation, outcome_of, token_request

KEY = api.CreateConnectionApiKeyAuthRequestParameters(api_key_name="X-Key", api_key_value="secret")


def destination(**members):
    given = {"endpoint": "https://there/a/*/b/*", "method": "POST", "rate": 1, **members}
    return ApiDestination(
        account="1", region="r", name="n", unique="u", connection="c", created_at=0.0, modified_at=0.0, **given
    )


def connection(http=None):
    return Connection(
        account="1", region="r", name="n", unique="u", secret="s", type="API_KEY", state="AUTHORIZED",
        parameters=api.CreateConnectionAuthRequestParameters(
            api_key_auth_parameters=KEY, invocation_http_parameters=http
        ),
        created_at=0.0, modified_at=0.0,
    )  # fmt: skip


def request(payload="{}", http=None, given=None, **members):
    return invocation(destination(**members), connection(http), given or api.HttpParameters(), payload, None)


def test_asterisks_are_filled_in_order_and_escaped():
    given = api.HttpParameters(path_parameter_values=["x/y", "z"])
    assert request(given=given).url == "https://there/a/x%2Fy/b/z"


def test_query_is_added_to_the_endpoints_own():
    given = api.HttpParameters(query_string_parameters={"q": "a&b"})
    assert request(given=given, endpoint="https://there/?o=1").url == "https://there/?o=1&q=a%26b"


def test_key_replaces_a_header_of_that_name_however_it_is_written():
    given = api.HttpParameters(header_parameters={"x-key": "mine", "content-type": "text/plain"})
    headers = request(given=given).headers
    assert headers["X-Key"] == "secret"
    assert headers["content-type"] == "text/plain"
    assert {name.lower() for name in headers} == {"user-agent", "content-type", "range", "x-key"}
    assert len(headers) == 4


def test_headers_of_eventbridges_own_are_not_replaced():
    given = api.HttpParameters(header_parameters={"user-agent": "mine", "Range": "bytes=0-1", "X-Mine": "1"})
    added = api.ConnectionHttpParameters(header_parameters=[api.ConnectionHeaderParameter(key="Host", value="h")])
    headers = request(given=given, http=added).headers
    assert headers["User-Agent"] == "Amazon/EventBridge/ApiDestinations"
    assert headers["Range"] == "bytes=0-1048575"
    assert headers["X-Mine"] == "1"
    assert "Host" not in headers


def test_body_parameters_are_added_to_objects_only():
    added = api.ConnectionHttpParameters(body_parameters=[api.ConnectionBodyParameter(key="k", value="v")])
    assert request('{"a":1}', added).body == b'{"a":1,"k":"v"}'
    assert request("[1]", added).body == b"[1]"
    assert request('{"a":1}', added, method="GET").body == b""


def test_token_is_asked_for_in_the_query_by_get():
    parameters = api.CreateConnectionOAuthRequestParameters(
        client_parameters=api.CreateConnectionOAuthClientRequestParameters(client_id="i", client_secret="s"),
        authorization_endpoint="https://there/token",
        http_method="GET",
    )
    asked = token_request(parameters)
    assert asked.url == "https://there/token?grant_type=client_credentials&client_id=i&client_secret=s"
    assert asked.body == b""


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered), (204, Delivered), (302, Rejected), (400, Rejected), (401, Retry), (403, Rejected),
        (404, Rejected), (407, Retry), (409, Retry), (429, Retry), (500, Retry), (503, Retry),
    ],
)  # fmt: skip
def test_answers_are_final_or_not(status, expected):
    assert isinstance(outcome_of(HttpAnswer(status, {}, b""), 0.0), expected)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0), ("soon", 0.0), ("", 0.0)]
)
def test_server_says_when_to_try_again(text, seconds):
    outcome = outcome_of(HttpAnswer(503, {"retry-after": text}, b""), 100.0)
    assert isinstance(outcome, Retry)
    assert outcome.after_seconds == seconds


def test_rate_lets_a_seconds_worth_start_and_lines_up_the_rest():
    rate = Rate()
    assert [rate.wait_seconds(4, 100.0) for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5]
    # Those who waited come back one by one.
    assert rate.wait_seconds(4, 100.25) == 0.0
    assert rate.wait_seconds(4, 100.5) == 0.0


def test_rate_saves_no_more_than_a_second():
    rate = Rate()
    rate.wait_seconds(2, 100.0)
    assert [rate.wait_seconds(2, 500.0) for _ in range(3)] == [0.0, 0.0, 0.5]


def test_those_who_are_sent_away_come_back_one_after_another():
    rate = Rate()
    assert [rate.turn_seconds(10.0, 100.0) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert rate.turn_seconds(10.0, 200.0) == pytest.approx(0.1)
