"""Reads the items of a distributed Map state from the node's S3: a listing, or an object with many items in it.

Source: developer guide, "ItemReader (Map)".
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from forebay.core.convert import shape_from_wire
from forebay.core.errors import ServiceError
from forebay.operations.call import Caller
from forebay.operations.table import OperationTable
from forebay.services.stepfunctions.payload import as_list, as_object

_DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
_ITEMS_MAX = 100_000_000


class ReadFailed(Exception):
    """The items cannot be read; the text says why."""


async def read_items(table: OperationTable, caller: Caller, reader: str) -> list[Any]:
    """Return the items that a reader, as the state has it, names.

    Raises:
        ReadFailed: they cannot be read.
    """
    asked = as_object(msgspec.json.decode(reader))
    place: dict[str, Any] = asked.get("Arguments") or asked.get("Parameters") or {}
    config: dict[str, Any] = asked.get("ReaderConfig") or {}
    resource = str(asked.get("Resource", ""))
    most = int(config.get("MaxItems") or _ITEMS_MAX)
    try:
        if resource.endswith(":s3:listObjectsV2"):
            return await _list_objects(table, caller, place, most)
        if resource.endswith(":s3:getObject"):
            text = await _object(table, caller, place)
            return await _parsed(table, caller, text, config, most)
    except ServiceError as error:
        raise ReadFailed(f"{error.message} (Service: S3, Status Code: {error.status})") from None
    raise ReadFailed(f"Forebay cannot read items from {resource}.")


async def _list_objects(table: OperationTable, caller: Caller, place: Mapping[str, Any], most: int) -> list[Any]:
    from forebay.api import s3 as s3_api  # noqa: PLC0415 - large; needed once a map run reads

    items: list[Any] = []
    request = shape_from_wire(s3_api.ListObjectsV2Request, place)
    while True:
        answer = await table.run(caller, "s3", "ListObjectsV2", request)
        assert isinstance(answer, s3_api.ListObjectsV2Output)
        for found in answer.contents or ():
            items.append(
                {
                    "Etag": found.e_tag,
                    "Key": found.key,
                    "LastModified": int(found.last_modified or 0),
                    "Size": found.size,
                    "StorageClass": found.storage_class or "STANDARD",
                }
            )
            if len(items) == most:
                return items
        if not answer.is_truncated:
            return items
        request = replace(request, continuation_token=answer.next_continuation_token)


async def _object(table: OperationTable, caller: Caller, place: Mapping[str, Any]) -> str:
    from forebay.api import s3 as s3_api  # noqa: PLC0415 - as above

    request = s3_api.GetObjectRequest(
        bucket=str(place.get("Bucket")), key=str(place.get("Key")), version_id=place.get("VersionId")
    )
    answer = await table.run(caller, "s3", "GetObject", request)
    assert isinstance(answer, s3_api.GetObjectOutput)
    try:
        return (answer.body or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ReadFailed("The object is not encoded in UTF-8.") from None


async def _parsed(table: OperationTable, caller: Caller, text: str, config: Mapping[str, Any], most: int) -> list[Any]:
    if config.get("InputType") == "MANIFEST":
        return await _manifest(table, caller, text, most)
    return parse_items(text, config, most)


def parse_items(text: str, config: Mapping[str, Any], most: int = _ITEMS_MAX) -> list[Any]:
    """Return the items in the text of an object, as a ReaderConfig says.

    Raises:
        ReadFailed: there are none such in it.
    """
    kind = str(config.get("InputType") or "JSON")
    if kind == "CSV":
        return list(_limited(_csv_items(text, config), most))
    if kind == "JSONL":
        lines = (line for line in text.splitlines() if line.strip())
        return [_json(line) for line in _limited(lines, most)]
    if kind == "JSON":
        return _json_items(_json(text), config)[:most]
    raise ReadFailed(f"Forebay cannot read items of InputType {kind}.")


async def _manifest(table: OperationTable, caller: Caller, text: str, most: int) -> list[Any]:
    """Read an S3 inventory: a manifest that names compressed CSV files of keys."""
    import gzip  # noqa: PLC0415 - only inventories need it

    manifest = _json(text)
    bucket = str(manifest.get("destinationBucket", "")).rpartition(":")[2]
    names = [name.strip() for name in str(manifest.get("fileSchema", "")).split(",")]
    items: list[Any] = []
    from forebay.api import s3 as s3_api  # noqa: PLC0415 - as above

    for file in manifest.get("files") or ():
        answer = await table.run(caller, "s3", "GetObject", s3_api.GetObjectRequest(bucket=bucket, key=file["key"]))
        assert isinstance(answer, s3_api.GetObjectOutput)
        body = answer.body or b""
        rows = (gzip.decompress(body) if file["key"].endswith(".gz") else body).decode()
        for row in csv.reader(io.StringIO(rows)):
            items.append(dict(zip(names, row, strict=False)))
            if len(items) == most:
                return items
    return items


def _csv_items(text: str, config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    rows = csv.reader(io.StringIO(text), delimiter=_DELIMITERS.get(str(config.get("CSVDelimiter") or "COMMA"), ","))
    location = config.get("CSVHeaderLocation")
    given = [str(name) for name in as_list(config.get("CSVHeaders"))]
    names = given if location == "GIVEN" else next(rows, list[str]())
    for row in rows:
        if row:
            padded = [*row, *[""] * (len(names) - len(row))]
            yield dict(zip(names, padded, strict=False))


def point_at(value: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to.

    Raises:
        ReadFailed: it leads nowhere.
    """
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            value = as_object(value)[name] if as_object(value) else as_list(value)[int(name)]
        except (KeyError, IndexError, ValueError):
            raise ReadFailed(f"The ItemsPointer {pointer} does not match the object.") from None
    return value


def _json_items(value: Any, config: Mapping[str, Any]) -> list[Any]:
    pointer = config.get("ItemsPointer")
    if isinstance(pointer, str):
        value = point_at(value, pointer)
    if isinstance(value, list):
        return cast("list[Any]", value)
    if isinstance(value, dict):
        return [{"Key": key, "Value": item} for key, item in cast("dict[str, Any]", value).items()]
    raise ReadFailed("Attempting to map over non-iterable node.")


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReadFailed(f"The object is not valid JSON: {error}") from None


def _limited(items: Iterator[Any], most: int) -> Iterator[Any]:
    for number, item in enumerate(items):
        if number == most:
            return
        yield item
