"""What the HTTP server puts up with: sizes, counts and patience, each with its unit.

Every timeout runs on the loop's real time, never on the node's clock: a frozen clock must neither disarm nor
fire them.
"""

from dataclasses import dataclass

_SWEEP_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """The server's bounds; what exceeds one is answered 4xx or 503 and its connection is closed."""

    # The request line is cut off with 414, all header lines together or their number with 431.
    target_bytes_max: int = 16 * 1024
    header_bytes_max: int = 64 * 1024
    header_count_max: int = 100
    # One body past its bound is answered 413; all unanswered bodies together past theirs, 503.
    body_bytes_max: int = 64 * 1024 * 1024
    buffered_body_bytes_max: int = 512 * 1024 * 1024
    connections_max: int = 10_000
    # Requests of one connection handed out and not yet answered; past it the socket is not read.
    pipelined_requests_max: int = 16

    # Longer than the keep-alive of usual clients and load balancers, so that they close first.
    idle_timeout_seconds: float = 75.0
    header_timeout_seconds: float = 20.0
    # Within each of these, a body must grow and an unread answer must shrink by `progress_bytes_min`.
    body_timeout_seconds: float = 20.0
    write_timeout_seconds: float = 30.0
    progress_bytes_min: int = 1024
    # How long a connection that we end is still read, so that our last answer is not lost to a reset.
    linger_timeout_seconds: float = 2.0

    @property
    def sweep_seconds(self) -> float:
        """Time between two looks at all connections: a quarter of the shortest patience, a second at most."""
        shortest = min(
            self.idle_timeout_seconds,
            self.header_timeout_seconds,
            self.body_timeout_seconds,
            self.write_timeout_seconds,
            self.linger_timeout_seconds,
        )
        return min(_SWEEP_SECONDS_MAX, shortest / 4)
