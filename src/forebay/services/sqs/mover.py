"""Moves the messages of message move tasks, a batch a step, each step in one transaction with the task's progress.

So a message is in one of the two queues at any moment, whatever happens in between, and a task goes on where it was
after a restart.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from forebay.background.due_timers import DueTimers
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.services.sqs import limits
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.move_task import MOVE_TASK, TIMER, MoveTask
from forebay.services.sqs.queue import QUEUE, QUEUE_NUMBER, Queue, number_key
from forebay.store.commands import (
    ChangeVisibility,
    ClaimedTimer,
    DeleteMessages,
    NewMessage,
    PeekMessages,
    Receipt,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    Settlement,
    SettleTimers,
    VisibilityChange,
)
from forebay.store.contract import Store, Transaction

_LEASE_SECONDS = 30.0
_HIDDEN_MS = 60_000
_TASKS_MAX = 8

# AWS's words for why a task failed.
_NO_SOURCE = "CouldNotDetermineMessageSource"
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"


class MessageMover:
    """Does the next step of every task that is due. A `Worker`."""

    name = "sqs.mover"

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._timers = DueTimers(store, clock, TIMER, batch=_TASKS_MAX, lease_seconds=_LEASE_SECONDS)

    async def run_once(self) -> float:
        """Do one step of each due task; return how long it is until another is due."""
        for timer in await self._timers.claim():
            now_ms = int(self._clock.now() * 1000)
            await self._store.transact(partial(self._step, timer, now_ms))
        return await self._timers.seconds_until_next()

    def _step(self, timer: ClaimedTimer, now_ms: int, transaction: Transaction) -> None:
        task = transaction.records.find(MOVE_TASK, timer.key)
        due_at_ms = None
        if task is not None and task.is_active:
            moved = task.moved
            task = self._advance(transaction, task, now_ms)
            transaction.records.put(MOVE_TASK, timer.key, task)
            if task.is_active:
                due_at_ms = now_ms + _pause_ms(task, task.moved - moved)
        # Where the lease was lost, whoever has it now finds the progress that is committed here.
        transaction.apply(SettleTimers(TIMER, (Settlement(timer.key, timer.epoch, due_at_ms),)))

    def _advance(self, transaction: Transaction, task: MoveTask, now_ms: int) -> MoveTask:
        """Move one batch and return the task as it is then."""
        if task.status == "CANCELLING":
            return msgspec.structs.replace(task, status="CANCELLED")
        source = transaction.records.find(QUEUE, arn_key(Arn.parse(task.source)))
        if source is None:
            return msgspec.structs.replace(task, status="FAILED", failure=_NO_QUEUE)
        wanted = min(_batch(task), task.to_move - task.moved)
        if wanted <= 0:
            return msgspec.structs.replace(task, status="COMPLETED")
        batch = _Batch(self._ids, transaction, task, source, now_ms)
        return batch.move_matching(wanted) if task.contains is not None else batch.move(wanted)


class _Batch:
    """One step of one task."""

    def __init__(self, ids: Ids, transaction: Transaction, task: MoveTask, source: Queue, now_ms: int) -> None:
        self._ids = ids
        self._transaction = transaction
        self._task = task
        self._source = source
        self._now_ms = now_ms

    def move(self, wanted: int) -> MoveTask:
        """Move up to `wanted` visible messages."""
        source, now_ms = self._source, self._now_ms
        command = ReceiveMessages(source.number, now_ms, now_ms + _HIDDEN_MS, wanted, is_fifo=source.is_fifo)
        messages = self._transaction.apply(command).messages
        if not messages:
            return msgspec.structs.replace(self._task, status="COMPLETED")
        return self._hand_over(messages)

    def move_matching(self, wanted: int) -> MoveTask:
        """Move those that contain the text among the next messages; standard queues only."""
        task = self._task
        found = self._transaction.apply(PeekMessages(self._source.number, task.after, limits.MOVE_LOOK_MAX))
        if not found:
            return msgspec.structs.replace(task, status="COMPLETED")
        matching: list[ReceivedMessage] = []
        after = task.after
        for message in found:
            if len(matching) == wanted:
                break
            after = message.position
            is_ready = message.visible_at_ms <= self._now_ms < message.expires_at_ms
            if is_ready and (task.contains or "") in message.body:
                matching.append(message)
        self._task = msgspec.structs.replace(task, after=after)
        return self._hand_over(matching)

    def _hand_over(self, messages: Sequence[ReceivedMessage]) -> MoveTask:
        """Put messages on their destinations, up to the first that has none; the rest stays."""
        sends: dict[int, tuple[Queue, list[NewMessage]]] = {}
        gone: list[Receipt] = []
        failure = None
        for message in messages:
            destination = self._destination(message)
            if isinstance(destination, str):
                failure = destination
                break
            _, new = sends.setdefault(destination.number, (destination, []))
            new.append(self._again(destination, message))
            gone.append(Receipt(message.position, message.receive_count))
        source, apply = self._source, self._transaction.apply
        for queue, new in sends.values():
            apply(SendMessages(queue.number, tuple(new), queue.is_fifo))
        if gone:
            apply(DeleteMessages(source.number, tuple(gone), source.is_fifo, self._now_ms))
        left = [Receipt(message.position, message.receive_count) for message in messages[len(gone) :]]
        changes = tuple(VisibilityChange(receipt, self._now_ms) for receipt in left)
        if changes:
            apply(ChangeVisibility(source.number, self._now_ms, changes, source.is_fifo))
        moved = self._task.moved + len(gone)
        status = "COMPLETED" if moved >= self._task.to_move else "RUNNING"
        if failure is not None:
            status = "FAILED"
        return msgspec.structs.replace(self._task, moved=moved, status=status, failure=failure)

    def _destination(self, message: ReceivedMessage) -> Queue | str:
        """Return where a message goes, or why nowhere."""
        arn = self._task.destination
        if arn is None:
            number = message.dead_letter_source
            known = None if number is None else self._transaction.records.find(QUEUE_NUMBER, number_key(number))
            if known is None:
                return _NO_SOURCE
            arn = known.arn
        queue = self._transaction.records.find(QUEUE, arn_key(Arn.parse(arn)))
        return _NO_QUEUE if queue is None else queue

    def _again(self, queue: Queue, message: ReceivedMessage) -> NewMessage:
        # AWS gives it a new id and a new time; its deduplication id is shown, and makes no duplicate of it.
        now_ms = self._now_ms
        return NewMessage(
            self._ids.uuid(),
            message.body,
            message.attributes,
            now_ms,
            now_ms + queue.delay_seconds * 1000,
            now_ms + queue.retention_seconds * 1000,
            message.group,
            message.deduplication,
        )


def _batch(task: MoveTask) -> int:
    """Return how many messages one step moves: a tenth of a second's, where there is a rate."""
    if task.per_second is None:
        return limits.MOVE_BATCH
    return max(min(task.per_second // 10, limits.MOVE_BATCH), 1)


def _pause_ms(task: MoveTask, moved: int) -> int:
    return 0 if task.per_second is None else moved * 1000 // task.per_second
