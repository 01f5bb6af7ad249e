"""What the node counts, as plain integers on the hot path; `/metrics` renders them for Prometheus."""

from collections import defaultdict

# Upper bounds of the latency buckets, in seconds.
LATENCY_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Latencies:
    """A histogram of durations."""

    __slots__ = ("buckets", "count", "sum_seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BUCKETS_SECONDS) + 1)
        self.count = 0
        self.sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.count += 1
        self.sum_seconds += seconds
        for index, bound in enumerate(LATENCY_BUCKETS_SECONDS):
            if seconds <= bound:
                self.buckets[index] += 1
                return
        self.buckets[-1] += 1


class Metrics:
    """The counters of one node."""

    def __init__(self) -> None:
        # (service, operation, error code or "")
        self.requests: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.latencies: defaultdict[tuple[str, str], Latencies] = defaultdict(Latencies)

    def record_request(self, service: str, operation: str, code: str, seconds: float) -> None:
        """Count one answered request."""
        self.requests[service, operation, code] += 1
        self.latencies[service, operation].add(seconds)
