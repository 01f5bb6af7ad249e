"""Operations on backups: on demand, and restoring those or a point in time to a new table."""

from msgspec.structs import replace

from forebay.api import dynamodb as api
from forebay.core.arn import Arn
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb.address import load_table
from forebay.services.dynamodb.copying import BACKUP, Backup, Copy, copy_timer
from forebay.services.dynamodb.descriptions import describe, key_schema, no_size, on_demand, projection
from forebay.services.dynamodb.errors import check_own
from forebay.services.dynamodb.indexing import drop_timer
from forebay.services.dynamodb.table import TABLE, Index, Restored, Table, table_key
from forebay.services.dynamodb.tables import encryption_of, new_index, on_demand_of, throughput_of
from forebay.store.commands import PutTimers
from forebay.store.items import MeasureItems
from forebay.store.records import key_prefix, record_key

_PAGE = 100


@operation
def create_backup(call: Call, request: api.CreateBackupInput) -> api.CreateBackupOutput:
    """Begin a backup of a table; the items are copied in the background.

    Raises:
        TableNotFoundException: there is no such table.
    """
    table = _load(call, request.table_name)
    if table.filling is not None:
        raise api.TableInUseException(f"Table is being created: {table.name}")
    identifier = f"{int(call.now * 1000):014d}-{call.ids.uuid()[:8]}"
    number = call.records.next_number("dynamodb.table")
    size = call.apply(MeasureItems(table.number))
    backup = Backup(
        arn=f"{table.arn()}/backup/{identifier}",
        name=request.backup_name,
        table=table,
        number=number,
        created_at=call.now,
        size=size.size,
        items=size.items,
    )
    key = _backup_key(call, backup.arn)
    call.records.put(BACKUP, key, backup)
    call.apply(PutTimers((copy_timer(Copy("backup", key, table.number, number), call.now_ms),)))
    return api.CreateBackupOutput(backup_details=_details(backup))


def _load(call: Call, name: str) -> Table:
    try:
        return load_table(call, name)
    except api.ResourceNotFoundException:
        raise api.TableNotFoundException(f"Table not found: {name}") from None


def _backup_key(call: Call, arn: str) -> str:
    parsed = Arn.parse(arn)
    check_own(call, parsed)
    return record_key(parsed.account, parsed.region, arn)


def _load_backup(call: Call, arn: str) -> tuple[str, Backup]:
    try:
        key = _backup_key(call, arn)
    except ValueError:
        raise invalid(f"Invalid BackupArn: {arn}") from None
    backup = call.reader.find(BACKUP, key)
    if backup is None:
        raise api.BackupNotFoundException(f"Backup not found: {arn}")
    return key, backup


@operation(readonly=True)
def describe_backup(call: Call, request: api.DescribeBackupInput) -> api.DescribeBackupOutput:
    """Return a backup and the table as it was."""
    _, backup = _load_backup(call, request.backup_arn)
    return api.DescribeBackupOutput(backup_description=_described(backup))


@operation
def delete_backup(call: Call, request: api.DeleteBackupInput) -> api.DeleteBackupOutput:
    """Delete a backup with its items.

    Raises:
        BackupInUseException: it is being made.
    """
    key, backup = _load_backup(call, request.backup_arn)
    if backup.status == "CREATING":
        raise api.BackupInUseException(f"Backup is being created: {backup.arn}")
    call.records.delete(BACKUP, key)
    call.apply(PutTimers((drop_timer(backup.number, call.now_ms),)))
    return api.DeleteBackupOutput(backup_description=_described(replace(backup, status="DELETED")))


