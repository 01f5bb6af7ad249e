"""DynamoDB: tables, items and their streams.

Reading order: `table` and `layout` (what is kept, and the keys), `writing` and `effects` (an item's write as a
decision), `items`, `parameters`, `capacity` (operations on one item), `tables`, `table_checks`, `descriptions`,
`indexing` (tables and what goes on in the background), `stream` (how a stream is kept).
"""

from forebay.api import dynamodb as api
from forebay.operations.platform import Platform
from forebay.operations.service import Duty, Parts, Service
from forebay.services.dynamodb import (
    backups,
    batches,
    items,
    partiql,
    queries,
    settings,
    table_updates,
    tables,
    transactions,
    transfers,
)
from forebay.services.dynamodb.address import Layouts
from forebay.services.dynamodb.copying import COPY_TIMER, EXPORT_TIMER, CopyWorker
from forebay.services.dynamodb.expiry import ItemExpiry
from forebay.services.dynamodb.indexing import DROP_TIMER, INDEX_TIMER, IndexWorker, TableJanitor
from forebay.services.dynamodb.measures import TableMeasures
from forebay.services.dynamodb.stream_source import TableStreams
from forebay.services.dynamodb.throttle import TableLimits
from forebay.services.dynamodb.transfer_workers import IMPORT_TIMER, ExportWorker, ImportWorker


async def _build(platform: Platform) -> Parts:
    store, clock = platform.store, platform.clock
    throttle = TableLimits(clock, is_enforced=platform.config.dynamodb_throttling)
    measures = TableMeasures(store, clock, throttle)
    return Parts(
        duties=[
            Duty(IndexWorker(store, clock), [("timers", INDEX_TIMER)]),
            Duty(TableJanitor(store, clock), [("timers", DROP_TIMER)]),
            Duty(CopyWorker(store, clock), [("timers", COPY_TIMER)]),
            Duty(ExportWorker(platform), [("timers", EXPORT_TIMER)]),
            Duty(ImportWorker(platform), [("timers", IMPORT_TIMER)]),
            Duty(ItemExpiry(store, clock, platform.ids)),
            Duty(measures),
        ],
        streams=TableStreams(store, clock),
        shared=[Layouts(store), measures, throttle],
        close=[measures.flush],
    )


SERVICE = Service(
    name="dynamodb",
    model=api.MODEL,
    operations=[tables, table_updates, settings, items, queries, batches, transactions, partiql, backups, transfers],
    build=_build,
)
