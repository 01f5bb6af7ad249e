"""Items of tables: locking them, deciding about them here, and writing what was decided with few statements.

Decisions are this process's, so what they rely on is locked first: the rows, in the order of their keys. What is not
there cannot be locked; whoever puts it meanwhile too makes one of both run again, because a key is unique. Where a
command about several items relies on one that is not there and stays so, a row is put in its place until the commit.
Reading is in `item_pages.py`.
"""

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
from forebay.store.postgres.connection import Row, Statement, StatementFailed
from forebay.store.postgres.long_keys import INDEX_BYTES_MAX, TABLE_BYTES_MAX, cut, pack, unpack
from forebay.store.postgres.session import ITSELF, Session

# Runs what is to follow in the same commit; a sequence for each command that wants it.
Follow = Callable[[Session, Sequence[Sequence[Command[Any]]]], None]

_KEY_TYPES = ("int8[]", "bytea[]", "bytea[]", "bytea[]")
_KEY = "item_table, partition_key, sort_key, tail"
_WANTED = f"unnest($1::int8[], $2::bytea[], $3::bytea[], $4::bytea[]) AS wanted ({_KEY})"
# Rows are locked in the order in which they are wanted: the join is a loop over them.
_FIND = Statement(
    f"SELECT {_KEY}, data, size, entries FROM {_WANTED} JOIN item USING ({_KEY}) FOR NO KEY UPDATE OF item",  # noqa: S608
    *_KEY_TYPES,
)
_LOCK = Statement(
    f"SELECT 1 FROM {_WANTED} JOIN item USING ({_KEY}) FOR NO KEY UPDATE OF item",  # noqa: S608
    *_KEY_TYPES,
)
_INSERT = Statement(
    f"INSERT INTO item ({_KEY}, full_key, size, entries, data) SELECT * FROM unnest($1::int8[], $2::bytea[],"  # noqa: S608
    " $3::bytea[], $4::bytea[], $5::bytea[], $6::int8[], $7::bytea[], $8::bytea[])",
    *_KEY_TYPES,
    "bytea[]",
    "int8[]",
    "bytea[]",
    "bytea[]",
)
_UPDATE = Statement(
    "UPDATE item SET size = wanted.size, entries = wanted.entries, data = wanted.data FROM unnest($1::int8[],"  # noqa: S608
    f" $2::bytea[], $3::bytea[], $4::bytea[], $5::int8[], $6::bytea[], $7::bytea[]) AS wanted ({_KEY}, size, entries,"
    " data) WHERE item.item_table = wanted.item_table AND item.partition_key = wanted.partition_key"
    " AND item.sort_key = wanted.sort_key AND item.tail = wanted.tail",
    *_KEY_TYPES,
    "int8[]",
    "bytea[]",
    "bytea[]",
)
_DELETE = Statement(
    f"DELETE FROM item USING {_WANTED} WHERE item.item_table = wanted.item_table"  # noqa: S608
    " AND item.partition_key = wanted.partition_key AND item.sort_key = wanted.sort_key AND item.tail = wanted.tail",
    *_KEY_TYPES,
)
_ENTRY = "item_table, item_index, partition_key, sort_key, item_partition, item_sort, tail"
_ENTRY_TYPES = ("int8[]", "int8[]", *["bytea[]"] * 5)
_ENTER = Statement(
    f"INSERT INTO item_entry ({_ENTRY}, full_key) SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[],"  # noqa: S608
    " $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])",
    *_ENTRY_TYPES,
    "bytea[]",
)
_LEAVE = Statement(
    f"DELETE FROM item_entry AS entry USING unnest($1::int8[], $2::int8[], $3::bytea[], $4::bytea[], $5::bytea[],"  # noqa: S608
    f" $6::bytea[], $7::bytea[]) AS wanted ({_ENTRY}) WHERE entry.item_table = wanted.item_table"
    " AND entry.item_index = wanted.item_index AND entry.partition_key = wanted.partition_key"
    " AND entry.sort_key = wanted.sort_key AND entry.item_partition = wanted.item_partition"
    " AND entry.item_sort = wanted.item_sort AND entry.tail = wanted.tail",
    *_ENTRY_TYPES,
)
_LISTED = Statement(
    "SELECT item_partition, item_sort, full_key FROM item_entry WHERE item_table = $1::int8 AND item_index = $2::int8"
    " ORDER BY partition_key, sort_key, item_partition, item_sort, tail LIMIT $3::int8",
    *["int8"] * 3,
)
_FIRST = Statement(
    "SELECT partition_key, sort_key, full_key, size, entries FROM item WHERE item_table = $1::int8"
    " ORDER BY partition_key, sort_key, tail LIMIT $2::int8 FOR UPDATE",
    "int8",
    "int8",
)

# The code of a conflict.
_CHANGED = "40001"


