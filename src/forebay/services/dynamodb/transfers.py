"""Operations on exports to S3 and imports from it."""

from msgspec.structs import replace

from forebay.api import dynamodb as api
from forebay.core.arn import Arn
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.dynamodb.address import load_table
from forebay.services.dynamodb.backups import check_restorable
from forebay.services.dynamodb.copying import Copy, copy_timer
from forebay.services.dynamodb.errors import check_own, not_implemented
from forebay.services.dynamodb.ion import check_ion
from forebay.services.dynamodb.table import TABLE, Table, table_key
from forebay.services.dynamodb.tables import new_table
from forebay.services.dynamodb.transfer import EXPORT, IMPORT, Export, Import
from forebay.services.dynamodb.transfer_workers import IMPORT_TIMER
from forebay.store.commands import PutTimers, Timer
from forebay.store.records import key_prefix, record_key

_PAGE = 25


def _key(call: Call, arn: str) -> str:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise invalid(f"Invalid ARN: {arn}") from None
    check_own(call, parsed)
    return record_key(parsed.account, parsed.region, arn)


@operation
def export_table_to_point_in_time(
    call: Call, request: api.ExportTableToPointInTimeInput
) -> api.ExportTableToPointInTimeOutput:
    """Begin to write a table as it was at a moment to a bucket, as DynamoDB JSON or Ion.

    Raises:
        PointInTimeRecoveryUnavailableException: the table's changes are not kept.
    """
    try:
        table = load_table(call, request.table_arn)
    except api.ResourceNotFoundException:
        raise api.TableNotFoundException(f"Table not found: {request.table_arn}") from None
    if table.recovery is None:
        raise api.PointInTimeRecoveryUnavailableException(
            f"Point in time recovery is not enabled for table '{table.name}'"
        )
    if request.export_format == "ION":
        check_ion()
    if request.export_type == "INCREMENTAL_EXPORT":
        raise not_implemented("ExportType INCREMENTAL_EXPORT")
    if request.filter_specification is not None:
        raise not_implemented("FilterSpecification of exports")
    at = call.now if request.export_time is None else request.export_time
    check_restorable(table, at, call.now)
    identifier = f"{call.now_ms:014d}-{call.ids.uuid()[:8]}"
    export = Export(
        arn=f"{table.arn()}/export/{identifier}",
        table=table,
        number=call.records.next_number("dynamodb.table"),
        bucket=request.s3_bucket,
        prefix=request.s3_prefix,
        started_at=call.now,
        export_at=at,
        client_token=request.client_token or call.ids.uuid(),
        owner=request.s3_bucket_owner,
        format=request.export_format or "DYNAMODB_JSON",
    )
    key = _key(call, export.arn)
    call.records.put(EXPORT, key, export)
    copy = Copy("export", key, table.number, export.number, table_id=table.id, until_ms=int(at * 1000))
    call.apply(PutTimers((copy_timer(copy, call.now_ms),)))
    return api.ExportTableToPointInTimeOutput(export_description=_described_export(export))


@operation(readonly=True)
def describe_export(call: Call, request: api.DescribeExportInput) -> api.DescribeExportOutput:
    """Return how far an export is."""
    export = call.reader.find(EXPORT, _key(call, request.export_arn))
    if export is None:
        raise api.ExportNotFoundException(f"Export not found: {request.export_arn}")
    return api.DescribeExportOutput(export_description=_described_export(export))


@operation(readonly=True)
def list_exports(call: Call, request: api.ListExportsInput) -> api.ListExportsOutput:
    """List exports, of one table or all, a page at a time."""
    stem = key_prefix(call.account, call.region)
    after = stem + _after(request.next_token) if request.next_token else ""
    found = [
        export
        for _, export in call.reader.list(EXPORT, stem, after=after)
        if request.table_arn in {None, export.table.arn()}
    ]
    limit = request.max_results or _PAGE
    page = found[:limit]
    return api.ListExportsOutput(
        export_summaries=[
            api.ExportSummary(
                export_arn=export.arn,
                export_status=export.status,  # pyright: ignore[reportArgumentType]
                export_type="FULL_EXPORT",
            )
            for export in page
        ],
        next_token=encode_token(page[-1].arn) if len(found) > limit else None,
    )


def _after(token: str) -> str:
    try:
        return decode_token(token)
    except ValueError:
        raise invalid("Invalid NextToken") from None


