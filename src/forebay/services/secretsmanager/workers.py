"""Ends secrets whose recovery window has passed."""

from typing import cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.services.secretsmanager.secret import DELETION, SECRET, VALUE, value_key
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

_BATCH = 100
_LEASE_MS = 60_000
_POLL_SECONDS_MAX = 3600.0


class SecretDeletion:
    """Deletes secrets that are due. A `Worker`."""

    name = "secretsmanager.deletion"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete a batch of secrets; return the seconds until the next one is due."""
        now = self._clock.now()
        now_ms = int(now * 1000)
        (answer,) = await self._store.submit([ClaimTimers(DELETION, now_ms, now_ms + _LEASE_MS, _BATCH)])
        claimed = cast("tuple[ClaimedTimer, ...]", answer)
        if claimed:
            await self._store.transact(lambda transaction: _delete(transaction, claimed, now))
        if len(claimed) == _BATCH:
            return 0.0
        due_at_ms = await self._store.view(lambda view: view.ask(NextTimer(DELETION)))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), _POLL_SECONDS_MAX))


def _delete(transaction: Transaction, claimed: tuple[ClaimedTimer, ...], now: float) -> None:
    for timer in claimed:
        secret = transaction.records.find(SECRET, timer.key)
        # It may have been restored since the claim.
        if secret is not None and secret.ends_at is not None and secret.ends_at <= now:
            for version in secret.versions:
                transaction.records.delete(VALUE, value_key(secret, version.version_id))
            transaction.records.delete(SECRET, timer.key)
    transaction.apply(SettleTimers(DELETION, tuple(Settlement(timer.key, timer.epoch) for timer in claimed)))
