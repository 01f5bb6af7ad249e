"""The matchers: what one entry of a leaf's array accepts.

Each is a value with `accepts(scalar)`. Equality is not among them: a leaf keeps the keys of its exact values in one
set (see `leaf.py`), so that a list of a hundred account numbers costs one look-up.
"""

import msgspec

from forebay.languages.event_pattern.scalar import Key, Scalar, find_address, find_millionths, key_of


class Prefix(msgspec.Struct, frozen=True):
    """Strings that begin with a text."""

    text: str

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return isinstance(value, str) and value.startswith(self.text)


class Suffix(msgspec.Struct, frozen=True):
    """Strings that end with a text."""

    text: str

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return isinstance(value, str) and value.endswith(self.text)


class EqualsIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that differ from a text at most in case; `text` is in lower case."""

    text: str

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return isinstance(value, str) and value.lower() == self.text


class PrefixIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that begin with a text in any case; `text` is in lower case."""

    text: str

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return isinstance(value, str) and value.lower().startswith(self.text)


class SuffixIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that end with a text in any case; `text` is in lower case."""

    text: str

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return isinstance(value, str) and value.lower().endswith(self.text)


class Wildcard(msgspec.Struct, frozen=True):
    """Strings made of the parts in order, with anything between them.

    Taking each middle part at its first occurrence never misses a match, so the cost is linear.
    """

    parts: tuple[str, ...]

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        if not isinstance(value, str):
            return False
        first, last = self.parts[0], self.parts[-1]
        if len(self.parts) == 1:
            return value == first
        end = len(value) - len(last)
        if end < len(first) or not value.startswith(first) or not value.endswith(last):
            return False
        at = len(first)
        for part in self.parts[1:-1]:
            at = value.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


class NumericRange(msgspec.Struct, frozen=True):
    """Numbers from `low` to `high`, both in millionths and inclusive.

    Millionths are whole, so an open end is the neighbouring closed one.
    """

    low: int
    high: int
    number_max: int

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        millionths = find_millionths(value, self.number_max)
        return millionths is not None and self.low <= millionths <= self.high


class Address(msgspec.Struct, frozen=True):
    """One IP address, however it is written (`::1` is `0:0:0:0:0:0:0:1`)."""

    packed: bytes

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        return find_address(value) == self.packed


class Cidr(msgspec.Struct, frozen=True):
    """IP addresses of one family from `low` to `high`, inclusive."""

    low: bytes
    high: bytes

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        packed = find_address(value)
        return packed is not None and len(packed) == len(self.low) and self.low <= packed <= self.high


class AnythingBut(msgspec.Struct, frozen=True):
    """Any present value, of any type, that is none of the keys and that no inner matcher accepts."""

    keys: frozenset[Key]
    inner: tuple["Matcher", ...]
    number_max: int

    def accepts(self, value: Scalar) -> bool:
        """Tell whether the value matches."""
        if key_of(value, self.number_max) in self.keys:
            return False
        return not any(matcher.accepts(value) for matcher in self.inner)


class Present(msgspec.Struct, frozen=True):
    """Any value at all (`exists: true`)."""

    def accepts(self, value: Scalar) -> bool:  # noqa: ARG002 - the shape of all matchers
        """Tell that the value matches."""
        return True


Matcher = (
    Prefix
    | Suffix
    | EqualsIgnoreCase
    | PrefixIgnoreCase
    | SuffixIgnoreCase
    | Wildcard
    | NumericRange
    | Address
    | Cidr
    | AnythingBut
    | Present
)
