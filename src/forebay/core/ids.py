"""Chance. The one place that draws random numbers; a seeded instance replays a simulation exactly."""

import os
import random
from collections.abc import Callable

_LOWER_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"

# Random bytes are fetched in blocks: every request and message draws a UUID, and a system call would be half its price.
_BLOCK_BYTES = 4096
# Version 4 and variant 10 (RFC 9562, 5.4) stand in for some of the random bits of a UUID's bytes 6 and 8.
_VERSIONED = bytes(0x40 | byte & 0x0F for byte in range(256))
_VARIED = bytes(0x80 | byte & 0x3F for byte in range(256))
_DIGITS = 32
_CHARACTERS = 36
# Where the digits of a UUID stand in its text; dashes are between (RFC 9562, 4).
_PLACES = tuple(place for place in range(_CHARACTERS) if place not in {8, 13, 18, 23})

# How many ids of events end alike, and in how many digits.
_FAMILY_IDS = 1024
_FAMILY_DIGITS = 3


class Ids:
    """A source of ids and random numbers; without a seed it draws from the operating system."""

    def __init__(self, seed: int | None = None) -> None:
        # A cryptographic source unless a simulation asks to be replayed.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311
        self._fetch: Callable[[int], bytes] = os.urandom if seed is None else self._random.randbytes
        self._block = ""
        self._at = 0
        self._family = ""
        self._family_left = 0

    def uuid(self) -> str:
        """Return a random version 4 UUID in its canonical text form."""
        at = self._at
        block = self._block
        if at >= len(block):
            block = self._block = self._next_block()
            at = 0
        end = self._at = at + _CHARACTERS
        return block[at:end]

    def event_id(self) -> str:
        """Return a UUID for something whose path is traced: those drawn one after another end alike, for a while.

        What is kept by their last digits (`delivery/trace.py`) then lies together, which is most of what it costs.
        """
        one = self.uuid()
        if self._family_left <= 0:
            self._family, self._family_left = one[-_FAMILY_DIGITS:], _FAMILY_IDS
        self._family_left -= 1
        return one[:-_FAMILY_DIGITS] + self._family

    def _next_block(self) -> str:
        """Return the texts of many UUIDs, one behind the other: a digit's place is filled in all of them at once."""
        data = bytearray(self._fetch(_BLOCK_BYTES))
        data[6::16] = data[6::16].translate(_VERSIONED)
        data[8::16] = data[8::16].translate(_VARIED)
        digits = data.hex().encode()
        texts = bytearray(b"-") * (len(digits) // _DIGITS * _CHARACTERS)
        for digit, place in enumerate(_PLACES):
            texts[place::_CHARACTERS] = digits[digit::_DIGITS]
        return texts.decode("ascii")

    def hex(self, digits: int) -> str:
        """Return `digits` random lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(digits * 4):0{digits}x}"

    def token(self, length: int, alphabet: str = _LOWER_ALPHANUMERIC) -> str:
        """Return `length` random characters of `alphabet` (API ids, suffixes of physical names)."""
        return "".join(self._random.choices(alphabet, k=length))

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return self._random.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high` (jitter)."""
        return self._random.uniform(low, high)
