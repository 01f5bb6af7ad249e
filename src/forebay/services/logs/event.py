"""A log event: how it is kept, what a batch of them must be like, and the tokens that page through a stream. Pure."""

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from forebay.api import logs as api
from forebay.services.logs import limits
from forebay.services.logs.group import LogGroup
from forebay.store.commands import LogEntry, StoredEntry

_INGESTED_BYTES = 8
_TOKEN = re.compile(r"([fb])/(\d{1,60})/s")
_DIGITS = 56


class Batch(msgspec.Struct, frozen=True):
    """What is taken of a batch, and what is not."""

    entries: tuple[LogEntry, ...]
    rejected: api.RejectedLogEventsInfo | None


def encode_event(message: str, ingested_at_ms: int) -> bytes:
    """Return the bytes that the store keeps of an event, beside its time."""
    return ingested_at_ms.to_bytes(_INGESTED_BYTES) + message.encode()


def message_of(entry: StoredEntry | LogEntry) -> str:
    """Return the message of a kept event."""
    return entry.data[_INGESTED_BYTES:].decode()


def ingested_at_ms(entry: StoredEntry) -> int:
    """Return when a kept event came in."""
    return int.from_bytes(entry.data[:_INGESTED_BYTES])


def event_id(stream: str, entry: StoredEntry) -> str:
    """Return an id that no other event of the group has: time, stream and position."""
    return f"{entry.at_ms:014d}{zlib.crc32(stream.encode()):010d}{entry.position:032d}"


def check_batch(events: Sequence[api.InputLogEvent]) -> None:
    """Check a batch as PutLogEvents' reference demands.

    Raises:
        InvalidParameterException: it is too large, spans more than a day or is not in order of time.
    """
    size_bytes = 0
    for event in events:
        event_bytes = len(event.message.encode()) + limits.EVENT_OVERHEAD_BYTES
        if event_bytes > limits.EVENT_BYTES_MAX:
            text = f"Log event too large: {event_bytes} bytes exceeds limit of {limits.EVENT_BYTES_MAX}"
            raise api.InvalidParameterException(text)
        size_bytes += event_bytes
    if size_bytes > limits.BATCH_BYTES_MAX:
        text = f"Upload too large: {size_bytes} bytes exceeds limit of {limits.BATCH_BYTES_MAX}"
        raise api.InvalidParameterException(text)
    times = [event.timestamp for event in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        text = "Log events in a single PutLogEvents request must be in chronological order."
        raise api.InvalidParameterException(text)
    if times[-1] - times[0] > limits.BATCH_SPAN_MS:
        text = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        raise api.InvalidParameterException(text)


def sift(group: LogGroup, events: Sequence[api.InputLogEvent], now_ms: int) -> Batch:
    """Part a batch in what is kept and what is too old, expired or too new."""
    old_end = expired_end = 0
    new_start: int | None = None
    entries: list[LogEntry] = []
    for index, event in enumerate(events):
        if event.timestamp < now_ms - limits.EVENT_AGE_MS_MAX:
            old_end = index + 1
        elif event.timestamp < group.oldest_ms(now_ms):
            expired_end = index + 1
        elif event.timestamp > now_ms + limits.EVENT_FUTURE_MS_MAX:
            new_start = index if new_start is None else new_start
        else:
            data = encode_event(event.message, now_ms)
            entries.append(LogEntry(event.timestamp, data, group.expires_at_ms(event.timestamp)))
    if len(entries) == len(events):
        return Batch(tuple(entries), None)
    rejected = api.RejectedLogEventsInfo(
        too_new_log_event_start_index=new_start,
        too_old_log_event_end_index=old_end or None,
        expired_log_event_end_index=expired_end or None,
    )
    return Batch(tuple(entries), rejected)


def forward_token(position: int) -> str:
    """Return the token that goes on behind a position."""
    return f"f/{position:0{_DIGITS}d}/s"


def backward_token(position: int) -> str:
    """Return the token that goes on before a position."""
    return f"b/{position:0{_DIGITS}d}/s"


def parse_token(token: str) -> tuple[bool, int]:
    """Return whether a token goes forward, and its position.

    Raises:
        InvalidParameterException: it is not one of ours.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise api.InvalidParameterException("The specified nextToken is invalid.")
    return match[1] == "f", int(match[2])
