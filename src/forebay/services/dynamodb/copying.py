"""Copies of tables: what backups, restores and exports are made of.

A copy takes the items page by page while the table is written to. For a moment in the past, the changes since then are
undone afterwards, the latest first, by the table's log of changes (`effects`). Backups on demand take each item as it
is when its turn comes, as AWS's do ("backups don't guarantee causal consistency across items").
A copy is a timer; what is done stands in its data, so it goes on after a crash where it was.
"""

import msgspec
from msgspec.structs import replace

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.dynamodb.effects import Undo, changes_log
from forebay.services.dynamodb.layout import Layout, decode_item
from forebay.services.dynamodb.table import TABLE, Table
from forebay.store.commands import (
    ClaimedTimer,
    PutTimers,
    ReadLog,
    Settlement,
    SettleTimers,
    StoredEntry,
    Timer,
)
from forebay.store.contract import Store, Transaction
from forebay.store.items import (
    Decide,
    Decision,
    Item,
    ItemKey,
    ItemWrite,
    MeasureItems,
    Page,
    ReadItems,
    WriteItems,
)
from forebay.store.records import Kind

COPY_TIMER = "dynamodb.copy"
EXPORT_TIMER = "dynamodb.export"

_PAGE_ITEMS = 200
_PAGE_BYTES = 4 * 1024 * 1024
# Behind every change that a log can have.
_END = 1 << 62


class Copy(msgspec.Struct, frozen=True):
    """A copy under way: from one number in the store to another. `purpose` is backup, restore or export.

    `name` is the key of the record that waits for it; `until_ms` the moment to go back to, by the log of `table_id`.
    """

    purpose: str
    name: str
    source: int
    target: int
    after: tuple[bytes, bytes] | None = None
    is_copied: bool = False
    table_id: str | None = None
    until_ms: int | None = None
    undone: int = _END


class Backup(msgspec.Struct, frozen=True):
    """A backup on demand; `table` is the table as it was, `number` where the store has the items."""

    arn: str
    name: str
    table: Table
    number: int
    created_at: float
    status: str = "CREATING"
    size: int = 0
    items: int = 0


BACKUP = Kind("dynamodb.backup", Backup)
"""Records under (account, region, ARN)."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Copy).decode
_decode_undo = msgspec.msgpack.Decoder(Undo).decode


def copy_timer(copy: Copy, now_ms: int) -> Timer:
    """Return the timer that makes a copy."""
    return Timer(COPY_TIMER, f"{copy.purpose}/{copy.target}", now_ms, _encode(copy))


class CopyWorker:
    """Makes copies, a page at a time. A `Worker`."""

    name = "dynamodb.copying"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._timers = DueTimers(store, clock, COPY_TIMER)

    async def run_once(self) -> float:
        """Do a page of one copy."""
        for timer in await self._timers.claim():
            await self._advance(timer)
        return await self._timers.seconds_until_next()

    async def _advance(self, timer: ClaimedTimer) -> None:
        now_ms = int(self._clock.now() * 1000)
        copy = _decode(timer.data)
        target = await self._target(copy)
        following = await (self._undo(copy, target) if copy.is_copied else self._copy(copy, target))
        if following is None:
            await self._store.transact(lambda transaction: _finish(transaction, copy, timer, now_ms))
        else:
            settlement = Settlement(timer.key, timer.epoch, now_ms, _encode(following))
            await self._store.submit([SettleTimers(COPY_TIMER, (settlement,))])

    async def _target(self, copy: Copy) -> Layout | None:
        """Return the layout of the table that is filled, None where a copy is only kept."""
        if copy.purpose != "restore":
            return None
        table = await self._store.find(TABLE, copy.name)
        return None if table is None else Layout(table)

    async def _copy(self, copy: Copy, target: Layout | None) -> Copy | None:
        after = None if copy.after is None else ItemKey(*copy.after)
        query = ReadItems(copy.source, _PAGE_ITEMS, _PAGE_BYTES, after=after)
        page: Page = await self._store.view(lambda view: view.ask(query))
        if page.items:
            items = [(item.key, _placed(target, item.key, item.data, item.size)) for item in page.items]
            await self._store.submit([_writing(copy.target, key, item) for key, item in items])
        if not page.is_last:
            last = page.items[-1].key
            return replace(copy, after=(last.partition, last.sort))
        return replace(copy, is_copied=True) if copy.until_ms is not None else None

    async def _undo(self, copy: Copy, target: Layout | None) -> Copy | None:
        assert copy.table_id is not None
        assert copy.until_ms is not None
        query = ReadLog(
            changes_log(copy.table_id), _PAGE_ITEMS, before=copy.undone, from_ms=copy.until_ms + 1, newest_first=True
        )
        entries: tuple[StoredEntry, ...] = await self._store.view(lambda view: view.ask(query))
        writes: list[WriteItems] = []
        for entry in entries:
            undo = _decode_undo(entry.data)
            key = ItemKey(undo.partition, undo.sort)
            item = None if undo.data is None else _placed(target, key, undo.data, undo.size)
            writes.append(_writing(copy.target, key, item))
        if writes:
            await self._store.submit(writes)
        return None if len(entries) < _PAGE_ITEMS else replace(copy, undone=entries[-1].position)


def _placed(target: Layout | None, key: ItemKey, data: bytes, size: int) -> Item:
    """Return an item as it is to stand in the copy."""
    entries = () if target is None else target.entries(decode_item(data), key, is_strict=False)
    return Item(data, size, entries)


def _writing(number: int, key: ItemKey, item: Item | None) -> WriteItems:
    return WriteItems((ItemWrite(number, key, _decide(item)),))


def _decide(item: Item | None) -> Decide:
    return lambda old: Decision(item, is_kept=item is None and old is None)


def _finish(transaction: Transaction, copy: Copy, timer: ClaimedTimer, now_ms: int) -> None:
    """Hand the copy over to what waits for it."""
    transaction.apply(SettleTimers(COPY_TIMER, (Settlement(timer.key, timer.epoch),)))
    if copy.purpose == "restore":
        table = transaction.records.find(TABLE, copy.name)
        if table is not None and table.number == copy.target:
            transaction.records.put(TABLE, copy.name, replace(table, filling=None))
    elif copy.purpose == "backup":
        backup = transaction.records.find(BACKUP, copy.name)
        if backup is not None:
            size = transaction.apply(MeasureItems(copy.target))
            done = replace(backup, status="AVAILABLE", size=size.size, items=size.items)
            transaction.records.put(BACKUP, copy.name, done)
    else:
        transaction.apply(PutTimers((Timer(EXPORT_TIMER, copy.name, now_ms, b""),)))
