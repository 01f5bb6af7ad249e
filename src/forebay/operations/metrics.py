"""What the node counts, as plain integers on the hot path; `/metrics` renders them for Prometheus."""

from bisect import bisect_left

# Upper bounds of the latency buckets, in seconds.
LATENCY_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class OperationMetrics:
    """The counters of one operation: answers by error code (none: ""), and a histogram of durations."""

    __slots__ = ("buckets", "codes", "sum_seconds")

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.buckets = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
        self.sum_seconds = 0.0

    def add(self, code: str, seconds: float) -> None:
        """Count one answered request."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.sum_seconds += seconds
        self.buckets[bisect_left(LATENCY_BUCKETS_SECONDS, seconds)] += 1


class Metrics:
    """The counters of one node."""

    def __init__(self) -> None:
        self.operations: dict[tuple[str, str], OperationMetrics] = {}

    def of(self, service: str, operation: str) -> OperationMetrics:
        """Return the counters of an operation."""
        return self.operations.setdefault((service, operation), OperationMetrics())
