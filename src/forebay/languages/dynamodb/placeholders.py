"""ExpressionAttributeNames and ExpressionAttributeValues: their own rules, and that each is used."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from forebay.core.errors import ServiceError
from forebay.languages.dynamodb.errors import invalid
from forebay.languages.dynamodb.scope import Names, Values
from forebay.languages.dynamodb.value import check_value, plain_values

_NAME_KEY = re.compile(r"#[A-Za-z0-9_]+\Z")
_VALUE_KEY = re.compile(r":[A-Za-z0-9_]+\Z")
_KEY_BYTES_MAX = 255

NO_VALUES: Values = {}


def read_names(names: Mapping[str, str] | None) -> Names:
    """Check a request's names and return them."""
    if names is None:
        return ()
    if not names:
        raise invalid("ExpressionAttributeNames must not be empty")
    for key, name in names.items():
        if not _NAME_KEY.match(key):
            raise invalid(f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"')
        _check_length("Names", key)
        if not name:
            raise invalid(f"ExpressionAttributeNames contains invalid value: Empty attribute name for key {key}")
    return tuple(names.items())


def read_values(shapes: Mapping[str, Any] | None) -> Values:
    """Check a request's values, bring their numbers into canonical form and return them."""
    if shapes is None:
        return NO_VALUES
    if not shapes:
        raise invalid("ExpressionAttributeValues must not be empty")
    values = plain_values(shapes)
    for key in values:
        if not _VALUE_KEY.match(key):
            raise invalid(f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"')
        _check_length("Values", key)
    for key, value in values.items():
        try:
            check_value(value)
        except ServiceError as error:
            text = f"ExpressionAttributeValues contains invalid value: {error.message} for key {key}"
            raise invalid(text) from None
    return values


def _check_length(which: str, key: str) -> None:
    # "255 bytes" (developer guide, "Quotas"); the text is not verified.
    if len(key) > _KEY_BYTES_MAX:
        raise invalid(
            f"ExpressionAttribute{which} contains invalid key: "
            f'The expression attribute map contains a key that is too long; key: "{key}"'
        )


class Using(Protocol):
    """A compiled expression: which placeholders it uses."""

    @property
    def used_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def used_values(self) -> tuple[str, ...]: ...  # noqa: D102


def check_used(names: Names, values: Values, used: Iterable[Using]) -> None:
    """Refuse names and values that none of the compiled expressions uses."""
    parts = tuple(used)
    for name, _ in names:
        if not any(name in part.used_names for part in parts):
            _refuse("Names", [name for name, _ in names if not any(name in part.used_names for part in parts)])
    for name in values:
        if not any(name in part.used_values for part in parts):
            _refuse("Values", [name for name in values if not any(name in part.used_values for part in parts)])


def _refuse(which: str, unused: list[str]) -> None:
    listed = ", ".join(unused)
    raise invalid(f"Value provided in ExpressionAttribute{which} unused in expressions: keys: {{{listed}}}")
