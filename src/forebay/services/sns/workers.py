"""Background duty of topics: forgetting which messages FIFO topics have had."""

from typing import cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.services.sns import limits
from forebay.services.sns.fifo import ACCEPTED, ACCEPTED_TIMER
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction


class Forgetting:
    """Deletes what was kept to recognise duplicates, when its time is over. A `Worker`."""

    name = "sns.forgetting"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete a batch; return the seconds until more is due."""
        now = self._clock.now()
        lease_until_ms = int((now + limits.DEDUPLICATION_LEASE_SECONDS) * 1000)
        claim = ClaimTimers(ACCEPTED_TIMER, int(now * 1000), lease_until_ms, limits.DEDUPLICATION_BATCH)
        (claimed,) = cast("tuple[tuple[ClaimedTimer, ...]]", await self._store.submit((claim,)))
        if claimed:
            await self._store.transact(lambda transaction: _forget(transaction, claimed))
        return 0.0 if len(claimed) == limits.DEDUPLICATION_BATCH else await self._seconds_until_next()

    async def _seconds_until_next(self) -> float:
        due_at_ms = await self._store.view(lambda view: view.ask(NextTimer(ACCEPTED_TIMER)))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), limits.DEDUPLICATION_POLL_SECONDS))


def _forget(transaction: Transaction, claimed: tuple[ClaimedTimer, ...]) -> None:
    settlements = tuple(Settlement(timer.key, timer.epoch) for timer in claimed)
    settled = transaction.apply(SettleTimers(ACCEPTED_TIMER, settlements))
    for timer, is_held in zip(claimed, settled, strict=True):
        # A message that came again after its time has replaced the timer: its record is a new one.
        if is_held:
            transaction.records.delete(ACCEPTED, timer.key)
