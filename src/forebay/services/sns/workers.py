"""Background duty of topics: forgetting what was kept for a while only.

That is which messages FIFO topics have had, and which subscriptions can be brought back.
"""

from typing import Any, cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.services.sns import limits
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind


class Forgetting:
    """Deletes records of one kind when the timers under their keys are due. A `Worker`."""

    def __init__(self, store: Store, clock: Clock, timers: str, kind: Kind[Any]) -> None:
        self.name = f"{timers}.forgetting"
        self._store = store
        self._clock = clock
        self._timers = timers
        self._kind = kind

    async def run_once(self) -> float:
        """Delete a batch; return the seconds until more is due."""
        now = self._clock.now()
        lease_until_ms = int((now + limits.DEDUPLICATION_LEASE_SECONDS) * 1000)
        claim = ClaimTimers(self._timers, int(now * 1000), lease_until_ms, limits.DEDUPLICATION_BATCH)
        (claimed,) = cast("tuple[tuple[ClaimedTimer, ...]]", await self._store.submit((claim,)))
        if claimed:
            await self._store.transact(lambda transaction: self._forget(transaction, claimed))
        return 0.0 if len(claimed) == limits.DEDUPLICATION_BATCH else await self._seconds_until_next()

    def _forget(self, transaction: Transaction, claimed: tuple[ClaimedTimer, ...]) -> None:
        settlements = tuple(Settlement(timer.key, timer.epoch) for timer in claimed)
        settled = transaction.apply(SettleTimers(self._timers, settlements))
        for timer, is_held in zip(claimed, settled, strict=True):
            # What came again after its time has replaced the timer: its record is a new one.
            if is_held:
                transaction.records.delete(self._kind, timer.key)

    async def _seconds_until_next(self) -> float:
        due_at_ms = await self._store.view(lambda view: view.ask(NextTimer(self._timers)))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), limits.DEDUPLICATION_POLL_SECONDS))
