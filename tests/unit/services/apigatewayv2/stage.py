"""Requests on their way through an API, for tests of its pure parts."""

from forebay.core.http import Request, Response
from forebay.services.apigatewayv2.exchange import Exchange, Place


def exchange(method="GET", path="/", query="", headers=None, body=b"", stage="$default", variables=None, raw_path=None):
    request = Request(
        method,
        path,
        query,
        {"host": "a1b2c3d4e5.execute-api.localhost:4566", "user-agent": "test/1", **(headers or {})},
        body,
        "a1b2c3d4e5.execute-api.localhost:4566",
        "203.0.113.7",
        secure=False,
    )
    place = Place("123456789012", "eu-west-1", "a1b2c3d4e5", stage, variables or {}, "a1b2c3d4e5.execute-api.localhost")
    made = Exchange(
        request, place, path=path, raw_path=raw_path or path, request_id="R3qu35tId000000=", at=1_583_348_638.39
    )
    made.route_key = f"{method} {path}"
    made.resource = path
    return made


def answer(status=200, body=b"", headers=()):
    return Response(status, tuple(headers), body)
