"""EventBridge's input transformer: a template with placeholders, filled with values that JSON paths find in an event.

The template is JSON in which `<name>` may stand for a value, or inside a string for a part of it; or several JSON
values one after the other, usually strings on a line each. A placeholder outside quotes becomes the value's JSON;
inside quotes it becomes the value's text, objects and arrays without the quote marks of their strings. `<` and `>`
cannot be escaped. What is sent is compact JSON, root values on a line each.
Source: user guide, "Amazon EventBridge input transformation"; API reference, InputTransformer.
"""

import json
import re
from collections.abc import Mapping
from typing import Self, cast

import msgspec

from forebay.languages.json_path import MISSING, JsonPath
from forebay.languages.json_tokens import InvalidJson, place_of, scan

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")
# A backslash that would escape a placeholder's bracket; `null` in its place would hide it.
_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*+\\<")
# A string, a placeholder, a bracket or mark, or a literal; space separates them.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|<[^>]*>|[{}\[\],:]|[^\s"<{}\[\],:]+')

# Stands in texts for the target's id, which the language does not know.
TARGET = "\0"


class InvalidTemplate(ValueError):
    """A template cannot be used; `text_for` words it as PutTargets does."""

    def __init__(self, wording: str) -> None:
        super().__init__(wording.replace(TARGET, "?"))
        self._wording = wording

    def text_for(self, target_id: str) -> str:
        """Return AWS's text for the target with this id."""
        return self._wording.replace(TARGET, target_id)


class Reserved(msgspec.Struct, frozen=True):
    """What the variables `<aws.events...>` stand for, besides the event itself. `ingestion_time` is ISO 8601."""

    rule_arn: str
    rule_name: str
    ingestion_time: str


_RESERVED_NAMES = frozenset({
    "aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event",
    "aws.events.event.json",
})  # fmt: skip


class _Slot(msgspec.Struct, frozen=True):
    """A placeholder, inside or outside quotes."""

    name: str
    quoted: bool


class Transformer(msgspec.Struct, frozen=True):
    """A template ready to be filled."""

    paths: dict[str, JsonPath]
    pieces: tuple[str | _Slot, ...]

    @classmethod
    def parse(cls, paths_map: Mapping[str, str], template: str) -> Self:
        """Compile a template and the paths of its variables.

        Raises:
            InvalidTemplate: the template is not JSON once its placeholders are filled, or names an unknown variable.
            InvalidJsonPath: a path of the map is none.
        """
        paths = {name: JsonPath.parse(path) for name, path in paths_map.items()}
        for name in _PLACEHOLDER.findall(template):
            if name not in paths and name not in _RESERVED_NAMES:
                raise InvalidTemplate(f"InputTemplate for target {TARGET} contains invalid placeholder {name}.")
        _check(template)
        return cls(paths, _compile(template))

    def apply(self, event: Mapping[str, object], reserved: Reserved) -> str:
        """Return what is sent for an event.

        A variable whose path leads nowhere "won't appear in the output": it is an empty string, or nothing in one.
        """
        filled: list[str] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                filled.append(piece)
                continue
            value = self._value(piece.name, event, reserved)
            if value is MISSING:
                filled.append("" if piece.quoted else '""')
            elif piece.quoted:
                filled.append(_compact(_plain(value))[1:-1])
            else:
                filled.append(_compact(value))
        return "".join(filled)

    def _value(self, name: str, event: Mapping[str, object], reserved: Reserved) -> object:
        match name:
            case "aws.events.rule-arn":
                return reserved.rule_arn
            case "aws.events.rule-name":
                return reserved.rule_name
            case "aws.events.event.ingestion-time":
                return reserved.ingestion_time
            case "aws.events.event":
                return {key: value for key, value in event.items() if key != "detail"}
            case "aws.events.event.json":
                return event
            case _:
                return self.paths[name].find(event)


def _check(template: str) -> None:
    """Check that a template is JSON, one value or several, with null in place of its placeholders."""
    if escaped := _ESCAPED.search(template):
        raise InvalidTemplate(_invalid(place_of(template, escaped.end() - 1)))
    filled = _PLACEHOLDER.sub("null", template)
    offset = 0
    try:
        while tokens := list(scan(filled, offset)):
            offset = tokens[-1].end
    except InvalidJson as error:
        raise InvalidTemplate(_invalid(error.place)) from None
    if offset == 0:
        raise InvalidTemplate(_invalid(place_of(filled, len(filled))))


def _invalid(place: str) -> str:
    return f"Invalid InputTemplate for target {TARGET} : {place}."


def _compile(template: str) -> tuple[str | _Slot, ...]:
    """Take a checked template apart, without the space between its tokens and with a line for each root value."""
    pieces: list[str | _Slot] = []
    depth = 0
    for match in _TOKEN.finditer(template):
        token = match[0]
        if token in {"}", "]"}:
            depth -= 1
        elif depth == 0 and pieces:
            pieces.append("\n")
        if token in {"{", "["}:
            depth += 1
        if token.startswith('"'):
            if template[match.end() :].lstrip().startswith(":") and depth:
                _check_key(token)
            pieces += _split(token)
        elif token.startswith("<"):
            pieces.append(_Slot(token[1:-1], quoted=False))
        else:
            pieces.append(token)
    return tuple(pieces)


def _check_key(text: str) -> None:
    if _PLACEHOLDER.search(text):
        # The rule is AWS's ("The placeholder cannot be used as an object key"), the wording is ours.
        raise InvalidTemplate(f"InputTemplate for target {TARGET} contains a placeholder as an object key: {text}.")


def _split(text: str) -> list[str | _Slot]:
    """Split a string, with its quotes, at its placeholders: every second part is a name."""
    parts = _PLACEHOLDER.split(text)
    return [_Slot(part, quoted=True) if index % 2 else part for index, part in enumerate(parts)]


def _plain(value: object) -> str:
    """Return a value as it stands inside a string: strings as they are, objects and arrays without quote marks."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        members = (f"{key}:{_plain(member)}" for key, member in mapping.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_plain, cast("list[object]", value))) + "]"
    return _compact(value)


def _compact(value: object) -> str:
    return _COMPACT.encode(value)
