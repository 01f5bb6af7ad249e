"""The oracle: the store's contract in plain Python, as simple as it can be. Tests compare engines with it.

State is a handful of dicts of frozen values. A transaction works on a copy of the dicts, which replaces them when
it succeeds: atomicity by construction, at the price of a copy. Nothing is ever removed by time alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from forebay.core.errors import Unavailable
from forebay.store.blobs import MemoryBlobs
from forebay.store.commands import (
    AppendLog,
    ChangeVisibility,
    ClaimedTimer,
    ClaimTimers,
    Command,
    CountMessages,
    CountTimers,
    DeleteMessages,
    DeleteTimers,
    DropLog,
    ExpireLog,
    ExpireMessages,
    ExtendTimers,
    ListTimers,
    LogEntry,
    MessageCounts,
    NewMessage,
    NextTimer,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    Query,
    ReadLog,
    Received,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    SentMessage,
    SettleTimers,
    StoredEntry,
    Timer,
)
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.hub import Hub
from forebay.store.records import Kind

T = TypeVar("T")
R = TypeVar("R")

_RECEIVES_IN_FRONT = 3


class _Message(msgspec.Struct, frozen=True):
    new: NewMessage
    order: int
    # "ready", "delayed" or "in flight"
    state: str
    visible_at_ms: int
    receive_count: int = 0
    first_received_at_ms: int | None = None
    dead_letter_source: int | None = None


class _Entry(msgspec.Struct, frozen=True):
    position: int
    ticket: int
    entry: LogEntry


class _Timer(msgspec.Struct, frozen=True):
    timer: Timer
    ready_at_ms: int
    epoch: int = 0


class _State:
    """Everything in the store, and what the transaction in hand will tell."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.sequences: dict[str, int] = {}
        self.queues: dict[int, dict[int, _Message]] = {}
        self.streams: dict[str, dict[int, _Entry]] = {}
        self.last_positions: dict[str, int] = {}
        self.timers: dict[tuple[str, str], _Timer] = {}
        self.position = 0
        self.topics: dict[Topic, None] = {}
        self.changes: list[tuple[str, str, object]] = []

    def copy(self) -> "_State":
        copy = _State()
        copy.records = dict(self.records)
        copy.sequences = dict(self.sequences)
        copy.queues = {number: dict(messages) for number, messages in self.queues.items()}
        copy.streams = {name: dict(entries) for name, entries in self.streams.items()}
        copy.last_positions = dict(self.last_positions)
        copy.timers = dict(self.timers)
        copy.position = self.position
        return copy

    def take_position(self) -> int:
        self.position += 1
        return self.position

    def queue(self, number: int) -> dict[int, _Message]:
        return self.queues.setdefault(number, {})


# --- Messages -----------------------------------------------------------------------------------------------------


def _send(state: _State, command: SendMessages) -> tuple[SentMessage, ...]:
    sent: list[SentMessage] = []
    for new in command.messages:
        position = state.take_position()
        where = "delayed" if new.visible_at_ms > new.sent_at_ms else "ready"
        state.queue(command.queue)[position] = _Message(new, position, where, new.visible_at_ms)
        sent.append(SentMessage(position, new.message_id))
    state.topics["queue", command.queue] = None
    return tuple(sent)


def _promote(state: _State, number: int, now_ms: int) -> None:
    for position, message in state.queue(number).items():
        if message.state != "ready" and message.visible_at_ms <= now_ms:
            state.queue(number)[position] = msgspec.structs.replace(message, state="ready")


def _receive(state: _State, command: ReceiveMessages) -> Received:
    _promote(state, command.queue, command.now_ms)
    queue = state.queue(command.queue)
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - _count_state(queue, "in flight"))
        if limit <= 0:
            return Received((), is_over_limit=True)
    taken: list[ReceivedMessage] = []
    dead_lettered = 0
    while len(taken) < limit and (position := _first_ready(queue)) is not None:
        message = queue[position]
        rule = command.dead_letter
        if message.new.expires_at_ms <= command.now_ms:
            del queue[position]
        elif rule is not None and message.receive_count >= rule.receives_max:
            del queue[position]
            _bury(state, message, command, rule.queue, rule.retention_ms)
            dead_lettered += 1
        else:
            queue[position] = _take(state, message, command)
            taken.append(_as_received(position, queue[position]))
    hidden = [message.visible_at_ms for message in queue.values() if message.state != "ready"]
    return Received(tuple(taken), min(hidden) if hidden and not taken else None, dead_lettered)


