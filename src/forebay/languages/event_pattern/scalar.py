"""The leaf values of events and patterns, in the forms in which they compare.

Numbers compare as Ruler compares them: as millionths, within a range, so 300, 300.0 and 3.0e2 are one value. A number
that has more than six decimals or lies outside the range is only equal to itself, written the same way.
"""

import re
import socket
from decimal import Decimal, InvalidOperation

MILLION = 1_000_000

Scalar = str | int | float | bool | None

# A hashable stand-in for a scalar: strings, true, false and null are themselves, a number is a tuple.
Key = str | bool | None | tuple[str, int | float]

_V4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_V6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_MAPPED_V4 = b"\0" * 10 + b"\xff\xff"


def find_millionths(value: Scalar, number_max: int) -> int | None:
    """Return a number as a count of millionths, or None if it is none or does not compare numerically."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value * MILLION if -number_max <= value <= number_max else None
    if not isinstance(value, float) or not -number_max <= value <= number_max:
        return None
    millionths = round(value * MILLION)
    if millionths / MILLION == value:
        return millionths
    # The product of a large number may be rounded to a neighbour; its digits are exact.
    exact = Decimal(repr(value)) * MILLION
    return int(exact) if exact == exact.to_integral_value() else None


def key_of(value: Scalar, number_max: int) -> Key:
    """Return the key under which equal scalars meet."""
    if value is None or isinstance(value, str | bool):
        return value
    millionths = find_millionths(value, number_max)
    if millionths is not None:
        return ("millionths", millionths)
    return ("integer" if isinstance(value, int) else "float", value)


def parse_millionths(text: str, number_max: int) -> int:
    """Read a JSON number of a pattern as millionths.

    Raises:
        ValueError: with Ruler's text, where the number has too many decimals or is out of range.
    """
    limit = f"{number_max / 10 ** (len(str(number_max)) - 1)}E{len(str(number_max)) - 1}"
    out_of_range = ValueError(f"Value must be between -{limit} and {limit}, inclusive")
    try:
        number = Decimal(text)
    except InvalidOperation:
        # An exponent beyond what even Decimal holds.
        raise out_of_range from None
    _, digits, exponent = number.as_tuple()
    decimals = -exponent if isinstance(exponent, int) else 0
    trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if any(digits) and decimals - trailing > 6:
        raise ValueError("Only values upto 6 decimals are supported")
    # Comparing is exact; abs() would round to the context's precision and may overflow.
    if number > number_max or number < -number_max:
        raise out_of_range
    return int(number * MILLION) if any(digits) else 0


def parse_number(text: str) -> int | float:
    """Read a JSON number as JSON decoders do: integer where it is written as one."""
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def find_address(text: Scalar) -> bytes | None:
    """Return an IP address literal as 4 or 16 bytes, or None if it is none."""
    if not isinstance(text, str) or not text or (text[0] not in "0123456789abcdefABCDEF:"):
        return None
    if _V4.fullmatch(text):
        parts = [int(part) for part in text.split(".") if len(part) <= 10]
        return bytes(parts) if len(parts) == 4 and max(parts) <= 255 else None
    if not _V6.fullmatch(text):
        return None
    try:
        packed = socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return None
    return packed[12:] if packed.startswith(_MAPPED_V4) else packed
