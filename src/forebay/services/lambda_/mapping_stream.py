"""What event source mappings of streams have and those of queues have not: the rules, how it is shown and told."""

from collections.abc import Mapping
from typing import Any

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn
from forebay.core.timestamps import format_iso8601
from forebay.delivery.poller import Busy
from forebay.delivery.stream import FOREVER, Discarded, StreamSettings, WindowCall, batch_info
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import broken_constraint, invalid

Request = api.CreateEventSourceMappingRequest | api.UpdateEventSourceMappingRequest

# What mappings of other sources have.
_OTHERS_ONLY = {
    "scaling_config": "ScalingConfig",
    "topics": "Topics",
    "queues": "Queues",
    "source_access_configurations": "SourceAccessConfigurations",
    "self_managed_event_source": "SelfManagedEventSource",
    "amazon_managed_kafka_event_source_config": "AmazonManagedKafkaEventSourceConfig",
    "self_managed_kafka_event_source_config": "SelfManagedKafkaEventSourceConfig",
    "document_db_event_source_config": "DocumentDBEventSourceConfig",
}
_DESTINATIONS = frozenset({"s3", "sns", "sqs"})


def first_settings(request: api.CreateEventSourceMappingRequest, now: float) -> StreamSettings:
    """Return where a new mapping begins to read its stream.

    Raises:
        InvalidParameterValueException: it is not said, or not right.
    """
    position, timestamp = request.starting_position, request.starting_position_timestamp
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if position == "AT_TIMESTAMP" and timestamp is None:
        raise invalid("StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP.")
    if position != "AT_TIMESTAMP" and timestamp is not None:
        raise invalid("StartingPositionTimestamp is only valid when StartingPosition is AT_TIMESTAMP.")
    if timestamp is not None and timestamp > now:
        raise invalid("StartingPositionTimestamp must not be in the future.")
    return StreamSettings(
        starting_position=position,
        starting_timestamp=timestamp,
        starts_at_ms=0 if timestamp is None else int(timestamp * 1000),
    )


def changed_settings(settings: StreamSettings, request: Request) -> StreamSettings:
    """Return a stream's settings with what a request gives.

    Raises:
        InvalidParameterValueException: one breaks a rule of mappings that read streams.
    """
    for field, name in _OTHERS_ONLY.items():
        given = getattr(request, field, None)
        if given is not None and given != [] and msgspec.to_builtins(given) != {}:
            raise invalid(f"{name} is not valid for DynamoDB event sources.")
    given_values: dict[str, Any] = {
        "lanes": request.parallelization_factor,
        "bisects": request.bisect_batch_on_function_error,
        "retries_max": request.maximum_retry_attempts,
        "age_seconds_max": request.maximum_record_age_in_seconds,
        "tumbling_seconds": request.tumbling_window_in_seconds,
    }
    changes = {field: value for field, value in given_values.items() if value is not None}
    if request.destination_config is not None:
        changes["on_failure"] = _destination(request.destination_config)
    settings = msgspec.structs.replace(settings, **changes)
    age = settings.age_seconds_max
    if age != FOREVER and age < limits.MAPPING_AGE_SECONDS_MIN:
        least = f"Member must have value greater than or equal to {limits.MAPPING_AGE_SECONDS_MIN}"
        raise broken_constraint(age, "maximumRecordAgeInSeconds", least)
    return settings


def _destination(config: api.DestinationConfig) -> str:
    if config.on_success is not None and config.on_success.destination:
        raise invalid("OnSuccess destinations are not valid for event source mappings.")
    destination = (config.on_failure.destination if config.on_failure else None) or ""
    if not destination:
        return ""
    arn = Arn.parse(destination)
    if arn.service not in _DESTINATIONS:
        raise invalid(f"The provided destination {destination} is not valid for event source mappings.")
    return destination


def shown(settings: StreamSettings) -> dict[str, Any]:
    """Return the members of GetEventSourceMapping's answer that tell of a stream."""
    failure = api.OnFailure(destination=settings.on_failure or None)
    return {
        "starting_position": settings.starting_position,
        "starting_position_timestamp": settings.starting_timestamp,
        "parallelization_factor": settings.lanes,
        "bisect_batch_on_function_error": settings.bisects,
        "maximum_retry_attempts": settings.retries_max,
        "maximum_record_age_in_seconds": settings.age_seconds_max,
        "tumbling_window_in_seconds": settings.tumbling_seconds,
        "destination_config": api.DestinationConfig(on_failure=failure),
    }


def window_members(window: WindowCall, stream_arn: str) -> dict[str, Any]:
    """Return what an event says of its tumbling window, besides its records."""
    return {
        "window": {"start": format_iso8601(window.start_ms / 1000), "end": format_iso8601(window.end_ms / 1000)},
        "state": window.state,
        "shardId": window.shard,
        "eventSourceARN": stream_arn,
        "isFinalInvokeForWindow": window.is_final,
        "isWindowTerminatedEarly": window.is_early,
    }


def failure_record(
    discarded: Discarded, function_arn: str, stream_arn: str, *, now: float, request_id: str
) -> dict[str, Any]:
    """Return what a destination is told ("Retain discarded records for a DynamoDB event source")."""
    outcome = discarded.outcome
    context: Mapping[str, str] = {} if outcome is None or isinstance(outcome, Busy) else outcome.context
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": context.get("requestId", request_id),
            "functionArn": function_arn,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.attempts,
        },
    }
    if "executedVersion" in context:
        response: dict[str, Any] = {"statusCode": 200, "executedVersion": context["executedVersion"]}
        if "functionError" in context:
            response["functionError"] = context["functionError"]
        record["responseContext"] = response
    record["version"] = "1.0"
    record["timestamp"] = format_iso8601(now)
    record["DDBStreamBatchInfo"] = batch_info(discarded, stream_arn)
    return record
