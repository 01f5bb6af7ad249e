"""The timers of one kind that are due: what most workers claim, a batch at a time, before they act."""

from typing import cast

from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.store.commands import ClaimedTimer, ClaimTimers, NextTimer
from forebay.store.contract import Store


class DueTimers:
    """Claims timers of one kind for a worker; of all workers in a cluster, one has each until its lease lapses.

    `batch` is how many are claimed at once, `lease_seconds` how long they stay hidden from others unless they are
    settled, and `poll_seconds` the longest that a worker waits before it looks again.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        kind: str,
        *,
        batch: int = 1,
        lease_seconds: float = 60.0,
        poll_seconds: float = 3600.0,
    ) -> None:
        self.kind = kind
        self._store = store
        self._clock = clock
        self._batch = batch
        self._lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds

    async def claim(self, limit: int | None = None) -> tuple[ClaimedTimer, ...]:
        """Claim up to `limit` timers that are due (up to a batch where it is not given), earliest first."""
        now = self._clock.now()
        lease_until_ms = int((now + self._lease_seconds) * 1000)
        claim = ClaimTimers(self.kind, int(now * 1000), lease_until_ms, self._batch if limit is None else limit)
        (claimed,) = await self._store.submit((claim,))
        return cast("tuple[ClaimedTimer, ...]", claimed)

    async def claim_one(self) -> ClaimedTimer | None:
        """Claim the earliest timer that is due, or return None."""
        return next(iter(await self.claim(1)), None)

    async def seconds_until_next(self) -> float:
        """Return the seconds until a timer is due or its lease lapses: 0 where more is due now, `IDLE` without any."""
        due_at_ms = await self._store.ask(NextTimer(self.kind))
        if due_at_ms is None:
            return IDLE
        return max(0.0, min(due_at_ms / 1000 - self._clock.now(), self._poll_seconds))
