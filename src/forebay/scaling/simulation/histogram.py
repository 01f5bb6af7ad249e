"""Latencies of any number of messages in little memory: counts in buckets that grow by 2 %."""

import math

_GROWTH = math.log(1.02)
# What is faster than a millisecond is counted together.
_LEAST_SECONDS = 0.001


class Histogram:
    """Weighted durations in seconds."""

    def __init__(self) -> None:
        self._counts = dict[int, float]()
        self.count = 0.0
        self.most = 0.0

    def add(self, seconds: float, count: float) -> None:
        """Count some durations; a negative number takes them back."""
        place = 0 if seconds <= _LEAST_SECONDS else 1 + int(math.log(seconds / _LEAST_SECONDS) / _GROWTH)
        self._counts[place] = self._counts.get(place, 0.0) + count
        self.count += count
        self.most = max(self.most, seconds)

    def include(self, other: "Histogram") -> None:
        """Add what another has counted."""
        for place, count in other._counts.items():  # noqa: SLF001 - its own kind
            self._counts[place] = self._counts.get(place, 0.0) + count
        self.count += other.count
        self.most = max(self.most, other.most)

    def percentile(self, percent: float) -> float:
        """Return the duration that a percentage does not exceed, to 2 %; 0 where nothing was counted."""
        wanted = self.count * percent / 100
        passed = 0.0
        for place in sorted(self._counts):
            passed += self._counts[place]
            if passed >= wanted and passed > 0:
                upper = _LEAST_SECONDS * math.exp(place * _GROWTH) if place else 0.0
                return min(upper, self.most)
        return 0.0
