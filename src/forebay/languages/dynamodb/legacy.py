"""The parameters from before expressions (`Expected`, `QueryFilter`, `AttributeUpdates` ...) as the same trees.

Names mean themselves here, and values are numbered (`:0`, `:1` ...), so that what is compiled runs like any expression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forebay.languages.dynamodb.condition import CompiledCondition, compile_tree
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.languages.dynamodb.key_condition import KeyCondition
from forebay.languages.dynamodb.scope import Scope, Values
from forebay.languages.dynamodb.syntax import (
    Action,
    Between,
    Comparison,
    Condition,
    Function,
    In,
    Junction,
    Not,
    RawPath,
    ValueRef,
)
from forebay.languages.dynamodb.update import CompiledUpdate, compile_actions
from forebay.languages.dynamodb.value import SETS, Value, check_value, order_key, plain_value

CONDITIONS_COUNT = "Conditions can be of length 1 or 2 only"
_SCALARS = frozenset({"S", "N", "B"})
_SIGNS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
_COUNTS = {"NULL": 0, "NOT_NULL": 0, "BETWEEN": 2}
_KEY_OPERATORS = frozenset({"EQ", "LE", "LT", "GE", "GT", "BEGINS_WITH", "BETWEEN"})
_ORDERED = frozenset({"LT", "LE", "GT", "GE", "BETWEEN"})
_ALLOWED = {
    **dict.fromkeys(_ORDERED, _SCALARS),
    "BEGINS_WITH": frozenset({"S", "B"}),
    "CONTAINS": _SCALARS,
    "NOT_CONTAINS": _SCALARS,
    "IN": _SCALARS,
}


@dataclass(frozen=True)
class LegacyCondition:
    """Conditions that came as parameters, with their values."""

    compiled: CompiledCondition
    values: Values


@dataclass(frozen=True)
class LegacyUpdate:
    """An update that came as parameters, with its values."""

    compiled: CompiledUpdate
    values: Values


class _Builder:
    """Gathers conditions on attributes and their values."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.conditions: list[Condition] = []

    def ref(self, value: Value) -> ValueRef:
        name = f":{len(self.values)}"
        self.values[name] = value
        return ValueRef(name)

    def add(self, name: str, operator: str, values: Sequence[Value]) -> None:
        path = RawPath((name,))
        refs = [self.ref(value) for value in values]
        if operator in _SIGNS:
            condition: Condition = Comparison(_SIGNS[operator], path, refs[0])
        elif operator == "NULL":
            condition = Function("attribute_not_exists", (path,))
        elif operator == "NOT_NULL":
            condition = Function("attribute_exists", (path,))
        elif operator == "IN":
            condition = In(path, tuple(refs))
        elif operator == "BETWEEN":
            condition = Between(path, *refs)
        elif operator == "BEGINS_WITH":
            condition = Function("begins_with", (path, refs[0]))
        else:
            condition = Function("contains", (path, refs[0]))
            if operator == "NOT_CONTAINS":
                condition = Not(condition)
        self.conditions.append(condition)

    def build(self, conditional_operator: str | None) -> LegacyCondition:
        joined = self.conditions[0]
        if len(self.conditions) > 1:
            joined = Junction(conditional_operator or "AND", tuple(self.conditions))
        return LegacyCondition(compile_tree(Scope("Expected", None), joined), self.values)


def read_expected(expected: Mapping[str, Any], conditional_operator: str | None) -> LegacyCondition | None:
    """Return the condition that `Expected` states, None where it is empty.

    Raises:
        ValidationException: its members do not go together.
    """
    builder = _Builder()
    for name, part in expected.items():
        operator, values = _expected(name, part)
        builder.add(name, operator, values)
    return builder.build(conditional_operator) if builder.conditions else None


