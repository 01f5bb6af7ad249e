"""What exports and imports do in the background: write a copy's items out, read objects in.

Both go object by object; what is done stands in their records, so that they go on after a crash.
"""

import gzip
import hashlib
from collections.abc import Iterator
from typing import cast

import msgspec
from msgspec.structs import replace

from forebay.api import s3 as s3_api
from forebay.background.due_timers import DueTimers
from forebay.core.errors import ServiceError
from forebay.core.timestamps import format_iso8601
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.languages.dynamodb.value import check_item
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.copying import EXPORT_TIMER
from forebay.services.dynamodb.indexing import drop_timer
from forebay.services.dynamodb.ion import read_items, write_item
from forebay.services.dynamodb.layout import Layout, decode_item, encode_item
from forebay.services.dynamodb.table import TABLE
from forebay.services.dynamodb.transfer import (
    EXPORT,
    IMPORT,
    Export,
    Import,
    export_line,
    read_csv,
    read_json_lines,
    unpacked,
)
from forebay.services.dynamodb.writing import decide_put
from forebay.store.commands import ClaimedTimer, PutTimers, Settlement, SettleTimers
from forebay.store.contract import Transaction
from forebay.store.items import Item, ItemKey, ItemWrite, Page, ReadItems, WriteItems
from forebay.store.records import key_parts

IMPORT_TIMER = "dynamodb.import"

_LEASE_SECONDS = 120.0
_FILE_ITEMS = 5_000
_FILE_BYTES = 8 * 1024 * 1024
_BATCH = 100


def _caller(platform: Platform, key: str) -> Caller:
    account, region, _ = key_parts(key)
    return new_caller(region, account, platform.ids, platform.endpoint(), "dynamodb")


class ExportWorker:
    """Writes copies of tables to buckets, a file at a time. A `Worker`."""

    name = "dynamodb.exports"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._timers = DueTimers(platform.store, platform.clock, EXPORT_TIMER, lease_seconds=_LEASE_SECONDS)

    async def run_once(self) -> float:
        """Write one file of one export, or its manifests."""
        for timer in await self._timers.claim():
            await self._advance(timer)
        return await self._timers.seconds_until_next()

    async def _advance(self, timer: ClaimedTimer) -> None:
        export = await self._platform.store.view(lambda view: view.records.find(EXPORT, timer.key))
        is_done = True
        if export is not None and export.status == "IN_PROGRESS":
            try:
                export, is_done = await self._write(timer.key, export)
            except ServiceError as error:
                failure = (error.code, error.message)
                export = replace(export, status="FAILED", failure=failure, ended_at=self._platform.clock.now())
        await self._settle(timer, export, is_done=is_done)

    async def _settle(self, timer: ClaimedTimer, export: Export | None, *, is_done: bool) -> None:
        now_ms = int(self._platform.clock.now() * 1000)

        def settle(transaction: Transaction) -> None:
            due_at_ms = None if is_done else now_ms
            transaction.apply(SettleTimers(EXPORT_TIMER, (Settlement(timer.key, timer.epoch, due_at_ms),)))
            if export is not None:
                transaction.records.put(EXPORT, timer.key, export)
                if is_done:
                    transaction.apply(PutTimers((drop_timer(export.number, now_ms),)))

        await self._platform.store.transact(settle)

    async def _write(self, key: str, export: Export) -> tuple[Export, bool]:
        after = None if export.after is None else ItemKey(*export.after)
        page: Page = await self._platform.store.ask(ReadItems(export.number, _FILE_ITEMS, _FILE_BYTES, after=after))
        if page.items:
            lines = [_line(export, item.data) for item in page.items]
            body = gzip.compress(b"".join(lines), 6)
            digest = hashlib.sha256(export.arn.encode() + str(len(export.files)).encode()).hexdigest()[:26]
            name = f"{export.folder()}/data/{digest}.{'ion' if export.format == 'ION' else 'json'}.gz"
            await self._put(key, export, name, body)
            last = page.items[-1].key
            export = replace(
                export,
                after=(last.partition, last.sort),
                files=(*export.files, (name, len(page.items))),
                items=export.items + len(page.items),
                size=export.size + sum(item.size for item in page.items),
            )
        if not page.is_last:
            return export, False
        export = replace(export, status="COMPLETED", ended_at=self._platform.clock.now())
        await self._write_manifests(key, export)
        return export, True

    async def _write_manifests(self, key: str, export: Export) -> None:
        files = b"".join(
            msgspec.json.encode({"itemCount": count, "dataFileS3Key": name}) + b"\n" for name, count in export.files
        )
        await self._put(key, export, f"{export.folder()}/manifest-files.json", files)
        summary = {
            "version": "2020-06-30",
            "exportArn": export.arn,
            "startTime": format_iso8601(export.started_at),
            "endTime": format_iso8601(export.ended_at or export.started_at),
            "tableArn": export.table.arn(),
            "tableId": export.table.id,
            "exportTime": format_iso8601(export.export_at),
            "s3Bucket": export.bucket,
            "s3Prefix": export.prefix,
            "s3SseAlgorithm": "AES256",
            "s3SseKmsKeyId": None,
            "manifestFilesS3Key": f"{export.folder()}/manifest-files.json",
            "billedSizeBytes": export.size,
            "itemCount": export.items,
            "outputFormat": export.format,
            "exportType": "FULL_EXPORT",
        }
        await self._put(key, export, f"{export.folder()}/manifest-summary.json", msgspec.json.encode(summary))

    async def _put(self, key: str, export: Export, name: str, body: bytes) -> None:
        request = s3_api.PutObjectRequest(bucket=export.bucket, key=name, body=body, expected_bucket_owner=export.owner)
        await self._platform.table.run(_caller(self._platform, key), "s3", "PutObject", request)


