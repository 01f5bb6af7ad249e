"""Conditions, updates and projections as requests carry them: as expressions, or in the older parameters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from forebay.languages.dynamodb.condition import compile_condition
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.languages.dynamodb.legacy import check_mixed, read_attribute_updates, read_expected
from forebay.languages.dynamodb.placeholders import NO_VALUES, check_used, read_names, read_values
from forebay.languages.dynamodb.projection import Projection, compile_projection, project_names
from forebay.languages.dynamodb.update import compile_update
from forebay.languages.dynamodb.value import Item, check_item, plain_values
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.writing import Change, Guard


class Conditional(Protocol):
    """Requests that state a condition, by an expression at least."""

    @property
    def condition_expression(self) -> str | None: ...  # noqa: D102
    @property
    def expression_attribute_names(self) -> Any: ...  # noqa: D102
    @property
    def expression_attribute_values(self) -> Any: ...  # noqa: D102
    @property
    def return_values_on_condition_check_failure(self) -> str | None: ...  # noqa: D102


def check_parameters(
    names: object, values: object, legacy: Mapping[str, Any], expressions: Mapping[str, str | None]
) -> None:
    """Refuse expressions mixed with older parameters, and placeholders without an expression to use them."""
    if names is None and values is None and not any(part is not None for part in legacy.values()):
        return
    check_mixed(legacy, expressions)
    if names is not None and all(text is None for text in expressions.values()):
        raise invalid("ExpressionAttributeNames can only be specified when using expressions")
    users = [name for name in expressions if name != "ProjectionExpression"]
    if values is not None and all(expressions[name] is None for name in users):
        verb = "is" if len(users) == 1 else "are"
        listed = " and ".join(users)
        raise invalid(f"ExpressionAttributeValues can only be specified when using expressions: {listed} {verb} null")


def read_guard(request: Conditional) -> Guard | None:
    """Return the condition of a request that has expressions only, all of whose placeholders it uses."""
    if request.condition_expression is None:
        return None
    names = read_names(request.expression_attribute_names)
    values = read_values(request.expression_attribute_values)
    condition = compile_condition("ConditionExpression", request.condition_expression, names)
    condition.check(values)
    check_used(names, values, (condition,))
    return Guard(condition.test, values, request.return_values_on_condition_check_failure == "ALL_OLD")


def read_legacy_guard(request: Any) -> Guard | None:
    """Return the condition that `Expected` states."""
    expected, operator = request.expected, request.conditional_operator
    check_conditional_operator(operator, (expected,))
    if expected is None:
        return None
    legacy = read_expected(expected, operator)
    shows_item = request.return_values_on_condition_check_failure == "ALL_OLD"
    return None if legacy is None else Guard(legacy.compiled.test, legacy.values, shows_item)


def check_conditional_operator(operator: str | None, conditions: Sequence[Mapping[str, Any] | None]) -> None:
    """Refuse a ConditionalOperator that has nothing to join."""
    if operator is None:
        return
    if all(not part for part in conditions):
        raise invalid("ConditionalOperator cannot be used without Filter or Expected")
    if all(part is None or len(part) < 2 for part in conditions):
        raise invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements")


def read_change(request: Any) -> tuple[Change, Guard | None]:
    """Return the update of a request and its condition, both as expressions."""
    names = read_names(request.expression_attribute_names)
    values = read_values(request.expression_attribute_values)
    used: list[Any] = []
    update = None
    if request.update_expression is not None:
        update = compile_update(request.update_expression, names)
        used.append(update)
    condition = None
    if request.condition_expression is not None:
        condition = compile_condition("ConditionExpression", request.condition_expression, names)
        used.append(condition)
    for part in used:
        part.check(values)
    check_used(names, values, used)
    guard = None
    if condition is not None:
        guard = Guard(condition.test, values, request.return_values_on_condition_check_failure == "ALL_OLD")
    return Change(update, values), guard


def read_legacy_change(request: Any) -> Change:
    """Return the update that `AttributeUpdates` states; none where it is absent or empty."""
    if not request.attribute_updates:
        return Change(None, NO_VALUES)
    legacy = read_attribute_updates(request.attribute_updates)
    return Change(legacy.compiled, legacy.values)


def check_key_untouched(attributes: Iterable[str], key_names: Iterable[str]) -> None:
    """Refuse an update of a key attribute."""
    touched = set(attributes)
    for name in key_names:
        if name in touched:
            raise invalid_parameter(f"Cannot update attribute {name}. This attribute is part of the key")


def read_item(shapes: Mapping[str, Any]) -> tuple[Item, int]:
    """Return the item of a request, checked, and its size."""
    return check_plain_item(plain_values(shapes))


def check_plain_item(item: Item) -> tuple[Item, int]:
    """Check an item that is plain already, and return it with its size."""
    size = check_item(item)
    if size > limits.ITEM_BYTES_MAX:
        raise invalid("Item size has exceeded the maximum allowed size")
    return item, size


def read_key(shapes: Mapping[str, Any]) -> Item:
    """Return the key of a request, its values checked."""
    return check_plain_key(plain_values(shapes))


def check_plain_key(key: Item) -> Item:
    """Check the values of a key that is plain already, and return it."""
    check_item(key)
    return key


def read_projection(request: Any) -> Projection | None:
    """Return the projection of a request that reads by key: by expression, or `AttributesToGet`."""
    if request.projection_expression is not None:
        names = read_names(request.expression_attribute_names)
        projection = compile_projection(request.projection_expression, names)
        check_used(names, NO_VALUES, (projection,))
        return projection
    return read_attributes_to_get(request.attributes_to_get)


def read_attributes_to_get(names: Sequence[str] | None) -> Projection | None:
    """Return the projection to whole attributes, which are given once each."""
    if names is None:
        return None
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise invalid_parameter(f"Duplicate value in attribute name: {name}")
        seen.add(name)
    return project_names(tuple(names))
