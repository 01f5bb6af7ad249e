"""Tables as DescribeTable shows them."""

from collections.abc import Callable, Sequence

from forebay.api import dynamodb as api
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.table import Index, Table, Throughput
from forebay.store.items import MeasureItems, TableSize

Measure = Callable[[MeasureItems], TableSize]

_NOTHING = TableSize(0, 0)
_DAY_SECONDS = 24 * 3600


def no_size(_query: MeasureItems) -> TableSize:
    """Return the size of what has just been made."""
    return _NOTHING


def describe(table: Table, measure: Measure, now: float, *, status: str | None = None) -> api.TableDescription:
    """Return a table's description; sizes are counted exactly. `status` replaces the table's own and its indexes'."""
    size = measure(MeasureItems(table.number))
    shown_status = status or table.status()
    # Since when a table is on demand is not told by the answer that makes it so.
    since = None if status is not None and table.on_demand_since == now else table.on_demand_since
    return api.TableDescription(
        attribute_definitions=[
            api.AttributeDefinition(attribute_name=name, attribute_type=kind)  # pyright: ignore[reportArgumentType]
            for name, kind in table.types.items()
        ],
        table_name=table.name,
        key_schema=key_schema(table.partition, table.sort),
        table_status=shown_status,  # pyright: ignore[reportArgumentType]
        creation_date_time=table.created_at,
        provisioned_throughput=_table_throughput(table, now),
        table_size_bytes=size.size,
        item_count=size.items,
        table_arn=table.arn(),
        table_id=table.id,
        billing_mode_summary=_billing(table, since),
        table_throughput_mode_summary=_throughput_mode(table, since),
        local_secondary_indexes=[_local(table, index, measure) for index in table.indexes if not index.is_global]
        or None,
        global_secondary_indexes=[_global(table, index, measure, status) for index in table.indexes if index.is_global]
        or None,
        stream_specification=None
        if table.stream is None
        else api.StreamSpecification(stream_enabled=True, stream_view_type=table.stream.view_type),  # pyright: ignore[reportArgumentType]
        latest_stream_label=table.latest_stream_label,
        latest_stream_arn=table.stream_arn(),
        restore_summary=_restored(table),
        sse_description=_encryption(table),
        table_class_summary=_table_class(table),
        deletion_protection_enabled=table.deletion_protection,
        on_demand_throughput=on_demand(table.on_demand),
        warm_throughput=_table_warm(table, shown_status),
    )


def describe_deleted(table: Table, measure: Measure, now: float) -> api.TableDescription:
    """Return what DeleteTable says of the table that it deletes."""
    size = measure(MeasureItems(table.number))
    return api.TableDescription(
        table_name=table.name,
        table_status="DELETING",
        provisioned_throughput=_table_throughput(table, now),
        table_size_bytes=size.size,
        item_count=size.items,
        table_arn=table.arn(),
        table_id=table.id,
        billing_mode_summary=_billing(table, table.on_demand_since),
        table_throughput_mode_summary=_throughput_mode(table, table.on_demand_since),
        deletion_protection_enabled=table.deletion_protection,
    )


def key_schema(partition: Sequence[str], sort: Sequence[str]) -> list[api.KeySchemaElement]:
    """Return a key as the API shows it."""
    return [
        *(api.KeySchemaElement(attribute_name=name, key_type="HASH") for name in partition),
        *(api.KeySchemaElement(attribute_name=name, key_type="RANGE") for name in sort),
    ]


def projection(index: Index) -> api.Projection:
    """Return an index's projection as the API shows it."""
    return api.Projection(projection_type=index.projection, non_key_attributes=list(index.non_key_attributes) or None)


def on_demand(throughput: Throughput | None) -> api.OnDemandThroughput | None:
    """Return the most units on demand as the API shows them."""
    if throughput is None:
        return None
    return api.OnDemandThroughput(
        max_read_request_units=-1 if throughput.read is None else throughput.read,
        max_write_request_units=-1 if throughput.write is None else throughput.write,
    )


def _local(table: Table, index: Index, measure: Measure) -> api.LocalSecondaryIndexDescription:
    size = measure(MeasureItems(table.number, index.number))
    return api.LocalSecondaryIndexDescription(
        index_name=index.name,
        key_schema=key_schema(index.partition, index.sort),
        projection=projection(index),
        index_size_bytes=size.size,
        item_count=size.items,
        index_arn=f"{table.arn()}/index/{index.name}",
    )


