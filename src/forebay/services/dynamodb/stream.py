"""Streams as they are kept: one log for each, in which the entries of four hours are a shard.

A table's writes append their records in the same commit, through `Decision.then`. The log is called
`dynamodb.stream/<table id>/<label>`; an entry's data is the record as JSON in the API's own form, without its sequence
number, which is the entry's position (`sequence_number`). Functions are given `userIdentity` in lower case
(`principalId`, `type`); everything else is as it stands here. A shard is all entries whose `at_ms` lies in its four
hours, counted from the stream's beginning; each but the first has the one before it as its parent. Records of a key
keep their order because `at_ms` is taken when the write is decided.
"""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import msgspec

from forebay.services.dynamodb import limits
from forebay.services.dynamodb.table import StreamRecord

# What AWS's sequence numbers look like: digits without leading zeros, 21 at least.
_SEQUENCE_BASE = 10**23
_SHARD_MS = limits.SHARD_SECONDS * 1000
# Writes that were decided before a shard's end may still be on their way for this long.
_GRACE_MS = 5_000


def log_name(table_id: str, label: str) -> str:
    """Return the name of a stream's log."""
    return f"dynamodb.stream/{table_id}/{label}"


def sequence_number(position: int) -> str:
    """Return the sequence number of the record at a position of the log."""
    return str(_SEQUENCE_BASE + position)


def parse_sequence_number(text: str) -> int | None:
    """Return the position of a sequence number, None for what is none of ours."""
    if not (text.isascii() and text.isdecimal()):
        return None
    position = int(text) - _SEQUENCE_BASE
    return position if position >= 0 else None


def read_record(data: bytes, position: int) -> dict[str, Any]:
    """Return a record of the log as the API gives it, with its sequence number."""
    record: dict[str, Any] = msgspec.json.decode(data)
    record["dynamodb"]["SequenceNumber"] = sequence_number(position)
    return record


@dataclass(frozen=True)
class Shard:
    """Four hours of a stream, `from_ms` included and `until_ms` not."""

    id: str
    number: int
    from_ms: int
    until_ms: int

    def is_closed(self, stream: StreamRecord, now_ms: int) -> bool:
        """Tell whether no record can come any more."""
        if stream.disabled_at is not None and int(stream.disabled_at * 1000) + _GRACE_MS <= now_ms:
            return True
        return self.until_ms + _GRACE_MS <= now_ms


def shard_at(stream: StreamRecord, number: int) -> Shard:
    """Return a stream's shard by its number, 0 being the first."""
    begin_ms = int(stream.created_at * 1000)
    from_ms = begin_ms + number * _SHARD_MS
    mark = crc32(f"{stream.table_id}/{stream.label}/{number}".encode())
    # The first shard has whatever a clock of another node dates before the stream's beginning.
    shown_ms = from_ms
    return Shard(f"shardId-{shown_ms:020d}-{mark:08x}", number, from_ms if number else 0, from_ms + _SHARD_MS)


def shards_of(stream: StreamRecord, now_ms: int) -> tuple[Shard, ...]:
    """Return the shards that have records which are kept, the oldest first."""
    begin_ms = int(stream.created_at * 1000)
    end_ms = now_ms if stream.disabled_at is None else min(now_ms, int(stream.disabled_at * 1000))
    last = max((end_ms - begin_ms) // _SHARD_MS, 0)
    first = max((now_ms - limits.STREAM_SECONDS * 1000 - begin_ms) // _SHARD_MS, 0)
    return tuple(shard_at(stream, number) for number in range(min(first, last), last + 1))


def find_shard(stream: StreamRecord, shard_id: str, now_ms: int) -> Shard | None:
    """Return a stream's shard by its id, None where there is none or it is over a day old."""
    return next((shard for shard in shards_of(stream, now_ms) if shard.id == shard_id), None)
