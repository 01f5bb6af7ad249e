"""Item collections: all items of one partition, whose size is told of tables that have local indexes."""

from typing import Any

from forebay.languages.dynamodb.key import encode_partition
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.operations.call import Call
from forebay.services.dynamodb.layout import Layout
from forebay.store.items import ItemKey, MeasureItems, ReadItems

_GIGABYTE = 1024**3
_READ_BYTES = 4 * 1024 * 1024
_READ_ITEMS = 10_000


async def collection_metrics(call: Call, layout: Layout, key: Attributes) -> dict[str, Any]:
    """Return the item collection with this partition key as answers show it: its size between two whole gigabytes."""
    value = key[layout.partition]
    gigabytes = await call.look(lambda inner: _gigabytes(inner, layout, encode_partition((value,))))
    return {
        "ItemCollectionKey": {layout.partition: value},
        "SizeEstimateRangeGB": [float(gigabytes), float(gigabytes + 1)],
    }


def _gigabytes(call: Call, layout: Layout, partition: bytes) -> int:
    # A collection is no larger than its table, whose size is known without reading it.
    if call.ask(MeasureItems(layout.number)).size < _GIGABYTE:
        return 0
    size = 0
    after: ItemKey | None = None
    while True:
        page = call.ask(ReadItems(layout.number, _READ_ITEMS, _READ_BYTES, partition=partition, after=after))
        size += sum(item.size for item in page.items)
        if page.is_last:
            return size // _GIGABYTE
        after = page.items[-1].position
