"""Operations on tables: create, describe, list, delete. Changing one is in `table_updates`."""

from datetime import UTC, datetime

from msgspec.structs import replace

from forebay.api import dynamodb as api
from forebay.languages.dynamodb.errors import invalid, invalid_parameter
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.address import address_key, check_length, check_name, load_table
from forebay.services.dynamodb.descriptions import describe, describe_deleted, no_size
from forebay.services.dynamodb.indexing import drop_timer
from forebay.services.dynamodb.resource_checks import check_policy, check_tags
from forebay.services.dynamodb.table import (
    STREAM,
    TABLE,
    Encryption,
    Index,
    StreamRecord,
    StreamSetting,
    Table,
    Throughput,
    table_key,
)
from forebay.services.dynamodb.table_checks import (
    check_global_indexes,
    check_index_names,
    check_local_indexes,
    check_projected_count,
    check_stream,
    check_supported,
    check_throughput,
    check_used,
    read_definitions,
    read_schema,
)
from forebay.store.commands import DropLog, PutTimers
from forebay.store.records import key_prefix

_UNSUPPORTED = {
    "vector_indexes": "VectorIndexes of tables",
    "global_table_source_arn": "GlobalTableSourceArn (global tables in several regions)",
}


@operation
def create_table(call: Call, request: api.CreateTableInput) -> api.CreateTableOutput:
    """Create a table with its indexes; it can be used at once.

    Raises:
        ResourceInUseException: there is a table of this name.
    """
    if request.table_name.startswith("arn:"):
        key = address_key(call, request.table_name)
        name = key.rpartition("\x1f")[2]
    else:
        name = request.table_name
        check_length(name)
        check_name(name)
        key = table_key(call.account, call.region, name)
    check_supported(request, _UNSUPPORTED)
    table = new_table(call, name, request)
    if call.records.find(TABLE, key) is not None:
        raise api.ResourceInUseException(f"Table already exists: {name}")
    call.records.put(TABLE, key, table)
    return api.CreateTableOutput(table_description=describe(table, no_size, call.now, status="CREATING"))


def new_table(call: Call, name: str, request: api.CreateTableInput) -> Table:
    """Return the table that a request describes, not yet kept.

    Raises:
        ValidationException: a rule is broken.
    """
    check_throughput(request.billing_mode, request.provisioned_throughput)
    partition, sort = read_schema(request.key_schema)
    types = read_definitions(request.attribute_definitions)
    if any(name not in types for name in (*partition, *sort)):
        raise invalid("Invalid KeySchema: Some index key attribute have no definition")
    _check_indexes(request, partition, sort, types)
    check_stream(request.stream_specification)
    tags = {tag.key: tag.value for tag in request.tags or ()}
    check_tags(tags)
    if request.resource_policy is not None:
        check_policy(request.resource_policy)
    on_demand = request.billing_mode == "PAY_PER_REQUEST"
    table = Table(
        account=call.account,
        region=call.region,
        name=name,
        number=call.records.next_number("dynamodb.table"),
        id=call.ids.uuid(),
        created_at=call.now,
        partition=partition,
        sort=sort,
        types=types,
        indexes=_indexes(call, request),
        billing_mode=request.billing_mode or "PROVISIONED",
        has_billing_summary=on_demand,
        on_demand_since=call.now if on_demand else None,
        throughput=throughput_of(request.provisioned_throughput),
        on_demand=on_demand_of(request.on_demand_throughput),
        warm=warm_of(request.warm_throughput),
        table_class=request.table_class,
        deletion_protection=bool(request.deletion_protection_enabled),
        encryption=encryption_of(call, request.sse_specification),
        tags=tags,
        policy=request.resource_policy,
        policy_revision=None if request.resource_policy is None else str(int(call.now * 1000)),
    )
    if request.stream_specification is not None and request.stream_specification.stream_enabled:
        table = start_stream(call, table, str(request.stream_specification.stream_view_type))
    return table


def _check_indexes(
    request: api.CreateTableInput, partition: tuple[str, ...], sort: tuple[str, ...], types: dict[str, str]
) -> None:
    local, further = request.local_secondary_indexes, request.global_secondary_indexes
    if local is not None:
        check_local_indexes(local, partition[0], types, has_sort=bool(sort))
    if further is not None:
        check_global_indexes(further, request.billing_mode, types)
    every = [*(local or ()), *(further or ())]
    check_index_names([index.index_name for index in every])
    check_projected_count([index.projection for index in every])
    used = [*partition, *sort, *(element.attribute_name for index in every for element in index.key_schema)]
    check_used(types, used, has_indexes=bool(every))


def _indexes(call: Call, request: api.CreateTableInput) -> tuple[Index, ...]:
    local = [new_index(call, index, is_global=False) for index in request.local_secondary_indexes or ()]
    further = [new_index(call, index, is_global=True) for index in request.global_secondary_indexes or ()]
    return (*local, *further)


def new_index(
    call: Call,
    index: api.LocalSecondaryIndex | api.GlobalSecondaryIndex | api.CreateGlobalSecondaryIndexAction,
    *,
    is_global: bool,
) -> Index:
    """Return the index that a request describes, which was checked."""
    partition, sort = read_schema(index.key_schema, is_compound_allowed=True)
    made = Index(
        name=index.index_name,
        number=call.records.next_number("dynamodb.table"),
        partition=partition,
        sort=sort,
        is_global=is_global,
        projection=index.projection.projection_type or "ALL",
        non_key_attributes=tuple(index.projection.non_key_attributes or ()),
    )
    if isinstance(index, api.LocalSecondaryIndex):
        return made
    return replace(
        made,
        throughput=throughput_of(index.provisioned_throughput),
        on_demand=on_demand_of(index.on_demand_throughput),
        warm=warm_of(index.warm_throughput),
    )