def _described_export(export: Export) -> api.ExportDescription:
    return api.ExportDescription(
        export_arn=export.arn,
        export_status=export.status,  # pyright: ignore[reportArgumentType]
        start_time=export.started_at,
        end_time=export.ended_at,
        export_manifest=f"{export.folder()}/manifest-summary.json" if export.status == "COMPLETED" else None,
        table_arn=export.table.arn(),
        table_id=export.table.id,
        export_time=export.export_at,
        client_token=export.client_token,
        s3_bucket=export.bucket,
        s3_bucket_owner=export.owner,
        s3_prefix=export.prefix,
        s3_sse_algorithm="AES256",
        failure_code=None if export.failure is None else export.failure[0],
        failure_message=None if export.failure is None else export.failure[1],
        export_format=export.format,  # pyright: ignore[reportArgumentType]
        billed_size_bytes=export.size if export.status == "COMPLETED" else None,
        item_count=export.items if export.status == "COMPLETED" else None,
        export_type="FULL_EXPORT",
    )


@operation
def import_table(call: Call, request: api.ImportTableInput) -> api.ImportTableOutput:
    """Begin to fill a new table from a bucket's objects: DynamoDB JSON, Ion or CSV, gzipped or not.

    Raises:
        ResourceInUseException: there is a table of this name.
    """
    if request.input_format == "ION":
        check_ion()
    if request.input_compression_type == "ZSTD":
        raise not_implemented("InputCompressionType ZSTD")
    wanted = request.table_creation_parameters
    key = table_key(call.account, call.region, wanted.table_name)
    if call.records.find(TABLE, key) is not None:
        raise api.ResourceInUseException(f"Table already exists: {wanted.table_name}")
    table = _imported_table(call, wanted)
    identifier = f"{call.now_ms:014d}-{call.ids.uuid()[:8]}"
    made = Import(
        arn=f"{table.arn()}/import/{identifier}",
        table_key=key,
        table_arn=table.arn(),
        table_id=table.id,
        source=request.s3_bucket_source,
        format=request.input_format,
        compression=request.input_compression_type or "NONE",
        parameters=wanted,
        client_token=request.client_token or call.ids.uuid(),
        started_at=call.now,
        options=request.input_format_options,
    )
    call.records.put(TABLE, key, table)
    call.records.put(IMPORT, _key(call, made.arn), made)
    call.apply(PutTimers((Timer(IMPORT_TIMER, _key(call, made.arn), call.now_ms, b""),)))
    return api.ImportTableOutput(import_table_description=_described_import(made))


def _imported_table(call: Call, wanted: api.TableCreationParameters) -> Table:
    request = api.CreateTableInput(
        table_name=wanted.table_name,
        attribute_definitions=wanted.attribute_definitions,
        key_schema=wanted.key_schema,
        billing_mode=wanted.billing_mode,
        provisioned_throughput=wanted.provisioned_throughput,
        on_demand_throughput=wanted.on_demand_throughput,
        sse_specification=wanted.sse_specification,
        global_secondary_indexes=wanted.global_secondary_indexes,
    )
    if wanted.vector_indexes is not None:
        raise not_implemented("VectorIndexes of tables")
    return replace(new_table(call, wanted.table_name, request), filling="import")


@operation(readonly=True)
def describe_import(call: Call, request: api.DescribeImportInput) -> api.DescribeImportOutput:
    """Return how far an import is."""
    found = call.reader.find(IMPORT, _key(call, request.import_arn))
    if found is None:
        raise api.ImportNotFoundException(f"Import not found: {request.import_arn}")
    return api.DescribeImportOutput(import_table_description=_described_import(found))


@operation(readonly=True)
def list_imports(call: Call, request: api.ListImportsInput) -> api.ListImportsOutput:
    """List imports, into one table or all, the first page of them."""
    stem = key_prefix(call.account, call.region)
    found = [made for _, made in call.reader.list(IMPORT, stem) if request.table_arn in {None, made.table_arn}]
    return api.ListImportsOutput(
        import_summary_list=[
            api.ImportSummary(
                import_arn=made.arn,
                import_status=made.status,  # pyright: ignore[reportArgumentType]
                table_arn=made.table_arn,
                s3_bucket_source=made.source,
                input_format=made.format,  # pyright: ignore[reportArgumentType]
                start_time=made.started_at,
                end_time=made.ended_at,
            )
            for made in found[: request.page_size or _PAGE]
        ]
    )


def _described_import(made: Import) -> api.ImportTableDescription:
    return api.ImportTableDescription(
        import_arn=made.arn,
        import_status=made.status,  # pyright: ignore[reportArgumentType]
        table_arn=made.table_arn,
        table_id=made.table_id,
        client_token=made.client_token,
        s3_bucket_source=made.source,
        error_count=made.errors,
        input_format=made.format,  # pyright: ignore[reportArgumentType]
        input_format_options=made.options,
        input_compression_type=made.compression,  # pyright: ignore[reportArgumentType]
        table_creation_parameters=made.parameters,
        start_time=made.started_at,
        end_time=made.ended_at,
        processed_size_bytes=made.processed_bytes,
        processed_item_count=made.processed_items,
        imported_item_count=made.imported_items,
        failure_code=None if made.failure is None else made.failure[0],
        failure_message=None if made.failure is None else made.failure[1],
    )
