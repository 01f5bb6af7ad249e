"""What requests say of a pipe's source, and how it is shown."""

from typing import Any

from msgspec.structs import replace

from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.delivery.stream import StreamSettings
from forebay.operations.call import Call
from forebay.services.pipes.errors import invalid, not_implemented
from forebay.services.pipes.pipe import BATCH_SIZE, STREAM_BATCH_SIZE, Pipe

Parameters = api.PipeSourceParameters | api.UpdatePipeSourceParameters | None

_OF_QUEUES = "sqs_queue_parameters"
_OF_STREAMS = "dynamo_db_stream_parameters"
_STREAM = "SourceParameters.DynamoDBStreamParameters"


async def with_source(call: Call, pipe: Pipe, given: Parameters) -> Pipe:
    """Return a pipe with what a request says of its source.

    Raises:
        ValidationException: it is not of this source, or the source needs more.
        NotImplemented: this node's pipes do not read such a source.
    """
    is_stream = Arn.parse(pipe.source).service == "dynamodb" if pipe.source.startswith("arn:") else False
    if given is not None:
        _check_members(given, _OF_STREAMS if is_stream else _OF_QUEUES)
        if given.filter_criteria is not None:
            filters = given.filter_criteria.filters or []
            pipe = replace(pipe, filters=tuple(each.pattern for each in filters if each.pattern is not None))
    if is_stream:
        return await _with_stream(call, pipe, None if given is None else given.dynamo_db_stream_parameters)
    queue = None if given is None else given.sqs_queue_parameters
    if queue is None:
        return pipe
    return _with_batch(pipe, queue.batch_size, queue.maximum_batching_window_in_seconds, BATCH_SIZE)


def _check_members(given: api.PipeSourceParameters | api.UpdatePipeSourceParameters, own: str) -> None:
    others = [
        name
        for name in given.__struct_fields__
        if name not in {"filter_criteria", own} and getattr(given, name) is not None
    ]
    if others:
        raise not_implemented(f"SourceParameters of other sources are not implemented: {', '.join(others)}.")


async def _with_stream(
    call: Call,
    pipe: Pipe,
    given: api.PipeSourceDynamoDBStreamParameters | api.UpdatePipeSourceDynamoDBStreamParameters | None,
) -> Pipe:
    settings = pipe.stream
    if settings is None:
        if not isinstance(given, api.PipeSourceDynamoDBStreamParameters):
            raise invalid(f"{_STREAM}.StartingPosition", "Missing required parameter.")
        pipe = replace(pipe, batch_size=STREAM_BATCH_SIZE)
        settings = StreamSettings(
            starting_position=given.starting_position,
            starts_after=await _latest(call, pipe) if given.starting_position == "LATEST" else 0,
        )
    if given is None:
        return replace(pipe, stream=settings)
    given_values: dict[str, Any] = {
        "lanes": given.parallelization_factor,
        "retries_max": given.maximum_retry_attempts,
        "age_seconds_max": given.maximum_record_age_in_seconds,
    }
    changes = {name: value for name, value in given_values.items() if value is not None}
    if given.on_partial_batch_item_failure is not None:
        changes["bisects"] = given.on_partial_batch_item_failure == "AUTOMATIC_BISECT"
    if given.dead_letter_config is not None:
        changes["on_failure"] = _dead_letter(given.dead_letter_config.arn or "")
    pipe = replace(pipe, stream=replace(settings, **changes))
    return _with_batch(pipe, given.batch_size, given.maximum_batching_window_in_seconds, STREAM_BATCH_SIZE)


async def _latest(call: Call, pipe: Pipe) -> int:
    stream = await call.platform.open_stream(Arn.parse(pipe.source))
    # A pipe whose source is not there fails when it is brought to run.
    return 0 if stream is None else await stream.last_position()


def _dead_letter(target: str) -> str:
    if target and Arn.parse(target).service not in {"sqs", "sns"}:
        raise invalid(f"{_STREAM}.DeadLetterConfig.Arn", "Specify a queue or a topic.")
    return target


def _with_batch(pipe: Pipe, size: int | None, window_seconds: int | None, default_size: int) -> Pipe:
    return replace(
        pipe,
        batch_size=size or pipe.batch_size or default_size,
        window_seconds=pipe.window_seconds if window_seconds is None else window_seconds,
    )


def source_parameters(pipe: Pipe) -> api.PipeSourceParameters:
    """Return what DescribePipe says of a pipe's source."""
    filters = [api.Filter(pattern=text) for text in pipe.filters]
    criteria = api.FilterCriteria(filters=filters) if filters else None
    if pipe.stream is not None:
        return api.PipeSourceParameters(
            filter_criteria=criteria, dynamo_db_stream_parameters=_stream_parameters(pipe, pipe.stream)
        )
    return api.PipeSourceParameters(
        filter_criteria=criteria,
        sqs_queue_parameters=api.PipeSourceSqsQueueParameters(
            batch_size=pipe.batch_size, maximum_batching_window_in_seconds=pipe.window_seconds
        ),
    )


def _stream_parameters(pipe: Pipe, settings: StreamSettings) -> api.PipeSourceDynamoDBStreamParameters:
    return api.PipeSourceDynamoDBStreamParameters(
        starting_position="LATEST" if settings.starting_position == "LATEST" else "TRIM_HORIZON",
        batch_size=pipe.batch_size,
        maximum_batching_window_in_seconds=pipe.window_seconds or 0,
        parallelization_factor=settings.lanes,
        maximum_record_age_in_seconds=settings.age_seconds_max,
        maximum_retry_attempts=settings.retries_max,
        on_partial_batch_item_failure="AUTOMATIC_BISECT" if settings.bisects else None,
        dead_letter_config=api.DeadLetterConfig(arn=settings.on_failure) if settings.on_failure else None,
    )
