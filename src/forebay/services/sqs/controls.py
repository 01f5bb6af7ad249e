"""What the node's own API can do with queues and AWS has no operation for: look into one, move messages."""

from collections.abc import Mapping

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.operations.call import Caller
from forebay.services.sqs import limits
from forebay.services.sqs.address import arn_key, queue_key
from forebay.services.sqs.move_task import MoveTask, format_task_handle
from forebay.services.sqs.move_tasks import begin_task
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.services.sqs.receiving import find_sources
from forebay.store.commands import (
    ChangeVisibility,
    CountMessages,
    DeleteMessages,
    NewMessage,
    PeekMessages,
    Receipt,
    Received,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    VisibilityChange,
)
from forebay.store.contract import Store, Transaction

_PEEK_MAX = 1000
_REDRIVE_BATCH = 100
# Messages without a source that are set aside before a redrive gives up looking for others.
_KEPT_MAX = 10_000
_HIDDEN_MS = 60_000
_LIMIT_DIGITS_MAX = 10


class QueueControls:
    """Answers `/_forebay/sqs/...`."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def peek(self, caller: Caller, query: Mapping[str, str]) -> object:
        """Return the oldest messages of a queue, without receiving them."""
        queue = await self._queue(caller, query)
        limit = min(_limit(query) or _PEEK_MAX, _PEEK_MAX)
        now_ms = int(self._clock.now() * 1000)
        found = await self._store.view(lambda view: view.ask(PeekMessages(queue.number, 0, limit)))
        return {"messages": [_shown(message, now_ms) for message in found if message.expires_at_ms > now_ms]}

    async def redrive(self, caller: Caller, query: Mapping[str, str]) -> object:
        """Send the messages of a dead-letter queue to the queues that they came from, as new messages.

        Those whose source is unknown or gone stay.
        """
        queue = await self._queue(caller, query)
        limit = _limit(query)
        moved = 0
        kept: list[Receipt] = []
        while len(kept) < _KEPT_MAX and (limit is None or moved < limit):
            batch = _REDRIVE_BATCH if limit is None else min(_REDRIVE_BATCH, limit - moved)
            messages = await self._take(queue, batch)
            if not messages:
                break
            moved += await self._move(queue, messages, kept)
        now_ms = int(self._clock.now() * 1000)
        if kept:
            changes = tuple(VisibilityChange(receipt, now_ms) for receipt in kept)
            await self._store.submit((ChangeVisibility(queue.number, now_ms, changes, queue.is_fifo),))
        left = await self._store.view(lambda view: len(view.ask(PeekMessages(queue.number, 0, _PEEK_MAX))))
        return {"moved": moved, "left": left}

    async def move(self, caller: Caller, query: Mapping[str, str]) -> object:
        """Begin a move task: of any queue, to another or back to the sources, only messages that contain a text.

        ListMessageMoveTasks shows it, and CancelMessageMoveTask ends it, like AWS's own tasks.
        """
        source = await self._queue(caller, query)
        target = await self._queue(caller, {"queue": query["to"]}) if query.get("to") else None
        contains = query.get("containing")
        if target is not None and (target.number == source.number or target.is_fifo != source.is_fifo):
            raise _invalid("The two queues must differ, and be both standard or both FIFO.")
        if contains and source.is_fifo:
            raise _invalid("Messages of a FIFO queue cannot be picked: the others' order would break.")
        rate = _limit(query, "rate")
        if rate is not None and rate > limits.MOVED_PER_SECOND_MAX:
            raise _invalid(f"rate is above {limits.MOVED_PER_SECOND_MAX}.")
        now_ms = int(self._clock.now() * 1000)
        task_id = self._ids.uuid()

        def begin(transaction: Transaction) -> MoveTask:
            task = MoveTask(
                number=transaction.records.next_number("sqs.move_task"),
                task_id=task_id,
                source=source.arn(),
                started_at_ms=now_ms,
                to_move=transaction.apply(CountMessages(source.number, now_ms)).visible,
                destination=None if target is None else target.arn(),
                per_second=rate,
                contains=contains or None,
            )
            begin_task(transaction.records, transaction.apply, task)
            return task

        task = await self._store.transact(begin)
        return {"source": task.source, "task_handle": format_task_handle(task), "to_move": task.to_move}

    async def _queue(self, caller: Caller, query: Mapping[str, str]) -> Queue:
        name = query.get("queue", "").partition("?")[0].rstrip("/").rpartition("/")[2]
        queue = await self._store.find(QUEUE, queue_key(caller.account, caller.region, name))
        if queue is None:
            raise api.QueueDoesNotExist(f"There is no queue {name} in account {caller.account}, {caller.region}.")
        return queue

    async def _take(self, queue: Queue, count: int) -> tuple[ReceivedMessage, ...]:
        now_ms = int(self._clock.now() * 1000)
        (received,) = await self._store.submit(
            (ReceiveMessages(queue.number, now_ms, now_ms + _HIDDEN_MS, count, is_fifo=queue.is_fifo),)
        )
        assert isinstance(received, Received)
        return received.messages

    async def _move(self, queue: Queue, messages: tuple[ReceivedMessage, ...], kept: list[Receipt]) -> int:
        """Move those whose source is there, in one commit; return how many, and add the others to `kept`."""
        sources = await find_sources(self._store, messages)
        sends: dict[int, list[NewMessage]] = {}
        gone: list[Receipt] = []
        for message in messages:
            receipt = Receipt(message.position, message.receive_count)
            arn = sources.get(message.dead_letter_source or 0)
            source = None if arn is None else await self._store.find(QUEUE, arn_key(Arn.parse(arn)))
            if source is None:
                kept.append(receipt)
                continue
            sends.setdefault(source.number, []).append(self._again(source, message))
            gone.append(receipt)
        if gone:
            now_ms = int(self._clock.now() * 1000)
            commands = [SendMessages(number, tuple(new), queue.is_fifo) for number, new in sends.items()]
            await self._store.submit((*commands, DeleteMessages(queue.number, tuple(gone), queue.is_fifo, now_ms)))
        return len(gone)

    def _again(self, source: Queue, message: ReceivedMessage) -> NewMessage:
        now_ms = int(self._clock.now() * 1000)
        expires_at_ms = now_ms + source.retention_seconds * 1000
        return NewMessage(
            self._ids.uuid(), message.body, message.attributes, now_ms, now_ms, expires_at_ms, message.group
        )


def _limit(query: Mapping[str, str], name: str = "limit") -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < _LIMIT_DIGITS_MAX and int(text) > 0):
        raise _invalid(f"{name} is not a number above 0: {text}")
    return int(text)


def _invalid(text: str) -> ServiceError:
    return ServiceError.of("ValidationException", text, 400)


def _shown(message: ReceivedMessage, now_ms: int) -> dict[str, object]:
    state = "visible"
    if message.visible_at_ms > now_ms:
        state = "in flight" if message.receive_count else "delayed"
    return {
        "message_id": message.message_id,
        "state": state,
        "receive_count": message.receive_count,
        "sent_at": message.sent_at_ms / 1000,
        "visible_at": message.visible_at_ms / 1000,
        "group": message.group,
        "body": message.body,
    }
