"""Deletes the bytes of objects that are no longer there."""

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.s3.placement import GARBAGE
from forebay.store.commands import Settlement, SettleTimers
from forebay.store.contract import Store

_BATCH = 100


class GarbageCollector:
    """Deletes blobs that are due. A `Worker`; deleting one twice is harmless."""

    name = "s3.garbage_collector"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._timers = DueTimers(store, clock, GARBAGE, batch=_BATCH)

    async def run_once(self) -> float:
        """Delete a batch of blobs; return the seconds until the next ones are due."""
        if claimed := await self._timers.claim():
            await self._store.blobs.delete([timer.key for timer in claimed])
            settlements = tuple(Settlement(timer.key, timer.epoch) for timer in claimed)
            await self._store.submit([SettleTimers(GARBAGE, settlements)])
        return await self._timers.seconds_until_next()
