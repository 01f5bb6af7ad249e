"""The loop's side of a store: what may be queued, who waits, what is cached and who is told. SQL engines share it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from forebay.core.clock import monotonic
from forebay.store.admission import Admission, weigh
from forebay.store.cache import RecordCache
from forebay.store.commands import Command
from forebay.store.contract import Topic, Transaction, View
from forebay.store.hub import Hub
from forebay.store.records import Kind
from forebay.store.submission import Submission

T = TypeVar("T")

CACHED_RECORDS_MAX = 50_000

_UNKNOWN = object()

Put = Callable[[Submission], None]


class Front:
    """Hands submissions to writers and makes known what became of them. Used on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._create_future = loop.create_future
        self.admission = Admission()
        self.cache = RecordCache(CACHED_RECORDS_MAX)
        self.hub = Hub()

    def submit(self, put: Put, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Put commands before a writer as soon as there is room."""
        weight = weigh(commands)
        if not self.admission.is_open:
            return self._submit_later(put, commands, weight)
        return self._enqueue(put, commands, None, weight)

    async def transact(self, put: Put, work: Callable[[Transaction], T]) -> T:
        """Put a transaction's function before a writer as soon as there is room, and wait for its result."""
        await self.admission.wait()
        return await self._enqueue(put, (), work, 0)

    async def find(
        self, kind: Kind[T], key: str, view: Callable[[Callable[[View], T | None]], Awaitable[T | None]]
    ) -> T | None:
        """Return a record from the cache, reading through."""
        name = (kind.name, key)
        value: Any = self.cache.get(name, _UNKNOWN)
        if value is not _UNKNOWN:
            return value
        ticket = self.cache.begin(name)
        try:
            value = await view(lambda view: view.records.find(kind, key))
        except BaseException:
            self.cache.abandon(name, ticket)
            raise
        self.cache.end(name, ticket, value)
        # A commit may have been acknowledged during the read: what it left is fresher.
        return self.cache.get(name, value)  # pyright: ignore[reportReturnType]

    def deliver(
        self, batch: Sequence[Submission], topics: Sequence[Topic], changes: Sequence[tuple[str, str, object]]
    ) -> None:
        """Make a commit known: the cache first, then its callers, then those who watch and listen."""
        if changes:
            self.cache.update(changes)
        weight = 0
        for submission in batch:
            weight += submission.weight
            submission.answer()
        self.admission.leave(len(batch), weight)
        if changes:
            self.hub.tell_changes(changes)
        if topics:
            self.hub.tell_topics(topics)

    async def _submit_later(self, put: Put, commands: Sequence[Command[object]], weight: int) -> Sequence[object]:
        await self.admission.wait()
        return await self._enqueue(put, commands, None, weight)

    def _enqueue(
        self, put: Put, commands: Sequence[Command[Any]], work: Callable[[Transaction], Any] | None, weight: int
    ) -> "asyncio.Future[Any]":
        future = self._create_future()
        self.admission.enter(weight)
        put(Submission(future, commands, work, weight, monotonic()))
        return future
