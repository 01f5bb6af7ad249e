"""Background duties of queues: messages whose retention has ended, and what is kept of deleted queues."""

from forebay.core.clock import Clock
from forebay.services.sqs import limits
from forebay.services.sqs.queue import DELETED_QUEUE, QUEUE_NUMBER
from forebay.store.commands import ExpireMessages, ForgetDuplicates
from forebay.store.contract import Store, Transaction


class MessageExpiry:
    """Deletes messages whose retention has ended, and memories of duplicates. A `Worker`.

    Nobody receives them meanwhile; this only gives back their room.
    """

    name = "sqs.expiry"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete one batch; return 0 while there may be more."""
        now_ms = int(self._clock.now() * 1000)
        commands = (ExpireMessages(now_ms, limits.EXPIRE_BATCH), ForgetDuplicates(now_ms, limits.EXPIRE_BATCH))
        counts = await self._store.submit(commands)
        return 0.0 if limits.EXPIRE_BATCH in counts else limits.EXPIRE_SECONDS


class QueueJanitor:
    """Forgets deleted queues: their names after a minute, their numbers after the longest retention. A `Worker`."""

    name = "sqs.janitor"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._after_name = ""
        self._after_number = ""

    async def run_once(self) -> float:
        """Look at one batch of records of either kind; go on from there the next time."""
        now = self._clock.now()
        self._after_name, self._after_number = await self._store.transact(
            lambda transaction: self._sweep(transaction, now)
        )
        return 0.0 if self._after_name or self._after_number else limits.JANITOR_SECONDS

    def _sweep(self, transaction: Transaction, now: float) -> tuple[str, str]:
        records = transaction.records
        batch = limits.JANITOR_BATCH
        deleted = records.list(DELETED_QUEUE, after=self._after_name, limit=batch)
        for key, queue in deleted:
            if now - queue.deleted_at >= limits.DELETED_NAME_SECONDS:
                records.delete(DELETED_QUEUE, key)
        numbers = records.list(QUEUE_NUMBER, after=self._after_number, limit=batch)
        for key, number in numbers:
            # No message can outlive the longest retention, so none names this queue any more.
            if number.deleted_at is not None and now - number.deleted_at >= limits.RETENTION_SECONDS_MAX:
                records.delete(QUEUE_NUMBER, key)
        return (
            deleted[-1][0] if len(deleted) == batch else "",
            numbers[-1][0] if len(numbers) == batch else "",
        )
