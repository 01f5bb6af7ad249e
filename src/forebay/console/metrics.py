"""`/metrics`: the node's counters in Prometheus' text format."""

from collections.abc import Iterator

from forebay.core.http import Request, Response
from forebay.operations.metrics import LATENCY_BUCKETS_SECONDS, Metrics

_HEADERS = (("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),)


class MetricsPage:
    """Renders the counters when they are asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def handle(self, request: Request) -> Response:
        """Answer `/metrics`."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, (("Allow", "GET, HEAD"),))
        return Response(200, _HEADERS, "".join(f"{line}\n" for line in self._lines()).encode())

    def _lines(self) -> Iterator[str]:
        yield "# HELP forebay_requests_total Requests answered, by service, operation and error code."
        yield "# TYPE forebay_requests_total counter"
        operations = sorted(self._metrics.operations.items())
        for (service, operation), counted in operations:
            for code, count in sorted(counted.codes.items()):
                labels = _labels(service=service, operation=operation, code=code)
                yield f"forebay_requests_total{labels} {count}"
        yield "# HELP forebay_request_seconds Time from a request's last byte to its answer."
        yield "# TYPE forebay_request_seconds histogram"
        for (service, operation), counted in operations:
            running = 0
            for bound, count in zip((*LATENCY_BUCKETS_SECONDS, "+Inf"), counted.buckets, strict=True):
                running += count
                labels = _labels(service=service, operation=operation, le=str(bound))
                yield f"forebay_request_seconds_bucket{labels} {running}"
            labels = _labels(service=service, operation=operation)
            yield f"forebay_request_seconds_sum{labels} {counted.sum_seconds:.6f}"
            yield f"forebay_request_seconds_count{labels} {running}"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
