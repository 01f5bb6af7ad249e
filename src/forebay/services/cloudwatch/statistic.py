"""From data points to statistics: what falls into each period, and what `Sum` or `p99` of it is. Pure."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from forebay.operations.measures import DataPoint

_PERCENTILE = re.compile(r"p([0-9]{1,2}(\.[0-9]{1,10})?|100)")

NAMES = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


class Bucket(msgspec.Struct):
    """All that was measured in one period."""

    count: float = 0.0
    sum: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    unit: str = "None"
    samples: dict[float, float] = {}
    knows_samples: bool = True

    def add(self, point: DataPoint) -> None:
        """Take a data point in."""
        self.count += point.count
        self.sum += point.sum
        self.minimum = min(self.minimum, point.minimum)
        self.maximum = max(self.maximum, point.maximum)
        self.unit = point.unit
        self.knows_samples = self.knows_samples and bool(point.samples)
        for value, times in point.samples:
            self.samples[value] = self.samples.get(value, 0.0) + times

    def statistic(self, name: str) -> float | None:
        """Return a statistic by its name; None for percentiles of which the samples are not known."""
        if name == "Average":
            return self.sum / self.count
        simple = {"SampleCount": self.count, "Sum": self.sum, "Minimum": self.minimum, "Maximum": self.maximum}
        if name in simple:
            return simple[name]
        return self._percentile(float(name[1:]) / 100)

    def _percentile(self, part: float) -> float | None:
        if not self.knows_samples:
            return self.minimum if self.minimum == self.maximum else None
        wanted, seen = part * self.count, 0.0
        for value, times in sorted(self.samples.items()):
            seen += times
            if seen >= wanted:
                return value
        return self.maximum


def is_statistic(name: str) -> bool:
    """Return whether there is such a statistic here."""
    return name in NAMES or is_percentile(name)


def is_percentile(name: str) -> bool:
    """Return whether the name is a percentile's."""
    return _PERCENTILE.fullmatch(name) is not None


def by_period(points: Iterable[DataPoint], period_seconds: int, unit: str | None) -> Mapping[int, Bucket]:
    """Return buckets by the second at which their period begins, in order; those without data are not there."""
    buckets: dict[int, Bucket] = {}
    for point in points:
        if unit is not None and point.unit != unit:
            continue
        start = point.at_ms // 1000 // period_seconds * period_seconds
        buckets.setdefault(start, Bucket()).add(point)
    return dict(sorted(buckets.items()))
