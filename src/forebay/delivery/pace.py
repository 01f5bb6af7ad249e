"""How many batches of a poller run at once: five at first, more while batches come full, fewer when the target fails.

Source: Lambda developer guide, "Scaling behavior for Amazon SQS event source mappings".
"""

CONCURRENCY_FIRST = 5
CONCURRENCY_QUIET = 2
CONCURRENCY_MAX = 1_250
CONCURRENCY_GROWTH_PER_SECOND = 300 / 60


class Pace:
    """How many batches may run at once. Pure: the time is handed in."""

    def __init__(self, concurrency_max: int | None) -> None:
        self._is_bounded = concurrency_max is not None
        self._most = concurrency_max or CONCURRENCY_MAX
        self._allowed = float(min(CONCURRENCY_FIRST, self._most))
        self._grew_at: float | None = None

    @property
    def allowed(self) -> int:
        """The number of batches that may run."""
        return max(1, int(self._allowed))

    def more_is_waiting(self, now: float) -> None:
        """Learn that a full batch was read while all allowed ones ran."""
        elapsed_seconds = 0.0 if self._grew_at is None else now - self._grew_at
        self._grew_at = now
        self._allowed = min(self._allowed + min(elapsed_seconds, 60.0) * CONCURRENCY_GROWTH_PER_SECOND, self._most)

    def is_quiet(self) -> None:
        """Learn that there was nothing to read."""
        self._grew_at = None
        # Pollers with a maximum of their own do not shrink to two.
        rest = CONCURRENCY_FIRST if self._is_bounded else CONCURRENCY_QUIET
        self._allowed = max(min(self._allowed, CONCURRENCY_FIRST), float(min(rest, self._most)))

    def has_failed(self) -> None:
        """Learn that a whole batch failed: concurrency goes down gradually."""
        self._allowed = max(self._allowed * 0.9, 1.0)
        self._grew_at = None

    def is_throttled(self) -> None:
        """Learn that the target is busy."""
        self._allowed = max(self._allowed / 2, 1.0)
        self._grew_at = None
