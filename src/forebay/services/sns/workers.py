"""Background duty of topics: forgetting what was kept for a while only.

That is which messages FIFO topics have had, and which subscriptions can be brought back.
"""

from typing import Any

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.sns import limits
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind


class Forgetting:
    """Deletes records of one kind when the timers under their keys are due. A `Worker`."""

    def __init__(self, store: Store, clock: Clock, timers: str, kind: Kind[Any]) -> None:
        self.name = f"{timers}.forgetting"
        self._store = store
        self._timers = DueTimers(
            store,
            clock,
            timers,
            batch=limits.DEDUPLICATION_BATCH,
            lease_seconds=limits.DEDUPLICATION_LEASE_SECONDS,
            poll_seconds=limits.DEDUPLICATION_POLL_SECONDS,
        )
        self._kind = kind

    async def run_once(self) -> float:
        """Delete a batch; return the seconds until more is due."""
        if claimed := await self._timers.claim():
            await self._store.transact(lambda transaction: self._forget(transaction, claimed))
        return await self._timers.seconds_until_next()

    def _forget(self, transaction: Transaction, claimed: tuple[ClaimedTimer, ...]) -> None:
        settlements = tuple(Settlement(timer.key, timer.epoch) for timer in claimed)
        settled = transaction.apply(SettleTimers(self._timers.kind, settlements))
        for timer, is_held in zip(claimed, settled, strict=True):
            # What came again after its time has replaced the timer: its record is a new one.
            if is_held:
                transaction.records.delete(self._kind, timer.key)
