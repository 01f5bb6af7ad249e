"""Chance. The one place that draws random numbers; a seeded instance replays a simulation exactly."""

import random

_LOWER_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"

# The bits of a UUID that are random, and those that say version 4 and variant 10 (RFC 9562, 5.4).
_UUID_FREE = ~(0xF000 << 64 | 0xC000 << 48)
_UUID_FIXED = 4 << 76 | 0x8000 << 48


class Ids:
    """A source of ids and random numbers; without a seed it draws from the operating system."""

    def __init__(self, seed: int | None = None) -> None:
        # A cryptographic source unless a simulation asks to be replayed.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def uuid(self) -> str:
        """Return a random version 4 UUID in its canonical text form."""
        # Written out, because every request and message draws one: `uuid.UUID` takes twice as long.
        digits = f"{self._random.getrandbits(128) & _UUID_FREE | _UUID_FIXED:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

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
