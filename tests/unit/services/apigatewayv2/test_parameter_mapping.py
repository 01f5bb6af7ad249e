"""The language of parameter mappings, and what its changes do to requests and answers."""

import pytest

from forebay.services.apigatewayv2.outgoing import changed_response, outgoing
from forebay.services.apigatewayv2.parameter_mapping import (
    InvalidMapping,
    compile_request_changes,
    compile_response_changes,
    compile_value,
)
from forebay.services.apigatewayv2.refusal import Refusal
from tests.unit.services.apigatewayv2.stage import answer, exchange

BODY = b'{"a": {"b": [1, "two", {"c": true}]}, "name": "Ann", "none": null, "dash-ed": "d"}'


def asked(**given):
    made = exchange(
        "POST",
        "/pets/7",
        "q=1&q=2&empty=&sp=a%20b",
        {"x-one": "1", "content-type": "application/json"},
        BODY,
        stage="dev",
        variables={"env": "test"},
        raw_path="/dev/pets/7",
        **given,
    )
    made.path_parameters = {"id": "7"}
    return made


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$request.header.X-One", "1"),
        ("$request.header.absent", None),
        ("$request.querystring.q", "1,2"),
        ("$request.querystring.Q", None),
        ("$request.querystring.empty", ""),
        ("$request.querystring.sp", "a b"),
        ("$request.path", "/pets/7"),
        ("$request.path.id", "7"),
        ("$request.path.other", None),
        ("$request.body", BODY.decode()),
        ("$request.body.name", "Ann"),
        ("$request.body.a.b[1]", "two"),
        ("$request.body.a", '{"b":[1,"two",{"c":true}]}'),
        ("$request.body.a.b[2].c", "true"),
        ("$request.body.none", "null"),
        ("$request.body.dash-ed", "d"),
        ("$request.body.absent", None),
        ("$context.requestId", "R3qu35tId000000="),
        ("$context.stage", "dev"),
        ("$context.identity.sourceIp", "203.0.113.7"),
        ("$context.requestTime", "04/Mar/2020:19:03:58 +0000"),
        ("$context.requestTimeEpoch", "1583348638390"),
        ("$context.path", "/dev/pets/7"),
        ("$context.unknown", None),
        ("$stageVariables.env", "test"),
        ("$stageVariables.absent", None),
        ("static", "static"),
        ("costs $5", "costs $5"),
        ("com.mycompany.$request.path.id", "com.mycompany.7"),
        ("/v2/$request.path.id/x, $context.stage.", "/v2/7/x, dev."),
        ("$request.path.id/x", "7/x"),
        ("${request.path.id}", "7"),
        ("pets/${request.path.id}?by=${request.header.x-one}${request.header.absent}!", "pets/7?by=1!"),
        ("${request.body.absent}", None),
        ("", ""),
    ],
)
def test_value_is_taken_from_the_request(text, value):
    assert compile_value(text)(asked()) == value


@pytest.mark.parametrize(
    "text",
    [
        "$request.foo",
        "$request.header.",
        "$foo.bar",
        "$context",
        "$stageVariables.",
        "$request.body..a",
        "a${b}c",
    ],
)
def test_unknown_selection_is_refused(text):
    with pytest.raises(InvalidMapping, match="Invalid mapping expression specified"):
        compile_value(text)


def test_body_that_is_not_json_has_no_parts():
    made = exchange("POST", "/", body=b"plain")
    assert compile_value("$request.body.a")(made) is None
    assert compile_value("$request.body")(made) == "plain"


def test_body_that_is_no_text_is_a_bad_request():
    with pytest.raises(Refusal) as caught:
        compile_value("$request.body")(exchange("POST", "/", body=b"\xff\xfe"))
    assert caught.value.status == 400


def test_parts_of_a_large_body_are_not_selected():
    large = b'{"a": "' + b"x" * 102_400 + b'"}'
    assert compile_value("$request.body.a")(exchange("POST", "/", body=large)) is None


def test_changes_of_a_request():
    changes = compile_request_changes(
        {
            "append:header.x-one": "$request.path.id",
            "append:header.x-new": "n",
            "overwrite:header.x-id": "$context.requestId",
            "remove:header.content-type": "''",
            "append:querystring.q": "3",
            "overwrite:querystring.sp": "$request.body.name",
            "remove:querystring.empty": "''",
            "overwrite:path": "/v2${request.path}",
        }
    )
    sent = outgoing(asked(), changes)
    assert sent.headers["x-one"] == "1,7"
    assert sent.headers["x-new"] == "n"
    assert sent.headers["x-id"] == "R3qu35tId000000="
    assert "content-type" not in sent.headers
    assert sent.query == "q=1&q=2&q=3&sp=Ann"
    assert sent.path == "/v2/pets/7"


def test_request_without_changes_goes_on_as_it_is():
    sent = outgoing(asked(), ())
    assert sent.query == "q=1&q=2&empty=&sp=a%20b"
    assert sent.path is None


def test_changes_of_an_answer():
    changes = compile_response_changes(
        {
            "overwrite:statuscode": "403",
            "append:header.h": "$response.body.why",
            "overwrite:header.kept": "$response.header.old",
            "remove:header.old": "''",
        }
    )
    given = answer(500, b'{"why": "because"}', [("Old", "o"), ("kept", "k"), ("h", "first")])
    changed = changed_response(asked(), given, changes)
    assert changed.status == 403
    assert sorted(changed.headers) == [("h", "because"), ("h", "first"), ("kept", "o")]
    assert changed.body == given.body


@pytest.mark.parametrize(
    "name", ["Authorization", "x-amz-date", "Access-Control-Allow-Origin", "Via", "content-length"]
)
def test_reserved_headers_are_refused(name):
    with pytest.raises(InvalidMapping, match="restricted"):
        compile_request_changes({f"overwrite:header.{name}": "x"})


@pytest.mark.parametrize(
    "key", ["header.x", "replace:header.x", "append:path", "overwrite:statuscode", "append:body.x"]
)
def test_unknown_keys_of_requests_are_refused(key):
    with pytest.raises(InvalidMapping):
        compile_request_changes({key: "x"})


@pytest.mark.parametrize("key", ["overwrite:path", "append:querystring.q"])
def test_unknown_keys_of_answers_are_refused(key):
    with pytest.raises(InvalidMapping):
        compile_response_changes({key: "x"})