def _first_ready(queue: Mapping[int, _Message]) -> int | None:
    ready = [position for position, message in queue.items() if message.state == "ready"]
    return min(ready, key=lambda position: queue[position].order, default=None)


def _take(state: _State, message: _Message, command: ReceiveMessages) -> _Message:
    receive_count = message.receive_count + 1
    first = message.first_received_at_ms
    return msgspec.structs.replace(
        message,
        state="in flight",
        visible_at_ms=command.visible_until_ms,
        receive_count=receive_count,
        first_received_at_ms=command.now_ms if first is None else first,
        order=state.take_position() if receive_count >= _RECEIVES_IN_FRONT else message.order,
    )


def _bury(state: _State, message: _Message, command: ReceiveMessages, grave: int, retention_ms: int) -> None:
    position = state.take_position()
    new = msgspec.structs.replace(message.new, expires_at_ms=message.new.sent_at_ms + retention_ms)
    state.queue(grave)[position] = _Message(new, position, "ready", command.now_ms, dead_letter_source=command.queue)
    state.topics["queue", grave] = None


def _as_received(position: int, message: _Message) -> ReceivedMessage:
    new = message.new
    return ReceivedMessage(
        position=position,
        message_id=new.message_id,
        body=new.body,
        attributes=new.attributes,
        sent_at_ms=new.sent_at_ms,
        visible_at_ms=message.visible_at_ms,
        expires_at_ms=new.expires_at_ms,
        first_received_at_ms=message.first_received_at_ms,
        receive_count=message.receive_count,
        group=new.group,
        deduplication=new.deduplication,
        dead_letter_source=message.dead_letter_source,
    )


def _delete(state: _State, command: DeleteMessages) -> tuple[bool, ...]:
    queue = state.queue(command.queue)
    return tuple(queue.pop(receipt.position, None) is not None for receipt in command.receipts)


def _change_visibility(state: _State, command: ChangeVisibility) -> tuple[bool, ...]:
    queue = state.queue(command.queue)
    results: list[bool] = []
    for change in command.changes:
        message = queue.get(change.receipt.position)
        is_in_flight = message is not None and message.state == "in flight" and message.visible_at_ms > command.now_ms
        results.append(is_in_flight)
        if message is not None and is_in_flight:
            queue[change.receipt.position] = msgspec.structs.replace(message, visible_at_ms=change.visible_at_ms)
            if change.visible_at_ms <= command.now_ms:
                state.topics["queue", command.queue] = None
    return tuple(results)


def _purge(state: _State, command: PurgeQueue) -> int:
    return len(state.queues.pop(command.queue, {}))


def _count(state: _State, command: CountMessages) -> MessageCounts:
    _promote(state, command.queue, command.now_ms)
    queue = state.queue(command.queue)
    return MessageCounts(
        visible=_count_state(queue, "ready"),
        in_flight=_count_state(queue, "in flight"),
        delayed=_count_state(queue, "delayed"),
    )


def _count_state(queue: Mapping[int, _Message], state: str) -> int:
    return sum(message.state == state for message in queue.values())


def _peek(state: _State, query: PeekMessages) -> tuple[ReceivedMessage, ...]:
    queue = state.queues.get(query.queue, {})
    positions = sorted(position for position in queue if position > query.after)
    return tuple(_as_received(position, queue[position]) for position in positions[: query.limit])


def _expire(state: _State, command: ExpireMessages) -> int:
    expired = sorted(
        (message.new.expires_at_ms, number, position)
        for number, queue in state.queues.items()
        for position, message in queue.items()
        if message.new.expires_at_ms <= command.now_ms
    )[: command.limit]
    for _, number, position in expired:
        del state.queues[number][position]
    return len(expired)


# --- Log ----------------------------------------------------------------------------------------------------------


def _append(state: _State, command: AppendLog) -> int:
    position = state.last_positions.get(command.stream, 0)
    entries = state.streams.setdefault(command.stream, {})
    for entry in command.entries:
        position += 1
        entries[position] = _Entry(position, state.take_position(), entry)
    state.last_positions[command.stream] = position
    state.topics["log", command.stream] = None
    return position


