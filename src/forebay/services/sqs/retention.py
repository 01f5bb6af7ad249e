"""A queue's new retention, applied to the messages that it has: a batch at a time, however many there are.

AWS lets that take up to 15 minutes (SetQueueAttributes, API reference).
"""

from functools import partial

import msgspec

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.sqs import limits
from forebay.services.sqs.queue import Queue
from forebay.store.commands import (
    ChangeRetention,
    ClaimedTimer,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.contract import Store, Transaction

RETENTION_TIMER = "sqs.retention"

_LEASE_SECONDS = 30.0
_QUEUES_MAX = 8


class _Progress(msgspec.Struct, frozen=True):
    queue: int
    retention_ms: int
    after: int = 0


_decode = msgspec.json.Decoder(_Progress).decode


def retention_timer(queue: Queue, now_ms: int) -> Timer:
    """Return the timer that has a queue's retention applied; it takes the place of an earlier one."""
    progress = _Progress(queue.number, queue.retention_seconds * 1000)
    return Timer(RETENTION_TIMER, f"{queue.number:020}", now_ms, msgspec.json.encode(progress))


class RetentionChange:
    """Applies new retentions. A `Worker`."""

    name = "sqs.retention"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._timers = DueTimers(store, clock, RETENTION_TIMER, batch=_QUEUES_MAX, lease_seconds=_LEASE_SECONDS)

    async def run_once(self) -> float:
        """Change one batch of messages of each queue that waits for it."""
        now_ms = int(self._clock.now() * 1000)
        for timer in await self._timers.claim():
            await self._store.transact(partial(_step, timer, now_ms))
        return await self._timers.seconds_until_next()


def _step(timer: ClaimedTimer, now_ms: int, transaction: Transaction) -> None:
    progress = _decode(timer.data)
    command = ChangeRetention(progress.queue, progress.retention_ms, progress.after, limits.RETENTION_BATCH)
    after = transaction.apply(command)
    if after is None:
        settlement = Settlement(timer.key, timer.epoch)
    else:
        progress = msgspec.structs.replace(progress, after=after)
        settlement = Settlement(timer.key, timer.epoch, now_ms, msgspec.json.encode(progress))
    transaction.apply(SettleTimers(RETENTION_TIMER, (settlement,)))
