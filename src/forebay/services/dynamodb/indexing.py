"""Indexes and items that come and go in the background: backfill, deletion of indexes, and of tables' items.

Each is a timer; what is done so far stands in its data, so that another node or the next start goes on from there.
"""

import msgspec
from msgspec.structs import replace

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.dynamodb.layout import Layout, decode_item, index_entry
from forebay.services.dynamodb.table import TABLE, Table
from forebay.store.commands import ClaimedTimer, Settlement, SettleTimers, Timer
from forebay.store.contract import Store, Transaction
from forebay.store.items import DropIndex, DropItems, IndexEntry, IndexItems, ItemKey, Page, ReadItems

INDEX_TIMER = "dynamodb.index"
DROP_TIMER = "dynamodb.drop"

_PAGE_ITEMS = 500
_PAGE_BYTES = 2 * 1024 * 1024
_DROP_ITEMS = 1_000


class IndexWork(msgspec.Struct, frozen=True):
    """An index that is being filled, up to `after`, or emptied. `table` is the key of the table's record."""

    table: str
    number: int
    index: int
    is_deletion: bool = False
    after: tuple[bytes, bytes] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(IndexWork).decode


def index_timer(table: Table, index: int, due_at_ms: int, *, is_deletion: bool = False) -> Timer:
    """Return the timer that fills an index of a table, or empties it."""
    work = IndexWork(table.key(), table.number, index, is_deletion=is_deletion)
    return Timer(INDEX_TIMER, f"{table.number}/{index}", due_at_ms, _encode(work))


def drop_timer(number: int, due_at_ms: int) -> Timer:
    """Return the timer that deletes what a table held."""
    return Timer(DROP_TIMER, str(number), due_at_ms, b"")


class IndexWorker:
    """Fills new indexes and empties deleted ones, a page at a time. A `Worker`."""

    name = "dynamodb.indexing"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._timers = DueTimers(store, clock, INDEX_TIMER)

    async def run_once(self) -> float:
        """Do a page of one index."""
        for timer in await self._timers.claim():
            now_ms = int(self._clock.now() * 1000)
            work = _decode(timer.data)
            following = await (self._empty(work) if work.is_deletion else self._fill(work))
            await self._settle(timer, following, now_ms)
        return await self._timers.seconds_until_next()

    async def _settle(self, timer: ClaimedTimer, following: IndexWork | None, now_ms: int) -> None:
        due_at_ms, data = (None, None) if following is None else (now_ms, _encode(following))
        await self._store.submit([SettleTimers(INDEX_TIMER, (Settlement(timer.key, timer.epoch, due_at_ms, data),))])

    async def _empty(self, work: IndexWork) -> IndexWork | None:
        (count,) = await self._store.submit([DropIndex(work.number, work.index, _DROP_ITEMS)])
        if count == _DROP_ITEMS:
            return work
        await self._store.transact(lambda transaction: _forget_index(transaction, work))
        return None

    async def _fill(self, work: IndexWork) -> IndexWork | None:
        table = await self._store.find(TABLE, work.table)
        if table is None or table.number != work.number:
            return None
        after = None if work.after is None else ItemKey(*work.after)
        query = ReadItems(work.number, _PAGE_ITEMS, _PAGE_BYTES, after=after)
        page: Page = await self._store.view(lambda view: view.ask(query))
        entries = _entries(Layout(table), work.index, page)
        if entries:
            await self._store.submit([IndexItems(work.number, entries)])
        if not page.is_last:
            last = page.items[-1].key
            return replace(work, after=(last.partition, last.sort))
        await self._store.transact(lambda transaction: _finish_index(transaction, work))
        return None


def _entries(layout: Layout, number: int, page: Page) -> tuple[tuple[ItemKey, bytes, IndexEntry], ...]:
    """Return the entries of a page's items; those whose attributes do not fit the index are left out, as AWS does."""
    index = next((one for one in layout.indexes if one.index.number == number), None)
    is_expiry = layout.ttl is not None and layout.ttl.number == number
    found: list[tuple[ItemKey, bytes, IndexEntry]] = []
    for item in page.items:
        values = decode_item(item.data)
        entry = None
        if index is not None:
            entry = index_entry(index, values, item.key, is_strict=False)
        elif is_expiry:
            entry = layout.expiry(values)
        if entry is not None:
            found.append((item.key, item.data, entry))
    return tuple(found)


def _finish_index(transaction: Transaction, work: IndexWork) -> None:
    table = transaction.records.find(TABLE, work.table)
    if table is None or table.number != work.number:
        return
    indexes = tuple(
        replace(index, status="ACTIVE", is_backfilling=False)
        if index.number == work.index and index.status == "CREATING"
        else index
        for index in table.indexes
    )
    transaction.records.put(TABLE, work.table, replace(table, indexes=indexes))


def _forget_index(transaction: Transaction, work: IndexWork) -> None:
    table = transaction.records.find(TABLE, work.table)
    if table is None or table.number != work.number:
        return
    indexes = tuple(index for index in table.indexes if index.number != work.index)
    used = {*table.partition, *table.sort, *(name for index in indexes for name in (*index.partition, *index.sort))}
    types = {name: kind for name, kind in table.types.items() if name in used}
    transaction.records.put(TABLE, work.table, replace(table, indexes=indexes, types=types))


class TableJanitor:
    """Deletes the items of deleted tables. A `Worker`."""

    name = "dynamodb.janitor"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._timers = DueTimers(store, clock, DROP_TIMER)

    async def run_once(self) -> float:
        """Delete some items of one table."""
        for timer in await self._timers.claim():
            (count,) = await self._store.submit([DropItems(int(timer.key), _DROP_ITEMS)])
            due_at_ms = timer.due_at_ms if count == _DROP_ITEMS else None
            await self._store.submit([SettleTimers(DROP_TIMER, (Settlement(timer.key, timer.epoch, due_at_ms),))])
        return await self._timers.seconds_until_next()
