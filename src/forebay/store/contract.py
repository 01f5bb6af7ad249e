"""What every store engine promises. One test suite, `tests/contract/store`, holds all engines to it.

Two ways in, both durable when they return: `submit` for the hot path (commands of all concurrent callers share a
commit) and `transact` for everything else (a function that reads, decides and writes, serialisably). `view` reads.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from forebay.store.commands import Command, Query
from forebay.store.records import Kind, RecordReader, Records

T = TypeVar("T")
R = TypeVar("R")

# What a waiter waits for: ("queue", 7), ("timers", "delivery"), ("log", "stream").
Topic = tuple[str, int | str]


class View(Protocol):
    """The store at one moment, for reading."""

    @property
    def records(self) -> RecordReader:
        """The control plane."""
        ...

    def ask(self, query: Query[R]) -> R:
        """Answer a query."""
        ...


class Transaction(Protocol):
    """The store inside one transaction: what is read stays true until the commit, what is written is atomic."""

    @property
    def records(self) -> Records:
        """The control plane."""
        ...

    def apply(self, command: Command[R]) -> R:
        """Run a command as part of the transaction; its effect is visible to what follows."""
        ...


class Blobs(Protocol):
    """Large immutable bytes (function code, objects), named by the SHA-256 of their content. Not transactional.

    A caller puts the blob first and then commits a record that names it; a crash in between leaves only garbage.
    """

    async def put(self, data: bytes) -> str:
        """Keep `data` durably and return its name; the same bytes have the same name, kept once."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the bytes.

        Raises:
            KeyError: there is no such blob.
        """
        ...

    async def delete(self, names: Sequence[str]) -> None:
        """Delete blobs; those that are not there are skipped."""
        ...


class Store(Protocol):
    """A store that is open. Its methods are called on the event loop's thread."""

    @property
    def blobs(self) -> Blobs:
        """Large immutable bytes."""
        ...

    def submit(self, commands: Sequence[Command[object]]) -> Awaitable[Sequence[object]]:
        """Run commands in order, in one commit, and answer their results when that commit is durable.

        Raises:
            Unavailable: the store cannot write now (disk full, connection lost); nothing was done.
        """
        ...

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction and return its result when the commit is durable.

        `work` is a plain function without outside effects: on a conflict it is run again. An exception rolls
        everything back and is raised to the caller.

        Raises:
            Unavailable: as for `submit`.
        """
        ...

    async def view(self, work: Callable[[View], T]) -> T:
        """Run `work` on a consistent snapshot that includes every commit acknowledged so far."""
        ...

    async def ask(self, query: Query[R]) -> R:
        """Answer one query as `view` would: the quick way where that is all that is wanted."""
        ...

    def find(self, kind: Kind[T], key: str) -> Awaitable[T | None]:
        """Return a record from the cache, reading through. As fresh as this node's last commit."""
        ...

    def watch(self, kind: Kind[T], listener: Callable[[str, T | None], None]) -> None:
        """Call `listener(key, value or None)` on the loop after each commit that changes a record, in order."""
        ...

    def listen(self, topic: Topic, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` on the loop after each commit that may concern `topic`; the returned function ends that.

        A wake-up is a hint: it may come for nothing, and in a cluster late, so waiters also look from time to time.
        """
        ...

    async def wipe(self) -> None:
        """Delete everything (records, messages, logs, timers, blobs). Watchers see every record go."""
        ...

    async def close(self) -> None:
        """Finish what was submitted and let go of all resources."""
        ...
