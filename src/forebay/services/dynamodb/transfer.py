"""Exports and imports as they are kept, and how items stand in their files."""

import csv
import gzip
import io
from collections.abc import Iterator, Sequence

import msgspec

from forebay.api import dynamodb as api
from forebay.languages.dynamodb.value import Item as Attributes
from forebay.services.dynamodb.table import Table
from forebay.store.records import Kind


class Export(msgspec.Struct, frozen=True):
    """An export of a table to S3; `number` is where the store has the copy that is written out."""

    arn: str
    table: Table
    number: int
    bucket: str
    prefix: str | None
    started_at: float
    export_at: float
    client_token: str
    status: str = "IN_PROGRESS"
    ended_at: float | None = None
    after: tuple[bytes, bytes] | None = None
    files: tuple[tuple[str, int], ...] = ()
    items: int = 0
    size: int = 0
    failure: tuple[str, str] | None = None
    owner: str | None = None
    format: str = "DYNAMODB_JSON"

    def folder(self) -> str:
        """Return what the keys of the export's objects begin with."""
        identifier = self.arn.rpartition("/")[2]
        return f"{self.prefix}/AWSDynamoDB/{identifier}" if self.prefix else f"AWSDynamoDB/{identifier}"


EXPORT = Kind("dynamodb.export", Export)
"""Records under (account, region, ARN)."""


class Import(msgspec.Struct, frozen=True):
    """An import from S3 into a new table; `done` is the key of the last object that was read to its end."""

    arn: str
    table_key: str
    table_arn: str
    table_id: str
    source: api.S3BucketSource
    format: str
    compression: str
    parameters: api.TableCreationParameters
    client_token: str
    started_at: float
    options: api.InputFormatOptions | None = None
    status: str = "IN_PROGRESS"
    ended_at: float | None = None
    done: str = ""
    errors: int = 0
    processed_items: int = 0
    imported_items: int = 0
    processed_bytes: int = 0
    failure: tuple[str, str] | None = None


IMPORT = Kind("dynamodb.import", Import)
"""Records under (account, region, ARN)."""


def unpacked(body: bytes, compression: str) -> bytes:
    """Return an object's content.

    Raises:
        ValueError: it is not compressed as was said.
    """
    if compression != "GZIP":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error


def read_json_lines(body: bytes) -> Iterator[Attributes | None]:
    """Read items of DynamoDB JSON, one a line (`{"Item": {...}}`); None for a line that is none."""
    for line in body.splitlines():
        if line.strip():
            yield _read_line(line)


def _read_line(line: bytes) -> Attributes | None:
    try:
        return msgspec.json.decode(line, type=dict[str, dict[str, dict[str, object]]])["Item"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return None


def read_csv(
    body: bytes, delimiter: str, header: Sequence[str] | None, types: dict[str, str]
) -> Iterator[Attributes | None]:
    """Read items of a CSV file: key attributes have their type, all others are strings; empty fields are absent."""
    rows = csv.reader(io.StringIO(body.decode("utf-8-sig", "replace"), newline=""), delimiter=delimiter)
    names = list(header) if header is not None else next(rows, list[str]())
    for row in rows:
        if not row:
            continue
        if len(row) > len(names):
            yield None
            continue
        yield {name: {types.get(name, "S"): field} for name, field in zip(names, row, strict=False) if field != ""}


def export_line(data: bytes) -> bytes:
    """Return an item's line in an export."""
    return b'{"Item":' + data + b"}\n"
