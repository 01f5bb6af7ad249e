"""The JSON paths of EventBridge: InputPath, and the values of an input transformer's map.

AWS supports a small part of JSONPath (user guide, "Amazon EventBridge input transformation"): names in dot notation
with letters, digits, dashes, underscores and slashes, array indices, and wildcards. Names in brackets
(`$['detail-type']`) are read too, as AWS's parser reads them though its reference advises against them.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Self

import msgspec

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"*\s<>()@?,:$]+)
      | \.?\[(?P<index>[0-9]+)\]
      | \.?\[(?P<quote>['"])(?P<key>[^'"\]]+)(?P=quote)\]
      | (?P<every>\.\*|\.?\[\*\])""",
    re.VERBOSE,
)
# More digits than any array has elements.
_INDEX_DIGITS_MAX = 18


class InvalidJsonPath(ValueError):
    """A text is not a path that EventBridge supports."""


class Missing(Enum):
    """Says that a path leads nowhere; unlike null, which is a value."""

    MISSING = "missing"


MISSING = Missing.MISSING


class Wildcard(Enum):
    """A step to every element or member."""

    EVERY = "*"


Step = str | int | Wildcard


class JsonPath(msgspec.Struct, frozen=True):
    """A path: member names, array indices and wildcards."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a path.

        Raises:
            InvalidJsonPath: the path does not start with `$` or uses syntax that EventBridge does not support.
        """
        if not text.startswith("$"):
            raise InvalidJsonPath(f"path does not start with $: {text}")
        steps: list[Step] = []
        at = 1
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None or len(match["index"] or "") > _INDEX_DIGITS_MAX:
                raise InvalidJsonPath(f"unsupported syntax at position {at}: {text}")
            steps.append(_step(match))
            at = match.end()
        return cls(tuple(steps))

    def find(self, document: object) -> object:
        """Return the value that the path leads to, or `MISSING`.

        A path with wildcards always leads to a list: of all values it reaches, which may be none.
        """
        reached = [document]
        for step in self.steps:
            reached = [value for node in reached for value in _follow(node, step)]
        if Wildcard.EVERY in self.steps:
            return reached
        return reached[0] if reached else MISSING


def _step(match: re.Match[str]) -> Step:
    if match["every"]:
        return Wildcard.EVERY
    if match["index"]:
        return int(match["index"])
    return match["name"] or match["key"]


def _follow(node: object, step: Step) -> Sequence[object]:
    match node, step:
        case Mapping(), str():
            return [node[step]] if step in node else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list(), int():
            return [node[step]] if step < len(node) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case Mapping(), Wildcard.EVERY:
            return list(node.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        case list(), Wildcard.EVERY:
            return node  # pyright: ignore[reportUnknownVariableType]
        case _:
            return []