def _global(table: Table, index: Index, measure: Measure, status: str | None) -> api.GlobalSecondaryIndexDescription:
    size = measure(MeasureItems(table.number, index.number))
    shown = status if status in {"CREATING", "DELETING"} else index.status
    return api.GlobalSecondaryIndexDescription(
        index_name=index.name,
        key_schema=key_schema(index.partition, index.sort),
        projection=projection(index),
        index_status=shown,  # pyright: ignore[reportArgumentType]
        backfilling=True if index.is_backfilling else None,
        provisioned_throughput=_throughput(index.throughput),
        index_size_bytes=size.size,
        item_count=size.items,
        index_arn=f"{table.arn()}/index/{index.name}",
        on_demand_throughput=on_demand(index.on_demand),
        warm_throughput=_index_warm(table, index, shown),
    )


def _throughput(throughput: Throughput) -> api.ProvisionedThroughputDescription:
    return api.ProvisionedThroughputDescription(
        number_of_decreases_today=0,
        read_capacity_units=throughput.read or 0,
        write_capacity_units=throughput.write or 0,
    )


def _table_throughput(table: Table, now: float) -> api.ProvisionedThroughputDescription:
    # A day is one in UTC ("Decreasing provisioned throughput").
    today = now // _DAY_SECONDS
    return api.ProvisionedThroughputDescription(
        last_increase_date_time=table.increased_at,
        last_decrease_date_time=table.decreased_at,
        number_of_decreases_today=sum(at // _DAY_SECONDS == today for at in table.decreases),
        read_capacity_units=table.throughput.read or 0,
        write_capacity_units=table.throughput.write or 0,
    )


def _billing(table: Table, since: float | None) -> api.BillingModeSummary | None:
    if not table.has_billing_summary:
        return None
    return api.BillingModeSummary(
        billing_mode=table.billing_mode,  # pyright: ignore[reportArgumentType]
        last_update_to_pay_per_request_date_time=since,
    )


def _throughput_mode(table: Table, since: float | None) -> api.TableThroughputModeSummary | None:
    if not table.has_billing_summary:
        return None
    return api.TableThroughputModeSummary(
        table_throughput_mode=table.billing_mode,  # pyright: ignore[reportArgumentType]
        last_update_to_pay_per_request_date_time=since,
    )


def _encryption(table: Table) -> api.SSEDescription | None:
    if table.encryption is None:
        return None
    return api.SSEDescription(
        status="ENABLED",
        sse_type=table.encryption.type,  # pyright: ignore[reportArgumentType]
        kms_master_key_arn=table.encryption.key_arn,
    )


def _table_class(table: Table) -> api.TableClassSummary | None:
    if table.table_class is None:
        return None
    return api.TableClassSummary(
        table_class=table.table_class,  # pyright: ignore[reportArgumentType]
        last_update_date_time=table.class_changed_at,
    )


def _restored(table: Table) -> api.RestoreSummary | None:
    if table.restored is None:
        return None
    return api.RestoreSummary(
        source_backup_arn=table.restored.backup_arn,
        source_table_arn=table.restored.table_arn,
        restore_date_time=table.restored.at,
        restore_in_progress=table.filling is not None,
    )


def _table_warm(table: Table, status: str) -> api.TableWarmThroughputDescription | None:
    if status in {"CREATING", "DELETING"}:
        return None
    read, write = _warm_units(table, table.throughput, table.warm)
    return api.TableWarmThroughputDescription(read_units_per_second=read, write_units_per_second=write, status="ACTIVE")


def _index_warm(table: Table, index: Index, status: str) -> api.GlobalSecondaryIndexWarmThroughputDescription | None:
    if status != "ACTIVE":
        return None
    read, write = _warm_units(table, index.throughput, index.warm)
    return api.GlobalSecondaryIndexWarmThroughputDescription(
        read_units_per_second=read, write_units_per_second=write, status="ACTIVE"
    )


def _warm_units(table: Table, provisioned: Throughput, warm: Throughput | None) -> tuple[int, int]:
    if table.billing_mode == "PAY_PER_REQUEST":
        read, write = limits.WARM_READ_UNITS, limits.WARM_WRITE_UNITS
    else:
        read, write = provisioned.read or 1, provisioned.write or 1
    asked = warm or Throughput()
    return max(read, asked.read or 0), max(write, asked.write or 0)