def _expected(name: str, part: Any) -> tuple[str, list[Value]]:
    values = [_checked(value) for value in part.attribute_value_list or ()]
    value = None if part.value is None else _checked(part.value)
    if value is not None and part.attribute_value_list is not None:
        raise invalid_parameter(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
    if part.comparison_operator is None:
        if part.attribute_value_list is not None:
            raise invalid_parameter(
                f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}"
            )
        return _existence(name, value, part.exists)
    if part.exists is not None:
        raise invalid_parameter(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
    operator = part.comparison_operator
    if value is not None:
        values = [value]
    elif part.attribute_value_list is None and operator not in {"NULL", "NOT_NULL"}:
        raise invalid_parameter(
            f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for Attribute: {name}"
        )
    check_arguments(operator, values)
    return operator, values


def _existence(name: str, value: Value | None, exists: bool | None) -> tuple[str, list[Value]]:  # noqa: FBT001  AWS's member
    if exists is False:
        if value is not None:
            raise invalid_parameter(f"Value cannot be used when Exists is set to false for Attribute: {name}")
        return "NULL", []
    if value is None:
        shown = "null" if exists is None else "true"
        raise invalid_parameter(f"Value must be provided when Exists is {shown} for Attribute: {name}")
    return "EQ", [value]


def _checked(shape: Any) -> Value:
    value = plain_value(shape)
    check_value(value)
    return value


def read_filter(conditions: Mapping[str, Any], conditional_operator: str | None) -> LegacyCondition | None:
    """Return the condition that `QueryFilter` or `ScanFilter` states, None where it is empty."""
    builder = _Builder()
    for name, part in conditions.items():
        values = [_checked(value) for value in part.attribute_value_list or ()]
        check_arguments(part.comparison_operator, values)
        builder.add(name, part.comparison_operator, values)
    return builder.build(conditional_operator) if builder.conditions else None


def read_key_conditions(conditions: Mapping[str, Any]) -> tuple[KeyCondition, ...]:
    """Return the conditions that `KeyConditions` states."""
    if not conditions:
        raise invalid(CONDITIONS_COUNT)
    found: list[KeyCondition] = []
    for name, part in conditions.items():
        values = [_checked(value) for value in part.attribute_value_list or ()]
        check_arguments(part.comparison_operator, values)
        found.append(KeyCondition(name, part.comparison_operator, tuple(values)))
    for condition in found:
        if condition.operator not in _KEY_OPERATORS:
            raise invalid("Attempted conditional constraint is not an indexable operation")
    return tuple(found)


def check_arguments(operator: str, values: Sequence[Value]) -> None:
    """Refuse a comparison operator with too few, too many or the wrong values."""
    wanted = _COUNTS.get(operator, 1)
    if (len(values) < 1) if operator == "IN" else (len(values) != wanted):
        raise invalid_parameter(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    allowed = _ALLOWED.get(operator)
    for value in values:
        kind = next(iter(value))
        if allowed is not None and kind not in allowed:
            raise invalid_parameter(f"ComparisonOperator {operator} is not valid for {kind} AttributeValue type")
    if operator == "IN" and len({next(iter(value)) for value in values}) > 1:
        raise invalid_parameter("AttributeValues inside AttributeValueList must all be of the same type")
    if operator == "BETWEEN":
        low, high = values
        if low.keys() != high.keys():
            raise invalid_parameter("AttributeValues inside AttributeValueList must be of same type")
        if order_key(low) > order_key(high):
            text = "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
            raise invalid(text)


def read_attribute_updates(updates: Mapping[str, Any]) -> LegacyUpdate:
    """Return the update that `AttributeUpdates` states."""
    values: dict[str, Value] = {}
    actions: list[Action] = []
    for name, part in updates.items():
        action = part.action or "PUT"
        path = RawPath((name,))
        if part.value is None:
            if action != "DELETE":
                raise invalid_parameter("Only DELETE action is allowed when no attribute value is specified")
            actions.append(Action("REMOVE", path))
            continue
        value = _checked(part.value)
        _check_action(action, next(iter(value)))
        ref = f":{len(values)}"
        values[ref] = value
        actions.append(Action("SET" if action == "PUT" else action, path, ValueRef(ref)))
    compiled = compile_actions(Scope("AttributeUpdates", None), tuple(actions), "Type mismatch for attribute to update")
    return LegacyUpdate(compiled, values)


def _check_action(action: str, kind: str) -> None:
    if action == "DELETE" and kind not in SETS:
        raise invalid_parameter(f"DELETE action with value is not supported for the type {kind}")
    if action == "ADD" and kind not in {*SETS, "N", "L"}:
        raise invalid_parameter(f"ADD action is not supported for the type {kind}")


def check_mixed(legacy: Mapping[str, Any], expressions: Mapping[str, Any]) -> None:
    """Refuse a request that has both kinds of parameters; each is given by name, None where it is absent."""
    older = [name for name, given in legacy.items() if given is not None]
    newer = [name for name, given in expressions.items() if given is not None]
    if older and newer:
        raise invalid(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(older)}}} Expression parameters: {{{', '.join(newer)}}}"
        )
