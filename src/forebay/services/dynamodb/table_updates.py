"""UpdateTable: throughput, billing, indexes, streams, classes, protection, encryption."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from forebay.api import dynamodb as api
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.address import check_length, check_name, load_table
from forebay.services.dynamodb.descriptions import describe
from forebay.services.dynamodb.errors import no_resource
from forebay.services.dynamodb.indexing import index_timer
from forebay.services.dynamodb.table import TABLE, Index, Table, Throughput
from forebay.services.dynamodb.table_checks import (
    check_global_index,
    check_stream,
    check_supported,
    check_throughput,
    check_units,
    read_definitions,
)
from forebay.services.dynamodb.tables import (
    encryption_of,
    end_stream,
    new_index,
    on_demand_of,
    start_stream,
    throughput_of,
    warm_of,
)
from forebay.store.commands import PutTimers

# On a store of several nodes the others learn of a change to a table a moment later; until then they write without
# the new index, and what they write is found by the backfill that begins after it.
_BACKFILL_DELAY_MS = 3_000

_UNSUPPORTED = {
    "replica_updates": "ReplicaUpdates (global tables in several regions)",
    "vector_index_updates": "VectorIndexUpdates",
    "global_table_witness_updates": "GlobalTableWitnessUpdates",
    "multi_region_consistency": "MultiRegionConsistency",
}


@operation
def update_table(call: Call, request: api.UpdateTableInput) -> api.UpdateTableOutput:
    """Change a table; indexes are filled or emptied in the background, everything else is done at once.

    Raises:
        ResourceNotFoundException: there is no such table, or no such index.
        ResourceInUseException: it is being changed already.
    """
    check_length(request.table_name)
    check_name(request.table_name)
    _check_request(request)
    check_supported(request, _UNSUPPORTED)
    found = load_table(call, request.table_name)
    if found.status() != "ACTIVE" and request.global_secondary_index_updates:
        raise _in_use(found)
    table = _with_capacity(call, found, request)
    table = _with_settings(call, table, request)
    table = _with_stream(call, table, request.stream_specification)
    if request.global_secondary_index_updates:
        table = _with_indexes(call, table, request)
    call.records.put(TABLE, table.key(), table)
    shown = table if table.billing_mode != found.billing_mode else _with_capacity_of(table, found)
    return api.UpdateTableOutput(table_description=describe(shown, call.apply, call.now, status="UPDATING"))


def _with_capacity_of(table: Table, before: Table) -> Table:
    """Return a table as its update is answered: units of the same mode are still the ones it had (API reference)."""
    return replace(
        table,
        throughput=before.throughput,
        increased_at=before.increased_at,
        decreased_at=before.decreased_at,
        decreases=before.decreases,
    )


def _check_request(request: api.UpdateTableInput) -> None:
    given: list[Any] = [
        request.provisioned_throughput,
        request.billing_mode,
        request.stream_specification,
        request.global_secondary_index_updates or None,
        request.sse_specification,
        request.replica_updates,
        request.table_class,
        request.deletion_protection_enabled,
        request.on_demand_throughput,
        request.warm_throughput,
        request.vector_index_updates,
        request.multi_region_consistency,
        request.global_table_witness_updates,
        request.disassociation_protection_enabled,
        request.global_table_settings_replication_mode,
    ]
    if all(part is None for part in given):
        raise invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates "
            "or SSESpecification or ReplicaUpdates is required"
        )
    check_stream(request.stream_specification)
    if request.billing_mode is not None or request.provisioned_throughput is not None:
        check_throughput(request.billing_mode, request.provisioned_throughput)
    _check_index_updates(request.global_secondary_index_updates or [])


def _check_index_updates(updates: Sequence[api.GlobalSecondaryIndexUpdate]) -> None:
    names = [_name_of(update) for update in updates]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise invalid_parameter(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
    for update in updates:
        throughput = next(
            (part.provisioned_throughput for part in (update.create, update.update) if part is not None), None
        )
        if throughput is not None:
            check_units(throughput, f" for index {_name_of(update)}")


def _in_use(table: Table) -> Exception:
    return api.ResourceInUseException(
        f"Attempt to change a resource which is still in use: Table is being updated: {table.name}"
    )


def _with_capacity(call: Call, table: Table, request: api.UpdateTableInput) -> Table:
    mode = request.billing_mode or table.billing_mode
    throughput = request.provisioned_throughput
    if mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise invalid_parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        if table.billing_mode != mode:
            indexes = tuple(replace(index, throughput=Throughput()) for index in table.indexes)
            table = replace(
                table,
                billing_mode=mode,
                has_billing_summary=True,
                on_demand_since=call.now,
                throughput=Throughput(),
                indexes=indexes,
            )
    elif table.billing_mode != mode:
        assert throughput is not None, "was checked with the request"
        _check_indexes_provisioned(table, request)
        table = replace(
            table, billing_mode=mode, has_billing_summary=True, throughput=throughput_of(throughput), on_demand=None
        )
    elif throughput is not None:
        table = _with_throughput(call, table, throughput)
    if request.on_demand_throughput is not None:
        table = replace(table, on_demand=on_demand_of(request.on_demand_throughput))
    return table if request.warm_throughput is None else replace(table, warm=warm_of(request.warm_throughput))


def _check_indexes_provisioned(table: Table, request: api.UpdateTableInput) -> None:
    """Refuse provisioned units for a table of which an index has none."""
    updates = [update.update for update in request.global_secondary_index_updates or () if update.update is not None]
    given = {update.index_name for update in updates if update.provisioned_throughput is not None}
    for index in table.indexes:
        if index.is_global and index.name not in given:
            raise invalid_parameter(f"ProvisionedThroughput must be specified for index: {index.name}")


def _with_throughput(call: Call, table: Table, wanted: api.ProvisionedThroughput) -> Table:
    present, new = table.throughput, throughput_of(wanted)
    if present == new:
        raise invalid(
            "The provisioned throughput for the table will not change. The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for the table: {present.read}. "
            f"Requested ReadCapacityUnits: {new.read}. "
            f"Current WriteCapacityUnits provisioned for the table: {present.write}. "
            f"Requested WriteCapacityUnits: {new.write}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )
    pairs = ((present.read or 0, new.read or 0), (present.write or 0, new.write or 0))
    if any(after > before for before, after in pairs):
        table = replace(table, increased_at=call.now)
    if any(after < before for before, after in pairs):
        table = replace(table, decreased_at=call.now, decreases=(*table.decreases[-30:], call.now))
    return replace(table, throughput=new)


def _with_settings(call: Call, table: Table, request: api.UpdateTableInput) -> Table:
    if request.table_class is not None:
        table = replace(table, table_class=request.table_class, class_changed_at=call.now)
    if request.deletion_protection_enabled is not None:
        table = replace(table, deletion_protection=request.deletion_protection_enabled)
    if request.sse_specification is not None:
        table = replace(table, encryption=encryption_of(call, request.sse_specification))
    return table


def _with_stream(call: Call, table: Table, wanted: api.StreamSpecification | None) -> Table:
    if wanted is None:
        return table
    if wanted.stream_enabled:
        if table.stream is not None:
            raise invalid(f"Table already has an enabled stream: TableName: {table.name}")
        return start_stream(call, table, str(wanted.stream_view_type))
    if table.stream is None:
        raise invalid(f"Table has no stream to disable: TableName: {table.name}")
    end_stream(call, table)
    return replace(table, stream=None)


def _with_indexes(call: Call, table: Table, request: api.UpdateTableInput) -> Table:
    updates = request.global_secondary_index_updates or []
    if sum(update.update is None for update in updates) > 1:
        raise api.LimitExceededException(
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
        )
    types = {**table.types, **read_definitions(request.attribute_definitions or [])}
    for name, kind in table.types.items():
        if types[name] != kind:
            raise invalid_parameter(f"Attribute {name} is defined already with another type")
    for update in updates:
        table = _with_index(call, replace(table, types=types), update)
    used = {
        *table.partition,
        *table.sort,
        *(name for index in table.indexes for name in (*index.partition, *index.sort)),
    }
    return replace(table, types={name: kind for name, kind in table.types.items() if name in used})


def _name_of(update: api.GlobalSecondaryIndexUpdate) -> str:
    given = [part for part in (update.create, update.update, update.delete) if part is not None]
    if len(given) != 1:
        raise invalid_parameter(
            "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
            "GlobalSecondaryIndexUpdate.Delete must not be null"
        )
    return given[0].index_name


def _with_index(call: Call, table: Table, update: api.GlobalSecondaryIndexUpdate) -> Table:
    if update.create is not None:
        return _with_new_index(call, table, update.create)
    name = _name_of(update)
    index = table.find_index(name)
    if index is None or not index.is_global:
        raise no_resource()
    if update.delete is not None:
        call.apply(PutTimers((index_timer(table, index.number, call.now_ms, is_deletion=True),)))
        return _replaced(table, replace(index, status="DELETING", is_backfilling=False))
    assert update.update is not None
    changed = index
    if update.update.provisioned_throughput is not None:
        new = throughput_of(update.update.provisioned_throughput)
        if new == index.throughput:
            raise invalid(
                f"The provisioned throughput for the index {name} will not change. "
                "The requested value equals the current value. "
                f"Current ReadCapacityUnits provisioned for the index: {new.read}. "
                f"Requested ReadCapacityUnits: {new.read}. "
                f"Current WriteCapacityUnits provisioned for the index: {new.write}. "
                f"Requested WriteCapacityUnits: {new.write}. "
                "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
            )
        changed = replace(changed, throughput=new)
    if update.update.on_demand_throughput is not None:
        changed = replace(changed, on_demand=on_demand_of(update.update.on_demand_throughput))
    if update.update.warm_throughput is not None:
        changed = replace(changed, warm=warm_of(update.update.warm_throughput))
    return _replaced(table, changed)


def _with_new_index(call: Call, table: Table, wanted: api.CreateGlobalSecondaryIndexAction) -> Table:
    if table.find_index(wanted.index_name) is not None:
        raise invalid("Attempting to create an index which already exists")
    check_global_index(wanted, table.billing_mode, table.types)
    index = replace(new_index(call, wanted, is_global=True), status="CREATING", is_backfilling=True)
    store = call.platform.config.store or ""
    delay_ms = _BACKFILL_DELAY_MS if store.startswith("postgres") else 0
    call.apply(PutTimers((index_timer(table, index.number, call.now_ms + delay_ms),)))
    return replace(table, indexes=(*table.indexes, index))


def _replaced(table: Table, changed: Index) -> Table:
    indexes = tuple(changed if index.number == changed.number else index for index in table.indexes)
    return replace(table, indexes=indexes)