def throughput_of(throughput: api.ProvisionedThroughput | None) -> Throughput:
    """Return provisioned units as they are kept."""
    if throughput is None:
        return Throughput()
    return Throughput(throughput.read_capacity_units, throughput.write_capacity_units)


def on_demand_of(throughput: api.OnDemandThroughput | None) -> Throughput | None:
    """Return the most units on demand as they are kept; -1 is no bound."""
    if throughput is None:
        return None
    read, write = throughput.max_read_request_units, throughput.max_write_request_units
    return Throughput(None if read == -1 else read, None if write == -1 else write)


def warm_of(throughput: api.WarmThroughput | None) -> Throughput | None:
    """Return warm units as they are kept."""
    if throughput is None:
        return None
    return Throughput(throughput.read_units_per_second, throughput.write_units_per_second)


def encryption_of(call: Call, specification: api.SSESpecification | None) -> Encryption | None:
    """Return encryption settings as they are kept; they change nothing of how items are stored."""
    if specification is None or not specification.enabled:
        if specification is not None and specification.kms_master_key_id is not None:
            raise invalid_parameter("KMSMasterKeyId cannot be specified when SSE is disabled")
        return None
    key = specification.kms_master_key_id or "alias/aws/dynamodb"
    if not key.startswith("arn:"):
        resource = key if key.startswith("alias/") else f"key/{key}"
        key = str(call.arn(resource, "kms"))
    return Encryption(specification.sse_type or "KMS", key)


def start_stream(call: Call, table: Table, view_type: str) -> Table:
    """Begin a stream of a table and return the table that writes to it."""
    label = datetime.fromtimestamp(call.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    stream = StreamRecord(
        account=table.account,
        region=table.region,
        table=table.name,
        table_id=table.id,
        label=label,
        view_type=view_type,
        created_at=call.now,
        partition=table.partition,
        sort=table.sort,
    )
    call.records.put(STREAM, stream.key(), stream)
    return replace(table, stream=StreamSetting(view_type, label), latest_stream_label=label)


@operation(readonly=True)
def describe_table(call: Call, request: api.DescribeTableInput) -> api.DescribeTableOutput:
    """Return a table's description, with exact counts."""
    table = load_table(call, request.table_name)
    return api.DescribeTableOutput(table=describe(table, call.ask, call.now))


@operation(readonly=True)
def list_tables(call: Call, request: api.ListTablesInput) -> api.ListTablesOutput:
    """List the names of the account's tables in the region, a page at a time."""
    stem = key_prefix(call.account, call.region)
    limit = request.limit or 100
    start = request.exclusive_start_table_name
    after = stem + start if start else ""
    found = call.reader.list(TABLE, stem, after=after, limit=limit + 1)
    names = [table.name for _, table in found[:limit]]
    return api.ListTablesOutput(table_names=names, last_evaluated_table_name=names[-1] if len(found) > limit else None)


@operation
def delete_table(call: Call, request: api.DeleteTableInput) -> api.DeleteTableOutput:
    """Delete a table; its items go in the background, its stream can be read for another day.

    Raises:
        ResourceInUseException: it is being made or changed.
        ValidationException: it is protected.
    """
    table = load_table(call, request.table_name)
    if table.deletion_protection:
        raise invalid(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    if table.filling is not None:
        text = f"Attempt to change a resource which is still in use: Table is being created: {table.name}"
        raise api.ResourceInUseException(text)
    description = describe_deleted(table, call.apply, call.now)
    remove_table(call, table)
    return api.DeleteTableOutput(table_description=description)


def remove_table(call: Call, table: Table) -> None:
    """Take a table away, inside a transaction."""
    call.records.delete(TABLE, table.key())
    call.apply(PutTimers((drop_timer(table.number, call.now_ms),)))
    if table.recovery is not None:
        call.apply(DropLog(f"dynamodb.changes/{table.id}"))
    if table.stream is not None:
        end_stream(call, table)


def end_stream(call: Call, table: Table) -> None:
    """Disable a table's stream."""
    assert table.stream is not None
    for key, stream in call.records.list(STREAM, key_prefix(table.account, table.region, table.name)):
        if stream.label == table.stream.label and stream.table_id == table.id:
            call.records.put(STREAM, key, replace(stream, disabled_at=call.now))


@operation(readonly=True)
def describe_limits(_call: Call, _request: api.DescribeLimitsInput) -> api.DescribeLimitsOutput:
    """Return the account's quotas, AWS's defaults; this node enforces none of them."""
    return api.DescribeLimitsOutput(
        account_max_read_capacity_units=limits.ACCOUNT_UNITS_MAX,
        account_max_write_capacity_units=limits.ACCOUNT_UNITS_MAX,
        table_max_read_capacity_units=limits.TABLE_UNITS_MAX,
        table_max_write_capacity_units=limits.TABLE_UNITS_MAX,
    )


@operation(readonly=True)
def describe_endpoints(call: Call, _request: api.DescribeEndpointsRequest) -> api.DescribeEndpointsResponse:
    """Return this node's address, where clients with endpoint discovery are to go."""
    address = call.caller.endpoint.partition("://")[2]
    return api.DescribeEndpointsResponse(endpoints=[api.Endpoint(address=address, cache_period_in_minutes=1440)])
