"""Operations on log streams: create, describe, delete."""

from forebay.api import logs as api
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.logs import limits
from forebay.services.logs.event import ingested_at_ms
from forebay.services.logs.group import (
    LOG_STREAM,
    LogGroup,
    LogStream,
    group_name,
    load_group,
    load_stream,
    stream_key,
)
from forebay.store.commands import DropLog, ReadLog
from forebay.store.records import key_prefix

# Sorts behind every time in milliseconds.
_TIME_MAX = 10**14


@operation
def create_log_stream(call: Call, request: api.CreateLogStreamRequest) -> None:
    """Create an empty stream in a group."""
    group = load_group(call, request.log_group_name)
    key = stream_key(call, group.name, request.log_stream_name)
    if call.records.find(LOG_STREAM, key) is not None:
        raise api.ResourceAlreadyExistsException("The specified log stream already exists")
    stream = LogStream(call.account, call.region, group.name, request.log_stream_name, call.now_ms)
    call.records.put(LOG_STREAM, key, stream)


@operation(readonly=True)
def describe_log_streams(call: Call, request: api.DescribeLogStreamsRequest) -> api.DescribeLogStreamsResponse:
    """Return a page of a group's streams, by name or by their last event."""
    group = load_group(call, group_name(request.log_group_name, request.log_group_identifier))
    prefix = request.log_stream_name_prefix
    by_time = request.order_by == "LastEventTime"
    if by_time and prefix is not None:
        text = "Cannot order by LastEventTime with a logStreamNamePrefix."
        raise api.InvalidParameterException(text)
    start = key_prefix(call.account, call.region, group.name) + (prefix or "")
    streams = [stream for _, stream in call.reader.list(LOG_STREAM, start)]
    limit = request.limit or limits.PAGE_STREAMS_MAX
    descending = bool(request.descending)
    try:
        if by_time:
            return _by_time(call, group, streams, request, limit)
        # Pages go up in keys, so that going down takes keys that are turned round.
        key = _turned if descending else _named
        found, token = page_of(sorted(streams, key=key), key, request.next_token, limit)
    except ValueError:
        raise api.InvalidParameterException("The specified nextToken is invalid.") from None
    described = [_described(call, group, stream) for stream in found]
    return api.DescribeLogStreamsResponse(log_streams=described, next_token=token)


def _by_time(
    call: Call, group: LogGroup, streams: list[LogStream], request: api.DescribeLogStreamsRequest, limit: int
) -> api.DescribeLogStreamsResponse:
    described = [_described(call, group, stream) for stream in streams]

    def key(stream: api.LogStream) -> str:
        at_ms = stream.last_event_timestamp or 0
        return f"{_TIME_MAX - at_ms if request.descending else at_ms:015d}{stream.log_stream_name}"

    found, token = page_of(sorted(described, key=key), key, request.next_token, limit)
    return api.DescribeLogStreamsResponse(log_streams=found, next_token=token)


@operation
def delete_log_stream(call: Call, request: api.DeleteLogStreamRequest) -> None:
    """Delete a stream with its events."""
    group = load_group(call, request.log_group_name)
    stream = load_stream(call, group.name, request.log_stream_name)
    call.apply(DropLog(stream.log_name))
    call.records.delete(LOG_STREAM, stream_key(call, group.name, stream.name))


def _described(call: Call, group: LogGroup, stream: LogStream) -> api.LogStream:
    from_ms = group.oldest_ms(call.now_ms)
    first = call.ask(ReadLog(stream.log_name, 1, from_ms=from_ms))
    last = call.ask(ReadLog(stream.log_name, 1, from_ms=from_ms, newest_first=True))
    return api.LogStream(
        log_stream_name=stream.name,
        creation_time=stream.created_at_ms,
        first_event_timestamp=first[0].at_ms if first else None,
        last_event_timestamp=last[0].at_ms if last else None,
        last_ingestion_time=ingested_at_ms(last[0]) if last else None,
        arn=stream.arn,
        # "The value is always zero since June 17, 2019" (LogStream API reference).
        stored_bytes=0,
    )


def _named(stream: LogStream) -> str:
    return stream.name


def _turned(stream: LogStream) -> str:
    """Return a key that sorts names the other way round (a longer name comes before its own beginning)."""
    return "".join(chr(0x10FFFF - ord(character)) for character in stream.name) + "\U0010ffff"
