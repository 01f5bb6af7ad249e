"""Ends secrets whose recovery window has passed."""

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.secretsmanager.secret import DELETION, SECRET, VALUE, value_key
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

_BATCH = 100


class SecretDeletion:
    """Deletes secrets that are due. A `Worker`."""

    name = "secretsmanager.deletion"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._timers = DueTimers(store, clock, DELETION, batch=_BATCH)

    async def run_once(self) -> float:
        """Delete a batch of secrets; return the seconds until the next one is due."""
        now = self._clock.now()
        if claimed := await self._timers.claim():
            await self._store.transact(lambda transaction: _delete(transaction, claimed, now))
        return await self._timers.seconds_until_next()


def _delete(transaction: Transaction, claimed: tuple[ClaimedTimer, ...], now: float) -> None:
    for timer in claimed:
        secret = transaction.records.find(SECRET, timer.key)
        # It may have been restored since the claim.
        if secret is not None and secret.ends_at is not None and secret.ends_at <= now:
            for version in secret.versions:
                transaction.records.delete(VALUE, value_key(secret, version.version_id))
            transaction.records.delete(SECRET, timer.key)
    transaction.apply(SettleTimers(DELETION, tuple(Settlement(timer.key, timer.epoch) for timer in claimed)))
