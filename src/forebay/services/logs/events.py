"""Operations on log events: put, get, filter."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from forebay.api import logs as api
from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.operations.call import Call
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.logs import limits
from forebay.services.logs.event import (
    backward_token,
    check_batch,
    event_id,
    forward_token,
    ingested_at_ms,
    message_of,
    parse_token,
    sift,
)
from forebay.services.logs.filter_pattern import parse_filter_pattern
from forebay.services.logs.group import (
    LOG_GROUP,
    LOG_STREAM,
    LogGroup,
    LogStream,
    checked_group,
    checked_stream,
    group_key,
    group_name,
    load_group,
    load_stream,
    stream_key,
)
from forebay.services.logs.subscription_payload import payloads
from forebay.store.commands import AppendLog, Command, LogEntry, ReadLog, StoredEntry
from forebay.store.records import key_prefix

_BATCH = 200
# "CloudWatch Logs will retry for up to 24 hours" (user guide, "Real-time processing with subscriptions").
_RETRY = RetryPolicy(185, 86_400)


@operation
async def put_log_events(call: Call, request: api.PutLogEventsRequest) -> api.PutLogEventsResponse:
    """Append events to a stream. Sequence tokens are ignored, as AWS does since 2023."""
    group = checked_group(await call.find(LOG_GROUP, group_key(call, request.log_group_name)))
    key = stream_key(call, request.log_group_name, request.log_stream_name)
    stream = checked_stream(await call.find(LOG_STREAM, key))
    check_batch(request.log_events)
    batch = sift(group, request.log_events, call.now_ms)
    position = 0
    if batch.entries:
        handed_over = await _hand_over(call, group, stream, batch.entries) if group.subscriptions else ()
        position, *_ = await call.submit([AppendLog(stream.log_name, batch.entries), *handed_over])
    return api.PutLogEventsResponse(next_sequence_token=f"{position:056d}", rejected_log_events_info=batch.rejected)


async def _hand_over(
    call: Call, group: LogGroup, stream: LogStream, entries: Sequence[LogEntry]
) -> Sequence[Command[Any]]:
    """Return the commands that take what subscription filters match to their functions, in the events' own commit."""
    deliveries = [
        Delivery(call.ids.uuid(), group.arn, subscription.destination_arn, payload, call.now, _RETRY)
        for subscription in group.subscriptions
        for payload in payloads(subscription, group, stream.name, entries, call.ids)
    ]
    return await call.deliveries.commands_for(deliveries)


@operation(readonly=True)
def get_log_events(call: Call, request: api.GetLogEventsRequest) -> api.GetLogEventsResponse:
    """Return a page of a stream's events in their order: the last ones, or from a token on in its direction."""
    group = load_group(call, group_name(request.log_group_name, request.log_group_identifier))
    stream = load_stream(call, group.name, request.log_stream_name)
    forward, position = bool(request.start_from_head), None
    if request.next_token is not None:
        forward, position = parse_token(request.next_token)
    entries = _within_page(
        call.ask(
            ReadLog(
                stream.log_name,
                request.limit or limits.PAGE_EVENTS_MAX,
                after=position or 0 if forward else 0,
                before=None if forward else position,
                from_ms=max(request.start_time or 0, group.oldest_ms(call.now_ms)),
                until_ms=request.end_time,
                newest_first=not forward,
            )
        )
    )
    ordered = entries if forward else entries[::-1]
    events = [
        api.OutputLogEvent(timestamp=entry.at_ms, message=message_of(entry), ingestion_time=ingested_at_ms(entry))
        for entry in ordered
    ]
    if ordered:
        tokens = forward_token(ordered[-1].position), backward_token(ordered[0].position)
    elif forward:
        # At the end, the same token comes back (GetLogEvents API reference).
        tokens = forward_token(position or 0), backward_token((position or 0) + 1)
    else:
        tokens = forward_token(max((position or 1) - 1, 0)), backward_token(position or 1)
    return api.GetLogEventsResponse(events=events, next_forward_token=tokens[0], next_backward_token=tokens[1])


def _within_page(entries: tuple[StoredEntry, ...]) -> tuple[StoredEntry, ...]:
    """Return the first of the entries that fit a page's bytes; at least one."""
    size_bytes = 0
    for count, entry in enumerate(entries):
        size_bytes += len(entry.data) + limits.EVENT_OVERHEAD_BYTES
        if size_bytes > limits.PAGE_BYTES_MAX and count > 0:
            return entries[:count]
    return entries


