"""The numbers that Java's `java.util.Random` gives for a seed.

AWS's seeded functions (States.MathRandom, $random) promise the same number for the same seed and run on Java; the
algorithm is the one that the Java class's documentation states.
"""

_MULTIPLIER = 0x5DEECE66D
_MASK = (1 << 48) - 1


class JavaRandom:
    """A generator with a seed."""

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ _MULTIPLIER) & _MASK

    def _next(self, bits: int) -> int:
        self._state = (self._state * _MULTIPLIER + 0xB) & _MASK
        value = self._state >> (48 - bits)
        return value - (1 << bits) if value >= 1 << (bits - 1) else value

    def double(self) -> float:
        """Return a number from 0 up to 1."""
        high = self._next(26) & ((1 << 26) - 1)
        return ((high << 27) + (self._next(27) & ((1 << 27) - 1))) / (1 << 53)

    def below(self, bound: int) -> int:
        """Return a whole number from 0 up to `bound`."""
        if bound & -bound == bound:
            return (bound * (self._next(31) & 0x7FFFFFFF)) >> 31
        while True:
            bits = self._next(31) & 0x7FFFFFFF
            value = bits % bound
            if bits - value + (bound - 1) < 1 << 31:
                return value