def _read(state: _State, query: ReadLog) -> tuple[StoredEntry, ...]:
    def is_wanted(stored: _Entry) -> bool:
        at_ms = stored.entry.at_ms
        return (
            stored.position > query.after
            and (query.before is None or stored.position < query.before)
            and (query.from_ms is None or at_ms >= query.from_ms)
            and (query.until_ms is None or at_ms < query.until_ms)
        )

    entries = [stored for stored in state.streams.get(query.stream, {}).values() if is_wanted(stored)]
    entries.sort(key=lambda stored: stored.position, reverse=query.newest_first)
    return tuple(
        StoredEntry(stored.position, stored.entry.at_ms, stored.entry.data) for stored in entries[: query.limit]
    )


def _drop(state: _State, command: DropLog) -> int:
    state.last_positions.pop(command.stream, None)
    return len(state.streams.pop(command.stream, {}))


def _expire_log(state: _State, command: ExpireLog) -> int:
    expired = sorted(
        (stored.entry.expires_at_ms, stored.ticket, name, stored.position)
        for name, entries in state.streams.items()
        for stored in entries.values()
        if stored.entry.expires_at_ms is not None and stored.entry.expires_at_ms <= command.now_ms
    )[: command.limit]
    for _, _, name, position in expired:
        del state.streams[name][position]
    return len(expired)


# --- Timers -------------------------------------------------------------------------------------------------------


def _put_timers(state: _State, command: PutTimers) -> tuple[bool, ...]:
    results: list[bool] = []
    for timer in command.timers:
        is_put = not (command.only_new and (timer.kind, timer.key) in state.timers)
        results.append(is_put)
        if is_put:
            state.timers[timer.kind, timer.key] = _Timer(timer, timer.due_at_ms)
        state.topics["timers", timer.kind] = None
    return tuple(results)


def _of_kind(state: _State, kind: str) -> list[_Timer]:
    return [stored for stored in state.timers.values() if stored.timer.kind == kind]


def _claim(state: _State, command: ClaimTimers) -> tuple[ClaimedTimer, ...]:
    due = [stored for stored in _of_kind(state, command.kind) if stored.ready_at_ms <= command.now_ms]
    due.sort(key=lambda stored: (stored.ready_at_ms, stored.timer.key))
    epoch = state.take_position()
    claimed = due[: command.limit]
    for stored in claimed:
        name = (stored.timer.kind, stored.timer.key)
        state.timers[name] = _Timer(stored.timer, command.lease_until_ms, epoch)
    return tuple(ClaimedTimer(stored.timer.key, stored.timer.due_at_ms, stored.timer.data, epoch) for stored in claimed)


def _extend(state: _State, command: ExtendTimers) -> tuple[bool, ...]:
    results: list[bool] = []
    for key, epoch in command.held:
        stored = state.timers.get((command.kind, key))
        is_held = stored is not None and stored.epoch == epoch > 0
        results.append(is_held)
        if stored is not None and is_held:
            state.timers[command.kind, key] = _Timer(stored.timer, command.lease_until_ms, epoch)
    return tuple(results)


def _settle(state: _State, command: SettleTimers) -> tuple[bool, ...]:
    results: list[bool] = []
    for settlement in command.settlements:
        name = (command.kind, settlement.key)
        stored = state.timers.get(name)
        if stored is None or not stored.epoch == settlement.epoch > 0:
            results.append(False)
            continue
        results.append(True)
        if settlement.due_at_ms is None:
            del state.timers[name]
            continue
        data = stored.timer.data if settlement.data is None else settlement.data
        timer = Timer(command.kind, settlement.key, settlement.due_at_ms, data)
        state.timers[name] = _Timer(timer, settlement.due_at_ms)
        state.topics["timers", command.kind] = None
    return tuple(results)


def _delete_timers(state: _State, command: DeleteTimers) -> tuple[bool, ...]:
    return tuple(state.timers.pop((command.kind, key), None) is not None for key in command.keys)


def _next_timer(state: _State, query: NextTimer) -> int | None:
    return min((stored.ready_at_ms for stored in _of_kind(state, query.kind)), default=None)


def _count_timers(state: _State, query: CountTimers) -> int:
    return len(_of_kind(state, query.kind))


def _list_timers(state: _State, query: ListTimers) -> tuple[ClaimedTimer, ...]:
    timers = [stored for stored in _of_kind(state, query.kind) if stored.timer.key > query.after_key]
    timers.sort(key=lambda stored: stored.timer.key)
    return tuple(
        ClaimedTimer(stored.timer.key, stored.timer.due_at_ms, stored.timer.data, stored.epoch)
        for stored in timers[: query.limit]
    )


