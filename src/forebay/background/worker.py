"""The contract of everything that happens without a request: dispatching, polling, expiry, schedules."""

from typing import Protocol

IDLE = float("inf")
"""What `run_once` returns when only a wake-up can bring more work."""


class Worker(Protocol):
    """A duty that is done in bounded steps. It never loops or sleeps itself; the `Supervisor` does."""

    @property
    def name(self) -> str:
        """What logs and metrics call this worker, such as `delivery.dispatcher`."""
        ...

    async def run_once(self) -> float:
        """Do one bounded batch; return the seconds until running again is worthwhile.

        0 means that there is more to do now, `IDLE` that only a wake-up brings more. An exception is logged and the
        worker runs again after a back-off.
        """
        ...
