"""Time to live: deletes items whose moment has come, as the service itself, and what is over of streams and tokens."""

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.languages.dynamodb import number
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.effects import TTL_IDENTITY, Effects
from forebay.services.dynamodb.layout import Layout, decode_item
from forebay.services.dynamodb.stream import log_name
from forebay.services.dynamodb.table import STREAM, TABLE, StreamRecord
from forebay.services.dynamodb.transactions import TOKEN_INDEX, TOKEN_TABLE
from forebay.services.dynamodb.writing import Outcome
from forebay.store.commands import DropLog
from forebay.store.contract import Store, Transaction, View
from forebay.store.items import Decide, Decision, FoundItem, Item, ItemRange, ItemWrite, Page, ReadItems, WriteItems

# Items that expired longer ago than this are left alone ("Time to Live", on timestamps five years in the past).
_OLDEST_SECONDS = 5 * 365 * 24 * 3600
_BATCH = 200
_BATCH_BYTES = 8 * 1024 * 1024
_PAUSE_SECONDS = 10.0


class ItemExpiry:
    """Deletes expired items of all tables. A `Worker`."""

    name = "dynamodb.expiry"

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def run_once(self) -> float:
        """Delete a batch of each table's expired items."""
        tables = await self._store.view(lambda view: [table for _, table in view.records.list(TABLE)])
        has_more = False
        for table in tables:
            if table.ttl is not None and table.ttl.is_enabled:
                has_more |= await self._expire(Layout(table))
        has_more |= await self._forget_tokens()
        await self._forget_streams()
        return 0.0 if has_more else _PAUSE_SECONDS

    async def _expire(self, layout: Layout) -> bool:
        assert layout.ttl is not None
        now = int(self._clock.now())
        sorts = ItemRange(number.encode(str(max(now - _OLDEST_SECONDS, 0))), number.encode(str(now)))
        query = ReadItems(layout.number, _BATCH, _BATCH_BYTES, layout.ttl.number, b"", sorts)
        page: Page = await self._store.view(lambda view: view.ask(query))
        if page.items:
            await self._store.submit([self._deletion(layout, item, now) for item in page.items])
        return len(page.items) == _BATCH

    def _deletion(self, layout: Layout, found: FoundItem, now: int) -> WriteItems:
        key = layout.key_of(decode_item(found.data))
        event_id = self._ids.uuid().replace("-", "")
        effects = Effects(layout, key, found.key, event_id, self._clock.now, TTL_IDENTITY)
        return WriteItems((ItemWrite(layout.number, found.key, _decide_expiry(layout, effects, now)),))

    async def _forget_tokens(self) -> bool:
        now_ms = int(self._clock.now() * 1000)
        sorts = ItemRange(high=now_ms.to_bytes(8, "big"))
        query = ReadItems(TOKEN_TABLE, _BATCH, _BATCH_BYTES, TOKEN_INDEX, b"", sorts)
        page: Page = await self._store.view(lambda view: view.ask(query))
        if page.items:
            commands = [WriteItems((ItemWrite(TOKEN_TABLE, item.key, _decide_gone(item.data)),)) for item in page.items]
            await self._store.submit(commands)
        return len(page.items) == _BATCH

    async def _forget_streams(self) -> None:
        now = self._clock.now()

        def find(view: View) -> list[tuple[str, StreamRecord]]:
            streams = view.records.list(STREAM)
            return [(key, one) for key, one in streams if (one.disabled_at or now) + limits.STREAM_SECONDS <= now]

        gone = await self._store.view(find)

        def forget(transaction: Transaction) -> None:
            for key, stream in gone:
                transaction.records.delete(STREAM, key)
                transaction.apply(DropLog(log_name(stream.table_id, stream.label)))

        if gone:
            await self._store.transact(forget)


def _decide_expiry(layout: Layout, effects: Effects, now: int) -> Decide:
    """Return the decision to delete an item if it is still expired."""
    assert layout.ttl is not None
    attribute = layout.ttl.attribute

    def expire(old: Item | None) -> Decision:
        if old is None:
            return Decision(answer=Outcome(None, None), is_kept=True)
        at = decode_item(old.data).get(attribute, {}).get("N")
        if at is None or number.compare(at, str(now)) > 0:
            return Decision(answer=Outcome(old, old), is_kept=True)
        then = effects.commands(old, None) if layout.has_effects else ()
        return Decision(None, Outcome(old, None), then=then)

    return expire


def _decide_gone(data: bytes) -> Decide:
    def delete(old: Item | None) -> Decision:
        return Decision(is_kept=old is None or old.data != data)

    return delete
