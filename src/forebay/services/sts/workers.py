"""Removes the records of temporary credentials that have expired."""

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.operations.credentials import CREDENTIAL
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

EXPIRY = "sts.expiry"
"""The kind of the timers: one for each temporary key, under the key's id, due when it expires."""

_BATCH = 100


class SessionExpiry:
    """Deletes expired keys. A `Worker`."""

    name = "sts.session_expiry"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._timers = DueTimers(store, clock, EXPIRY, batch=_BATCH)

    async def run_once(self) -> float:
        """Delete a batch of expired keys; return the seconds until the next one expires."""
        if claimed := await self._timers.claim():
            await self._store.transact(lambda transaction: _delete(transaction, claimed))
        return await self._timers.seconds_until_next()


def _delete(transaction: Transaction, claimed: tuple[ClaimedTimer, ...]) -> None:
    for timer in claimed:
        transaction.records.delete(CREDENTIAL, timer.key)
    transaction.apply(SettleTimers(EXPIRY, tuple(Settlement(timer.key, timer.epoch) for timer in claimed)))
