"""Key conditions: which partition a query reads, and which of its sort keys.

A `KeyCondition` is about one attribute, whether it came from a KeyConditionExpression or from KeyConditions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forebay.languages.dynamodb import key
from forebay.languages.dynamodb.caching import keep_short
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.languages.dynamodb.parser import parse_condition
from forebay.languages.dynamodb.scope import Check, Names, Scope, Values
from forebay.languages.dynamodb.syntax import (
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Not,
    Operand,
    RawPath,
    ValueRef,
)
from forebay.languages.dynamodb.value import Value, order_key, show

_WHAT = "KeyConditionExpression"
_OPERATORS = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
_MIRRORED = {"EQ": "EQ", "LT": "GT", "LE": "GE", "GT": "LT", "GE": "LE"}
_ORDERED = frozenset({"S", "N", "B"})
_MULTIPLE = "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"
_NOT_SUPPORTED = "Query key condition not supported"


@dataclass(frozen=True)
class KeyCondition:
    """A condition on one key attribute: EQ, LT, LE, GT, GE, BETWEEN or BEGINS_WITH."""

    name: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class CompiledKeyCondition:
    """A key condition expression ready for use: each attribute's operator and the names of its values."""

    parts: tuple[tuple[str, str, tuple[str, ...]], ...]
    used_names: tuple[str, ...]
    used_values: tuple[str, ...]
    checks: tuple[Check, ...]

    def conditions(self, values: Values) -> tuple[KeyCondition, ...]:
        """Return the conditions with a request's values."""
        for check in self.checks:
            check(values)
        found = tuple(
            KeyCondition(name, operator, tuple(values[ref] for ref in refs)) for name, operator, refs in self.parts
        )
        for condition in found:
            if condition.operator == "BETWEEN":
                _check_bounds(*condition.values)
        return found


def _check_bounds(low: Value, high: Value) -> None:
    shown = f"lower bound operand: AttributeValue: {show(low)}, upper bound operand: AttributeValue: {show(high)}"
    if low.keys() != high.keys():
        text = "The BETWEEN operator requires same data type for lower and upper bounds; "
        raise invalid(f"Invalid {_WHAT}: {text}{shown}")
    if order_key(low) is not None and order_key(low) > order_key(high):
        text = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
        raise invalid(f"Invalid {_WHAT}: {text}{shown}")


@keep_short
def compile_key_condition(text: str, names: Names) -> CompiledKeyCondition:
    """Compile a key condition's text with the request's names."""
    scope = Scope(_WHAT, dict(names))
    compiler = _Compiler(scope)
    compiler.take(parse_condition(_WHAT, text))
    seen: set[str] = set()
    for name, _, _ in compiler.parts:
        if name in seen:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        seen.add(name)
    return CompiledKeyCondition(
        tuple(compiler.parts), tuple(scope.used_names), tuple(scope.used_values), tuple(scope.checks)
    )


class _Compiler:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.parts: list[tuple[str, str, tuple[str, ...]]] = []

    def take(self, tree: Condition) -> None:
        match tree:
            case Junction() if tree.word == "AND":
                for part in tree.conditions:
                    self.take(part)
            case Comparison() if tree.sign != "<>":
                self._comparison(tree)
            case Between():
                name = self._attribute(tree.operand)
                bounds = (self._value(tree.low), self._value(tree.high))
                for bound in bounds:
                    self._check_type("BETWEEN", bound, _ORDERED)
                self.parts.append((name, "BETWEEN", bounds))
            case Function() if tree.name == "begins_with":
                self._begins_with(tree)
            case _:
                raise invalid(f"Invalid operator used in KeyConditionExpression: {_operator_of(tree)}")

    def _comparison(self, tree: Comparison) -> None:
        operator = _OPERATORS[tree.sign]
        if isinstance(tree.left, ValueRef) and isinstance(tree.right, RawPath):
            value = self._value(tree.left)
            self.parts.append((self._attribute(tree.right), _MIRRORED[operator], (value,)))
        else:
            name = self._attribute(tree.left)
            value = self._value(tree.right)
            self.parts.append((name, operator, (value,)))
        if operator != "EQ":
            self._check_type(tree.sign, value, _ORDERED)

    def _begins_with(self, tree: Function) -> None:
        if len(tree.arguments) != 2:
            raise self._scope.error(
                "Incorrect number of operands for operator or function; "
                f"operator or function: begins_with, number of operands: {len(tree.arguments)}"
            )
        name = self._attribute(tree.arguments[0])
        value = self._value(tree.arguments[1])
        self._check_type("begins_with", value, frozenset({"S", "B"}))
        self.parts.append((name, "BEGINS_WITH", (value,)))

    def _check_type(self, operator: str, value: str, allowed: frozenset[str]) -> None:
        def check(values: Values) -> None:
            kind = next(iter(values[value]))
            if kind not in allowed:
                raise self._scope.error(
                    "Incorrect operand type for operator or function; "
                    f"operator or function: {operator}, operand type: {kind}"
                )

        self._scope.checks.append(check)

    def _attribute(self, operand: Operand) -> str:
        if isinstance(operand, Function):
            raise invalid(f"Invalid operator used in KeyConditionExpression: {operand.name}")
        if not isinstance(operand, RawPath):
            raise invalid(_MULTIPLE)
        path = self._scope.path(operand)
        if len(path) != 1:
            raise invalid("KeyConditionExpressions cannot have conditions on nested attributes")
        return str(path[0])

    def _value(self, operand: Operand) -> str:
        if isinstance(operand, Function):
            raise invalid(f"Invalid operator used in KeyConditionExpression: {operand.name}")
        if not isinstance(operand, ValueRef):
            raise invalid(_MULTIPLE)
        self._scope.value(operand.name)
        return operand.name


