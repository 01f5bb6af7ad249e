"""The PostgreSQL engine as a `Store`: what the loop's thread does. Writing is the writers', reading a few readers'."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from forebay.core.clock import monotonic
from forebay.core.errors import Unavailable
from forebay.store.commands import Command, Query
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.front import Front
from forebay.store.items import GetItems, JoinItems, MeasureItems
from forebay.store.postgres.blobs import PostgresBlobs
from forebay.store.postgres.companions import Alone, Companions
from forebay.store.postgres.connection import Apart, Connection, ConnectionLost, Row, Statement, StatementFailed
from forebay.store.postgres.gathering import Answers, Gathering
from forebay.store.postgres.handlers import ask
from forebay.store.postgres.item_pages import get_all
from forebay.store.postgres.notifier import Notifier
from forebay.store.postgres.records import PostgresRecordReader, changed_since, forget_deleted, list_kind
from forebay.store.postgres.session import Session, forget_marks
from forebay.store.postgres.wipe import wipe
from forebay.store.postgres.writer import Settings, Writer, WriterTransaction
from forebay.store.records import Kind
from forebay.store.submission import Submission

T = TypeVar("T")
R = TypeVar("R")

_READERS = 2

# How often records that were deleted long ago are let go.
_FORGET_SECONDS = 3600.0

_SNAPSHOT = Statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


class ReaderView:
    """The `View` that `view` hands to its work."""

    def __init__(self, connection: Connection) -> None:
        self.records = PostgresRecordReader(connection)
        self._connection = connection

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        return ask(self._connection, query)


class PostgresStore:
    """A database that is open. Its methods are called on the loop that opened it."""

    def __init__(
        self, url: str, schema: str, wait_seconds: float, node: int, companions: Companions | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._companions = companions or Alone()
        self.settings = Settings(partial(Connection, url, schema), schema, wait_seconds, node)
        self._front = Front(self._loop)
        self._hub = self._front.hub
        # The kinds that this node has asked for, by name: only of these does it keep or tell anything.
        self._kinds: dict[str, Kind[Any]] = {}
        self._version = 0
        self._forget_at = monotonic() + _FORGET_SECONDS
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="forebay-reader")
        self._idle_connections: deque[Connection] = deque()
        self._blobs = PostgresBlobs(self._run_apart)
        self._gathering = Gathering(self._fetch_items)
        self._submits = Writer("forebay-store", self.settings, self._loop, self.deliver)
        self._transactions = Writer(
            "forebay-transact", self.settings, self._loop, self.deliver, self._refresh, self._companions
        )
        self._notifier = Notifier(url, schema, node, self._hear, self._transactions.poke)

    def start(self) -> None:
        """Connect. Called in a thread, before anything else.

        Raises:
            ConnectionLost: the server cannot be reached.
        """
        connection = self.settings.connect()
        self._version = changed_since(connection, 1 << 62, 0)[0]
        connection.close()
        self._submits.start()
        self._transactions.start()
        self._notifier.start()

    def connect(self) -> Connection:
        """Open one more connection.

        Raises:
            ConnectionLost: the server cannot be reached.
        """
        return self.settings.connect()

    def poke(self) -> None:
        """Let the writer of transactions look soon for what others have changed or left."""
        self._transactions.poke()

    @property
    def blobs(self) -> Blobs:
        """Large immutable bytes."""
        return self._blobs

    @property
    def writer_thread_id(self) -> int | None:
        """The thread that runs submits, for measuring."""
        return self._submits.thread.ident

    @property
    def snapshot_seconds(self) -> float:
        """How old the oldest snapshot in the database is: dead rows younger than it cannot be vacuumed."""
        return self._notifier.snapshot_seconds

    def submit(self, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in order, in one commit, and answer their results when that commit is durable."""
        return self._front.submit(self._submits.put, commands)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result when the commit is durable."""
        return await self._front.transact(self._transactions.put, work)

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on a consistent snapshot that includes every commit acknowledged so far."""

        def look(connection: Connection) -> T:
            connection.send(_SNAPSHOT)
            return work(ReaderView(connection))

        return await self._run_apart(look)

    async def ask(self, query: Query[R]) -> R:
        """Answer one query: together with others where it is for items by key."""
        if isinstance(query, GetItems):
            return cast("R", await self._gathering.ask(query))
        if isinstance(query, JoinItems | MeasureItems):
            # One statement, most often: no transaction around it. A page's next piece begins where the last one ended.
            answer = await self._run_apart(lambda connection: ask(Apart(connection), query), is_transaction=False)
            return cast("R", answer)
        return await self.view(lambda view: view.ask(query))

    def find(self, kind: Kind[T], key: str) -> Awaitable[T | None]:
        """Return a record from the cache, reading through."""
        self._kinds[kind.name] = kind
        return self._front.find(kind, key, self.view)

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener` on the loop after each commit that changes a record, of this node or another.

        Of several changes that another node makes to a record within a moment, the last is told.
        """
        self._kinds[kind.name] = kind
        self._hub.watch(kind, listener)

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the loop after each commit that may concern `topic`."""
        return self._hub.listen(topic, wake)

    async def wipe(self) -> None:
        """Delete everything; numbers and positions go on, so that nothing old is mistaken for something new."""
        watched = self._hub.watched
        node = self.settings.node
        await self.transact(lambda transaction: wipe(cast("WriterTransaction", transaction).session, node, watched))
        self._front.cache.clear()
        self._hub.tell_all()
        self._notifier.tell(None, has_changes=True)

    async def close(self) -> None:
        """Finish what was submitted and let go of all resources."""
        if self._front.admission.is_closed:
            return
        self._front.admission.is_closed = True
        for writer in (self._submits, self._transactions):
            writer.close()
        for writer in (self._submits, self._transactions):
            await asyncio.to_thread(writer.thread.join)
        await asyncio.to_thread(self._notifier.close)
        await asyncio.to_thread(self._readers.shutdown)
        while self._idle_connections:
            self._idle_connections.pop().close()
        # The writers' last results were put on the loop before their threads ended.
        await asyncio.sleep(0)

    def deliver(
        self, batch: Sequence[Submission], topics: Sequence[Topic], changes: Sequence[tuple[str, str, object]]
    ) -> None:
        """Make a commit known on this node, then on the others."""
        self._front.deliver(batch, topics, changes)
        if (topics or changes) and not self._front.admission.is_closed:
            self._notifier.tell(topics, has_changes=bool(changes))

    # --- What other nodes have changed

    def _hear(self, topics: Sequence[Topic] | None, *, has_changes: bool) -> None:
        """Take in what another node tells; called in the notifier's thread."""
        if has_changes:
            self._transactions.poke()
        if topics is None:
            self._call(self._hub.tell_all)
        elif topics:
            self._call(partial(self._hub.tell_topics, topics))

    def _refresh(self, session: Session) -> None:
        """Fetch what other nodes have changed; called between this node's transactions, so that order is kept."""
        self._companions.tend(session)
        if monotonic() >= self._forget_at:
            self._forget_at = monotonic() + _FORGET_SECONDS
            session.begin()
            session.lock_control()
            forget_deleted(session)
            forget_marks(session)
            session.commit()
        connection = session.connection
        version, forgotten, rows = changed_since(connection, self._version, self.settings.node)
        everything: dict[str, list[Row]] = {}
        if self._version < forgotten:
            # This node was away for so long that it cannot be told what was deleted.
            everything = {kind: list_kind(connection, kind) for kind in self._hub.watched}
        connection.synchronise()
        is_behind, self._version = self._version < forgotten, version
        if rows or is_behind:
            self._call(partial(self._take_over, rows, everything if is_behind else None))

    def _take_over(self, rows: Sequence[Row], everything: Mapping[str, list[Row]] | None) -> None:
        """Make other nodes' changes known on this one."""
        if everything is not None:
            self._front.cache.clear()
            rows = [(kind, key, data) for kind, found in everything.items() for key, data in found]
        changes: list[tuple[str, str, object]] = []
        for kind, key, data in rows:
            known = self._kinds.get(kind)
            if known is not None:
                changes.append((kind, key, None if data is None else known.decode(data)))
        self._front.cache.update(changes)
        self._hub.tell_changes(changes)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop is closed, and nobody is left to tell.
            return

    # --- Reading, and blobs

    async def _run_apart(self, work: Callable[[Connection], T], *, is_transaction: bool = True) -> T:
        """Run work in a transaction of its own, in a reader's thread; again when the connection is lost."""
        if self._front.admission.is_closed:
            raise Unavailable("the store is closed")
        attempt = partial(self.attempt_apart, work, is_transaction=is_transaction)
        return await self._loop.run_in_executor(self._readers, attempt)

    def _fetch_items(self, queries: Sequence[GetItems]) -> "asyncio.Future[Answers]":
        """Answer queries in a reader's thread."""
        if self._front.admission.is_closed:
            refused: asyncio.Future[Answers] = self._loop.create_future()
            refused.set_exception(Unavailable("the store is closed"))
            return refused

        def fetch(connection: Connection) -> Answers:
            return get_all(connection.fetch_alone, queries)

        return self._loop.run_in_executor(self._readers, partial(self.attempt_apart, fetch, is_transaction=False))

    def attempt_apart(self, work: Callable[[Connection], T], *, is_transaction: bool = True) -> T:
        """Run work over a connection of its own, on this thread; again when the connection is lost."""
        deadline = monotonic() + self.settings.wait_seconds
        while True:
            try:
                connection = self._idle_connections.pop() if self._idle_connections else self.settings.connect()
                return self._use(connection, work, is_transaction=is_transaction)
            except ConnectionLost as error:
                if monotonic() >= deadline or self._front.admission.is_closed:
                    raise Unavailable(f"the store cannot be reached: {error}") from error
                self.settings.pause()
            except StatementFailed as error:
                if error.is_unavailable:
                    raise Unavailable(f"the store cannot answer: {error}") from error
                if not error.is_conflict or monotonic() >= deadline:
                    raise

    def _use(self, connection: Connection, work: Callable[[Connection], T], *, is_transaction: bool) -> T:
        try:
            if is_transaction:
                connection.begin()
            result = work(connection)
            if is_transaction:
                connection.commit()
        except ConnectionLost:
            connection.close()
            raise
        except BaseException:
            try:
                connection.rollback()
            except (ConnectionLost, StatementFailed):
                connection.close()
            else:
                self._idle_connections.append(connection)
            raise
        self._idle_connections.append(connection)
        return result
