"""Rules of functions, aliases, policies and function URLs that need no store."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.api import lambda_ as api
from forebay.core.http import Request, Response
from forebay.core.ids import Ids
from forebay.services.lambda_.address import address_of
from forebay.services.lambda_.alias import Alias, check_weights
from forebay.services.lambda_.code_links import CodeLinks
from forebay.services.lambda_.function import format_modified
from forebay.services.lambda_.policy import permission_statement
from forebay.services.lambda_.url_event import preflight, url_event, url_response, with_cors

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def test_times_are_written_as_lambda_writes_them():
    assert format_modified(1_700_000_000.5) == "2023-11-14T22:13:20.500+0000"


@pytest.mark.parametrize(
    ("arn", "qualifier"), [(ARN, None), (f"{ARN}:live", "live"), (f"{ARN}:$LATEST", "$LATEST"), (f"{ARN}:7", "7")]
)
def test_arns_name_functions(arn: str, qualifier: str | None):
    address = address_of(arn)
    assert address is not None
    assert (address.name, address.qualifier, address.arn) == ("f", qualifier, arn)


@pytest.mark.parametrize("arn", ["f", "arn:aws:sqs:us-east-1:000000000000:f", "arn:aws:lambda:r:a:layer:l:1"])
def test_other_arns_name_none(arn: str):
    assert address_of(arn) is None


def alias(**weights: float) -> Alias:
    return Alias(name="live", function_arn=ARN, version="1", revision="r", weights=weights)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_alias_picks_by_weight(chance: float, weight: float):
    picked = alias(**{"2": weight}).pick(chance)
    assert picked == ("2" if chance < weight else "1")


@pytest.mark.parametrize(
    ("version", "weights"), [("1", {"2": 0.1, "3": 0.1}), ("$LATEST", {"2": 0.1}), ("1", {"1": 0.5})]
)
def test_weights_have_rules(version: str, weights: dict[str, float]):
    with pytest.raises(api.InvalidParameterValueException):
        check_weights(version, weights)


def test_statements_have_awss_order():
    request = api.AddPermissionRequest(
        function_name="f",
        statement_id="s",
        action="lambda:InvokeFunctionUrl",
        principal="*",
        function_url_auth_type="NONE",
        invoked_via_function_url=True,
    )
    assert permission_statement(request, ARN).text == (
        f'{{"Sid":"s","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunctionUrl","Resource":"{ARN}",'
        '"Condition":{"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"},'
        '"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}'
    )


def test_links_hold_for_their_code_and_time_only():
    links = CodeLinks(Ids(1).bytes(32).hex())
    query = links.link("http://h", "ab", 1000.0).split("?")[1]
    fields = dict(part.split("=") for part in query.split("&"))
    assert links.is_valid("ab", fields["Expires"], fields["Signature"], 1000.0)
    assert not links.is_valid("ac", fields["Expires"], fields["Signature"], 1000.0)
    assert not links.is_valid("ab", fields["Expires"], fields["Signature"], 1601.0)
    assert not links.is_valid("ab", str(int(fields["Expires"]) + 1), fields["Signature"], 1000.0)
    assert not links.is_valid("ab", "soon", "", 1000.0)


def request(**changes: object) -> Request:
    given = {
        "method": "GET",
        "path": "/",
        "query": "",
        "headers": {"user-agent": "t"},
        "body": b"",
        "host": "h:1",
        "peer": "1.2.3.4",
        "secure": False,
    }
    return Request(**(given | changes))  # type: ignore[arg-type]


def test_url_events_have_payload_format_two():
    given = request(
        method="POST",
        query="a=1&a=2&b=",
        headers={"cookie": "x=1; y=2", "content-type": "application/json", "user-agent": "t"},
        body=b'{"n":1}',
    )
    event = url_event(given, "/some%20path", url_id="abc", request_id="r", now=1_700_000_000.0)
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["cookies"] == ["x=1", "y=2"]
    assert "cookie" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"n":1}', False)
    assert event["rawPath"] == "/some path"
    assert event["requestContext"]["time"] == "14/Nov/2023:22:13:20 +0000"
    assert event["requestContext"]["http"]["sourceIp"] == "1.2.3.4"


def test_url_events_carry_bytes_in_base64():
    event = url_event(request(body=b"\xff\x00"), "/", url_id="a", request_id="r", now=0.0)
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (b"\xff\x00", True)


ANSWERS = [
    (b'{"statusCode":404,"body":"gone"}', 404, b"gone"),
    (b'{"statusCode":"201"}', 201, b""),
    (b'{"statusCode":200,"body":"aGk=","isBase64Encoded":true}', 200, b"hi"),
    (b'{"a":1}', 200, b'{"a":1}'),
    (b'"text"', 200, b"text"),
    (b'{"statusCode":499}', 499, b""),
    (b'{"statusCode":100}', 502, b"Internal Server Error"),
    (b'{"statusCode":"x"}', 502, b"Internal Server Error"),
    (b'{"statusCode":200,"headers":["a"]}', 502, b"Internal Server Error"),
    (b'{"statusCode":200,"headers":{"a":"b\\r\\nc: d"}}', 502, b"Internal Server Error"),
    (b'{"statusCode":200,"body":"!","isBase64Encoded":true}', 502, b"Internal Server Error"),
    (b"not json", 502, b"Internal Server Error"),
]


@pytest.mark.parametrize(("payload", "status", "body"), ANSWERS)
def test_answers_of_functions_become_http(payload: bytes, status: int, body: bytes):
    response = url_response(payload)
    assert (response.status, response.body) == (status, body)


STREAM = "application/vnd.awslambda.http-integration-response"
PRELUDE = b'{"statusCode":201,"headers":{"Content-Type":"text/html"},"cookies":["a=b"]}'


def test_stream_with_a_prelude_becomes_http():
    response = url_response(PRELUDE + bytes(8) + b"<p>\0\xff", STREAM)
    assert (response.status, response.body) == (201, b"<p>\0\xff")
    assert response.headers == (("Content-Type", "text/html"), ("Set-Cookie", "a=b"))


@pytest.mark.parametrize("payload", [b"", b"no", PRELUDE, b"[1]" + bytes(8), b'{"statusCode":99}' + bytes(8)])
def test_stream_without_a_sound_prelude_is_a_bad_gateway(payload: bytes):
    assert url_response(payload, STREAM).status == 502


def test_plain_stream_is_the_body_where_the_url_streams():
    response = url_response(b"\x89PNG", "image/png", streams=True)
    assert response == Response(200, (("Content-Type", "image/png"),), b"\x89PNG")
    assert url_response(b"\x89PNG", "image/png").status == 502


def test_cors_names_the_origin_or_all():
    named = api.Cors(allow_origins=["https://a"], allow_credentials=True, expose_headers=["x"])
    headers = dict(with_cors(Response(200), named, "https://a").headers)
    assert headers["Access-Control-Allow-Origin"] == "https://a"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert with_cors(Response(200), named, "https://b").headers == ()
    everyone = api.Cors(allow_origins=["*"])
    assert dict(with_cors(Response(200), everyone, "https://b").headers) == {"Access-Control-Allow-Origin": "*"}
    assert preflight(named, {"origin": "https://b"}).headers == ()


@given(st.binary(max_size=200))
def test_no_answer_of_a_function_breaks_the_url(payload: bytes):
    response = url_response(payload)
    assert 100 <= response.status <= 599


_NAMES = st.sampled_from(["statusCode", "headers", "body", "cookies", "isBase64Encoded", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner),
    max_leaves=8,
)


@given(_JSON)
def test_no_json_answer_breaks_the_url(answer: object):
    response = url_response(json.dumps(answer).encode())
    assert 100 <= response.status <= 599
    assert isinstance(response.body, bytes)
