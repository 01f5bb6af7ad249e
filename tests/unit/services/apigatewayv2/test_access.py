"""CORS, throttling, and what authorizers say."""

import asyncio
import json

import pytest

from forebay.api import apigatewayv2 as api
from forebay.core.clock import Clock
from forebay.services.apigatewayv2.authorization import AuthorizerCache, Verdict, check_signed, parse_verdict
from forebay.services.apigatewayv2.cors import check_cors, cors_headers, is_preflight, preflight
from forebay.services.apigatewayv2.refusal import Refusal
from forebay.services.apigatewayv2.throttle import TokenBucket, bucket_of
from tests.unit.services.apigatewayv2.stage import exchange

ROUTE = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/dev/GET/pets"


def test_preflight_tells_what_is_allowed():
    cors = api.Cors(
        allow_origins=["https://a.example", "https://b.example"],
        allow_methods=["GET", "POST"],
        allow_headers=["content-type"],
        allow_credentials=True,
        expose_headers=["x-id"],
        max_age=300,
    )
    asked = {"origin": "https://b.example", "access-control-request-method": "POST"}
    assert is_preflight("OPTIONS", asked)
    told = preflight(cors, asked)
    assert told.status == 204
    assert dict(told.headers) == {
        "access-control-allow-origin": "https://b.example",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "300",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-id",
    }
    assert preflight(cors, {"origin": "https://c.example"}).headers == ()


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ("*", "https://a.example", "*"),
        ("https://*", "https://a.example", "https://a.example"),
        ("https://*", "http://a.example", None),
        ("https://a.example", "https://a.example.evil", None),
    ],
)
def test_origin_is_matched_as_a_whole(allowed, origin, expected):
    headers = dict(cors_headers(api.Cors(allow_origins=[allowed]), {"origin": origin}))
    assert headers.get("access-control-allow-origin") == expected


def test_request_without_origin_gets_no_headers():
    assert cors_headers(api.Cors(allow_origins=["*"]), {}) == ()
    assert not is_preflight("OPTIONS", {})


@pytest.mark.parametrize(
    "cors",
    [api.Cors(allow_origins=["*"], allow_credentials=True), api.Cors(max_age=86_401), api.Cors(allow_origins=["a.b"])],
)
def test_contradictory_cors_is_refused(cors):
    with pytest.raises(api.BadRequestException):
        check_cors(cors)


def test_bucket_holds_the_burst_and_fills_at_the_rate():
    bucket = TokenBucket(rate=2.0, burst=3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.5)] == [True, False]
    assert [bucket.take(200.0) for _ in range(4)] == [True, True, True, False]


def test_route_settings_win_over_the_stage():
    stage = api.Stage(
        stage_name="s",
        default_route_settings=api.RouteSettings(throttling_rate_limit=1.0, throttling_burst_limit=0),
        route_settings={"GET /": api.RouteSettings(throttling_burst_limit=1, throttling_rate_limit=0.0)},
    )
    assert bucket_of(stage, "GET /").take(0)
    assert not bucket_of(stage, "POST /").take(0)
    assert bucket_of(api.Stage(stage_name="s"), "GET /") is None


def policy(*statements):
    document = {"principalId": "me", "policyDocument": {"Statement": list(statements)}, "context": {"k": 1}}
    return parse_verdict(json.dumps(document).encode(), is_simple=False)


def allow(resource, action="execute-api:Invoke", effect="Allow"):
    return {"Action": action, "Effect": effect, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([allow(ROUTE)], True),
        ([allow("*")], True),
        ([allow(["arn:other", "arn:aws:execute-api:*:*:a1b2c3d4e5/dev/???/pets"])], True),
        ([allow(ROUTE + "/more")], False),
        ([allow("*", action="lambda:*")], False),
        ([allow("*", action=["execute-api:*"])], True),
        ([allow("*"), allow(ROUTE, effect="Deny")], False),
        ([], False),
    ],
)
def test_policy_decides_on_the_route(statements, allowed):
    verdict = policy(*statements)
    assert verdict.allows(ROUTE) is allowed
    assert verdict.context == {"k": 1, "principalId": "me"}


def test_simple_answer_is_yes_or_no():
    verdict = parse_verdict(b'{"isAuthorized": true, "context": {"a": "b"}}', is_simple=True)
    assert verdict.allows(ROUTE)
    assert verdict.context == {"a": "b"}
    assert not parse_verdict(b'{"isAuthorized": false}', is_simple=True).allows(ROUTE)


@pytest.mark.parametrize(
    ("payload", "is_simple"),
    [
        (b"null", True),
        (b'{"isAuthorized": "yes"}', True),
        (b'{"isAuthorized": true, "context": 5}', True),
        (b'{"isAuthorized": true}', False),
        (b'{"principalId": "p", "policyDocument": {"Statement": [{"Effect": "Maybe"}]}}', False),
        (b'{"principalId": "p", "policyDocument": {"Statement": [5]}}', False),
        (b"nonsense", False),
    ],
)
def test_malformed_verdict_is_an_error_of_ours(payload, is_simple):
    with pytest.raises(Refusal) as caught:
        parse_verdict(payload, is_simple=is_simple)
    assert caught.value.status == 500


def test_verdicts_are_kept_for_their_time():
    clock = Clock(frozen_at=1000.0)
    cache = AuthorizerCache(clock)
    key = ("api", "stage", "auth", ("token",))
    cache.put(key, Verdict(is_authorized=True), 60)
    assert cache.find(key) is not None
    clock.advance(60)
    assert cache.find(key) is None
    cache.put(key, Verdict(is_authorized=True), 60)
    cache.reset("api", "other")
    assert cache.find(key) is not None
    cache.reset("api", "stage")
    assert cache.find(key) is None


def test_iam_routes_need_a_signature():
    with pytest.raises(Refusal) as caught:
        asyncio.run(check_signed(exchange()))
    assert caught.value.status == 403
    signed = exchange(headers={"authorization": "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/execute-api/aws4"})
    asyncio.run(check_signed(signed))
    assert signed.authorizer["accessKey"] == "AKID"
