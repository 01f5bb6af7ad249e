"""Answers small queries on the loop's own thread.

A key's item comes out of memory in ten microseconds; handing the query to another thread and back costs four times as
much. So that a slow disk does not hold up the loop, queries go to the readers' threads for a while once they take long.
"""

import resource
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from forebay.core.clock import monotonic
from forebay.store.commands import Command, Query
from forebay.store.items import GetItems, JoinedItems, JoinItems, MeasureItems, Page, ReadItems
from forebay.store.sqlite.connection import open_reader
from forebay.store.sqlite.handlers import ask

R = TypeVar("R")

# Items that are read here at once, and their size together (a page that has more is read elsewhere).
_KEYS_MAX = 25
_PAGE_ITEMS_MAX = 100
_PAGE_BYTES_MAX = 64 * 1024

# When answers take longer than this on average, they are not in memory; then other threads read, for so long. Of slow
# answers only those count that have waited for a disk: it may have been other programs that had the processor, or the
# writer that had the interpreter's lock, and then another thread would be slower still.
_SLOW_SECONDS = 0.003
_PAUSE_SECONDS = 1.0
_AVERAGED = 10

# In KiB, as SQLite takes them. More than the upper levels of trees is not worth it: the system caches the rest.
_CACHE_KIB = 8_192


def disk_reads() -> int | None:
    """Return how often the calling thread has read from a disk; None where the system does not say (macOS)."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock if sys.platform == "linux" else None


def _is_few(query: GetItems) -> bool:
    return len(query.keys) <= _KEYS_MAX


def _is_always(_: MeasureItems) -> bool:
    return True


_IS_SMALL: Mapping[type[Command[Any]], Callable[[Any], bool]] = {GetItems: _is_few, MeasureItems: _is_always}


class QuickReader:
    """A connection of the loop's. Used by its thread only."""

    def __init__(self, database: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        self._database = database
        self._resumes_at = 0.0
        self._average_seconds = 0.0
        self._disk_reads = disk_reads()

    def ask(self, query: Query[R]) -> R | None:
        """Return a query's answer, or None where it is for another thread."""
        begin = monotonic()
        if begin < self._resumes_at:
            return None
        try:
            answer = self._answer(query)
        except sqlite3.Error:
            # Whatever it is, the readers meet it too, and know what to say.
            return None
        seconds = monotonic() - begin
        if seconds > _SLOW_SECONDS and not self._has_waited_for_disk():
            return answer
        self._average_seconds += (seconds - self._average_seconds) / _AVERAGED
        if self._average_seconds > _SLOW_SECONDS:
            self._average_seconds = 0.0
            self._resumes_at = begin + _PAUSE_SECONDS
        return answer

    def _has_waited_for_disk(self) -> bool:
        """Tell whether this thread has read from a disk since it was last asked; True where that is not known."""
        known, self._disk_reads = self._disk_reads, disk_reads()
        return self._disk_reads is None or self._disk_reads != known

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, query: Query[R]) -> R | None:
        if isinstance(query, ReadItems):
            return cast("R | None", self._read(query))
        if isinstance(query, JoinItems):
            return cast("R | None", self._join(query.page))
        is_small = _IS_SMALL.get(type(query))
        return ask(self._open(), query) if is_small is not None and is_small(query) else None

    def _read(self, query: ReadItems) -> Page | None:
        """Return a page, unless there is more in it than is read here."""
        if query.limit > _PAGE_ITEMS_MAX and query.partition is None:
            return None
        page = ask(self._open(), _beginning(query))
        is_whole = page.is_last or len(page.items) >= query.limit
        return page if is_whole or sum([item.size for item in page.items]) >= query.size_max else None

    def _join(self, query: ReadItems) -> JoinedItems | None:
        """Return a page in one piece, unless there is more in it than is read here."""
        if query.limit > _PAGE_ITEMS_MAX and query.partition is None:
            return None
        connection = self._open()
        connection.execute("BEGIN")
        try:
            page = ask(connection, JoinItems(_beginning(query)))
        finally:
            connection.rollback()
        is_whole = page.last is None or page.count >= query.limit
        return page if is_whole or page.size >= query.size_max else None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_reader(self._database)
            # Nothing is waited for here.
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return self._connection


def _beginning(query: ReadItems) -> ReadItems:
    """Return the query for as much as is read here, and an item more."""
    limit, size_max = min(query.limit, _PAGE_ITEMS_MAX + 1), min(query.size_max, _PAGE_BYTES_MAX)
    return msgspec.structs.replace(query, limit=limit, size_max=size_max)
