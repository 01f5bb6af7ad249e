"""The comparisons of Choice rules in JSONPath states, and how rules are combined.

Operators: Amazon States Language specification, "Choice State"; a comparison with a value of another type is false.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from forebay.languages.asl import texts
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.machine import Condition
from forebay.languages.asl.paths import Path, parse_path
from forebay.languages.asl.scope import ABSENT, Scope
from forebay.languages.asl.timestamps import parse_timestamp
from forebay.languages.json_kinds import is_array, is_object

_PATH = "Path"


@dataclass(frozen=True, slots=True)
class All:
    """And."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Scope) -> bool:
        """Return whether every part holds."""
        return all(part.holds(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Or."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Scope) -> bool:
        """Return whether a part holds."""
        return any(part.holds(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """Not."""

    part: Condition

    def holds(self, scope: Scope) -> bool:
        """Return whether the part does not hold."""
        return not self.part.holds(scope)


@dataclass(frozen=True, slots=True)
class IsPresent:
    """Whether the variable is there at all."""

    variable: Path
    expected: bool

    def holds(self, scope: Scope) -> bool:
        """Return whether the variable's presence is the expected one."""
        found = self.variable.find(scope)
        is_present = found is not ABSENT and (self.variable.keys is not None or bool(found))
        return is_present is self.expected


@dataclass(frozen=True, slots=True)
class IsKind:
    """Whether the variable is of a kind."""

    variable: Path
    test: Callable[[object], bool]
    expected: bool

    def holds(self, scope: Scope) -> bool:
        """Return whether the variable's kind is the expected one."""
        return self.test(_value(self.variable, scope)) is self.expected


@dataclass(frozen=True, slots=True)
class Compare:
    """The variable against a value, or against what another path leads to."""

    variable: Path
    test: Callable[[object, object], bool]
    operand: object

    def holds(self, scope: Scope) -> bool:
        """Return whether the comparison is true."""
        operand = _value(self.operand, scope) if isinstance(self.operand, Path) else self.operand
        return self.test(_value(self.variable, scope), operand)


def _value(path: Path, scope: Scope) -> object:
    value = path.find(scope)
    if value is ABSENT:
        raise StateFailure(ErrorName.RUNTIME, texts.invalid_choice_path(path.text))
    return value


def is_number(value: object) -> bool:
    """Return whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_timestamp(value: object) -> bool:
    return isinstance(value, str) and parse_timestamp(value) is not None


_KINDS: dict[str, Callable[[object], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": _is_timestamp,
}


def _ordered(is_kind: Callable[[object], bool], key: Callable[[object], object], test: Callable[[int], bool]):  # noqa: ANN202
    def compare(value: object, operand: object) -> bool:
        if not (is_kind(value) and is_kind(operand)):
            return False
        left, right = key(value), key(operand)
        return test((left > right) - (left < right))  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]

    return compare


def _itself(value: object) -> object:
    return value


def _instant(value: object) -> object:
    return parse_timestamp(value) if isinstance(value, str) else None


_GLOB_PIECE = re.compile(r"\\[*\\]|\*|[^*\\]+|\\")


def _glob(value: object, pattern: object) -> bool:
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    # `*` is any text; `\\*` and `\\\\` are the characters themselves.
    texts = [""]
    for piece in _GLOB_PIECE.findall(pattern):
        if piece == "*":
            texts.append("")
        else:
            texts[-1] += piece[1] if len(piece) == 2 and piece[0] == "\\" else piece
    return _is_made_of(value, texts)


def _is_made_of(value: str, texts: list[str]) -> bool:
    """Return whether a value is these texts with anything between them, in a time linear in the value."""
    first, *middle = texts
    if not middle:
        return value == first
    last = middle.pop()
    if not value.startswith(first) or not value.endswith(last) or len(value) < len(first) + len(last):
        return False
    at, end = len(first), len(value) - len(last)
    for text in middle:
        found = value.find(text, at, end)
        if found < 0:
            return False
        at = found + len(text)
    return True


_ORDERS: dict[str, Callable[[int], bool]] = {
    "Equals": lambda order: order == 0,
    "LessThan": lambda order: order < 0,
    "GreaterThan": lambda order: order > 0,
    "LessThanEquals": lambda order: order <= 0,
    "GreaterThanEquals": lambda order: order >= 0,
}
_COMPARED: dict[str, tuple[Callable[[object], bool], Callable[[object], object]]] = {
    "String": (_KINDS["IsString"], _itself),
    "Numeric": (is_number, _itself),
    "Timestamp": (_is_timestamp, _instant),
}


def _comparisons() -> dict[str, Callable[[object, object], bool]]:
    tests: dict[str, Callable[[object, object], bool]] = {
        "BooleanEquals": lambda value, operand: isinstance(value, bool) and value is operand,
        "StringMatches": _glob,
    }
    for kind, (is_kind, key) in _COMPARED.items():
        for order, test in _ORDERS.items():
            tests[kind + order] = _ordered(is_kind, key, test)
    return tests


COMPARISONS = _comparisons()
KINDS = tuple(_KINDS)
PRESENCE = "IsPresent"
# Every comparison but StringMatches may take its operand from a path.
OPERATORS = (*COMPARISONS, *(name + _PATH for name in COMPARISONS if name != "StringMatches"), *KINDS, PRESENCE)


def compile_rule(rule: Mapping[str, object]) -> Condition:
    """Compile a Choice rule's condition.

    Raises:
        InvalidPath: a path is none.
    """
    for combined, of in (("And", All), ("Or", AnyOf)):
        parts = rule.get(combined)
        if is_array(parts):
            return of(tuple(compile_rule(part) for part in parts if is_object(part)))
    inverted = rule.get("Not")
    if is_object(inverted):
        return Not(compile_rule(inverted))
    variable = parse_path(str(rule["Variable"]))
    operator = next(name for name in rule if name in OPERATORS)
    operand = rule[operator]
    if operator == PRESENCE:
        return IsPresent(variable, operand is True)
    if operator in _KINDS:
        return IsKind(variable, _KINDS[operator], operand is True)
    if operator in COMPARISONS:
        return Compare(variable, COMPARISONS[operator], operand)
    return Compare(variable, COMPARISONS[operator.removesuffix(_PATH)], parse_path(str(operand)))
