"""How a `ReadItems` becomes bounds on columns: what SQL engines share.

Items of a table are ordered by partition and sort key; entries of an index by those of the index and then by those of
the item. A read with a partition has that equal and is ordered by the rest.
"""

from collections.abc import Callable

import msgspec

from forebay.store.items import FoundItem, JoinedItems, Page, ReadItems

# Of a table; of an index.
_ORDER = ("partition_key", "sort_key")
_INDEX_ORDER = (*_ORDER, "item_partition", "item_sort")


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Bounds columns, compared as one, by as many values: `operator` is one of =, <, <=, >, >=."""

    columns: tuple[str, ...]
    operator: str
    values: tuple[bytes, ...]


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Bounds: what is equal, begin and end; and the columns to order by (backwards, where the query is)."""

    fixed: tuple[Bound, ...]
    begin: Bound | None
    end: Bound | None
    order: tuple[str, ...]

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """All bounds."""
        return (*self.fixed, *[bound for bound in (self.begin, self.end) if bound is not None])


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Items of a page, joined by the engine: with `last`, as many as were asked for, and that is the last of them."""

    data: bytes
    count: int
    size: int
    last: FoundItem | None


JoinPiece = Callable[[ReadItems, Reading, int], Piece | None]
"""Joins the first so many items of a page; None where it is not to be done so (they are large), or is too much."""

# How many items an engine joins at once, and what size of an item is too large for that.
PIECE_ITEMS = 256
JOINED_BYTES_MAX = 4096


def join_pieces(page: ReadItems, join: JoinPiece, read: Callable[[ReadItems], Page]) -> JoinedItems:
    """Join a page's items piece by piece; what cannot be done so, as the end of a full page, is read item by item."""
    parts: list[bytes] = []
    count = size = 0
    last: FoundItem | None = None
    while count < page.limit:
        rest = _behind(page, count, size, last)
        reading = plan_reading(rest)
        if reading is None:
            return JoinedItems(b",".join(parts), count, size, None)
        piece: Piece | JoinedItems | None = join(rest, reading, min(rest.limit, PIECE_ITEMS))
        is_end = piece is None
        if piece is None:
            piece = join_page(read(rest))
        if piece.count:
            parts.append(piece.data)
        count, size, last = count + piece.count, size + piece.size, piece.last
        if is_end or last is None:
            break
    return JoinedItems(b",".join(parts), count, size, last)


def _behind(page: ReadItems, count: int, size: int, last: FoundItem | None) -> ReadItems:
    """Return what of a page is still to be read behind an item."""
    if last is None:
        return page
    after, after_item = last.position, None if page.index is None else last.key
    left, size_left = page.limit - count, page.size_max - size
    return msgspec.structs.replace(page, limit=left, size_max=size_left, after=after, after_item=after_item)


def join_page(page: Page) -> JoinedItems:
    """Return a page's items in one piece."""
    items = page.items
    data = b",".join([item.data for item in items])
    return JoinedItems(data, len(items), sum([item.size for item in items]), None if page.is_last else items[-1])


def columns_of(query: ReadItems) -> tuple[str, ...]:
    """Return the columns that order what is read."""
    return _ORDER if query.index is None else _INDEX_ORDER


def plan_reading(query: ReadItems) -> Reading | None:
    """Return how to read; None when nothing can be found."""
    columns = columns_of(query)
    is_backward = query.is_backward
    fixed, low, high = _bounds(query, columns)
    after = _after(query)
    if after is not None and query.partition is not None:
        if after[0] != query.partition:
            if (after[0] < query.partition) == is_backward:
                return None
            after = None
        else:
            after = after[1:]
    order = columns[len(fixed) :]
    begin, end = (high, low) if is_backward else (low, high)
    if after is not None:
        behind = Bound(order[: len(after)], "<" if is_backward else ">", after)
        begin = behind if begin is None else _tighter(begin, behind, is_low=not is_backward)
    return Reading(fixed, begin, end, order)


def _bounds(query: ReadItems, columns: tuple[str, ...]) -> tuple[tuple[Bound, ...], Bound | None, Bound | None]:
    """Return what is equal, the lower and the upper bound."""
    if query.partition is None:
        low = None if query.partition_low is None else Bound(columns[:1], ">=", (query.partition_low,))
        high = None if query.partition_high is None else Bound(columns[:1], "<", (query.partition_high,))
        return (), low, high
    sorts = query.sorts
    low = None if sorts.low is None else Bound(columns[1:2], ">" if sorts.is_low_excluded else ">=", (sorts.low,))
    high = None if sorts.high is None else Bound(columns[1:2], "<" if sorts.is_high_excluded else "<=", (sorts.high,))
    return (Bound(columns[:1], "=", (query.partition,)),), low, high


def _after(query: ReadItems) -> tuple[bytes, ...] | None:
    if query.after is None:
        return None
    position = (query.after.partition, query.after.sort)
    if query.index is None or query.after_item is None:
        return position
    return (*position, query.after_item.partition, query.after_item.sort)


def _tighter(bound: Bound, behind: Bound, *, is_low: bool) -> Bound:
    """Return where the page goes on, unless it has not reached the range yet."""
    there = behind.values[: len(bound.values)]
    is_before = there < bound.values if is_low else there > bound.values
    is_excluded = there == bound.values and bound.operator in {"<", ">"}
    return bound if is_before or is_excluded else behind
