"""Filter patterns for messages that are JSON objects: `{ $.level = "ERROR" && $.ms > 100 }`. Pure."""

import re
from collections.abc import Callable
from typing import cast

import msgspec

from forebay.services.logs.expression import Find, Parser, invalid_pattern, tokens_of

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]]+)|\[(?:(?P<index>\d+)|(?P<all>\*)|(?P<quote>['"])(?P<key>.*?)(?P=quote))\]"""
)

Step = str | int | None
"""A key, an index, or None for all elements."""


def parse_json_pattern(text: str) -> Callable[[str], bool]:
    """Return the predicate of a pattern in braces on messages; what is no JSON object does not match.

    Raises:
        InvalidParameterException: it is no pattern.
    """
    if not text.endswith("}"):
        raise invalid_pattern("If a filter pattern starts with '{' it must end with '}'")
    predicate = Parser(tokens_of(text[1:-1]), _selector).parse()

    def matches(message: str) -> bool:
        try:
            document: object = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError):
            return False
        return isinstance(document, dict) and predicate(cast("dict[str, object]", document))

    return matches


def _selector(text: str) -> Find[dict[str, object]]:
    """Return what finds the values of `$.a.b[0]`, `$.a[*].b` or `$['a b']`."""
    if not text.startswith("$") or len(text) == 1:
        raise invalid_pattern(f"Invalid character(s) in term '{text}'")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise invalid_pattern(f"Invalid character(s) in term '{text}'")
        steps.append(_step(match))
        at = match.end()
    return lambda document: _walk(document, steps)


def _step(match: re.Match[str]) -> Step:
    if match["all"]:
        return None
    if match["index"] is not None:
        return int(match["index"])
    return match["name"] if match["name"] is not None else match["key"]


def _walk(document: object, steps: list[Step]) -> list[object]:
    found = [document]
    for step in steps:
        found = [inner for value in found for inner in _inside(value, step)]
    return found


def _inside(value: object, step: Step) -> list[object]:
    if isinstance(step, str):
        members = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        return [members[step]] if step in members else []
    elements = cast("list[object]", value) if isinstance(value, list) else []
    if step is None:
        return elements
    return elements[step : step + 1]
