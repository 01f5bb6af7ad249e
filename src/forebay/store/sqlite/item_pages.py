"""Reading items of tables: by key, in order, and how many there are."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from forebay.store.item_reading import JOINED_BYTES_MAX, Piece, Reading, join_pieces, plan_reading
from forebay.store.items import (
    FoundItem,
    GetItems,
    Item,
    ItemKey,
    JoinedItems,
    JoinItems,
    MeasureItems,
    Page,
    ReadItems,
    TableSize,
)
from forebay.store.sqlite.items import ITSELF
from forebay.store.sqlite.rows import Statements

_GET_ONE = "SELECT data, size FROM item WHERE item_table = ? AND partition_key = ? AND sort_key = ?"
_GET = Statements(
    "WITH wanted (item_table, partition_key, sort_key) AS (VALUES {rows})"
    " SELECT partition_key, sort_key, data, size"
    " FROM wanted CROSS JOIN item USING (item_table, partition_key, sort_key)",
    "(?,?,?)",
)
_OF_TABLE = "FROM item AS listed WHERE item_table = ?"
_OF_INDEX = (
    "FROM item_entry AS listed CROSS JOIN item ON item.id = listed.item WHERE listed.item_table = ? AND item_index = ?"
)
# Of an index; of a table.
_COLUMNS = (
    "SELECT item_partition, item_sort, data, size, listed.partition_key, listed.sort_key",
    "SELECT partition_key, sort_key, data, size",
)
# Rows of any size are in memory at once while a page is read.
_ROWS_AT_ONCE = 32

# One step of SQLite puts so many items into one piece, unless there are large ones among them: each step releases the
# interpreter's lock and has to win it back, and each value that goes to Python costs as much as reading a row.
# The rows of a subquery with an order and a limit are added in that order.
_JOIN = (
    "SELECT count(*), sum(size), max(size), CAST(group_concat(CASE WHEN size < ? THEN data END, ',') AS BLOB)"
    " FROM (SELECT data, size"
)

_MEASURE = "SELECT items, size FROM item_count WHERE item_table = ? AND item_index = ?"


def get(connection: sqlite3.Connection, query: GetItems) -> tuple[Item | None, ...]:
    """Read items by key."""
    table, keys = query.table, query.keys
    if len(keys) == 1:
        row = connection.execute(_GET_ONE, (table, keys[0].partition, keys[0].sort)).fetchone()
        return (Item(*row) if row else None,)
    values = [part for key in keys for part in (table, key.partition, key.sort)]
    found = {(partition, sort): Item(data, size) for partition, sort, data, size in _GET.fetch(connection, values)}
    return tuple([found.get((key.partition, key.sort)) for key in keys])


def read(connection: sqlite3.Connection, query: ReadItems) -> Page:
    """Read items in order, row by row until the page is full."""
    reading = plan_reading(query)
    if reading is None or query.limit <= 0:
        return Page((), is_last=True)
    text, values = _rows(query, reading)
    cursor = connection.execute(f"{_COLUMNS[query.index is None]} {text}", (*values, query.limit))
    try:
        return _page(cursor, query)
    finally:
        # A statement that is not at its end would keep the snapshot.
        cursor.close()


def _rows(query: ReadItems, reading: Reading) -> tuple[str, list[object]]:
    """Return which rows to read, in which order; what is still to be bound is their number."""
    values: list[object] = [query.table]
    text = _OF_TABLE
    if query.index is not None:
        text = _OF_INDEX
        values.append(query.index)
    for bound in reading.bounds:
        columns = ",".join([f"listed.{column}" for column in bound.columns])
        text += f" AND ({columns}) {bound.operator} ({','.join('?' * len(bound.values))})"
        values += bound.values
    direction = "DESC" if query.is_backward else "ASC"
    order = ",".join([f"listed.{column} {direction}" for column in reading.order])
    # The parts are ours: columns, operators and an order.
    return f"{text} ORDER BY {order} LIMIT ?", values


def _page(cursor: sqlite3.Cursor, query: ReadItems) -> Page:
    found: list[FoundItem] = []
    left = query.size_max
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            item = _found(row)
            found.append(item)
            left -= item.size
            if left <= 0:
                return Page(tuple(found), is_last=False)
    return Page(tuple(found), is_last=len(found) < query.limit)


def _found(row: Sequence[Any]) -> FoundItem:
    partition, sort, data, size = row[:4]
    key = ItemKey(partition, sort)
    return FoundItem(key, data, size, key if len(row) == 4 else ItemKey(row[4], row[5]))


def join(connection: sqlite3.Connection, query: JoinItems) -> JoinedItems:
    """Read items in order into one piece. Takes several statements: a snapshot."""

    def join_piece(page: ReadItems, reading: Reading, rows: int) -> Piece | None:
        text, values = _rows(page, reading)
        joined = connection.execute(f"{_JOIN} {text})", (JOINED_BYTES_MAX, *values, rows)).fetchone()
        count, size, largest, data = joined
        if not count:
            return Piece(b"", 0, 0, None)
        if largest >= JOINED_BYTES_MAX or size >= page.size_max:
            return None
        if count < rows:
            return Piece(data, count, size, None)
        ended = connection.execute(f"{_COLUMNS[page.index is None]} {text} OFFSET ?", (*values, 1, rows - 1))
        return Piece(data, count, size, _found(ended.fetchone()))

    return join_pieces(query.page, join_piece, lambda rest: read(connection, rest))


def measure(connection: sqlite3.Connection, query: MeasureItems) -> TableSize:
    """Measure a table or an index."""
    index = ITSELF if query.index is None else query.index
    row = connection.execute(_MEASURE, (query.table, index)).fetchone()
    return TableSize(*row) if row else TableSize(0, 0)
