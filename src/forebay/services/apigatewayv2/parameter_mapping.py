"""Parameter mapping: the small language by which integrations take values from requests, answers and context.

A value is a selection (`$request.header.name`, `$request.body.a.b`, `$context.requestId`, ...), a text with selections
in it, in braces (`${request.path.id}`) or not (`com.example.$request.path.id`), or static text. A key of an HTTP
integration says what to change and how (`append:header.x`, `overwrite:path`, `remove:querystring.q`). Everything is
read once, at deployment. See AWS's developer guide, "Transform API requests and responses for HTTP APIs".
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from forebay.core.http import is_header_name
from forebay.languages.json_path import MISSING, InvalidJsonPath, JsonPath

# A text that is one selection, and selections inside a text.
_WHOLE = re.compile(r"\$[^\s$/{}]+|\$\{[^}]*\}")
_INSIDE = re.compile(
    r"\$\{([^}]*)\}|\$((?:request|response|context|stageVariables)\.[A-Za-z0-9._\-\[\]]*[A-Za-z0-9_\]])"
)
# Names of context and stage variables ("Only the special characters . and _ are supported").
_VARIABLE = re.compile(r"[A-Za-z0-9._-]+")
_CHANGE = re.compile(r"(append|overwrite|remove):(header|querystring)\.(.+)")

# Headers that no mapping may touch; a star ends a prefix.
_RESERVED = (
    "access-control-*",
    "apigw-*",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "forwarded",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "x-amz-*",
    "x-amzn-*",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "via",
)


class Source(Protocol):
    """What values are taken from; None where there is nothing of that name."""

    def header(self, name: str) -> str | None:
        """Return a request header by its lower-case name."""
        ...

    def query(self, name: str) -> str | None:
        """Return a query parameter; several values are joined with commas."""
        ...

    def path(self) -> str:
        """Return the request's path without the stage."""
        ...

    def path_parameter(self, name: str) -> str | None:
        """Return a path parameter."""
        ...

    def body(self) -> str | None:
        """Return the body as text; None where it is empty."""
        ...

    def document(self) -> Any:
        """Return the body as JSON, or `MISSING` where it is none."""
        ...

    def context(self, name: str) -> str | None:
        """Return a context variable."""
        ...

    def stage_variable(self, name: str) -> str | None:
        """Return a stage variable."""
        ...

    def response_header(self, name: str) -> str | None:
        """Return a header of the integration's answer by its lower-case name."""
        ...

    def response_document(self) -> Any:
        """Return the integration's answer as JSON, or `MISSING` where it is none."""
        ...

    def response_body(self) -> str | None:
        """Return the integration's answer as text."""
        ...


Value = Callable[[Source], str | None]
"""A value that was read: takes itself from a source; None where the selection leads nowhere."""

Action = Literal["append", "overwrite", "remove"]


class InvalidMapping(ValueError):
    """A key or a value is not part of the language; the text says which."""


class Change(NamedTuple):
    """What one mapping of an HTTP integration changes: a header, a query parameter, the path or the status code."""

    action: str
    place: Literal["header", "querystring", "path", "statuscode"]
    name: str
    value: Value


def compile_value(text: str) -> Value:
    """Read a value.

    Raises:
        InvalidMapping: it selects something that there is not.
    """
    if _WHOLE.fullmatch(text):
        return _select(text.strip("${}"))
    values: list[Value] = []
    at = 0
    for match in _INSIDE.finditer(text):
        values += (_static(text[at : match.start()]), _select(match[1] or match[2] or ""))
        at = match.end()
    if not values:
        return _static(text)
    values.append(_static(text[at:]))
    return lambda source: "".join(value(source) or "" for value in values)


def compile_request_changes(mappings: Mapping[str, str]) -> tuple[Change, ...]:
    """Read the request mappings of an HTTP integration.

    Raises:
        InvalidMapping: a key or value is not part of the language, or its header is reserved.
    """
    return tuple(_change(key, value, "path") for key, value in mappings.items())


def compile_response_changes(mappings: Mapping[str, str]) -> tuple[Change, ...]:
    """Read the response mappings of one status code.

    Raises:
        InvalidMapping: see `compile_request_changes`.
    """
    return tuple(_change(key, value, "statuscode") for key, value in mappings.items())


def text_of(value: object) -> str | None:
    """Return a value out of JSON as the language shows it; None for what is missing."""
    if value is MISSING:
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _static(text: str) -> Value:
    return lambda _source: text


def _change(key: str, text: str, whole: Literal["path", "statuscode"]) -> Change:
    value = compile_value(text)
    if key == f"overwrite:{whole}":
        return Change("overwrite", whole, "", value)
    match = _CHANGE.fullmatch(key)
    if match is None or (match[2] == "querystring" and whole == "statuscode"):
        raise InvalidMapping(f"Invalid mapping expression specified: {key}")
    if match[2] == "querystring":
        return Change(match[1], "querystring", match[3], value)
    name = match[3].lower()
    if not is_header_name(name):
        raise InvalidMapping(f"Invalid mapping expression specified: {key}")
    if any(name.startswith(rule[:-1]) if rule.endswith("*") else name == rule for rule in _RESERVED):
        raise InvalidMapping(f"Operations on header {match[3]} are restricted")
    return Change(match[1], "header", name, value)


def _select(selection: str) -> Value:
    root, _, rest = selection.partition(".")
    match root, rest:
        case "request", _:
            return _select_request(rest)
        case "response", _:
            return _select_response(rest)
        case "context", _ if _VARIABLE.fullmatch(rest):
            return lambda source: source.context(rest)
        case "stageVariables", _ if _VARIABLE.fullmatch(rest):
            return lambda source: source.stage_variable(rest)
        case _:
            raise InvalidMapping(f"Invalid mapping expression specified: ${selection}")


def _select_request(selection: str) -> Value:
    place, _, name = selection.partition(".")
    match place, name:
        case "header", _ if name:
            lower = name.lower()
            return lambda source: source.header(lower)
        case "querystring", _ if name:
            return lambda source: source.query(name)
        case "path", "":
            return lambda source: source.path()
        case "path", _:
            return lambda source: source.path_parameter(name)
        case "body", "" if "." not in selection:
            return lambda source: source.body()
        case _ if selection.startswith("body"):
            path = _json_path(selection)
            return lambda source: text_of(path.find(source.document()))
        case _:
            raise InvalidMapping(f"Invalid mapping expression specified: $request.{selection}")


def _select_response(selection: str) -> Value:
    place, _, name = selection.partition(".")
    if place == "header" and name:
        lower = name.lower()
        return lambda source: source.response_header(lower)
    if selection == "body":
        return lambda source: source.response_body()
    if selection.startswith("body"):
        path = _json_path(selection)
        return lambda source: text_of(path.find(source.response_document()))
    raise InvalidMapping(f"Invalid mapping expression specified: $response.{selection}")


def _json_path(selection: str) -> JsonPath:
    try:
        return JsonPath.parse("$" + selection.removeprefix("body"))
    except InvalidJsonPath:
        raise InvalidMapping(f"Invalid mapping expression specified: $request.{selection}") from None
