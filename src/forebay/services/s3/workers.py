"""Deletes the bytes of objects that are no longer there."""

from typing import cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.services.s3.placement import GARBAGE
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer, Settlement, SettleTimers
from forebay.store.contract import Store

_BATCH = 100
_LEASE_MS = 60_000
_POLL_SECONDS_MAX = 3600.0


class GarbageCollector:
    """Deletes blobs that are due. A `Worker`; deleting one twice is harmless."""

    name = "s3.garbage_collector"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete a batch of blobs; return the seconds until the next ones are due."""
        now_ms = int(self._clock.now() * 1000)
        (answer,) = await self._store.submit([ClaimTimers(GARBAGE, now_ms, now_ms + _LEASE_MS, _BATCH)])
        claimed = cast("tuple[ClaimedTimer, ...]", answer)
        if claimed:
            await self._store.blobs.delete([timer.key for timer in claimed])
            settlements = tuple(Settlement(timer.key, timer.epoch) for timer in claimed)
            await self._store.submit([SettleTimers(GARBAGE, settlements)])
        if len(claimed) == _BATCH:
            return 0.0
        due_at_ms = await self._store.view(lambda view: view.ask(NextTimer(GARBAGE)))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), _POLL_SECONDS_MAX))