def _operator_of(tree: Condition) -> str:
    match tree:
        case Junction():
            return tree.word
        case Not():
            return "NOT"
        case In():
            return "IN"
        case Function():
            return tree.name
        case Comparison():
            return tree.sign
        case Between():
            return "BETWEEN"


@dataclass(frozen=True)
class KeyRange:
    """What a query reads, in bytes: a partition, and the sort keys between two bounds."""

    partition: bytes
    low: bytes | None = None
    high: bytes | None = None
    is_low_excluded: bool = False
    is_high_excluded: bool = False


@dataclass(frozen=True)
class KeyAttributes:
    """The key of a table or index: names of its partition and sort attributes, and the type of each."""

    partition: tuple[str, ...]
    sort: tuple[str, ...]
    types: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All attributes of the key."""
        return self.partition + self.sort


def read_range(attributes: KeyAttributes, conditions: Sequence[KeyCondition]) -> KeyRange:
    """Return what conditions ask for of a table or index with this key.

    Raises:
        ValidationException: the partition is not wholly given, or the conditions are not ones a query can have.
    """
    by_name = {condition.name: condition for condition in conditions}
    for name in attributes.partition:
        if name not in by_name:
            raise invalid(f"Query condition missed key schema element: {name}")
    extra = [name for name in by_name if name not in attributes.names]
    if extra:
        missing = next((name for name in attributes.sort if name not in by_name), None)
        raise invalid(
            f"Query condition missed key schema element: {missing}"
            if missing is not None and len(attributes.sort) == 1
            else _NOT_SUPPORTED
        )
    for name in attributes.names:
        if name in by_name:
            _check_type(by_name[name], attributes.types[name])
    if any(by_name[name].operator != "EQ" for name in attributes.partition):
        raise invalid(_NOT_SUPPORTED)
    partition = key.encode_partition([by_name[name].values[0] for name in attributes.partition])
    return _sort_range(partition, attributes, by_name)


def _check_type(condition: KeyCondition, wanted: str) -> None:
    for value in condition.values:
        if wanted not in value:
            raise invalid_parameter("Condition parameter type does not match schema type")
        if value[wanted] == "" and condition.operator == "EQ":
            kind = "string" if wanted == "S" else "binary"
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute "
                f"cannot contain an empty {kind} value. Key: {condition.name}"
            )


def _sort_range(partition: bytes, attributes: KeyAttributes, by_name: dict[str, KeyCondition]) -> KeyRange:
    """Return the range for conditions on sort attributes: the first ones equal, at most the last one a range."""
    given = [name for name in attributes.sort if name in by_name]
    if given != list(attributes.sort[: len(given)]):
        raise invalid(_NOT_SUPPORTED)
    if not given:
        return KeyRange(partition)
    *before, last = (by_name[name] for name in given)
    if any(condition.operator != "EQ" for condition in before):
        raise invalid(_NOT_SUPPORTED)
    is_compound = len(attributes.sort) > 1
    equal = [condition.values[0] for condition in before]
    stem = key.encode_sort(equal, is_compound=True) if is_compound else b""

    def whole(value: Value) -> bytes:
        return key.encode_sort([*equal, value], is_compound=is_compound)

    return _range_of(
        partition, last, stem, whole, is_partial=len(given) < len(attributes.sort), is_compound=is_compound
    )


def _range_of(  # noqa: PLR0911  a table of operators
    partition: bytes,
    last: KeyCondition,
    stem: bytes,
    encode: Callable[[Value], bytes],
    *,
    is_partial: bool,
    is_compound: bool,
) -> KeyRange:
    one = encode(last.values[0])
    # Behind a compound key's given values others may follow: its keys begin with these bytes.
    behind = key.after_prefix(one) if is_compound else None
    stem_end = key.after_prefix(stem) if stem else None
    match last.operator:
        case "EQ" if is_compound and is_partial:
            return KeyRange(partition, one, behind, is_high_excluded=True)
        case "EQ":
            return KeyRange(partition, one, one)
        case "LT":
            return KeyRange(partition, stem or None, one, is_high_excluded=True)
        case "LE":
            return KeyRange(partition, stem or None, behind or one, is_high_excluded=is_compound)
        case "GT":
            return KeyRange(partition, behind or one, stem_end, not is_compound, is_high_excluded=True)
        case "GE":
            return KeyRange(partition, one, stem_end, is_high_excluded=True)
        case "BETWEEN":
            high = encode(last.values[1])
            upper = key.after_prefix(high) if is_compound else high
            return KeyRange(partition, one, upper, is_high_excluded=is_compound)
        case _:
            prefix = stem + key.encode_sort_prefix([last.values[0]], is_compound=is_compound)
            return KeyRange(partition, prefix, key.after_prefix(prefix), is_high_excluded=True)
