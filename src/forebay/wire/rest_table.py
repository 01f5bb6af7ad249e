"""From an HTTP method and path to the REST operation of one service, with the labels of the path.

Several operations of S3 share method and path and differ by a query parameter (`?uploads`) or by a member that they
require (`partNumber`, `x-amz-copy-source`). So every operation has conditions, and the most specific one that holds
wins.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, unquote

import msgspec

from forebay.core.http import Request
from forebay.core.shapes import Header, Operation, Query, ServiceModel, Shape

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


class Match(NamedTuple):
    """An operation and the values of its path's labels."""

    operation: Operation
    labels: Mapping[str, str]


class _Entry(NamedTuple):
    operation: Operation
    pattern: re.Pattern[str]
    # (name, value or None for any) that the query must have, and headers that must be there.
    query: Sequence[tuple[str, str | None]]
    headers: Sequence[str]
    # More specific entries come first.
    weight: tuple[int, int, int]


class RestTable:
    """The REST operations of one service."""

    def __init__(self, model: ServiceModel) -> None:
        # Reading a shape's members is slow, and only siblings that share method and path need it to tell them apart.
        siblings = Counter(_place(operation) for operation in model.operations.values())
        entries = [
            _entry(operation, with_members=siblings[_place(operation)] > 1) for operation in model.operations.values()
        ]
        self._by_method: dict[str, list[_Entry]] = {}
        for entry in sorted(entries, key=lambda entry: entry.weight, reverse=True):
            self._by_method.setdefault(entry.operation.method, []).append(entry)

    def find(self, request: Request) -> Match | None:
        """Return the operation a request is for, or None."""
        parameters: dict[str, str] | None = None
        for entry in self._by_method.get(request.method, ()):
            match = entry.pattern.fullmatch(request.path)
            if match is None:
                continue
            if parameters is None:
                parameters = dict(parse_qsl(request.query, keep_blank_values=True))
            if _holds(entry, parameters, request.headers):
                labels = {_unmangle(name): unquote(value) for name, value in match.groupdict().items()}
                return Match(entry.operation, labels)
        return None


def _holds(entry: _Entry, parameters: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    for name, value in entry.query:
        if name not in parameters or (value is not None and parameters[name] != value):
            return False
    return all(name in headers for name in entry.headers)


def _place(operation: Operation) -> tuple[str, str]:
    return operation.method, _LABEL.sub("{}", operation.uri.partition("?")[0])


def _entry(operation: Operation, *, with_members: bool) -> _Entry:
    path, _, literal_query = operation.uri.partition("?")
    query: list[tuple[str, str | None]] = [
        (name, value or None) for name, value in parse_qsl(literal_query, keep_blank_values=True)
    ]
    required_query, required_headers = _required(operation.input) if with_members else ([], [])
    query += [(name, None) for name in required_query]
    literal_characters = len(_LABEL.sub("", path))
    weight = (literal_characters, len(query) + len(required_headers), -path.count("+}"))
    return _Entry(operation, _pattern(path), query, required_headers, weight)


def _pattern(path: str) -> re.Pattern[str]:
    """Return the pattern of a path; a trailing slash does not matter unless a greedy label ends the path."""
    text = ""
    at = 0
    for label in _LABEL.finditer(path):
        text += re.escape(path[at : label.start()])
        text += f"(?P<{_mangle(label[1])}>{'.+' if label[2] else '[^/]+'})"
        at = label.end()
    text += re.escape(path[at:].rstrip("/"))
    return re.compile(text + ("" if path.endswith("+}") else "/?"), re.DOTALL)


def _required(shape: type[Shape]) -> tuple[list[str], list[str]]:
    """Return the query parameters and headers that a shape's required members travel in."""
    hints = get_type_hints(shape, include_extras=True)
    query: list[str] = []
    headers: list[str] = []
    for member in msgspec.structs.fields(shape):
        if not member.required:
            continue
        for mark in _marks(hints[member.name]):
            if isinstance(mark, Query):
                query.append(mark.name)
            elif isinstance(mark, Header):
                headers.append(mark.name.lower())
    return query, headers


def _marks(hint: object) -> Sequence[object]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


# Python's groups take identifiers only; AWS's labels can hold a hyphen.
def _mangle(name: str) -> str:
    return name.replace("-", "__")


def _unmangle(name: str) -> str:
    return name.replace("__", "-")
