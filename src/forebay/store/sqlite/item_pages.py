"""Reading items of tables: by key, in order, and how many there are."""

import sqlite3

from forebay.store.item_reading import plan_reading
from forebay.store.items import FoundItem, GetItems, Item, ItemKey, MeasureItems, Page, ReadItems, TableSize
from forebay.store.sqlite.items import ITSELF
from forebay.store.sqlite.rows import Statements

_GET_ONE = "SELECT data, size FROM item WHERE item_table = ? AND partition_key = ? AND sort_key = ?"
_GET = Statements(
    "WITH wanted (item_table, partition_key, sort_key) AS (VALUES {rows})"
    " SELECT partition_key, sort_key, data, size"
    " FROM wanted CROSS JOIN item USING (item_table, partition_key, sort_key)",
    "(?,?,?)",
)
_READ = "SELECT partition_key, sort_key, data, size FROM item AS listed WHERE item_table = ?"
_READ_INDEX = (
    "SELECT item_partition, item_sort, data, size, listed.partition_key, listed.sort_key"
    " FROM item_entry AS listed CROSS JOIN item ON item.id = listed.item"
    " WHERE listed.item_table = ? AND item_index = ?"
)
# Rows of any size are in memory at once while a page is read.
_ROWS_AT_ONCE = 32

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
    values: list[object] = [query.table]
    text = _READ
    if query.index is not None:
        text = _READ_INDEX
        values.append(query.index)
    for bound in reading.bounds:
        columns = ",".join([f"listed.{column}" for column in bound.columns])
        text += f" AND ({columns}) {bound.operator} ({','.join('?' * len(bound.values))})"
        values += bound.values
    direction = "DESC" if query.is_backward else "ASC"
    order = ",".join([f"listed.{column} {direction}" for column in reading.order])
    # The parts are ours: columns, operators and an order.
    cursor = connection.execute(f"{text} ORDER BY {order} LIMIT ?", (*values, query.limit))
    try:
        return _page(cursor, query)
    finally:
        # A statement that is not at its end would keep the snapshot.
        cursor.close()


def _page(cursor: sqlite3.Cursor, query: ReadItems) -> Page:
    found: list[FoundItem] = []
    left = query.size_max
    width = 4 if query.index is None else 6
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            partition, sort, data, size = row[:4]
            key = ItemKey(partition, sort)
            found.append(FoundItem(key, data, size, key if width == 4 else ItemKey(row[4], row[5])))
            left -= size
            if left <= 0:
                return Page(tuple(found), is_last=False)
    return Page(tuple(found), is_last=len(found) < query.limit)


def measure(connection: sqlite3.Connection, query: MeasureItems) -> TableSize:
    """Measure a table or an index."""
    index = ITSELF if query.index is None else query.index
    row = connection.execute(_MEASURE, (query.table, index)).fetchone()
    return TableSize(*row) if row else TableSize(0, 0)