_HANDLERS: Mapping[type[Command[Any]], Callable[[_State, Any], Any]] = {
    SendMessages: _send,
    ReceiveMessages: _receive,
    DeleteMessages: _delete,
    ChangeVisibility: _change_visibility,
    PurgeQueue: _purge,
    CountMessages: _count,
    PeekMessages: _peek,
    ExpireMessages: _expire,
    AppendLog: _append,
    ReadLog: _read,
    DropLog: _drop,
    ExpireLog: _expire_log,
    PutTimers: _put_timers,
    ClaimTimers: _claim,
    ExtendTimers: _extend,
    SettleTimers: _settle,
    DeleteTimers: _delete_timers,
    NextTimer: _next_timer,
    CountTimers: _count_timers,
    ListTimers: _list_timers,
}


# --- The store ----------------------------------------------------------------------------------------------------


class MemoryRecords:
    """Records of one state."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def find(self, kind: Kind[T], key: str) -> T | None:
        """Return the record under `key`, or None."""
        data = self._state.records.get((kind.name, key))
        return None if data is None else kind.decode(data)

    def list(
        self, kind: Kind[T], prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[tuple[str, T]]:
        """Return keys and values in key order."""
        found = sorted(
            (key, data)
            for (name, key), data in self._state.records.items()
            if name == kind.name and key.startswith(prefix) and key > after
        )
        return [(key, kind.decode(data)) for key, data in found[:limit]]

    def put(self, kind: Kind[T], key: str, value: T) -> None:
        """Create the record or replace it."""
        self._state.records[kind.name, key] = kind.encode(value)
        self._state.changes.append((kind.name, key, value))

    def delete(self, kind: Kind[T], key: str) -> bool:
        """Delete the record; return whether it was there."""
        is_there = self._state.records.pop((kind.name, key), None) is not None
        if is_there:
            self._state.changes.append((kind.name, key, None))
        return is_there

    def next_number(self, sequence: str) -> int:
        """Return the next number of a sequence."""
        number = self._state.sequences.get(sequence, 0) + 1
        self._state.sequences[sequence] = number
        return number


class MemoryTransaction:
    """A `Transaction` and a `View` of one state."""

    def __init__(self, state: _State) -> None:
        self.records = MemoryRecords(state)
        self._state = state

    def apply(self, command: Command[R]) -> R:
        """Run a command."""
        return _HANDLERS[type(command)](self._state, command)

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        return _HANDLERS[type(query)](self._state, query)


class MemoryStore:
    """A `Store` that forgets everything when it goes."""

    def __init__(self) -> None:
        self._state = _State()
        self._hub = Hub()
        self._blobs = MemoryBlobs()
        self._is_closed = False

    @property
    def blobs(self) -> Blobs:
        """Large immutable bytes."""
        return self._blobs

    def submit(self, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in order, in one commit."""
        return self._run(lambda transaction: [transaction.apply(command) for command in commands])

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result."""
        return await self._run(work)

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on the present state."""
        return work(MemoryTransaction(self._state))

    async def find(self, kind: Kind[T], key: str) -> T | None:
        """Return a record."""
        return MemoryRecords(self._state).find(kind, key)

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener` after each commit that changes a record."""
        self._hub.watch(kind, listener)

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` after each commit that may concern `topic`."""
        return self._hub.listen(topic, wake)

    async def wipe(self) -> None:
        """Delete everything; numbers and positions go on."""
        old, self._state = self._state, _State()
        self._state.position, self._state.sequences = old.position, old.sequences
        await self._blobs.clear()
        self._hub.tell_changes((kind, key, None) for kind, key in sorted(old.records))
        self._hub.tell_all()

    async def close(self) -> None:
        """Refuse what comes later."""
        self._is_closed = True

    def _run(self, work: Callable[[MemoryTransaction], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            if self._is_closed:
                raise Unavailable("the store is closed")
            state = self._state.copy()
            result = work(MemoryTransaction(state))
        except Exception as error:  # noqa: BLE001 raised to who awaits
            future.set_exception(error)
            return future
        self._state = state
        topics, changes = tuple(state.topics), state.changes
        state.topics, state.changes = {}, []
        # As in the engines: the caller goes on in a later turn of the loop, when everyone has been told.
        loop.call_soon(partial(self._tell, future, result, topics, changes))
        return future

    def _tell(
        self,
        future: "asyncio.Future[T]",
        result: T,
        topics: Sequence[Topic],
        changes: Sequence[tuple[str, str, object]],
    ) -> None:
        if not future.done():
            future.set_result(result)
        self._hub.tell_changes(changes)
        self._hub.tell_topics(topics)