@operation(readonly=True)
def list_backups(call: Call, request: api.ListBackupsInput) -> api.ListBackupsOutput:
    """List backups, of one table or all, of a time, a page at a time."""
    stem = key_prefix(call.account, call.region)
    start = request.exclusive_start_backup_arn
    low, high = request.time_range_lower_bound, request.time_range_upper_bound
    name = None
    if request.table_name is not None:
        name = request.table_name.rpartition("table/")[2]
    found = [
        backup
        for _, backup in call.reader.list(BACKUP, stem, after=stem + start if start else "")
        if name in {None, backup.table.name}
        and (low is None or backup.created_at >= low)
        and (high is None or backup.created_at < high)
        and request.backup_type in {None, "ALL", "USER"}
    ]
    limit = request.limit or _PAGE
    page = found[:limit]
    return api.ListBackupsOutput(
        backup_summaries=[
            api.BackupSummary(
                table_name=backup.table.name,
                table_id=backup.table.id,
                table_arn=backup.table.arn(),
                backup_arn=backup.arn,
                backup_name=backup.name,
                backup_creation_date_time=backup.created_at,
                backup_status=backup.status,  # pyright: ignore[reportArgumentType]
                backup_type="USER",
                backup_size_bytes=backup.size,
            )
            for backup in page
        ],
        last_evaluated_backup_arn=page[-1].arn if len(found) > limit else None,
    )


def _details(backup: Backup) -> api.BackupDetails:
    return api.BackupDetails(
        backup_arn=backup.arn,
        backup_name=backup.name,
        backup_size_bytes=backup.size,
        backup_status=backup.status,  # pyright: ignore[reportArgumentType]
        backup_type="USER",
        backup_creation_date_time=backup.created_at,
    )


def _described(backup: Backup) -> api.BackupDescription:
    table = backup.table
    features = api.SourceTableFeatureDetails(
        local_secondary_indexes=[
            api.LocalSecondaryIndexInfo(
                index_name=index.name,
                key_schema=key_schema(index.partition, index.sort),
                projection=projection(index),
            )
            for index in table.indexes
            if not index.is_global
        ]
        or None,
        global_secondary_indexes=[
            api.GlobalSecondaryIndexInfo(
                index_name=index.name,
                key_schema=key_schema(index.partition, index.sort),
                projection=projection(index),
                provisioned_throughput=_provisioned(index.throughput.read, index.throughput.write),
                on_demand_throughput=on_demand(index.on_demand),
            )
            for index in table.indexes
            if index.is_global
        ]
        or None,
        stream_description=None
        if table.stream is None
        else api.StreamSpecification(stream_enabled=True, stream_view_type=table.stream.view_type),  # pyright: ignore[reportArgumentType]
        time_to_live_description=None
        if table.ttl is None or not table.ttl.is_enabled
        else api.TimeToLiveDescription(time_to_live_status="ENABLED", attribute_name=table.ttl.attribute),
    )
    source = api.SourceTableDetails(
        table_name=table.name,
        table_id=table.id,
        table_arn=table.arn(),
        table_size_bytes=backup.size,
        key_schema=key_schema(table.partition, table.sort),
        table_creation_date_time=table.created_at,
        provisioned_throughput=_provisioned(table.throughput.read, table.throughput.write),
        on_demand_throughput=on_demand(table.on_demand),
        item_count=backup.items,
        billing_mode=table.billing_mode,  # pyright: ignore[reportArgumentType]
    )
    return api.BackupDescription(
        backup_details=_details(backup), source_table_details=source, source_table_feature_details=features
    )


def _provisioned(read: int | None, write: int | None) -> api.ProvisionedThroughput:
    return api.ProvisionedThroughput(read_capacity_units=read or 0, write_capacity_units=write or 0)


# --- Restoring ---


@operation
def restore_table_from_backup(call: Call, request: api.RestoreTableFromBackupInput) -> api.RestoreTableFromBackupOutput:
    """Begin to fill a new table from a backup; it can be used when it is ACTIVE.

    Raises:
        TableAlreadyExistsException: there is a table of this name.
    """
    _, backup = _load_backup(call, request.backup_arn)
    if backup.status != "AVAILABLE":
        raise api.BackupInUseException(f"Backup is not available: {backup.arn}")
    table = _restored(call, backup.table, request)
    restored = Restored(call.now, backup.table.arn(), backup.arn)
    return api.RestoreTableFromBackupOutput(
        table_description=_begin(
            call, replace(table, restored=restored), Copy("restore", table.key(), backup.number, 0)
        )
    )


