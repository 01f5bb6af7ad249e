"""Operations on streams: list, describe, iterators and records. They are a service of their own (`dynamodbstreams`)."""

import base64
from typing import Any

import msgspec

from forebay.api import dynamodbstreams as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.shapes import Encoded
from forebay.languages.dynamodb.errors import invalid
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.dynamodb import limits
from forebay.services.dynamodb.errors import check_own
from forebay.services.dynamodb.layout import encode_item
from forebay.services.dynamodb.stream import (
    Shard,
    find_shard,
    log_name,
    parse_sequence_number,
    read_record,
    sequence_number,
    shard_at,
    shards_of,
)
from forebay.services.dynamodb.table import STREAM, StreamRecord
from forebay.store.commands import ReadLog, StoredEntry
from forebay.store.records import key_prefix, record_key

_RECORDS_BYTES_MAX = 1024 * 1024
_SHARDS_MAX = 100


class Iterator(msgspec.Struct, frozen=True, array_like=True):
    """A place in a shard: behind a position of the log, from a moment on."""

    stream: str
    shard: int
    after: int
    issued_at: float
    from_ms: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Iterator).decode


@operation(readonly=True)
def list_streams(call: Call, request: api.ListStreamsInput) -> api.ListStreamsOutput:
    """List streams, those of a table or all, also of tables that were deleted less than a day ago."""
    prefix = (call.account, call.region, request.table_name) if request.table_name else (call.account, call.region)
    limit = min(request.limit or _SHARDS_MAX, _SHARDS_MAX)
    after = _stream_key(call, request.exclusive_start_stream_arn) if request.exclusive_start_stream_arn else ""
    found = [
        stream
        for _, stream in call.reader.list(STREAM, key_prefix(*prefix), after=after)
        if not _is_gone(stream, call.now)
    ]
    page = found[:limit]
    return api.ListStreamsOutput(
        streams=[
            api.Stream(stream_arn=stream.arn(), table_name=stream.table, stream_label=stream.label) for stream in page
        ],
        last_evaluated_stream_arn=page[-1].arn() if len(found) > limit else None,
    )


def _is_gone(stream: StreamRecord, now: float) -> bool:
    return stream.disabled_at is not None and stream.disabled_at + limits.STREAM_SECONDS <= now


def _stream_key(call: Call, arn_text: str) -> str:
    try:
        arn = Arn.parse(arn_text)
        table, _, label = arn.resource.removeprefix("table/").partition("/stream/")
    except ValueError:
        raise invalid(f"Invalid StreamArn: {arn_text}") from None
    if arn.service != "dynamodb" or not label:
        raise invalid(f"Invalid StreamArn: {arn_text}")
    check_own(call, arn)
    return record_key(arn.account, arn.region, table, label)


def load_stream(call: Call, arn: str) -> StreamRecord:
    """Return a stream by its ARN.

    Raises:
        ResourceNotFoundException: there is none.
    """
    stream = call.reader.find(STREAM, _stream_key(call, arn))
    if stream is None or _is_gone(stream, call.now):
        raise api.ResourceNotFoundException(f"Requested resource not found: Stream: {arn} not found")
    return stream


@operation(readonly=True)
def describe_stream(call: Call, request: api.DescribeStreamInput) -> api.DescribeStreamOutput:
    """Return a stream's description with its shards, the oldest first."""
    stream = load_stream(call, request.stream_arn)
    shards = list(shards_of(stream, call.now_ms))
    if request.shard_filter is not None:
        shards = _children(shards, request.shard_filter)
    if request.exclusive_start_shard_id is not None:
        shards = [shard for shard in shards if shard.id > request.exclusive_start_shard_id]
    limit = min(request.limit or _SHARDS_MAX, _SHARDS_MAX)
    page = shards[:limit]
    return api.DescribeStreamOutput(
        stream_description=api.StreamDescription(
            stream_arn=stream.arn(),
            stream_label=stream.label,
            stream_status="ENABLED" if stream.disabled_at is None else "DISABLED",
            stream_view_type=stream.view_type,  # pyright: ignore[reportArgumentType]
            creation_request_date_time=stream.created_at,
            table_name=stream.table,
            key_schema=[
                *(api.KeySchemaElement(attribute_name=name, key_type="HASH") for name in stream.partition),
                *(api.KeySchemaElement(attribute_name=name, key_type="RANGE") for name in stream.sort),
            ],
            shards=[_described(call, stream, shard) for shard in page],
            last_evaluated_shard_id=page[-1].id if len(shards) > limit else None,
        )
    )


def _children(shards: list[Shard], wanted: api.ShardFilter) -> list[Shard]:
    if wanted.type != "CHILD_SHARDS" or wanted.shard_id is None:
        raise invalid("ShardFilter must have a Type of CHILD_SHARDS and a ShardId")
    parent = next((shard for shard in shards if shard.id == wanted.shard_id), None)
    return [] if parent is None else [shard for shard in shards if shard.number == parent.number + 1]


def _described(call: Call, stream: StreamRecord, shard: Shard) -> api.Shard:
    first = _start_of(call, stream, shard)
    last: str | None = None
    if shard.is_closed(stream, call.now_ms):
        found = call.ask(ReadLog(_log(stream), 1, from_ms=shard.from_ms, until_ms=shard.until_ms, newest_first=True))
        last = sequence_number(found[0].position if found else first)
    return api.Shard(
        shard_id=shard.id,
        sequence_number_range=api.SequenceNumberRange(
            starting_sequence_number=sequence_number(first), ending_sequence_number=last
        ),
        parent_shard_id=shard_at(stream, shard.number - 1).id if shard.number else None,
    )


