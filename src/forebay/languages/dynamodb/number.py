"""DynamoDB's numbers: 38 significant digits, 1E-130 to just under 1E126, and how they order as bytes.

A number is kept as its canonical text: plain digits, no exponent, no needless zeros. The developer guide ("Data
types") gives the bounds.
"""

import re
from collections.abc import Callable
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache

from forebay.languages.dynamodb.errors import invalid

_DIGITS_MAX = 38
_EXPONENT_MIN = -130
_EXPONENT_MAX = 125
_SIMPLE = re.compile(r"(?:0|-?[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_EXPONENT_TEXT_MAX = 6

_NOT_A_NUMBER = "The parameter cannot be converted to a numeric value"
_OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
_UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
_TOO_MANY_DIGITS = "Attempting to store more than 38 significant digits in a Number"

# Wide enough that reading never rounds: a text of 400 KB would be refused for its digits anyway.
_EXACT = Context(prec=_DIGITS_MAX, Emin=-999999, Emax=999999, traps=[Inexact, InvalidOperation])

# First bytes of the encoding.
_NEGATIVE, _ZERO, _POSITIVE = 0x7F, 0x80, 0x81


def canonical(text: str) -> str:
    """Return the text that stands for this number, whatever way it was written.

    Raises:
        ValidationException: it is no number, or one that DynamoDB does not hold.
    """
    if _SIMPLE.match(text):
        return text
    if not _NUMBER.match(text):
        raise invalid(f"{_NOT_A_NUMBER}: {text}" if text else _NOT_A_NUMBER)
    mantissa, _, power = text.lower().partition("e")
    sign, whole, fraction = _split(mantissa)
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    if len(power.lstrip("+-")) > _EXPONENT_TEXT_MAX and power.lstrip("+-0"):
        raise invalid(_UNDERFLOW if power.startswith("-") else _OVERFLOW)
    exponent = int(power or "0") + len(whole) - 1 - (len(whole + fraction) - len(digits))
    return _checked(sign, digits.rstrip("0"), exponent)


def _split(mantissa: str) -> tuple[str, str, str]:
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("+-").partition(".")
    return sign, whole, fraction


def _checked(sign: str, digits: str, exponent: int) -> str:
    """Write a number whose first digit stands for 10 to the power of `exponent`."""
    if exponent > _EXPONENT_MAX:
        raise invalid(_OVERFLOW)
    if exponent < _EXPONENT_MIN:
        raise invalid(_UNDERFLOW)
    if len(digits) > _DIGITS_MAX:
        raise invalid(_TOO_MANY_DIGITS)
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def add(one: str, other: str) -> str:
    """Return the sum of two canonical numbers; what 38 digits cannot hold is refused."""
    return _calculated(lambda: _EXACT.add(Decimal(one), Decimal(other)))


def subtract(one: str, other: str) -> str:
    """Return the difference of two canonical numbers; what 38 digits cannot hold is refused."""
    return _calculated(lambda: _EXACT.subtract(Decimal(one), Decimal(other)))


def _calculated(calculate: Callable[[], Decimal]) -> str:
    try:
        return canonical(str(calculate()))
    except Inexact:
        raise invalid(_TOO_MANY_DIGITS) from None


def compare(one: str, other: str) -> int:
    """Return -1, 0 or 1 as one canonical number is less than, equal to or greater than another."""
    if one == other:
        return 0
    return -1 if Decimal(one) < Decimal(other) else 1


@lru_cache(maxsize=8192)
def measured(text: str) -> tuple[str, int]:
    """Return the text that stands for this number, and what it counts.

    Raises:
        ValidationException: it is no number, or one that DynamoDB does not hold.
    """
    found = canonical(text)
    return found, size_bytes(found)


@lru_cache(maxsize=8192)
def size_bytes(text: str) -> int:
    """Return what DynamoDB counts for a canonical number: a byte for two digits and one more, and one for a minus."""
    digits = text.removeprefix("-")
    if digits == "0":
        return 1
    whole, _, fraction = digits.partition(".")
    if fraction:
        if whole == "0":
            pairs = (len(fraction.lstrip("0")) + 1) // 2
        else:
            pairs = (len(whole) + 1) // 2 + (len(fraction) + 1) // 2
    else:
        pairs = (len(whole.rstrip("0")) + 1) // 2
    return min(pairs + 1 + (text[0] == "-"), 21)


@lru_cache(maxsize=8192)
def encode(text: str) -> bytes:
    """Return bytes that order as the canonical numbers do, and none of which begins another."""
    if text == "0":
        return bytes((_ZERO,))
    is_negative = text[0] == "-"
    whole, _, fraction = text.removeprefix("-").partition(".")
    if whole == "0":
        digits = fraction.lstrip("0")
        exponent = len(digits) - len(fraction) - 1
    else:
        digits = (whole + fraction).rstrip("0")
        exponent = len(whole) - 1
    if len(digits) % 2:
        digits += "0"
    pairs = bytes([int(digits[place : place + 2]) + 1 for place in range(0, len(digits), 2)])
    coded = bytes((exponent - _EXPONENT_MIN,)) + pairs + b"\0"
    if not is_negative:
        return bytes((_POSITIVE,)) + coded
    return bytes((_NEGATIVE,)) + bytes([255 - byte for byte in coded])
