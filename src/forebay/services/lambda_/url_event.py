"""What a function URL makes of an HTTP request, and of a function's answer: payload format 2.0, CORS. Pure.

Source: "Invoking Lambda function URLs" in the developer guide.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

import msgspec

from forebay.api import lambda_ as api
from forebay.core.http import Request, Response, header_texts, is_header_name

_TEXT_TYPES = ("application/json", "application/javascript", "application/xml", "application/x-www-form-urlencoded")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Headers that belong to the connection, not to the function's answer.
_HOP_HEADERS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})

# What a runtime posts a stream with a prelude as.
_HTTP_STREAM = "application/vnd.awslambda.http-integration-response"

BAD_GATEWAY = Response(502, (("Content-Type", "application/json"),), b"Internal Server Error")


def url_event(request: Request, path: str, *, url_id: str, request_id: str, now: float) -> dict[str, Any]:
    """Return the event that the function gets."""
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    cookies = [cookie.strip() for cookie in request.headers.get("cookie", "").split(";") if cookie.strip()]
    domain = request.host
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": url_id,
            "domainName": domain,
            "domainPrefix": url_id,
            "http": {
                "method": request.method,
                "path": unquote(path),
                "protocol": "HTTP/1.1",
                "sourceIp": request.peer,
                "userAgent": request.headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": _format_time(now),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = query
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return event


def url_response(payload: bytes, content_type: str = "application/json", *, streams: bool = False) -> Response:
    """Return the HTTP answer that a function's answer stands for; 502 where it is none.

    `streams` says that the URL's invoke mode is RESPONSE_STREAM: what is no JSON then is the body as it stands. What a
    function wrote to its response stream is sent as a whole when it has ended.
    """
    if content_type == _HTTP_STREAM:
        return _streamed(payload)
    if streams and content_type != "application/json":
        return Response(200, header_texts([("Content-Type", content_type)]), payload)
    try:
        answer: object = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return BAD_GATEWAY
    if not isinstance(answer, dict) or "statusCode" not in answer:
        # Anything without a status is the body itself.
        body = answer.encode() if isinstance(answer, str) else payload
        return Response(200, (("Content-Type", "application/json"),), body)
    return _from_members(cast("dict[str, Any]", answer))


def with_cors(response: Response, cors: api.Cors | None, origin: str | None) -> Response:
    """Return an answer with the headers that let the page at `origin` read it."""
    allowed = _allowed_origin(cors, origin)
    if cors is None or allowed is None:
        return response
    added = [("Access-Control-Allow-Origin", allowed)]
    if allowed != "*":
        added.append(("Vary", "Origin"))
    if cors.allow_credentials:
        added.append(("Access-Control-Allow-Credentials", "true"))
    if cors.expose_headers:
        added.append(("Access-Control-Expose-Headers", ",".join(cors.expose_headers)))
    # The URL's CORS settings replace what the function sets of them.
    names = {name.lower() for name, _ in added}
    kept = [(name, value) for name, value in response.headers if name.lower() not in names]
    return response._replace(headers=header_texts((*kept, *added)))


def preflight(cors: api.Cors, headers: Mapping[str, str]) -> Response:
    """Return the answer to a browser's question whether it may send a request."""
    response = with_cors(Response(200), cors, headers.get("origin"))
    if not response.headers:
        return response
    added: list[tuple[str, str]] = []
    if cors.allow_methods:
        added.append(("Access-Control-Allow-Methods", ",".join(cors.allow_methods)))
    if cors.allow_headers:
        added.append(("Access-Control-Allow-Headers", ",".join(cors.allow_headers)))
    if cors.max_age is not None:
        added.append(("Access-Control-Max-Age", str(cors.max_age)))
    return response._replace(headers=header_texts((*response.headers, *added)))


def _streamed(payload: bytes) -> Response:
    """Take a stream of `HttpResponseStream` apart: status and headers as JSON, eight zero bytes, the body."""
    prelude, separator, body = payload.partition(bytes(8))
    try:
        members = msgspec.json.decode(prelude, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return BAD_GATEWAY
    if not separator:
        return BAD_GATEWAY
    answer = {name: members[name] for name in ("headers", "cookies") if name in members}
    response = _from_members({"statusCode": members.get("statusCode", 200), **answer})
    return response if response is BAD_GATEWAY else response._replace(body=body)


def _from_members(answer: dict[str, Any]) -> Response:
    try:
        status = int(answer["statusCode"])
    except (ValueError, TypeError, OverflowError):
        return BAD_GATEWAY
    if not 200 <= status <= 599:
        return BAD_GATEWAY
    given: object = answer.get("headers") or {}
    body = answer.get("body")
    data = b"" if body is None else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    if answer.get("isBase64Encoded"):
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error:
            return BAD_GATEWAY
    if not isinstance(given, dict):
        return BAD_GATEWAY
    headers = [
        (str(name), _header_text(value))
        for name, value in cast("dict[str, object]", given).items()
        if name.lower() not in _HOP_HEADERS
    ]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    headers += [("Set-Cookie", str(cookie)) for cookie in _cookies(answer)]
    if any("\r" in value or "\n" in value or not is_header_name(name) for name, value in headers):
        return BAD_GATEWAY
    return Response(status, header_texts(headers), data)


def _cookies(answer: dict[str, Any]) -> Sequence[object]:
    cookies = answer.get("cookies")
    return cast("list[object]", cookies) if isinstance(cookies, list) else ()


def _header_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _body(request: Request) -> tuple[str, bool]:
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml")):
        try:
            return request.body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _allowed_origin(cors: api.Cors | None, origin: str | None) -> str | None:
    if cors is None or origin is None or not cors.allow_origins:
        return None
    if origin in cors.allow_origins:
        return origin
    if "*" not in cors.allow_origins:
        return None
    return origin if cors.allow_credentials else "*"


def _format_time(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"
