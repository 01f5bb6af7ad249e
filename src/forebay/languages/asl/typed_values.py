"""Fields that give a number, an instant or a text: their values checked for that.

The sentences for JSONPath states are unverified; those for JSONata states are worded as AWS words other fields'.
"""

from forebay.languages.asl.document import encode, sayable
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.jsonata_fields import JsonataValue, unexpected
from forebay.languages.asl.machine import Expression
from forebay.languages.asl.scope import Scope
from forebay.languages.asl.templates import InputField
from forebay.languages.asl.timestamps import parse_timestamp
from forebay.languages.json_kinds import is_number

SECONDS_MAX = 99_999_999


def whole_number(expression: Expression, scope: Scope, field: str, *, most: int | None = None) -> int:
    """Return a count or a number of seconds.

    Raises:
        StateFailure: it is no whole number, below zero or above `most`.
    """
    value = expression.evaluate(scope)
    if is_number(value) and value == int(value) and value >= 0 and (most is None or value <= most):
        return int(value)
    if isinstance(expression, JsonataValue) and not is_number(value):
        raise unexpected(expression, value, "number")
    raise _refused(expression, field, "an integer value", encode(value))


def percentage(expression: Expression, scope: Scope, field: str) -> float:
    """Return a number from 0 to 100.

    Raises:
        StateFailure: it is none.
    """
    value = expression.evaluate(scope)
    if is_number(value) and 0 <= value <= 100:
        return float(value)
    if isinstance(expression, JsonataValue) and not is_number(value):
        raise unexpected(expression, value, "number")
    raise _refused(expression, field, "a number from 0 to 100", encode(value))


def instant(expression: Expression, scope: Scope, field: str) -> float:
    """Return an instant in seconds since the epoch.

    Raises:
        StateFailure: it is no timestamp.
    """
    value = expression.evaluate(scope)
    at = parse_timestamp(value) if isinstance(value, str) else None
    if at is not None:
        return at
    if isinstance(expression, JsonataValue) and not isinstance(value, str):
        raise unexpected(expression, value, "string")
    shown = value if isinstance(value, str) else encode(value)
    raise _refused(expression, field, "a valid ISO-8601 extended offset date-time format string", shown)


def text(expression: Expression, scope: Scope, field: str) -> str:
    """Return a text.

    Raises:
        StateFailure: it is none.
    """
    value = expression.evaluate(scope)
    if isinstance(value, str):
        return sayable(value)
    if isinstance(expression, JsonataValue):
        raise unexpected(expression, value, "string")
    raise _refused(expression, field, "a string value", encode(value))


def _refused(expression: Expression, field: str, wanted: str, shown: str) -> StateFailure:
    if isinstance(expression, InputField):
        field, shown = expression.field, f"{expression.path.text} == {shown}"
    sentence = f"The {field} parameter does not reference {wanted}: {shown}"
    if isinstance(expression, JsonataValue):
        return StateFailure(ErrorName.QUERY_EVALUATION_ERROR, sentence, location=expression.field)
    return StateFailure(ErrorName.RUNTIME, sentence)