@operation
def restore_table_to_point_in_time(
    call: Call, request: api.RestoreTableToPointInTimeInput
) -> api.RestoreTableToPointInTimeOutput:
    """Begin to fill a new table with what another was at a moment of the past.

    Raises:
        PointInTimeRecoveryUnavailableException: the table's changes are not kept.
        InvalidRestoreTimeException: the moment is not one that can be gone back to.
    """
    named = request.source_table_name or request.source_table_arn
    if named is None:
        raise invalid("One of SourceTableName or SourceTableArn must be specified")
    source = _load(call, named)
    if source.recovery is None:
        raise api.PointInTimeRecoveryUnavailableException(
            f"Point in time recovery is not enabled for table '{source.name}'"
        )
    if request.use_latest_restorable_time == (request.restore_date_time is not None):
        raise invalid("Exactly one of UseLatestRestorableTime and RestoreDateTime must be specified")
    at = call.now if request.restore_date_time is None else request.restore_date_time
    check_restorable(source, at, call.now)
    table = replace(_restored(call, source, request), restored=Restored(at, source.arn()))
    copy = Copy("restore", table.key(), source.number, 0, table_id=source.id, until_ms=int(at * 1000))
    return api.RestoreTableToPointInTimeOutput(table_description=_begin(call, table, copy))


def check_restorable(table: Table, at: float, now: float) -> None:
    """Refuse a moment that a table's changes do not reach back to."""
    assert table.recovery is not None
    if not max(table.recovery.since, now - table.recovery.days * 24 * 3600) <= at <= now:
        raise api.InvalidRestoreTimeException(
            "An invalid restore time was specified. RestoreDateTime must be between EarliestRestorableDateTime and "
            "LatestRestorableDateTime."
        )


def _restored(
    call: Call, source: Table, request: api.RestoreTableFromBackupInput | api.RestoreTableToPointInTimeInput
) -> Table:
    """Return the table to make: as the source, without stream, tags, time to live and recovery, as AWS does it."""
    name = request.target_table_name
    if call.records.find(TABLE, table_key(call.account, call.region, name)) is not None:
        raise api.TableAlreadyExistsException(f"Table already exists: {name}")
    mode = request.billing_mode_override or source.billing_mode
    throughput = source.throughput
    if request.provisioned_throughput_override is not None:
        throughput = throughput_of(request.provisioned_throughput_override)
    encryption = source.encryption
    if request.sse_specification_override is not None:
        encryption = encryption_of(call, request.sse_specification_override)
    return Table(
        account=call.account,
        region=call.region,
        name=name,
        number=call.records.next_number("dynamodb.table"),
        id=call.ids.uuid(),
        created_at=call.now,
        partition=source.partition,
        sort=source.sort,
        types=source.types,
        indexes=_restored_indexes(call, source, request),
        billing_mode=mode,
        has_billing_summary=source.has_billing_summary or mode == "PAY_PER_REQUEST",
        on_demand_since=call.now if mode == "PAY_PER_REQUEST" else None,
        throughput=throughput,
        on_demand=on_demand_of(request.on_demand_throughput_override) or source.on_demand,
        table_class=source.table_class,
        encryption=encryption,
        filling="restore",
    )


def _restored_indexes(
    call: Call, source: Table, request: api.RestoreTableFromBackupInput | api.RestoreTableToPointInTimeInput
) -> tuple[Index, ...]:
    kept = [index for index in source.indexes if index.status != "DELETING"]
    for is_global, override in (
        (False, request.local_secondary_index_override),
        (True, request.global_secondary_index_override),
    ):
        if override is not None:
            kept = [index for index in kept if index.is_global is not is_global]
            kept += [new_index(call, index, is_global=is_global) for index in override]
    return tuple(
        replace(
            index,
            number=call.records.next_number("dynamodb.table"),
            status="ACTIVE",
            is_backfilling=False,
        )
        for index in kept
    )


def _begin(call: Call, table: Table, copy: Copy) -> api.TableDescription:
    call.records.put(TABLE, table.key(), table)
    call.apply(PutTimers((copy_timer(replace(copy, target=table.number), call.now_ms),)))
    return describe(table, no_size, call.now, status="CREATING")
