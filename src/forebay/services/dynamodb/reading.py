"""Reading many items in order: what Query, Scan and PartiQL's SELECT have in common.

A page ends with a megabyte read or with the limit, before the filter (developer guide, "Paginating the results").
Where nothing of an item has to be known, its bytes are answered as they are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.languages.dynamodb.key import encode_partition, encode_sort, segment_bounds
from forebay.languages.dynamodb.key_condition import KeyRange
from forebay.languages.dynamodb.projection import Projection
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.capacity import Consumed, read_units
from forebay.services.dynamodb.layout import IndexLayout, Layout, decode_item, encode_item
from forebay.store.items import FoundItem, ItemKey, ItemRange, JoinItems, Page, ReadItems

Filter = Callable[[Attributes], bool]

# More than fit into a page, as every item has a byte at least.
_UNLIMITED = 1 << 30


@dataclass(frozen=True)
class Start:
    """Where a page before ended: in the table, and in the index that is read."""

    item: ItemKey
    position: ItemKey | None = None


@dataclass(frozen=True)
class Reading:
    """What is to be read of a table or index, and what of it is answered."""

    layout: Layout
    index: IndexLayout | None = None
    range: KeyRange | None = None
    segment: tuple[int, int] | None = None
    start: Start | None = None
    limit: int | None = None
    is_backward: bool = False
    filter: Filter | None = None
    projection: Projection | None = None
    # Whether items are answered with what the index has not, from the table (local indexes only).
    fetches: bool = False
    is_counting: bool = False


@dataclass
class Found:
    """A page: pieces of items as JSON (one or several with commas), how many, and how many were looked at.

    `last` is the key at which the next page begins; None where there is none.
    """

    items: list[bytes] = field(default_factory=list[bytes])
    count: int = 0
    scanned: int = 0
    size: int = 0
    fetched_units: float = 0.0
    last: Attributes | None = None


async def read_page(call: Call, reading: Reading) -> Found:
    """Read one page."""
    found = Found()
    start = reading.start
    limit = reading.limit or _UNLIMITED
    if _is_whole(reading):
        return await _read_whole(call, reading, _query(reading, start, limit, limits.PAGE_BYTES_MAX))
    while True:
        query = _query(reading, start, limit - found.scanned, limits.PAGE_BYTES_MAX - found.size)
        page = await call.platform.store.ask(query)
        _take(reading, page, found)
        if page.is_last:
            return found
        last = page.items[-1]
        if found.scanned >= limit or found.size >= limits.PAGE_BYTES_MAX:
            found.last = _last_key(reading, last)
            return found
        # The index holds less of the items than the store has counted: there is room for more.
        start = Start(last.key, last.position)


def _is_whole(reading: Reading) -> bool:
    """Tell whether items are answered as they are kept, all of them."""
    projects = reading.index is not None and reading.index.projected is not None
    return not projects and reading.filter is None and (reading.is_counting or reading.projection is None)


async def _read_whole(call: Call, reading: Reading, query: ReadItems) -> Found:
    page = await call.platform.store.ask(JoinItems(query))
    items = [page.data] if page.count and not reading.is_counting else []
    last = None if page.last is None else _last_key(reading, page.last)
    return Found(items, page.count, page.count, page.size, last=last)


def _query(reading: Reading, start: Start | None, limit: int, size_max: int) -> ReadItems:
    bounds, sorts = reading.range, ItemRange()
    low, high = segment_bounds(*reading.segment) if reading.segment is not None else (None, None)
    if bounds is not None:
        sorts = ItemRange(bounds.low, bounds.high, bounds.is_low_excluded, bounds.is_high_excluded)
    after = None if start is None else start.item if reading.index is None else start.position
    return ReadItems(
        table=reading.layout.number,
        limit=limit,
        size_max=size_max,
        index=None if reading.index is None else reading.index.index.number,
        partition=None if bounds is None else bounds.partition,
        sorts=sorts,
        partition_low=low,
        partition_high=high,
        after=after,
        after_item=None if start is None or reading.index is None else start.item,
        is_backward=reading.is_backward,
    )


def _take(reading: Reading, page: Page, found: Found) -> None:
    """Add a page of the store to what was found."""
    found.scanned += len(page.items)
    projects = reading.index is not None and reading.index.projected is not None
    for item in page.items:
        values = decode_item(item.data)
        held = values if not projects else _held(reading, item, values, found)
        if not projects:
            found.size += item.size
        if reading.filter is not None and not reading.filter(held):
            continue
        found.count += 1
        if not reading.is_counting:
            found.items.append(_shown(reading, item, held, is_whole=held is values))


def _held(reading: Reading, item: FoundItem, values: Attributes, found: Found) -> Attributes:
    """Return what of an item the reading has: what the index holds, or all of it, fetched."""
    assert reading.index is not None
    found.size += reading.index.size_of(values, item.size)
    if not reading.fetches:
        return reading.index.project(values)
    found.fetched_units += read_units(item.size, is_consistent=False)
    return values


def _shown(reading: Reading, item: FoundItem, held: Attributes, *, is_whole: bool) -> bytes:
    if reading.projection is not None:
        return encode_item(reading.projection.apply(held))
    return item.data if is_whole else encode_item(held)


def _last_key(reading: Reading, item: FoundItem) -> Attributes:
    values = decode_item(item.data)
    key = reading.layout.key_of(values)
    if reading.index is not None:
        key |= {name: values[name] for name in reading.index.key.names}
    return key


def consumed_by(reading: Reading, found: Found, *, is_consistent: bool) -> Consumed:
    """Return what a page has cost."""
    consumed = Consumed()
    units = read_units(found.size, is_consistent=is_consistent)
    if reading.index is None:
        consumed.table = units
    else:
        consumed.add_index(reading.index, units)
        consumed.table = found.fetched_units * (2 if is_consistent else 1)
    return consumed


def read_start(layout: Layout, index: IndexLayout | None, key: Attributes) -> Start:
    """Return where `ExclusiveStartKey` says that the page before has ended.

    Raises:
        ValidationException: it is not the key of an item of this table or index.
    """
    names = [*layout.key.names, *(index.key.names if index else ())]
    if set(names) != set(key):
        raise invalid(
            "The provided starting key is invalid"
            if index is not None
            else "The provided starting key is invalid: The provided key element does not match the schema"
        )
    types = layout.key.types
    if any(types[name] not in key[name] for name in names):
        raise invalid(
            "The provided starting key is invalid: The provided key element does not match the schema"
            if index is None
            else "The provided starting key is invalid: One or more parameter values were invalid: "
            "Condition parameter type does not match schema type"
        )
    item = layout.lookup_key({name: key[name] for name in layout.key.names})
    if index is None:
        return Start(item)
    return Start(item, _position(index, key, item))


def _position(index: IndexLayout, key: Attributes, item: ItemKey) -> ItemKey:
    partition = item.partition
    if index.index.is_global:
        partition = encode_partition([key[name] for name in index.key.partition])
    sorts = [key[name] for name in index.key.sort]
    return ItemKey(partition, encode_sort(sorts, is_compound=len(sorts) > 1))


def check_start(reading: Reading) -> None:
    """Refuse a start that is not within what is read."""
    if reading.start is None:
        return
    position = reading.start.position or reading.start.item
    bounds = reading.range
    if bounds is not None:
        is_outside = (
            position.partition != bounds.partition
            or (bounds.low is not None and position.sort < bounds.low)
            or (bounds.high is not None and position.sort > bounds.high)
        )
        if is_outside:
            text = "The provided starting key is outside query boundaries based on provided conditions"
            raise invalid(text)
    elif reading.segment is not None:
        low, high = segment_bounds(*reading.segment)
        if (low is not None and position.partition < low) or (high is not None and position.partition >= high):
            raise invalid(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
                "ExclusiveStartKey with correct Segment. TotalSegments: "
                f"{reading.segment[1]} Segment: {reading.segment[0]}"
            )


def find_index(layout: Layout, name: str | None, *, is_consistent: bool) -> IndexLayout | None:
    """Return the index that a request names, None where it names none.

    Raises:
        ValidationException: there is none, it is not ready, or it cannot be read consistently.
    """
    if name is None:
        return None
    index = layout.find_index(name)
    if index is None:
        raise invalid(f"The table does not have the specified index: {name}")
    if index.index.status == "CREATING":
        raise invalid(f"Cannot read from backfilling global secondary index: {name}")
    if index.index.status == "DELETING":
        raise invalid(f"The table does not have the specified index: {name}")
    if is_consistent and index.index.is_global:
        raise invalid("Consistent reads are not supported on global secondary indexes")
    return index


def check_select(index: IndexLayout | None, select: str | None, projection: Projection | None) -> bool:
    """Check `Select` against what is read; return whether items have to be fetched from the table.

    Raises:
        ValidationException: the index does not have what is asked for, or the parameters contradict each other.
    """
    if select == "ALL_PROJECTED_ATTRIBUTES" and index is None:
        raise invalid_parameter("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if index is None or index.projected is None:
        return False
    if select == "ALL_ATTRIBUTES":
        if index.index.is_global:
            raise invalid_parameter(
                f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} "
                "because its projection type is not ALL"
            )
        return True
    missing = [] if projection is None else [name for name in projection.names if name not in index.projected]
    if missing and index.index.is_global:
        raise invalid_parameter(f"Global secondary index {index.name} does not project [{', '.join(missing)}]")
    return bool(missing)