def _log(stream: StreamRecord) -> str:
    return log_name(stream.table_id, stream.label)


def _start_of(call: Call, stream: StreamRecord, shard: Shard) -> int:
    """Return the position of a shard's first record, which may be still to come."""
    found = call.ask(ReadLog(_log(stream), 1, from_ms=shard.from_ms, until_ms=shard.until_ms))
    if found:
        return found[0].position
    return _last_position(call, stream) + 1


def _last_position(call: Call, stream: StreamRecord) -> int:
    found = call.ask(ReadLog(_log(stream), 1, newest_first=True))
    return found[0].position if found else 0


@operation(readonly=True)
def get_shard_iterator(call: Call, request: api.GetShardIteratorInput) -> api.GetShardIteratorOutput:
    """Return an iterator for a place in a shard; it is good for fifteen minutes."""
    stream = load_stream(call, request.stream_arn)
    shard = find_shard(stream, request.shard_id, call.now_ms)
    if shard is None:
        raise api.ResourceNotFoundException(
            f"Requested resource not found: Shard does not exist: {request.shard_id} in stream {request.stream_arn}"
        )
    after, from_ms = 0, 0
    match request.shard_iterator_type:
        case "LATEST":
            after = _last_position(call, stream)
        case "AT_TIMESTAMP":
            from_ms = _timestamp_ms(call, request)
        case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER":
            is_at = request.shard_iterator_type == "AT_SEQUENCE_NUMBER"
            after = _sequence_position(call, stream, shard, request) - is_at
        case _:
            pass
    iterator = Iterator(stream.key(), shard.number, after, call.now, from_ms)
    return api.GetShardIteratorOutput(shard_iterator=_format(stream, iterator))


def _timestamp_ms(call: Call, request: api.GetShardIteratorInput) -> int:
    if request.timestamp is None:
        raise invalid("Timestamp must be specified when ShardIteratorType is AT_TIMESTAMP")
    # Clients round times to a second or a millisecond, and their clocks are their own.
    if request.timestamp > call.now + 1:
        raise invalid("Timestamp must not be in the future")
    return int(request.timestamp * 1000)


def _sequence_position(call: Call, stream: StreamRecord, shard: Shard, request: api.GetShardIteratorInput) -> int:
    if request.sequence_number is None:
        raise invalid(f"SequenceNumber must be specified when ShardIteratorType is {request.shard_iterator_type}")
    position = parse_sequence_number(request.sequence_number)
    first = _start_of(call, stream, shard)
    if position is None or position > max(_last_position(call, stream), first):
        raise invalid(f"Invalid SequenceNumber: {request.sequence_number} is not one of shard {shard.id}")
    if position < first:
        raise api.TrimmedDataAccessException(
            "The operation attempted to read past the oldest stream record in a shard. Trimmed data access: "
            f"{request.sequence_number}"
        )
    return position


def _format(stream: StreamRecord, iterator: Iterator) -> str:
    return f"{stream.arn()}|1|{base64.b64encode(_encode(iterator)).decode()}"


def _parse(text: str) -> Iterator:
    try:
        return _decode(base64.b64decode(text.rpartition("|")[2], validate=True))
    except (ValueError, msgspec.MsgspecError):
        raise invalid("Invalid ShardIterator") from None


@operation(readonly=True)
def get_records(call: Call, request: api.GetRecordsInput) -> Encoded:
    """Return records from an iterator on, and the next iterator; none where the shard is closed and read to its end."""
    limit = limits.RECORDS_MAX if request.limit is None else request.limit
    if limit > limits.RECORDS_MAX:
        raise invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            f"Member must have value less than or equal to {limits.RECORDS_MAX}"
        )
    iterator = _parse(request.shard_iterator)
    if iterator.issued_at + limits.ITERATOR_SECONDS < call.now:
        raise api.ExpiredIteratorException(
            "Iterator expired. The iterator was created more than 15 minutes ago while it can be used for 15 minutes."
        )
    stream = call.reader.find(STREAM, iterator.stream)
    if stream is None or stream.account != call.account:
        raise _no_stream()
    shard = shard_at(stream, iterator.shard)
    oldest_ms = call.now_ms - limits.STREAM_SECONDS * 1000
    from_ms = max(shard.from_ms, iterator.from_ms, oldest_ms)
    # Whether more can come is asked before reading: what comes in between is read the next time.
    is_closed = shard.is_closed(stream, call.now_ms)
    entries = call.ask(ReadLog(_log(stream), limit, after=iterator.after, from_ms=from_ms, until_ms=shard.until_ms))
    page = _fitting(entries)
    answer: dict[str, Any] = {"Records": [read_record(entry.data, entry.position) for entry in page]}
    if not is_closed or len(page) == limit or len(page) < len(entries):
        after = page[-1].position if page else iterator.after
        following = Iterator(iterator.stream, iterator.shard, after, call.now, iterator.from_ms)
        answer["NextShardIterator"] = _format(stream, following)
    return Encoded(of=api.GetRecordsOutput, body=encode_item(answer))


def _no_stream() -> ServiceError:
    return api.ResourceNotFoundException("Requested resource not found: Stream not found")


def _fitting(entries: tuple[StoredEntry, ...]) -> tuple[StoredEntry, ...]:
    size = 0
    for place, entry in enumerate(entries):
        size += len(entry.data)
        if size > _RECORDS_BYTES_MAX and place:
            return entries[:place]
    return entries
