"""The SQLite engine as a `Store`: what the loop's thread does. Writing is the writer's, reading a few readers'."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from forebay.core.errors import Unavailable
from forebay.store.blobs import FileBlobs
from forebay.store.commands import Command, Query
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.front import Front
from forebay.store.records import Kind
from forebay.store.sqlite.connection import DATABASE_NAME, DirectoryLock, is_unavailable, open_reader
from forebay.store.sqlite.handlers import ask
from forebay.store.sqlite.quick_reader import QuickReader
from forebay.store.sqlite.records import SqliteRecordReader
from forebay.store.sqlite.writer import Writer, WriterTransaction

T = TypeVar("T")
R = TypeVar("R")

_READERS = 2


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
        self._database = directory / DATABASE_NAME
        self._lock = lock
        self._blobs = FileBlobs(directory / "blobs")
        self._front = Front(self._loop)
        self._hub = self._front.hub
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="forebay-reader")
        self._idle_connections: deque[sqlite3.Connection] = deque()
        self._quick_reader = QuickReader(self._database)
        self._writer = Writer(writer, self._loop, self._front.deliver)
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
        return self._front.submit(self._put, commands)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result when the commit is durable."""
        return await self._front.transact(self._put, work)

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on a consistent snapshot that includes every commit acknowledged so far."""
        if self._front.admission.is_closed:
            raise Unavailable("the store is closed")
        return await self._loop.run_in_executor(self._readers, self._read, work)

    async def ask(self, query: Query[R]) -> R:
        """Answer one query: on this thread where it is small."""
        if not self._front.admission.is_closed:
            answer = self._quick_reader.ask(query)
            if answer is not None:
                return answer
        return await self.view(lambda view: view.ask(query))

    def find(self, kind: Kind[T], key: str) -> Awaitable[T | None]:
        """Return a record from the cache, reading through."""
        return self._front.find(kind, key, self.view)

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
        self._front.cache.clear()
        await self._blobs.clear()
        self._hub.tell_all()

    async def close(self) -> None:
        """Finish what was submitted and let go of all resources."""
        if self._front.admission.is_closed:
            return
        self._front.admission.is_closed = True
        self._writer.close()
        await asyncio.to_thread(self._writer.thread.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._quick_reader.close()
        while self._idle_connections:
            self._idle_connections.pop().close()
        self._lock.release()
        # The writer's last results were put on the loop before its thread ended.
        await asyncio.sleep(0)

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
