"""Which variables each state of a definition refers to, as DescribeStateMachine lists them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from forebay.languages.asl.jsonata_fields import expression_text, is_expression
from forebay.languages.asl.templates import DYNAMIC
from forebay.languages.json_kinds import is_array, is_object
from forebay.languages.jsonata import FUNCTIONS, compile_jsonata

# A variable in a path or among an intrinsic function's arguments; quoted texts are skipped.
_IN_PATHS = re.compile(r"""'(?:[^'\\]|\\.)*'|\$(?P<name>[^\W\d]\w*)""")
_INNER = ("Branches", "ItemProcessor", "Iterator")
_NOT_VARIABLES = ("states", *FUNCTIONS)


def references_of(fields: Mapping[str, Any], language: str) -> tuple[str, ...]:
    """Return the names of the variables that a state refers to, in order, each once."""
    found = _in_jsonata(fields) if language == "JSONata" else _in_jsonpath(fields)
    return tuple(dict.fromkeys(found))


def _in_jsonata(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if is_expression(value):
            yield from (name for name in compile_jsonata(expression_text(value)).reads if name not in _NOT_VARIABLES)
    elif is_object(value):
        for name, one in value.items():
            if name not in _INNER:
                yield from _in_jsonata(one)
    elif is_array(value):
        for one in value:
            yield from _in_jsonata(one)


def _in_jsonpath(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, str):
        if name.endswith((DYNAMIC, "Path")) or name == "Variable":
            yield from (match["name"] for match in _IN_PATHS.finditer(value) if match["name"])
    elif is_object(value):
        for inner, one in value.items():
            if inner not in _INNER:
                yield from _in_jsonpath(one, inner)
    elif is_array(value):
        for one in value:
            yield from _in_jsonpath(one, name)
