"""Time. The one place that reads the machine's clock; everything else is handed a `Clock`.

A clock can be frozen, stepped and resumed, so that a test (or `/_forebay/clock`) runs 14 days of retention in
milliseconds. Waiting goes through the clock too: whoever waits is woken when real or virtual time arrives.
"""

import asyncio
import time


class Clock:
    """Wall time in seconds since the epoch, running in real time until frozen."""

    def __init__(self, frozen_at: float | None = None) -> None:
        # Real time plus this is the clock's time while it runs.
        self._offset_seconds = 0.0
        self._frozen_at = frozen_at
        self._sleepers: dict[asyncio.Future[None], float] = {}

    @property
    def is_frozen(self) -> bool:
        """Whether time stands still until `advance` or `resume`."""
        return self._frozen_at is not None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        if self._frozen_at is not None:
            return self._frozen_at
        return time.time() + self._offset_seconds

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock at `at` (seconds since the epoch), or where it is."""
        self._frozen_at = self.now() if at is None else at
        self._wake_due()

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake everyone who has become due."""
        if self._frozen_at is not None:
            self._frozen_at += seconds
        else:
            self._offset_seconds += seconds
        self._wake_due()

    def resume(self) -> None:
        """Let a frozen clock run on from where it stands."""
        if self._frozen_at is not None:
            self._offset_seconds = self._frozen_at - time.time()
            self._frozen_at = None
        self._wake_due()

    async def sleep_until(self, due_at: float) -> None:
        """Wait until the clock shows `due_at`; returns at once if it already does."""
        while (remaining_seconds := due_at - self.now()) > 0:
            future = asyncio.get_running_loop().create_future()
            self._sleepers[future] = due_at
            # A running clock is woken by real time; a frozen one only by advance or resume.
            timeout = None if self.is_frozen else remaining_seconds
            try:
                await asyncio.wait([future], timeout=timeout)
            finally:
                self._sleepers.pop(future, None)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock."""
        await self.sleep_until(self.now() + seconds)

    async def wait(self, event: asyncio.Event, timeout_seconds: float) -> bool:
        """Wait until `event` is set or `timeout_seconds` of this clock have passed; return whether it is set."""
        if event.is_set() or timeout_seconds <= 0:
            return event.is_set()
        if timeout_seconds == float("inf"):
            return await event.wait()
        try:
            async with asyncio.timeout(None) as scope, asyncio.TaskGroup() as group:
                alarm = group.create_task(self._expire(scope, self.now() + timeout_seconds))
                await event.wait()
                alarm.cancel()
        except TimeoutError:
            pass
        return event.is_set()

    def next_due_at(self) -> float | None:
        """Return the earliest time anyone waits for, or None. Lets a test run a node until it is idle."""
        return min(self._sleepers.values(), default=None)

    async def _expire(self, scope: asyncio.Timeout, due_at: float) -> None:
        await self.sleep_until(due_at)
        scope.reschedule(0)

    def _wake_due(self) -> None:
        # Sleepers look at the clock again by themselves, so waking one too many is harmless; after freeze or
        # resume all must look, because what they sleep on (real time or nothing) has changed.
        for future in self._sleepers:
            if not future.done():
                future.set_result(None)


# Seconds of a clock that never jumps; for measuring durations, never for deadlines that are kept.
monotonic = time.monotonic


def wall_seconds() -> float:
    """Return real time in seconds since the epoch, whatever the node's clock shows; for checking signatures only."""
    return time.time()