def _line(export: Export, data: bytes) -> bytes:
    return write_item(decode_item(data)) if export.format == "ION" else export_line(data)


class ImportWorker:
    """Fills tables from buckets, an object at a time. A `Worker`."""

    name = "dynamodb.imports"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._timers = DueTimers(platform.store, platform.clock, IMPORT_TIMER, lease_seconds=_LEASE_SECONDS)

    async def run_once(self) -> float:
        """Read one object of one import."""
        for timer in await self._timers.claim():
            await self._advance(timer)
        return await self._timers.seconds_until_next()

    async def _advance(self, timer: ClaimedTimer) -> None:
        made = await self._platform.store.view(lambda view: view.records.find(IMPORT, timer.key))
        if made is not None and made.status == "IN_PROGRESS":
            try:
                made = await self._read(timer.key, made)
            except ServiceError as error:
                made = replace(made, status="FAILED", failure=(error.code, error.message))
        await self._settle(timer, made)

    async def _settle(self, timer: ClaimedTimer, made: Import | None) -> None:
        now = self._platform.clock.now()

        def settle(transaction: Transaction) -> None:
            is_done = made is None or made.status != "IN_PROGRESS"
            due_at_ms = None if is_done else int(now * 1000)
            transaction.apply(SettleTimers(IMPORT_TIMER, (Settlement(timer.key, timer.epoch, due_at_ms),)))
            if made is None:
                return
            transaction.records.put(IMPORT, timer.key, replace(made, ended_at=now) if is_done else made)
            table = transaction.records.find(TABLE, made.table_key)
            if is_done and table is not None and table.id == made.table_id:
                transaction.records.put(TABLE, made.table_key, replace(table, filling=None))

        await self._platform.store.transact(settle)

    async def _read(self, key: str, made: Import) -> Import:
        caller, source = _caller(self._platform, key), made.source
        wanted = s3_api.ListObjectsV2Request(
            bucket=source.s3_bucket, prefix=source.s3_key_prefix, start_after=made.done or None, max_keys=1
        )
        listed = await self._platform.table.run(caller, "s3", "ListObjectsV2", wanted)
        objects = cast("s3_api.ListObjectsV2Output", listed).contents or []
        if not objects:
            if not made.done:
                failure = ("S3NoSuchKey", "No objects were found under the S3 key prefix.")
                return replace(made, status="FAILED", failure=failure)
            return replace(made, status="COMPLETED")
        name = str(objects[0].key)
        request = s3_api.GetObjectRequest(bucket=source.s3_bucket, key=name)
        got = cast("s3_api.GetObjectOutput", await self._platform.table.run(caller, "s3", "GetObject", request))
        body = got.body or b""
        try:
            content = unpacked(body, made.compression)
        except ValueError as error:
            return replace(made, status="FAILED", failure=("InvalidCompression", f"{name}: {error}"))
        counted = await self._load(made, content)
        return replace(counted, done=name, processed_bytes=made.processed_bytes + len(body))

    async def _load(self, made: Import, content: bytes) -> Import:
        table = await self._platform.store.find(TABLE, made.table_key)
        if table is None or table.id != made.table_id:
            return replace(made, status="FAILED", failure=("TableNotFound", "The table was deleted."))
        layout = Layout(table)
        batch: list[WriteItems] = []
        processed, errors = made.processed_items, made.errors
        for item in self._items(made, layout, content):
            processed += 1
            write = None if item is None else _write(layout, item)
            if write is None:
                errors += 1
                continue
            batch.append(write)
            if len(batch) == _BATCH:
                await self._platform.store.submit(batch)
                batch = []
        if batch:
            await self._platform.store.submit(batch)
        return replace(made, processed_items=processed, errors=errors, imported_items=processed - errors)

    def _items(self, made: Import, layout: Layout, content: bytes) -> Iterator[Attributes | None]:
        if made.format == "ION":
            return read_items(content)
        if made.format != "CSV":
            return read_json_lines(content)
        options = made.options.csv if made.options is not None else None
        delimiter = (options.delimiter if options is not None else None) or ","
        header = options.header_list if options is not None else None
        return read_csv(content, delimiter, header, layout.table.types)


def _write(layout: Layout, item: Attributes) -> WriteItems | None:
    """Return the write of an item that was read, None where it cannot be one of the table."""
    try:
        size = check_item(item)
        if size > limits.ITEM_BYTES_MAX:
            return None
        key = layout.item_key(item)
        stored = Item(encode_item(item), size, layout.entries(item, key))
    except (ServiceError, AttributeError, TypeError, ValueError):
        # Whatever a file has in place of attribute values.
        return None
    return WriteItems((ItemWrite(layout.number, key, decide_put(stored, None, None)),))
