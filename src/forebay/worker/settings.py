"""How a worker works, and what it reports."""

from collections.abc import Callable
from dataclasses import dataclass

from forebay.worker.message import Message

_BACKOFF_SECONDS_MAX = 300
_BOUNDS = {
    "concurrency": (1, 1_000),
    "batch_size": (1, 10),
    "lease_seconds": (3, 43_200),
    "wait_seconds": (0, 20),
}


def back_off(message: Message) -> int:
    """Return for how many seconds a message rests after a failure: 2, 4, 8 ... at most 300."""
    return int(min(2 ** min(message.receive_count, 16), _BACKOFF_SECONDS_MAX))


@dataclass(frozen=True)
class Settings:
    """How a worker works.

    `concurrency` calls run at once, each in a thread. A handler of batches gets up to `batch_size` messages.
    `lease_seconds` is the visibility timeout, renewed while work lasts. `wait_seconds` bounds a long poll and with it
    how late an idle worker stops. `grace_seconds` is what is left between the signal and the kill: keep it below
    the pod's `terminationGracePeriodSeconds`. `per_second` is the most messages begun in a second, None for no bound.
    `retry_seconds` says how long a message that failed rests.
    """

    concurrency: int = 1
    batch_size: int = 1
    lease_seconds: int = 30
    wait_seconds: int = 10
    grace_seconds: float = 25.0
    per_second: float | None = None
    retry_seconds: Callable[[Message], int] = back_off

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be between {low} and {high}")
        if self.grace_seconds < 0 or (self.per_second is not None and self.per_second <= 0):
            raise ValueError("grace_seconds must not be negative, and per_second must be positive")


@dataclass(frozen=True)
class Report:
    """What a worker has done, in messages.

    `failed` were given back for another attempt, `returned` were given back before their work began, `cut_off` were in
    the middle of it when the grace period ended, and `undeleted` are done but may come again.
    """

    received: int = 0
    completed: int = 0
    failed: int = 0
    returned: int = 0
    cut_off: int = 0
    undeleted: int = 0

    def __str__(self) -> str:
        told = [f"{count} {name}" for name, count in vars(self).items() if count or name in ("completed", "cut_off")]
        return ", ".join(told).replace("_", " ")
