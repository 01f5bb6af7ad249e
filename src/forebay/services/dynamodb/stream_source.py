"""Streams as sources: event source mappings and pipes read records as functions see them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from forebay.api import dynamodbstreams as api
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.delivery.contract import SourceRecord
from forebay.delivery.stream import Streamed, StreamSource
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.stream import log_name, read_record, shard_at
from forebay.services.dynamodb.table import STREAM, StreamRecord
from forebay.store.commands import ReadLog, StoredEntry
from forebay.store.contract import Store, Topic
from forebay.store.records import record_key

_SHARD_MS = limits.SHARD_SECONDS * 1000


class TableStreams:
    """Opens streams by ARN. A `StreamOpener`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def open(self, arn: Arn) -> StreamSource | None:
        """Return the stream, or None where there is none."""
        table, _, label = arn.resource.removeprefix("table/").partition("/stream/")
        key = record_key(arn.account, arn.region, table, label)
        stream = await self._store.find(STREAM, key) if label else None
        return None if stream is None else TableStream(self._store, self._clock, stream)


class TableStream:
    """One stream that is read. A `StreamSource`."""

    def __init__(self, store: Store, clock: Clock, stream: StreamRecord) -> None:
        self._store = store
        self._clock = clock
        self._stream = stream
        self._log = log_name(stream.table_id, stream.label)

    @property
    def topic(self) -> Topic:
        """What the store tells when there are new records."""
        return "log", self._log

    async def read(self, after: int, limit: int, from_ms: int) -> Sequence[Streamed]:
        """Return records behind a position that are less than a day old and no older than `from_ms`.

        Raises:
            ResourceNotFoundException: the stream has ended a day ago.
        """
        if await self._store.find(STREAM, self._stream.key()) is None:
            text = f"Requested resource not found: Stream: {self._stream.arn()} not found"
            raise api.ResourceNotFoundException(text)
        kept_ms = int(self._clock.now() * 1000) - limits.STREAM_SECONDS * 1000
        entries = await self._store.ask(ReadLog(self._log, limit, after=after, from_ms=max(from_ms, kept_ms)))
        return [self._streamed(entry) for entry in entries]

    async def last_position(self) -> int:
        """Return the position of the latest record, 0 while there was none."""
        found = await self._store.ask(ReadLog(self._log, 1, newest_first=True))
        return found[0].position if found else 0

    def _streamed(self, entry: StoredEntry) -> Streamed:
        data: dict[str, Any] = {**read_record(entry.data, entry.position), "eventSourceARN": self._stream.arn()}
        identity = data.get("userIdentity")
        if identity is not None:
            # The API's own form is in upper case.
            data["userIdentity"] = {name[:1].lower() + name[1:]: value for name, value in identity.items()}
        change = data["dynamodb"]
        group = msgspec.json.encode(change.get("Keys"), order="deterministic").decode()
        number = max((entry.at_ms - int(self._stream.created_at * 1000)) // _SHARD_MS, 0)
        record = SourceRecord(change["SequenceNumber"], data, group)
        return Streamed(entry.position, entry.at_ms, shard_at(self._stream, number).id, record)
