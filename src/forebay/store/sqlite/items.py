"""Items of tables: deciding about them, and writing what was decided with few statements for a whole commit.

An item's row holds where indexes list it, and is always read before it is written: so the rows of indexes that a write
makes wrong are known, and indexes need no way back from the items. Reading is in `item_pages.py`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from forebay.store.commands import Command
from forebay.store.decided import (
    NAMES_MAX,
    Change,
    Decided,
    Name,
    Standing,
    chunks,
    decode_entries,
    encode_entries,
    entered,
    without,
)
from forebay.store.items import DropIndex, DropItems, IndexItems, WriteItems, Written
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import Session

# Runs what is to follow in the same commit; a sequence for each command that wants it.
Follow = Callable[[Session, Sequence[Sequence[Command[Any]]]], None]

# Stands for the table itself where its indexes are counted.
ITSELF = -1

_FIND = Statements(
    "WITH wanted (place, item_table, partition_key, sort_key) AS (VALUES {rows})"
    " SELECT place, id, data, size, entries"
    " FROM wanted CROSS JOIN item USING (item_table, partition_key, sort_key)",
    "(?,?,?,?)",
)
_INSERT = Statements(
    "INSERT INTO item (id, item_table, partition_key, sort_key, size, entries, data) VALUES {rows}",
    "(?,?,?,?,?,?,?)",
)
# An update of many rows at once: each of them is there, so that nothing is ever inserted. Keys need no binding then,
# which halves the cost.
_UPDATE = Statements(
    "INSERT INTO item (id, item_table, partition_key, sort_key, size, entries, data) VALUES {rows}"
    " ON CONFLICT (id) DO UPDATE SET size = excluded.size, entries = excluded.entries, data = excluded.data",
    "(?,-1,x'',x'',?,?,?)",
)
_DELETE = Statements("DELETE FROM item WHERE id IN ({rows})", "?")
_ENTER = Statements("INSERT INTO item_entry VALUES {rows}", "(?,?,?,?,?,?,?)")
_LEAVE = (
    "DELETE FROM item_entry WHERE item_table = ? AND item_index = ? AND partition_key = ? AND sort_key = ?"
    " AND item_partition = ? AND item_sort = ?"
)
_LISTED = (
    "SELECT item.partition_key, item.sort_key, id, data, size, entries"
    " FROM item_entry AS entry CROSS JOIN item ON item.id = entry.item"
    " WHERE entry.item_table = ? AND item_index = ?"
    " ORDER BY entry.partition_key, entry.sort_key, item_partition, item_sort LIMIT ?"
)
_FIRST = (
    "SELECT partition_key, sort_key, id, x'', size, entries FROM item WHERE item_table = ?"
    " ORDER BY partition_key, sort_key LIMIT ?"
)


class _Batch:
    """Rows to write, gathered over many items."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inserted: list[object] = []
        self._updated: list[object] = []
        self._deleted: list[object] = []
        self._entered: list[object] = []
        self._left: list[tuple[object, ...]] = []

    def add(self, change: Change) -> None:
        """Add what makes an item what it is to be."""
        (table, partition, sort), old, new = change.name, change.old, change.new
        if new is None:
            assert old is not None
            self._deleted.append(old.row)
            self._list(change.name, old.row, old, None, 0)
            return
        entries = encode_entries(new.entries) if new.entries else b""
        if old is None:
            row = self._session.take_item()
            self._inserted += (row, table, partition, sort, new.size, entries, new.data)
        else:
            row = old.row
            self._updated += (row, new.size, entries, new.data)
        self._list(change.name, row, old, entries, new.size)

    def _list(self, name: Name, row: int, old: Standing | None, entries: bytes | None, size: int) -> None:
        """Add what changes in indexes and counters; `entries` None: the item goes."""
        table, partition, sort = name
        count = self._session.count_items
        old_size = 0 if old is None else old.size
        count(table, ITSELF, (entries is not None) - (old is not None), size - old_size)
        if old is not None and old.entries == entries:
            if entries and size != old_size:
                for index, _, _ in decode_entries(entries):
                    count(table, index, 0, size - old_size)
            return
        was = decode_entries(old.entries) if old is not None else []
        will = decode_entries(entries) if entries else []
        for entry in was:
            count(table, entry[0], -1, -old_size)
            if entry not in will:
                self._left.append((table, *entry, partition, sort))
        for entry in will:
            count(table, entry[0], 1, size)
            if entry not in was:
                self._entered += (table, *entry, partition, sort, row)

    def write(self) -> None:
        """Write all of it."""
        connection = self._session.connection
        if self._left:
            connection.executemany(_LEAVE, self._left)
        _DELETE.run(connection, self._deleted)
        _INSERT.run(connection, self._inserted)
        _UPDATE.run(connection, self._updated)
        _ENTER.run(connection, self._entered)


def writing(follow: Follow) -> Callable[[Session, Sequence[WriteItems]], list[Written]]:
    """Return the handler of `WriteItems`."""

    def write(session: Session, commands: Sequence[WriteItems]) -> list[Written]:
        results: list[Written] = []
        for part, names in chunks(commands):
            decided = Decided(_find(session.connection, names))
            results += [decided.run(command) for command in part]
            _change(session, decided.changes())
            if decided.then:
                follow(session, decided.then)
        return results

    return write


def enter(session: Session, commands: Sequence[IndexItems]) -> list[int]:
    """Enter items into indexes where they are still what the commands say."""
    results: list[int] = []
    for command in commands:
        count = 0
        for start in range(0, len(command.entries), NAMES_MAX):
            part = command.entries[start : start + NAMES_MAX]
            before = _find(session.connection, {(command.table, key.partition, key.sort) for key, _, _ in part})
            count += _change(session, entered(command.table, part, before))
        results.append(count)
    return results


def drop_index(session: Session, commands: Sequence[DropIndex]) -> list[int]:
    """Delete entries of indexes, the first ones first."""
    results: list[int] = []
    for command in commands:
        rows = session.execute(_LISTED, (command.table, command.index, command.limit)).fetchall()
        changes: list[Change] = []
        for partition, sort, *standing in rows:
            old = Standing(*standing)
            changes.append(Change((command.table, partition, sort), old, without(old, command.index)))
        results.append(_change(session, changes))
    return results


def drop(session: Session, commands: Sequence[DropItems]) -> list[int]:
    """Delete items of tables, the first ones first."""
    results: list[int] = []
    for command in commands:
        rows = session.execute(_FIRST, (command.table, command.limit)).fetchall()
        changes = [Change((command.table, row[0], row[1]), Standing(*row[2:]), None) for row in rows]
        results.append(_change(session, changes))
    return results


def _change(session: Session, changes: Sequence[Change]) -> int:
    batch = _Batch(session)
    for change in changes:
        batch.add(change)
    batch.write()
    return len(changes)


def _find(connection: sqlite3.Connection, names: Iterable[Name]) -> dict[Name, Standing]:
    """Return those of the items that are there."""
    listed = list(names)
    values: list[object] = []
    for place, (table, partition, sort) in enumerate(listed):
        values += (place, table, partition, sort)
    return {
        listed[place]: Standing(row, data, size, entries)
        for place, row, data, size, entries in _FIND.fetch(connection, values)
    }
