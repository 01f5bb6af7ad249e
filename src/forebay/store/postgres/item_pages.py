"""Reading items of tables: by key, in order, and how many there are.

Rows come in the order of the index, some at a time until the page is full. Where keys are cut (`long_keys.py`), all
rows that are cut to the same key are put in order here, and compared with the bounds by their whole keys.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice

from forebay.store.item_reading import (
    JOINED_BYTES_MAX,
    Bound,
    Piece,
    Reading,
    columns_of,
    join_pieces,
    plan_reading,
)
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
from forebay.store.postgres.connection import Fetching, Row, Statement
from forebay.store.postgres.long_keys import INDEX_BYTES_MAX, TABLE_BYTES_MAX, cut, unpack
from forebay.store.postgres.session import ITSELF

# Rows in the first answer, and at most in any; what is in between goes by the size of those that came.
_ROWS_FIRST = 110
_ROWS_MAX = 4000

_GET = Statement(
    "SELECT place, data, size FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::bytea[]) WITH ORDINALITY"
    " AS wanted (item_table, partition_key, sort_key, tail, place)"
    " JOIN item USING (item_table, partition_key, sort_key, tail)",
    "int8[]",
    *["bytea[]"] * 3,
)
_MEASURE = Statement(
    "SELECT coalesce(sum(items), 0)::int8, coalesce(sum(size), 0)::int8 FROM item_count"
    " WHERE item_table = $1::int8 AND item_index = $2::int8",
    "int8",
    "int8",
)
_READ = "SELECT listed.partition_key, listed.sort_key, listed.tail, full_key, data, size FROM item AS listed"
# Items whose entry is cut are fetched by their keys.
_READ_INDEX = (
    "SELECT listed.partition_key, listed.sort_key, item_partition, item_sort, listed.tail, listed.full_key, data, size"
    " FROM item_entry AS listed LEFT JOIN item ON listed.tail = '' AND item.item_table = listed.item_table"
    " AND item.partition_key = item_partition AND item.sort_key = item_sort AND item.tail = ''"
)
# Rows come out of `found` as they went in, and are joined in that order.
_JOIN = (
    "WITH found AS MATERIALIZED ({rows}), joined AS (SELECT count(*)::int8 AS items, coalesce(sum(size), 0)::int8,"
    " coalesce(bool_or(tail <> '' OR size >= {large}), false), string_agg(data, '\\x2c'::bytea) FROM found)"
    " SELECT joined.*, last.* FROM joined LEFT JOIN (SELECT * FROM found OFFSET $1::int8 - 1 LIMIT 1) AS last ON true"
)


def get(connection: Fetching, query: GetItems) -> tuple[Item | None, ...]:
    """Read items by key."""
    return get_all(connection.fetch, (query,))[0]


def get_all(fetch: Callable[..., list[Row]], queries: Sequence[GetItems]) -> list[tuple[Item | None, ...]]:
    """Answer several queries with one statement."""
    keys = [
        (query.table, *parts, tail)
        for query in queries
        for parts, tail in (cut((key.partition, key.sort), TABLE_BYTES_MAX) for key in query.keys)
    ]
    found: list[Item | None] = [None] * len(keys)
    if keys:
        for place, data, size in fetch(_GET, *zip(*keys, strict=True)):
            found[place - 1] = Item(data, size)
    items = iter(found)
    return [tuple(islice(items, len(query.keys))) for query in queries]


def measure(connection: Fetching, query: MeasureItems) -> TableSize:
    """Measure a table or an index."""
    index = ITSELF if query.index is None else query.index
    return TableSize(*connection.fetch(_MEASURE, query.table, index)[0])


def read(connection: Fetching, query: ReadItems) -> Page:
    """Read items in order until the page is full."""
    reading = plan_reading(query)
    if reading is None or query.limit <= 0:
        return Page((), is_last=True)
    found: list[FoundItem] = []
    left = query.size_max
    for position, data, size in _in_order(connection, query, reading):
        place = ItemKey(*position[:2])
        found.append(FoundItem(place if query.index is None else ItemKey(*position[2:]), data, size, place))
        left -= size
        if left <= 0 or len(found) >= query.limit:
            return Page(tuple(found), is_last=False)
    return Page(tuple(found), is_last=True)


def join(connection: Fetching, query: JoinItems) -> JoinedItems:
    """Read items in order into one piece."""

    def join_piece(page: ReadItems, reading: Reading, rows: int) -> Piece | None:
        columns = columns_of(page)
        bounds = [_cut(bound, columns) for bound in reading.bounds]
        if any(is_cut for _, is_cut in bounds):
            return None
        order = (*reading.order, "tail")
        shape = tuple([(bound.columns, bound.operator) for bound, _ in bounds])
        statement = _joining(shape, order, is_index=page.index is not None, is_backward=page.is_backward)
        values = [value for bound, _ in bounds for value in bound.values]
        ((count, size, is_apart, data, *last),) = connection.fetch(statement, rows, *_numbers(page), *values)
        if is_apart or size >= page.size_max:
            return None
        if count < rows:
            return Piece(data or b"", count, size, None)
        place = ItemKey(*last[:2])
        key = place if page.index is None else ItemKey(*last[2:4])
        return Piece(data, count, size, FoundItem(key, last[-2], last[-1], place))

    return join_pieces(query.page, join_piece, lambda rest: read(connection, rest))


# A position is a whole key: partition and sort key, in an index followed by those of the item.
_Positioned = tuple[tuple[bytes, ...], bytes, int]


def _in_order(connection: Fetching, query: ReadItems, reading: Reading) -> Iterator[_Positioned]:
    """Yield what is within the bounds, in order."""
    width = len(columns_of(query))
    for is_cut, rows in groupby(_rows(connection, query, reading), key=lambda row: row[:width] if row[width] else None):
        if is_cut is None:
            for row in rows:
                yield row[:width], row[-2], row[-1]
            continue
        whole = {unpack(row[width + 1]): row for row in rows}
        within = [position for position in whole if _is_within(position, reading, columns_of(query))]
        within.sort(reverse=query.is_backward)
        if query.index is None:
            yield from [(position, *whole[position][-2:]) for position in within]
        else:
            yield from _fetch(connection, query.table, within)


def _fetch(connection: Fetching, table: int, positions: Sequence[tuple[bytes, ...]]) -> Iterator[_Positioned]:
    items = get(connection, GetItems(table, tuple([ItemKey(*position[2:]) for position in positions])))
    for position, item in zip(positions, items, strict=True):
        # Outside of a snapshot it may have gone since.
        if item is not None:
            yield position, item.data, item.size


def _is_within(position: tuple[bytes, ...], reading: Reading, columns: tuple[str, ...]) -> bool:
    for bound in reading.bounds:
        start = columns.index(bound.columns[0])
        there = position[start : start + len(bound.values)]
        is_held = {
            "=": there == bound.values,
            "<": there < bound.values,
            "<=": there <= bound.values,
            ">": there > bound.values,
            ">=": there >= bound.values,
        }
        if not is_held[bound.operator]:
            return False
    return True


def _rows(connection: Fetching, query: ReadItems, reading: Reading) -> Iterator[Row]:
    """Yield rows in the order of the index, from a little before the bounds to a little behind them."""
    columns = columns_of(query)
    fixed = [_cut(bound, columns) for bound in reading.fixed]
    begin, end = reading.begin, reading.end
    if any(is_cut for _, is_cut in fixed):
        # All that is in a partition with a cut key stands in no order.
        begin = end = None
    begins = [_cut(begin, columns)[0]] if begin is not None else []
    ends = [_cut(end, columns)[0]] if end is not None else []
    order = (*reading.order, "tail")
    place = len(reading.fixed)
    count = min(query.limit, _ROWS_FIRST)
    left = query.size_max
    while True:
        bounds = [*[bound for bound, _ in fixed], *begins, *ends]
        rows = _fetch_rows(connection, query, bounds, order, count)
        yield from rows
        if len(rows) < count:
            return
        begins = [Bound(order, "<" if query.is_backward else ">", rows[-1][place : len(columns) + 1])]
        size = sum([row[-1] or 0 for row in rows])
        left -= size
        # As many as are likely to be wanted still, and a few more.
        count = min(max(left * count // max(size, 1), 0) * 9 // 8 + 8, query.limit, _ROWS_MAX)


def _cut(bound: Bound, columns: tuple[str, ...]) -> tuple[Bound, bool]:
    """Return a bound on cut keys that includes all that are within it, and whether it was cut itself."""
    bytes_max = TABLE_BYTES_MAX if len(columns) == len(TABLE_BYTES_MAX) else INDEX_BYTES_MAX
    values, tail = cut(bound.values, bytes_max[columns.index(bound.columns[0]) :])
    if not tail:
        return bound, False
    return Bound(bound.columns, bound.operator if bound.operator == "=" else bound.operator[0] + "=", values), True


def _fetch_rows(
    connection: Fetching, query: ReadItems, bounds: Sequence[Bound], order: tuple[str, ...], count: int
) -> list[Row]:
    shape = tuple([(bound.columns, bound.operator) for bound in bounds])
    statement = _statement(shape, order, is_index=query.index is not None, is_backward=query.is_backward)
    return connection.fetch(statement, count, *_numbers(query), *[value for bound in bounds for value in bound.values])


def _numbers(query: ReadItems) -> tuple[int, ...]:
    return (query.table,) if query.index is None else (query.table, query.index)


# Columns and operator of each bound.
_Shape = Iterable[tuple[tuple[str, ...], str]]


@lru_cache(maxsize=256)
def _joining(shape: _Shape, order: tuple[str, ...], *, is_index: bool, is_backward: bool) -> Statement:
    """Return the statement that joins rows and gives the last one; those that are cut or large stay apart."""
    text, types = _reading(shape, order, is_index=is_index, is_backward=is_backward)
    return Statement(_JOIN.format(rows=text, large=JOINED_BYTES_MAX), *types)


@lru_cache(maxsize=256)
def _statement(shape: _Shape, order: tuple[str, ...], *, is_index: bool, is_backward: bool) -> Statement:
    """Return the statement that reads with bounds of a shape."""
    text, types = _reading(shape, order, is_index=is_index, is_backward=is_backward)
    return Statement(text, *types)


def _reading(shape: _Shape, order: tuple[str, ...], *, is_index: bool, is_backward: bool) -> tuple[str, list[str]]:
    """Return a statement's text and the types of its parameters."""
    types = ["int8", "int8", *["int8"] * is_index]
    text = f"{_READ_INDEX} WHERE listed.item_table = $2::int8 AND item_index = $3::int8"
    if not is_index:
        text = f"{_READ} WHERE listed.item_table = $2::int8"
    for columns, operator in shape:
        names = ",".join([f"listed.{column}" for column in columns])
        values = ",".join([f"${len(types) + place}::bytea" for place in range(1, len(columns) + 1)])
        types += ["bytea"] * len(columns)
        text += f" AND ({names}) {operator} ({values})"
    direction = "DESC" if is_backward else "ASC"
    text += f" ORDER BY {','.join([f'listed.{column} {direction}' for column in order])} LIMIT $1::int8"
    return text, types
