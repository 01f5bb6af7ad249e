"""Events that functions get, and what their answers mean."""

import base64
import json

import pytest

from forebay.services.apigatewayv2.function_answer import MalformedAnswer, answer_v1, answer_v2
from forebay.services.apigatewayv2.outgoing import outgoing
from forebay.services.apigatewayv2.request_event import (
    authorizer_event_v1,
    authorizer_event_v2,
    body_text,
    event_v1,
    event_v2,
)
from tests.unit.services.apigatewayv2.stage import exchange

TRACE = "Root=1-5e5ff1de-000000000000000000000001"


def asked():
    made = exchange(
        "POST",
        "/my/path",
        "parameter1=value1&parameter1=value2&parameter2=value",
        {
            "header1": "value1",
            "header2": "value1,value2",
            "cookie": "cookie1=a; cookie2=b",
            "content-type": "text/plain",
        },
        b"Hello from client!",
        stage="dev",
        variables={"v": "1"},
        raw_path="/dev/my/path",
    )
    made.path_parameters = {"parameter1": "value1"}
    return made


def test_event_of_format_2_is_the_documented_one():
    made = asked()
    assert event_v2(made, outgoing(made, ()), TRACE) == {
        "version": "2.0",
        "routeKey": "POST /my/path",
        "rawPath": "/dev/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {
            "host": "a1b2c3d4e5.execute-api.localhost:4566",
            "user-agent": "test/1",
            "header1": "value1",
            "header2": "value1,value2",
            "content-type": "text/plain",
            "content-length": "18",
            "x-amzn-trace-id": TRACE,
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-port": "4566",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": "a1b2c3d4e5.execute-api.localhost",
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": "/dev/my/path",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "test/1",
            },
            "requestId": "R3qu35tId000000=",
            "routeKey": "POST /my/path",
            "stage": "dev",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1583348638390,
        },
        "pathParameters": {"parameter1": "value1"},
        "stageVariables": {"v": "1"},
        "body": "Hello from client!",
        "isBase64Encoded": False,
    }


def test_event_of_format_2_leaves_out_what_is_absent():
    made = exchange("GET", "/")
    event = event_v2(made, outgoing(made, ()), TRACE)
    absent = {"body", "cookies", "queryStringParameters", "pathParameters", "stageVariables"}
    assert absent.isdisjoint(event)
    assert "authorizer" not in event["requestContext"]
    assert event["rawQueryString"] == ""


def test_event_of_format_1_has_every_member():
    made = asked()
    event = event_v1(made, outgoing(made, ()), TRACE)
    assert event["resource"] == "/my/path"
    assert event["path"] == "/dev/my/path"
    assert event["headers"]["X-Forwarded-For"] == "203.0.113.7"
    assert event["headers"]["header1"] == "value1"
    assert event["multiValueHeaders"]["Host"] == ["a1b2c3d4e5.execute-api.localhost:4566"]
    assert event["queryStringParameters"] == {"parameter1": "value2", "parameter2": "value"}
    assert event["multiValueQueryStringParameters"] == {"parameter1": ["value1", "value2"], "parameter2": ["value"]}
    assert event["requestContext"]["identity"]["sourceIp"] == "203.0.113.7"
    assert event["requestContext"]["identity"]["userArn"] is None
    assert event["requestContext"]["requestTimeEpoch"] == 1583348638390
    assert event["pathParameters"] == {"parameter1": "value1"}
    assert event["body"] == "Hello from client!"
    empty = exchange("GET", "/")
    event = event_v1(empty, outgoing(empty, ()), TRACE)
    for name in (
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    ):
        assert event[name] is None


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"content-type": "application/json; charset=utf-8"}, b"{}", ("{}", False)),
        ({"content-type": "application/vnd.api+json"}, b"{}", ("{}", False)),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", (base64.b64encode(b"a=b").decode(), True)),
        ({"content-type": "image/png"}, b"\x89PNG", ("iVBORw==", True)),
        ({"content-type": "text/plain"}, b"\xff", ("/w==", True)),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f", ("Hw==", True)),
        ({}, b"plain", ("plain", False)),
        ({}, b"", (None, False)),
    ],
)
def test_only_text_types_stay_text(headers, body, expected):
    assert body_text(body, headers) == expected


def test_authorizers_are_told_the_route_and_the_identity():
    made = asked()
    event = authorizer_event_v2(made, outgoing(made, ()), TRACE, ["a", "b"])
    assert event["routeArn"] == "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/dev/POST/my/path"
    assert event["identitySource"] == ["a", "b"]
    assert "body" not in event
    event = authorizer_event_v1(made, outgoing(made, ()), TRACE, ["a", "b"])
    assert event["methodArn"].endswith("/dev/POST/my/path")
    assert event["authorizationToken"] == "a,b"


def test_format_2_infers_an_answer():
    inferred = answer_v2(b'{"message": "Hello"}')
    assert (inferred.status, inferred.body) == (200, b'{"message": "Hello"}')
    assert inferred.headers == (("content-type", "application/json"),)
    assert answer_v2(b'"Hello from Lambda!"').body == b"Hello from Lambda!"
    assert answer_v2(b"[1, 2]").body == b"[1, 2]"
    assert answer_v2(b"null").body == b"null"


def test_format_2_takes_an_answer_apart():
    given = {
        "statusCode": 201,
        "headers": {"X-Number": 5, "Content-Length": "99"},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode(b"\x00\x01").decode(),
        "isBase64Encoded": True,
    }
    formatted = answer_v2(json.dumps(given).encode())
    assert formatted.status == 201
    assert formatted.body == b"\x00\x01"
    assert formatted.headers == (
        ("x-number", "5"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-type", "text/plain;charset=UTF-8"),
    )


def test_format_1_takes_values_of_both_kinds():
    given = {"statusCode": "200", "headers": {"A": "1", "B": "2"}, "multiValueHeaders": {"a": ["x", "y"]}, "body": None}
    formatted = answer_v1(json.dumps(given).encode())
    assert formatted.headers[:3] == (("b", "2"), ("a", "x"), ("a", "y"))
    assert formatted.body == b""


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"statusCode": "abc"}',
        b'{"statusCode": 99}',
        b'{"statusCode": true}',
        b'{"statusCode": 200, "body": {"a": 1}}',
        b'{"statusCode": 200, "headers": []}',
        b'{"statusCode": 200, "headers": {"a": {}}}',
        b'{"statusCode": 200, "body": "?", "isBase64Encoded": true}',
        b'{"statusCode": 200, "cookies": "a=1"}',
    ],
)
def test_malformed_answers_are_refused(payload):
    with pytest.raises(MalformedAnswer):
        answer_v2(payload)


@pytest.mark.parametrize(
    "payload", [b'"text"', b"{}", b"null", b'{"statusCode": 200, "multiValueHeaders": {"a": "b"}}']
)
def test_format_1_infers_nothing(payload):
    with pytest.raises(MalformedAnswer):
        answer_v1(payload)


def test_header_cannot_begin_another():
    formatted = answer_v2(b'{"statusCode": 200, "headers": {"a": "b\\r\\nset-cookie: c"}}')
    assert formatted.headers[0] == ("a", "b  set-cookie: c")
