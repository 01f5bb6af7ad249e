"""The oracle as a `Store`: what runs which command, transactions on a copy, and who is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from forebay.core.errors import Unavailable
from forebay.store.blobs import MemoryBlobs
from forebay.store.commands import (
    AppendLog,
    CallNoisy,
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    ClaimTimers,
    Command,
    CountGroup,
    CountMessages,
    CountTimers,
    DeleteMessages,
    DeleteTimers,
    DropLog,
    ExpireLog,
    ExpireMessages,
    ExtendTimers,
    ForgetDuplicates,
    ListTimers,
    MeasureLog,
    NextTimer,
    PeekMessages,
    PurgeQueue,
    PutTimers,
    Query,
    ReadLog,
    ReadLogByTime,
    ReceiveMessages,
    SendMessages,
    SettleTimers,
)
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.hub import Hub
from forebay.store.items import (
    DropIndex,
    DropItems,
    GetItems,
    IndexItems,
    JoinItems,
    MeasureItems,
    ReadItems,
    WriteItems,
)
from forebay.store.memory import fair, items, messages, streams, timers
from forebay.store.memory.state import State
from forebay.store.records import Kind

T = TypeVar("T")
R = TypeVar("R")

_HANDLERS: Mapping[type[Command[Any]], Callable[[State, Any], Any]] = {
    SendMessages: messages.send,
    ReceiveMessages: messages.receive,
    DeleteMessages: messages.delete,
    ChangeVisibility: messages.change_visibility,
    PurgeQueue: messages.purge,
    CallNoisy: fair.call_noisy,
    CountMessages: messages.count,
    PeekMessages: messages.peek,
    CountGroup: messages.count_group,
    ExpireMessages: messages.expire,
    ChangeRetention: messages.change_retention,
    ChangeDelay: messages.change_delay,
    ForgetDuplicates: messages.forget_duplicates,
    AppendLog: streams.append,
    ReadLog: streams.read,
    ReadLogByTime: streams.read_by_time,
    MeasureLog: streams.measure,
    DropLog: streams.drop,
    ExpireLog: streams.expire_log,
    PutTimers: timers.put_timers,
    ClaimTimers: timers.claim,
    ExtendTimers: timers.extend,
    SettleTimers: timers.settle,
    DeleteTimers: timers.delete_timers,
    NextTimer: timers.next_timer,
    CountTimers: timers.count_timers,
    ListTimers: timers.list_timers,
    WriteItems: lambda state, command: items.write(state, command, lambda following: _run(state, following)),
    GetItems: items.get,
    ReadItems: items.read,
    JoinItems: items.join,
    MeasureItems: items.measure,
    IndexItems: items.enter,
    DropIndex: items.drop_index,
    DropItems: items.drop,
}


def _run(state: State, command: Command[R]) -> R:
    return _HANDLERS[type(command)](state, command)


class MemoryRecords:
    """Records of one state."""

    def __init__(self, state: State) -> None:
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

    def __init__(self, state: State) -> None:
        self.records = MemoryRecords(state)
        self._state = state

    def apply(self, command: Command[R]) -> R:
        """Run a command."""
        return _run(self._state, command)

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        return _run(self._state, query)


class MemoryStore:
    """A `Store` that forgets everything when it goes."""

    def __init__(self) -> None:
        self._state = State()
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

    async def ask(self, query: Query[R]) -> R:
        """Answer one query."""
        return MemoryTransaction(self._state).ask(query)

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
        old, self._state = self._state, State()
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