class _Cursor(msgspec.Struct, frozen=True):
    """Where a filtered read stands: its direction, and for each stream that it has read of, the last position."""

    forward: bool
    positions: dict[str, int]


@operation(readonly=True)
def filter_log_events(call: Call, request: api.FilterLogEventsRequest) -> api.FilterLogEventsResponse:
    """Return a page of a group's events that match, of all its streams or some, in order of time."""
    group = load_group(call, group_name(request.log_group_name, request.log_group_identifier))
    matches = parse_filter_pattern(request.filter_pattern or "")
    cursor = _cursor(request)
    positions = dict(cursor.positions)
    found: list[api.FilteredLogEvent] = []
    size_bytes = 0
    limit = request.limit or limits.PAGE_EVENTS_MAX
    for scanned, (stream, entry) in enumerate(_merged(call, group, request, cursor)):
        if len(found) == limit or size_bytes > limits.PAGE_BYTES_MAX or scanned == limits.PAGE_SCANNED_MAX:
            break
        positions[stream.name] = entry.position
        if matches(message_of(entry)):
            found.append(_filtered(stream, entry))
            size_bytes += len(entry.data) + limits.EVENT_OVERHEAD_BYTES
    else:
        return api.FilterLogEventsResponse(events=found, searched_log_streams=[])
    token = encode_token(msgspec.json.encode(_Cursor(cursor.forward, positions)).decode())
    return api.FilterLogEventsResponse(events=found, searched_log_streams=[], next_token=token)


def _cursor(request: api.FilterLogEventsRequest) -> _Cursor:
    if request.next_token is None:
        return _Cursor(request.start_from_head is not False, {})
    try:
        return msgspec.json.decode(decode_token(request.next_token), type=_Cursor)
    except (ValueError, RecursionError):
        raise api.InvalidParameterException("The specified nextToken is invalid.") from None


def _merged(
    call: Call, group: LogGroup, request: api.FilterLogEventsRequest, cursor: _Cursor
) -> Iterator[tuple[LogStream, StoredEntry]]:
    """Yield the entries of all wanted streams, merged by time."""
    from_ms = max(request.start_time or 0, group.oldest_ms(call.now_ms))
    # The end of the range belongs to it.
    until_ms = None if request.end_time is None else request.end_time + 1
    streams = [_entries(call, stream, cursor, from_ms, until_ms) for stream in _wanted(call, group, request)]
    return heapq.merge(*streams, key=lambda each: each[1].at_ms, reverse=not cursor.forward)


def _wanted(call: Call, group: LogGroup, request: api.FilterLogEventsRequest) -> list[LogStream]:
    names, prefix = request.log_stream_names, request.log_stream_name_prefix
    if names is not None and prefix is not None:
        text = "logStreamNamePrefix and logStreamNames are mutually exclusive parameters."
        raise api.InvalidParameterException(text)
    if names is not None:
        return [load_stream(call, group.name, name) for name in dict.fromkeys(names)]
    start = key_prefix(call.account, call.region, group.name) + (prefix or "")
    return [stream for _, stream in call.reader.list(LOG_STREAM, start)]


def _entries(
    call: Call, stream: LogStream, cursor: _Cursor, from_ms: int, until_ms: int | None
) -> Iterator[tuple[LogStream, StoredEntry]]:
    """Yield a stream's entries from where the cursor stands, reading a batch at a time."""
    position = cursor.positions.get(stream.name)
    while True:
        entries = call.ask(
            ReadLog(
                stream.log_name,
                _BATCH,
                after=position or 0 if cursor.forward else 0,
                before=None if cursor.forward else position,
                from_ms=from_ms,
                until_ms=until_ms,
                newest_first=not cursor.forward,
            )
        )
        for entry in entries:
            yield stream, entry
        if len(entries) < _BATCH:
            return
        position = entries[-1].position


def _filtered(stream: LogStream, entry: StoredEntry) -> api.FilteredLogEvent:
    return api.FilteredLogEvent(
        log_stream_name=stream.name,
        timestamp=entry.at_ms,
        message=message_of(entry),
        ingestion_time=ingested_at_ms(entry),
        event_id=event_id(stream.name, entry),
    )