class _Batch:
    """Rows to write, gathered over many items."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inserted: list[Row] = []
        self._updated: list[Row] = []
        self._deleted: list[Row] = []
        self._entered: list[Row] = []
        self._left: list[Row] = []

    def add(self, change: Change) -> None:
        """Add what makes an item what it is to be."""
        old, new = change.old, change.new
        key = _key(change.name)
        if new is None:
            self._deleted.append(key)
            self._list(change.name, old, None, 0)
            return
        entries = encode_entries(new.entries)
        if old is None:
            self._inserted.append((*key, _full_key(change.name, key), new.size, entries, new.data))
        else:
            self._updated.append((*key, new.size, entries, new.data))
        self._list(change.name, old, entries, new.size)

    def hold(self, names: Iterable[Name]) -> None:
        """Let nobody put items that are not there, until the commit."""
        for name in names:
            key = _key(name)
            self._inserted.append((*key, _full_key(name, key), 0, b"", b""))
            self._deleted.append(key)

    def _list(self, name: Name, old: Standing | None, entries: bytes | None, size: int) -> None:
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
                parts = (entry[1], entry[2], partition, sort)
                self._left.append((table, entry[0], *_cut_entry(parts)))
        for entry in will:
            count(table, entry[0], 1, size)
            if entry not in was:
                parts = (entry[1], entry[2], partition, sort)
                row = _cut_entry(parts)
                self._entered.append((table, entry[0], *row, pack(parts) if row[-1] else None))

    def write(self) -> None:
        """Write all of it, in the order of the keys."""
        self._change(_LEAVE, self._left)
        self._change(_INSERT, self._inserted)
        self._change(_UPDATE, self._updated)
        self._change(_DELETE, self._deleted)
        self._change(_ENTER, self._entered)

    def _change(self, statement: Statement, rows: list[Row]) -> None:
        if rows:
            rows.sort(key=_order)
            self._session.change(statement, *zip(*rows, strict=True))


def _order(row: Row) -> Row:
    return row[:4]


def _key(name: Name) -> Row:
    """Return an item's columns in the primary key."""
    (partition, sort), tail = cut(name[1:], TABLE_BYTES_MAX)
    return name[0], partition, sort, tail


def _full_key(name: Name, key: Row) -> bytes | None:
    return pack(name[1:]) if key[3] else None


def _cut_entry(parts: tuple[bytes, ...]) -> Row:
    cut_parts, tail = cut(parts, INDEX_BYTES_MAX)
    return *cut_parts, tail


def writing(follow: Follow) -> Callable[[Session, Sequence[WriteItems]], list[Written]]:
    """Return the handler of `WriteItems`."""

    def write(session: Session, commands: Sequence[WriteItems]) -> list[Written]:
        results: list[Written] = []
        parts = list(chunks(commands))
        if len(parts) > 1:
            # All of them first, in one order, so that no two commits wait for each other.
            _lock(session, {name for _, names in parts for name in names})
        for part, names in parts:
            decided = Decided(_find(session, names))
            results += [decided.run(command) for command in part]
            _write(session, decided)
            if decided.then:
                follow(session, decided.then)
        return results

    return write


def _write(session: Session, decided: Decided) -> None:
    batch = _Batch(session)
    changes = decided.changes()
    for change in changes:
        batch.add(change)
    if decided.relied_absent:
        batch.hold(decided.relied_absent.difference([change.name for change in changes]))
    batch.write()


def enter(session: Session, commands: Sequence[IndexItems]) -> list[int]:
    """Enter items into indexes where they are still what the commands say."""
    results: list[int] = []
    for command in commands:
        count = 0
        for start in range(0, len(command.entries), NAMES_MAX):
            part = command.entries[start : start + NAMES_MAX]
            before = _find(session, {(command.table, key.partition, key.sort) for key, _, _ in part})
            count += _change(session, entered(command.table, part, before))
        results.append(count)
    return results


def drop_index(session: Session, commands: Sequence[DropIndex]) -> list[int]:
    """Delete entries of indexes, the first ones first."""
    results: list[int] = []
    for command in commands:
        rows = session.fetch(_LISTED, command.table, command.index, command.limit)
        names = [(command.table, *_item_of(row)) for row in rows]
        count = 0
        for start in range(0, len(names), NAMES_MAX):
            part = names[start : start + NAMES_MAX]
            before = _find(session, part)
            changes = [Change(name, old, without(old, command.index)) for name, old in before.items()]
            if len(changes) < len(part):
                # An item has gone since its entry was read.
                raise StatementFailed(_CHANGED, "an index has changed meanwhile")
            count += _change(session, changes)
        results.append(count)
    return results


def _item_of(row: Row) -> tuple[bytes, bytes]:
    partition, sort, full_key = row
    if full_key is not None:
        partition, sort = unpack(full_key)[-2:]
    return partition, sort


def drop(session: Session, commands: Sequence[DropItems]) -> list[int]:
    """Delete items of tables, the first ones first."""
    results: list[int] = []
    for command in commands:
        changes: list[Change] = []
        for partition, sort, full_key, size, entries in session.fetch(_FIRST, command.table, command.limit):
            name = (command.table, *_item_of((partition, sort, full_key)))
            changes.append(Change(name, Standing(0, b"", size, entries), None))
        results.append(_change(session, changes))
    return results


def _change(session: Session, changes: Sequence[Change]) -> int:
    batch = _Batch(session)
    for change in changes:
        batch.add(change)
    batch.write()
    return len(changes)


def _find(session: Session, names: Iterable[Name]) -> dict[Name, Standing]:
    """Lock those of the items that are there, and return them."""
    wanted = {_key(name): name for name in names}
    if not wanted:
        return {}
    rows = session.fetch(_FIND, *zip(*sorted(wanted), strict=True))
    return {wanted[row[:4]]: Standing(0, row[4], row[5], row[6]) for row in rows}


def _lock(session: Session, names: Iterable[Name]) -> None:
    """Lock those of the items that are there."""
    session.send(_LOCK, *zip(*sorted(map(_key, names)), strict=True))
