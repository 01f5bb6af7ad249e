"""Chance. The one place that draws random numbers; a seeded instance replays a simulation exactly."""

import random
import uuid

_LOWER_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyz0123456789"


class Ids:
    """A source of ids and random numbers; without a seed it draws from the operating system."""

    def __init__(self, seed: int | None = None) -> None:
        # A cryptographic source unless a simulation asks to be replayed.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def uuid(self) -> str:
        """Return a random version 4 UUID in its canonical text form."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

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
