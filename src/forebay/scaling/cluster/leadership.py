"""Which of several nodes on one store runs the cluster: the one that holds the lease. A node alone always does.

Controllers and pods of two nodes would undo each other's work, so all of them stand still where the lease is not held.
"""

from collections.abc import Callable
from typing import cast

from forebay.background.worker import Worker
from forebay.core.clock import Clock
from forebay.store.commands import ClaimedTimer, ClaimTimers, ExtendTimers, PutTimers, Timer
from forebay.store.contract import Store

_KIND = "kubernetes.leader"
_KEY = "cluster"
_LEASE_SECONDS = 15.0
_RENEW_SECONDS = 5.0


class Leadership:
    """Takes the lease and keeps it. A `Worker`."""

    name = "kubernetes.leadership"

    def __init__(self, store: Store, clock: Clock, *, is_shared: bool) -> None:
        self.is_held = not is_shared
        self._store = store
        self._clock = clock
        self._is_shared = is_shared
        self._epoch = 0
        self.on_change: Callable[[], None] = lambda: None

    async def run_once(self) -> float:
        """Renew the lease, or try to get it."""
        if not self._is_shared:
            return float("inf")
        now_ms = int(self._clock.now() * 1000)
        until_ms = now_ms + int(_LEASE_SECONDS * 1000)
        was_held = self.is_held
        if self.is_held:
            answers = await self._store.submit([ExtendTimers(_KIND, ((_KEY, self._epoch),), until_ms)])
            self.is_held = cast("tuple[bool, ...]", answers[0])[0]
        if not self.is_held:
            timer = Timer(_KIND, _KEY, now_ms, b"")
            commands = [PutTimers((timer,), only_new=True), ClaimTimers(_KIND, now_ms, until_ms, 1)]
            answers = await self._store.submit(commands)
            for each in cast("tuple[ClaimedTimer, ...]", answers[1]):
                self._epoch, self.is_held = each.epoch, True
        if was_held != self.is_held:
            self.on_change()
        return _RENEW_SECONDS


class Led:
    """A worker that works only where the lease is held. A `Worker`."""

    def __init__(self, worker: Worker, leadership: Leadership) -> None:
        self._worker = worker
        self._leadership = leadership

    @property
    def name(self) -> str:
        """The worker's own name."""
        return self._worker.name

    async def run_once(self) -> float:
        """Run the worker's step, if this node runs the cluster."""
        return await self._worker.run_once() if self._leadership.is_held else _RENEW_SECONDS
