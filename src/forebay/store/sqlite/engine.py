"""The SQLite engine as a `Store`: what the loop's thread does. Writing is the writer's, reading a few readers'."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from forebay.core.errors import Unavailable
from forebay.store.admission import Admission, weigh
from forebay.store.blobs import FileBlobs
from forebay.store.cache import RecordCache
from forebay.store.commands import Command, Query
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.hub import Hub
from forebay.store.records import Kind
from forebay.store.sqlite.connection import DATABASE_NAME, DirectoryLock, is_unavailable, open_reader
from forebay.store.sqlite.handlers import ask
from forebay.store.sqlite.quick_reader import QuickReader
from forebay.store.sqlite.records import SqliteRecordReader
from forebay.store.sqlite.writer import Submission, Writer, WriterTransaction

T = TypeVar("T")
R = TypeVar("R")

CACHED_RECORDS_MAX = 50_000

_READERS = 2

_UNKNOWN = object()


class ReaderView:
    """The `View` that `view` hands to its work."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.records = SqliteRecordReader(connection)
        self._connection = connection

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        return ask(self._connection, query)


class SqliteStore:
    """A data folder that is open. Its methods are called on the loop that opened it."""

    def __init__(self, directory: Path, writer: sqlite3.Connection, lock: DirectoryLock) -> None:
        self._loop = asyncio.get_running_loop()
        self._create_future = self._loop.create_future
        self._database = directory / DATABASE_NAME
        self._lock = lock
        self._blobs = FileBlobs(directory / "blobs")
        self._hub = Hub()
        self._cache = RecordCache(CACHED_RECORDS_MAX)
        self._admission = Admission()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="forebay-reader")
        self._idle_connections: deque[sqlite3.Connection] = deque()
        self._quick_reader = QuickReader(self._database)
        self._writer = Writer(writer, self._loop, self._deliver)
        self._put = self._writer.put

    @property
    def blobs(self) -> Blobs:
        """Large immutable bytes."""
        return self._blobs

    @property
    def writer_thread_id(self) -> int | None:
        """The writer's thread, for measuring."""
        return self._writer.thread.ident

    def submit(self, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in order, in one commit, and answer their results when that commit is durable."""
        weight = weigh(commands)
        if not self._admission.is_open:
            return self._submit_later(commands, weight)
        return self._enqueue(commands, None, weight)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result when the commit is durable."""
        await self._admission.wait()
        return await self._enqueue((), work, 0)

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on a consistent snapshot that includes every commit acknowledged so far."""
        if self._admission.is_closed:
            raise Unavailable("the store is closed")
        return await self._loop.run_in_executor(self._readers, self._read, work)

    async def ask(self, query: Query[R]) -> R:
        """Answer one query: on this thread where it is small."""
        if not self._admission.is_closed:
            answer = self._quick_reader.ask(query)
            if answer is not None:
                return answer
        return await self.view(lambda view: view.ask(query))

    async def find(self, kind: Kind[T], key: str) -> T | None:
        """Return a record from the cache, reading through."""
        name = (kind.name, key)
        value: Any = self._cache.get(name, _UNKNOWN)
        if value is not _UNKNOWN:
            return value
        ticket = self._cache.begin(name)
        try:
            value = await self.view(lambda view: view.records.find(kind, key))
        except BaseException:
            self._cache.abandon(name, ticket)
            raise
        self._cache.end(name, ticket, value)
        # A commit may have been acknowledged during the read: what it left is fresher.
        return self._cache.get(name, value)  # pyright: ignore[reportReturnType]

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener` on the loop after each commit that changes a record."""
        self._hub.watch(kind, listener)

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the loop after each commit that may concern `topic`."""
        return self._hub.listen(topic, wake)

    async def wipe(self) -> None:
        """Delete everything; numbers and positions go on, so that nothing old is mistaken for something new."""
        watched = self._hub.watched
        await self.transact(lambda transaction: cast("WriterTransaction", transaction).wipe(watched))
        self._cache.clear()
        await self._blobs.clear()
        self._hub.tell_all()

    async def close(self) -> None:
        """Finish what was submitted and let go of all resources."""
        if self._admission.is_closed:
            return
        self._admission.is_closed = True
        self._writer.close()
        await asyncio.to_thread(self._writer.thread.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._quick_reader.close()
        while self._idle_connections:
            self._idle_connections.pop().close()
        self._lock.release()
        # The writer's last results were put on the loop before its thread ended.
        await asyncio.sleep(0)

    def _enqueue(
        self, commands: Sequence[Command[Any]], work: Callable[[Transaction], Any] | None, weight: int
    ) -> "asyncio.Future[Any]":
        future = self._create_future()
        self._admission.enter(weight)
        self._put(Submission(future, commands, work, weight))
        return future

    async def _submit_later(self, commands: Sequence[Command[object]], weight: int) -> Sequence[object]:
        await self._admission.wait()
        return await self._enqueue(commands, None, weight)

    def _deliver(
        self, batch: Sequence[Submission], topics: Sequence[Topic], changes: Sequence[tuple[str, str, object]]
    ) -> None:
        """Make a commit known: the cache first, then its callers, then those who watch and listen."""
        if changes:
            self._cache.update(changes)
        weight = 0
        for submission in batch:
            weight += submission.weight
            future = submission.future
            # A caller that was cancelled no longer waits.
            if not future.done():
                if submission.error is None:
                    future.set_result(submission.result)
                else:
                    future.set_exception(submission.error)
        self._admission.leave(len(batch), weight)
        if changes:
            self._hub.tell_changes(changes)
        if topics:
            self._hub.tell_topics(topics)

    def _read(self, work: Callable[[View], T]) -> T:
        """Run a view's work in a reader's thread."""
        try:
            try:
                connection = self._idle_connections.pop()
            except IndexError:
                connection = open_reader(self._database)
            try:
                connection.execute("BEGIN")
                return work(ReaderView(connection))
            finally:
                connection.rollback()
                self._idle_connections.append(connection)
        except sqlite3.Error as error:
            if is_unavailable(error):
                raise Unavailable(f"the store cannot read: {error}") from error
            raise
