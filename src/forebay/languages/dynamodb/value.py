"""Attribute values: the rules every value obeys, what it counts, and how errors print it.

A value is kept the way the wire writes it, `{"S": "text"}`, bytes in base64, numbers canonical: what is stored is what
is answered, and C code does the reading and writing. Hence the bare dicts, which are read in this package only by
their one key.
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from forebay.languages.dynamodb import number
from forebay.languages.dynamodb.errors import invalid, invalid_parameter

Value = dict[str, Any]
"""One attribute value: exactly one type, and what it holds."""

Item = dict[str, Value]
"""Attributes by name."""

NESTING_MAX = 32
ITEM_BYTES_MAX = 400 * 1024

TYPES = ("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL")
SETS = {"SS": "S", "NS": "N", "BS": "B"}

# AWS's names where an operator says what it cannot take.
LONG_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "M": "MAP",
    "L": "LIST",
    "NULL": "NULL",
    "BOOL": "BOOLEAN",
}

_EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)


def plain_values(shapes: Mapping[str, Any]) -> Item:
    """Return values of the API's shapes in the form that this package works with, not yet checked."""
    return msgspec.to_builtins(shapes)


def plain_value(shape: Any) -> Value:
    """Return one value of the API's shape in the form that this package works with, not yet checked."""
    return msgspec.to_builtins(shape)


def utf8_length(text: str) -> int:
    """Return how many bytes a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def check_item(item: Item) -> int:
    """Check all values, bring their numbers into canonical form, and return what the item counts in bytes.

    Raises:
        ValidationException: a value breaks a rule.
    """
    size = 0
    for name, value in item.items():
        size += len(name) if name.isascii() else utf8_length(name)
        if len(value) != 1:
            _refuse(value)
        # The most frequent cases, by themselves: their tests are cheaper than a call.
        held = value.get("S")
        if held is not None:
            size += len(held) if held.isascii() else utf8_length(held)
            continue
        held = value.get("N")
        if held is None:
            size += check_value(value)
            continue
        value["N"], counted = number.measured(held)
        size += counted
    return size


def check_value(value: Value, depth: int = 1) -> int:  # noqa: C901, PLR0911  a table of types
    """Check one value, bring its numbers into canonical form, and return what it counts in bytes."""
    if len(value) != 1:
        _refuse(value)
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return utf8_length(held)
        case "N":
            value["N"], counted = number.measured(held)
            return counted
        case "B":
            return binary_length(held)
        case "M" | "L":
            return _check_document(held.values() if kind == "M" else held, depth) + _names(kind, held)
        case "BOOL":
            return 1
        case "NULL":
            if held is not True:
                raise invalid_parameter("Null attribute value types must have the value of true")
            return 1
        case _:
            return _check_set(kind, value, held)


def _refuse(value: Value) -> Any:
    raise invalid(_SEVERAL if value else _EMPTY)


def _check_document(values: Any, depth: int) -> int:
    if depth > NESTING_MAX:
        raise invalid("Nesting Levels have exceeded supported limits: Attributes")
    # Lists and maps count three bytes, and one for each element (developer guide, "Item sizes and formats").
    return 3 + sum(check_value(inner, depth + 1) + 1 for inner in values)


def _names(kind: str, held: Any) -> int:
    return sum(map(utf8_length, held)) if kind == "M" else 0


def _check_set(kind: str, value: Value, held: list[str]) -> int:
    if not held:
        raise invalid_parameter(
            "Binary sets should not be empty"
            if kind == "BS"
            else f"An {'string' if kind == 'SS' else 'number'} set  may not be empty"
        )
    if kind == "NS":
        value["NS"] = numbers = [number.canonical(text) for text in held]
        if len(set(numbers)) < len(numbers):
            raise invalid("Input collection contains duplicates")
        return sum(map(number.size_bytes, numbers))
    if "" in held:
        raise invalid_parameter(
            "Binary sets may not contain empty values"
            if kind == "BS"
            else "An string set may not have a empty string as a member"
        )
    if len(set(held)) < len(held):
        of_type = "of type BS" if kind == "BS" else ""
        raise invalid_parameter(
            f"Input collection [{', '.join(held)}]{of_type or ' '}contains duplicates.".replace(
                "BScontains", "BS contains"
            )
        )
    return sum(map(binary_length, held)) if kind == "BS" else utf8_length("".join(held))


def binary_length(text: str) -> int:
    """Return how many bytes a base64 text stands for."""
    return len(text) * 3 // 4 - text.count("=", -2)


def binary(text: str) -> bytes:
    """Return the bytes that a base64 text stands for."""
    return b64decode(text)


def size_of(value: Value) -> int:  # noqa: C901, PLR0911  a table of types
    """Return what a value that was checked counts in bytes."""
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return utf8_length(held)
        case "N":
            return number.size_bytes(held)
        case "B":
            return binary_length(held)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + sum(utf8_length(name) + size_of(inner) + 1 for name, inner in held.items())
        case "L":
            return 3 + sum(size_of(inner) + 1 for inner in held)
        case "NS":
            return sum(map(number.size_bytes, held))
        case "SS":
            return sum(map(utf8_length, held))
        case _:
            return sum(map(binary_length, held))


def item_size(item: Item) -> int:
    """Return what an item that was checked counts in bytes."""
    return sum(utf8_length(name) + size_of(value) for name, value in item.items())


def depth_of(value: Value) -> int:
    """Return how many maps and lists stand inside each other, this one included; 0 for any other value."""
    ((kind, held),) = value.items()
    if kind not in {"M", "L"}:
        return 0
    return 1 + max(map(depth_of, held.values() if kind == "M" else held), default=0)


def is_equal(one: Value, other: Value) -> bool:
    """Tell whether two values are the same: numbers by value (they are canonical), sets whatever their order."""
    if one == other:
        return True
    ((kind, held),) = one.items()
    against = other.get(kind)
    if against is None:
        return False
    if kind in SETS:
        return len(held) == len(against) and set(held) == set(against)
    if kind == "L":
        return len(held) == len(against) and all(map(is_equal, held, against))
    if kind == "M":
        return held.keys() == against.keys() and all(is_equal(inner, against[name]) for name, inner in held.items())
    return False


def is_same_item(one: Item, other: Item) -> bool:
    """Tell whether two items have the same attributes with the same values."""
    return is_equal({"M": one}, {"M": other})


def show(value: Value) -> str:
    """Print a value as DynamoDB's errors do: `{S:text}`."""
    ((kind, held),) = value.items()
    if kind == "M":
        inner = ", ".join(f"{name}={show(part)}" for name, part in held.items())
        return f"{{M:{{{inner}}}}}"
    if kind == "L":
        return f"{{L:[{','.join(map(show, held))}]}}"
    if kind in SETS:
        return f"{{{kind}:[{','.join(held)}]}}"
    if kind == "BOOL":
        return f"{{BOOL:{'true' if held else 'false'}}}"
    if kind == "NULL":
        return "{NULL:true}"
    return f"{{{kind}:{held}}}"


def order_key(value: Value) -> Any:
    """Return what a string, number or binary value is ordered by among those of its type; None for other types."""
    ((kind, held),) = value.items()
    if kind == "S":
        return held.encode("utf-8", "surrogatepass")
    if kind == "N":
        return number.encode(held)
    return binary(held) if kind == "B" else None
