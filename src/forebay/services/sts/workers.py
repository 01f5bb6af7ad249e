"""Removes the records of temporary credentials that have expired."""

from typing import cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.operations.credentials import CREDENTIAL
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer, Settlement, SettleTimers
from forebay.store.contract import Store, Transaction

EXPIRY = "sts.expiry"
"""The kind of the timers: one for each temporary key, under the key's id, due when it expires."""

_BATCH = 100
_LEASE_MS = 60_000
_POLL_SECONDS_MAX = 3600.0


class SessionExpiry:
    """Deletes expired keys. A `Worker`."""

    name = "sts.session_expiry"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete a batch of expired keys; return the seconds until the next one expires."""
        now_ms = int(self._clock.now() * 1000)
        (answer,) = await self._store.submit([ClaimTimers(EXPIRY, now_ms, now_ms + _LEASE_MS, _BATCH)])
        claimed = cast("tuple[ClaimedTimer, ...]", answer)
        if claimed:
            await self._store.transact(lambda transaction: _delete(transaction, claimed))
        if len(claimed) == _BATCH:
            return 0.0
        due_at_ms = await self._store.view(lambda view: view.ask(NextTimer(EXPIRY)))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), _POLL_SECONDS_MAX))


def _delete(transaction: Transaction, claimed: tuple[ClaimedTimer, ...]) -> None:
    for timer in claimed:
        transaction.records.delete(CREDENTIAL, timer.key)
    transaction.apply(SettleTimers(EXPIRY, tuple(Settlement(timer.key, timer.epoch) for timer in claimed)))
