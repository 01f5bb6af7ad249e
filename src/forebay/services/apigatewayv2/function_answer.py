"""What a function's return value means as an HTTP answer, in the payload formats 1.0 and 2.0. Pure.

See AWS's developer guide, "Create AWS Lambda proxy integrations for HTTP APIs", on response formats.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.core.http import Response, is_header_name

_PLAIN = ("content-type", "text/plain;charset=UTF-8")
_JSON = ("content-type", "application/json")
# Headers that say how a connection is used; those are the server's.
_NOT_THEIRS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})


class MalformedAnswer(ValueError):
    """The function returned what is no answer."""


def answer_v2(payload: bytes) -> Response:
    """Return the answer of format 2.0; without a status code, the whole value is the body.

    Raises:
        MalformedAnswer: it is no JSON, or its parts are not what they must be.
    """
    value = _decode(payload)
    if isinstance(value, dict) and "statusCode" in value:
        answer = cast("dict[str, Any]", value)
        cookies = answer.get("cookies")
        if cookies is not None and not isinstance(cookies, list):
            raise MalformedAnswer("cookies is not a list")
        further = [("set-cookie", _text(cookie)) for cookie in cast("list[Any]", cookies or [])]
        return _formatted(answer, further)
    body = value.encode() if isinstance(value, str) else payload
    return Response(200, (_JSON,), body)


def answer_v1(payload: bytes) -> Response:
    """Return the answer of format 1.0.

    Raises:
        MalformedAnswer: it is no JSON object with a status code, or its parts are not what they must be.
    """
    value = _decode(payload)
    if not isinstance(value, dict) or "statusCode" not in value:
        raise MalformedAnswer("the function's answer has no statusCode")
    answer = cast("dict[str, Any]", value)
    further: list[tuple[str, str]] = []
    for name, values in _map(answer, "multiValueHeaders").items():
        if not isinstance(values, list):
            raise MalformedAnswer("multiValueHeaders holds something else than lists")
        further += [(name.lower(), _text(item)) for item in cast("list[Any]", values)]
    named = {name for name, _ in further}
    single = {name: value for name, value in _map(answer, "headers").items() if name.lower() not in named}
    return _formatted({**answer, "headers": single}, further)


def _formatted(answer: Mapping[str, Any], further: list[tuple[str, str]]) -> Response:
    headers = [(name.lower(), _text(value)) for name, value in _map(answer, "headers").items()] + further
    headers = [item for item in headers if item[0] not in _NOT_THEIRS]
    if not all(is_header_name(name) for name, _ in headers):
        raise MalformedAnswer("a header's name is none")
    if not any(name == "content-type" for name, _ in headers):
        headers.append(_PLAIN)
    return Response(_status(answer["statusCode"]), tuple(headers), _body(answer))


def _status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise MalformedAnswer("statusCode is not an HTTP status")
    return value


def _body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedAnswer("body is not a string")
    is_base64 = answer.get("isBase64Encoded", False)
    if not isinstance(is_base64, bool | None):
        raise MalformedAnswer("isBase64Encoded is not a boolean")
    if not is_base64:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedAnswer("body is not base64") from None


def _map(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = answer.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedAnswer(f"{name} is not an object")
    return cast("dict[str, Any]", value)


def _text(value: object) -> str:
    if isinstance(value, str):
        # A line's end would begin another header.
        return value.replace("\r", " ").replace("\n", " ")
    if isinstance(value, (bool, int, float)):
        return msgspec.json.encode(value).decode()
    raise MalformedAnswer("a header is no text")


def _decode(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedAnswer("the function's answer is not JSON") from None
