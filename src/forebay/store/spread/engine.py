"""The store as the loop sees it: who of the engines does what, and what several of them do together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import msgspec
import structlog

from forebay.core.clock import monotonic
from forebay.core.errors import Unavailable
from forebay.store.commands import Command, Query
from forebay.store.contract import Blobs, Topic, Transaction, View
from forebay.store.items import WriteItems
from forebay.store.postgres.connection import Connection, Statement
from forebay.store.postgres.engine import PostgresStore, ReaderView
from forebay.store.postgres.session import gate_lock
from forebay.store.postgres.writer import WriterTransaction
from forebay.store.records import Kind, RecordReader
from forebay.store.spread.branches import PREPARED, Branch, Branches
from forebay.store.spread.members import enrol
from forebay.store.spread.placement import EVERYWHERE, HOME, Placement
from forebay.store.spread.transaction import Bounded, Elsewhere, SpreadTransaction, dead_letters_of, guarding

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger()

_SNAPSHOT = Statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


class SpreadView:
    """The `View` that `view` hands to its work: of the home alone, or of all databases."""

    def __init__(self, views: Sequence[View], placement: Placement) -> None:
        self.records: RecordReader = views[HOME].records
        self._views = views
        self._placement = placement

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        place = self._placement.of(query)
        if place >= len(self._views):
            raise Elsewhere
        return self._views[place].ask(query)


class SpreadStore:
    """Databases that are open. Its methods are called on the loop that opened it."""

    def __init__(
        self, name: str, urls: Sequence[str], schema: str, wait_seconds: float, node: int, placement: Placement
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._placement = placement
        self._schema = schema
        self._wait_seconds = wait_seconds
        self._branches = Branches(name, self._tell)
        self._home = PostgresStore(urls[HOME], schema, wait_seconds, node, self._branches)
        self._stores = [self._home, *(PostgresStore(url, schema, wait_seconds, node) for url in urls[1:])]
        for place, store in enumerate(self._stores):
            if place != HOME:
                self._branches.add(place, Branch(store.connect, schema))
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="forebay-spread")
        # Dead letters that could not be carried over yet: where they stand, and their queue.
        self._strays: set[tuple[int, int]] = set()

    def start(self) -> None:
        """Connect. Called in a thread, before anything else.

        Raises:
            ConnectionLost: a server cannot be reached.
        """
        for store in self._stores:
            store.start()

    async def recover(self) -> None:
        """Finish what a crash has left half done. Called after `start`, before anything else."""
        self._strays.update(await self._transact(lambda transaction: transaction.strays()))
        await self._carry_strays()

    @property
    def blobs(self) -> Blobs:
        """Large immutable bytes."""
        return self._home.blobs

    @property
    def writer_thread_id(self) -> int | None:
        """The thread that runs the home's submits, for measuring."""
        return self._home.writer_thread_id

    @property
    def snapshot_seconds(self) -> float:
        """How old the oldest snapshot in any of the databases is."""
        return max(store.snapshot_seconds for store in self._stores)

    def submit(self, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in order, in one commit, and answer their results when that commit is durable."""
        places = {self._placement.of(command) for command in commands}
        if len(places) == 1:
            (place,) = places
            if place == EVERYWHERE and len(commands) == 1:
                return self._everywhere(cast("Bounded", commands[0]))
            if place != EVERYWHERE:
                return self._submit_to(place, commands)
        if not places:
            return self._home.submit(commands)
        return self._submit_together(commands)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result when the commit is durable."""
        return await self._transact(work)

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on a consistent snapshot that includes every commit acknowledged so far.

        Where the work asks more than one database, it is run again with a snapshot of each. What was committed in
        several of them is in all of these or in none; commits in one only may fall between them.
        """
        try:
            return await self._home.view(lambda view: work(SpreadView((view,), self._placement)))
        except Elsewhere:
            return await self._loop.run_in_executor(self._readers, self._view_all, work)

    async def ask(self, query: Query[R]) -> R:
        """Answer one query."""
        return await self._stores[self._placement.of(query)].ask(query)

    async def find(self, kind: Kind[T], key: str) -> T | None:
        """Return a record from the cache, reading through."""
        return await self._home.find(kind, key)

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener` on the loop after each commit that changes a record, of this node or another."""
        self._home.watch(kind, listener)

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the loop after each commit that may concern `topic`."""
        return self._stores[self._placement.of_topic(topic)].listen(topic, wake)

    async def wipe(self) -> None:
        """Delete everything, database after database; numbers and positions go on."""
        for store in reversed(self._stores):
            await store.wipe()

    async def close(self) -> None:
        """Finish what was submitted and let go of all resources."""
        for store in self._stores:
            await store.close()
        await asyncio.to_thread(self._readers.shutdown)
        self._branches.close()

    # --- Writing

    def _submit_to(self, place: int, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in one database; what items want besides, and dead letters, may be elsewhere."""
        if place == HOME and any(isinstance(command, WriteItems) for command in commands):
            return self._submit_items(commands)
        if any(self._may_stray(command) for command in commands):
            return self._submit_receives(place, commands)
        return self._stores[place].submit(commands)

    def _may_stray(self, command: Command[Any]) -> bool:
        rule = getattr(command, "dead_letter", None)
        return rule is not None and self._placement.of_resource(rule.queue) != self._placement.of(command)

    async def _submit_receives(self, place: int, commands: Sequence[Command[object]]) -> Sequence[object]:
        results = await self._stores[place].submit(commands)
        for command, result in zip(commands, results, strict=True):
            grave = dead_letters_of(command, result, self._placement)
            if grave is not None:
                self._strays.add((place, grave))
        if self._strays:
            await self._carry_strays()
        return results

    async def _submit_items(self, commands: Sequence[Command[object]]) -> Sequence[object]:
        guarded: list[Command[object]] = []
        for command in commands:
            if not isinstance(command, WriteItems):
                guarded.append(command)
                continue
            if any(self._placement.of(following) != HOME for following in command.then):
                return await self._submit_together(commands)
            writes = tuple([guarding(write, self._placement) for write in command.writes])
            guarded.append(cast("Command[object]", msgspec.structs.replace(command, writes=writes)))
        try:
            return await self._home.submit(guarded)
        except Elsewhere:
            return await self._submit_together(commands)

    async def _submit_together(self, commands: Sequence[Command[object]]) -> Sequence[object]:
        return await self._transact(lambda transaction: [transaction.apply(command) for command in commands])

    async def _everywhere(self, command: Bounded) -> Sequence[object]:
        """Run a command in each database, one after the other: each part of it is worth its own commit."""
        done = 0
        for store in self._stores:
            (count,) = await store.submit([msgspec.structs.replace(command, limit=command.limit - done)])
            done += cast("int", count)
        return [done]

    async def _transact(self, work: Callable[[SpreadTransaction], T]) -> T:
        def run(transaction: Transaction) -> T:
            return work(SpreadTransaction(cast("WriterTransaction", transaction), self._branches, self._placement))

        return await self._home.transact(run)

    async def _carry_strays(self) -> None:
        """Bring dead letters to their queues. What fails is tried again with the next ones, and at the next start."""
        strays = sorted(self._strays)
        self._strays.difference_update(strays)

        def carry(transaction: SpreadTransaction) -> None:
            for place, queue in strays:
                transaction.carry(place, queue)

        try:
            await self._transact(carry)
        except Unavailable as error:
            self._strays.update(strays)
            log.warning("store.dead_letters_left", count=len(strays), error=str(error))

    def _tell(self, place: int, topics: Sequence[Topic]) -> None:
        """Make known what a part of a transaction tells; called in the home's writer's thread."""
        try:
            self._loop.call_soon_threadsafe(self._stores[place].deliver, (), topics, ())
        except RuntimeError:
            # The loop is closed, and nobody is left to tell.
            return

    # --- Reading from several databases

    def _view_all(self, work: Callable[[View], T]) -> T:
        deadline = monotonic() + self._wait_seconds
        while True:
            try:
                return self._home.attempt_apart(lambda gate: self._enter(gate, (), work), is_transaction=False)
            except _Unsettled as error:
                self._home.poke()
                if monotonic() >= deadline or self._home.settings.pause():
                    raise Unavailable("commits in several of the store's databases are not finished") from error

    def _enter(self, gate: Connection, connections: tuple[Connection, ...], work: Callable[[View], T]) -> T:
        """Begin a transaction in each database, then take all snapshots, then look."""
        if len(connections) < len(self._stores):
            store = self._stores[len(connections)]
            return store.attempt_apart(lambda connection: self._enter(gate, (*connections, connection), work))
        with gate_lock(gate, self._schema):
            for connection in connections:
                connection.send(_SNAPSHOT)
                if connection.fetch(PREPARED, self._branches.prefix):
                    raise _Unsettled
        return work(SpreadView([ReaderView(connection) for connection in connections], self._placement))


class _Unsettled(Exception):
    """Something is prepared that nobody is finishing."""


async def open_spread(
    urls: Sequence[str], *, schema: str, wait_seconds: float, node: int, placement: Placement | None = None
) -> SpreadStore:
    """Open a store over several databases whose schemas are ready.

    Raises:
        ConfigError: the databases do not belong together.
        ConnectionLost: a server cannot be reached.
    """
    name, ordered = await asyncio.to_thread(enrol, urls, schema)
    store = SpreadStore(name, ordered, schema, wait_seconds, node, placement or Placement(len(ordered)))
    await asyncio.to_thread(store.start)
    await store.recover()
    return store
