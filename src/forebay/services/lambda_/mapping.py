"""Event source mappings as they are kept and shown, and the rules on their settings."""

from typing import Any, cast

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn, partition_of
from forebay.delivery.stream import StreamSettings
from forebay.languages.event_pattern import LAMBDA, InvalidPattern, Pattern, parse_pattern
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import broken_constraint, invalid, not_implemented
from forebay.services.lambda_.mapping_stream import Request, changed_settings, shown
from forebay.store.records import Kind, record_key


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """One event source mapping. `function_arn` is as the caller named the function, qualifier included."""

    uuid: str
    account: str
    region: str
    source_arn: str
    function_arn: str
    modified_at: float
    is_enabled: bool = True
    batch_size: int = limits.MAPPING_BATCH
    window_seconds: int = 0
    filters: tuple[str, ...] = ()
    concurrency_max: int | None = None
    reports_failures: bool = False
    # Of a stream's mapping: how it is read.
    stream: StreamSettings | None = None
    tags: dict[str, str] = {}
    # Kept and shown; they have no effect here.
    kms_key: str | None = None
    metrics: tuple[str, ...] | None = None
    log_level: str | None = None

    @property
    def key(self) -> str:
        """The key of the record."""
        return record_key(self.account, self.region, self.uuid)

    @property
    def arn(self) -> str:
        """The mapping's ARN."""
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:event-source-mapping:{self.uuid}"

    def patterns(self) -> tuple[Pattern, ...]:
        """Return the filters, ready to match."""
        return tuple(parse_pattern(text, LAMBDA) for text in self.filters)

    def show(self, state: str, problem: str = "", last_result: str = "") -> api.EventSourceMappingConfiguration:
        """Return the mapping as GetEventSourceMapping shows it."""
        result = f"PROBLEM: {problem}" if problem else None
        if self.stream is not None:
            result = result or last_result or "No records processed"
        criteria = api.FilterCriteria(filters=[api.Filter(pattern=text) for text in self.filters])
        return api.EventSourceMappingConfiguration(
            uuid=self.uuid,
            batch_size=self.batch_size,
            maximum_batching_window_in_seconds=self.window_seconds,
            event_source_arn=self.source_arn,
            event_source_mapping_arn=self.arn,
            filter_criteria=criteria if self.filters else None,
            function_arn=self.function_arn,
            last_modified=self.modified_at,
            last_processing_result=result,
            state=state,
            state_transition_reason="USER_INITIATED" if self.stream is None else "User action",
            function_response_types=["ReportBatchItemFailures"] if self.reports_failures else [],
            scaling_config=None
            if self.concurrency_max is None
            else api.ScalingConfig(maximum_concurrency=self.concurrency_max),
            kms_key_arn=self.kms_key,
            metrics_config=None
            if self.metrics is None
            else api.EventSourceMappingMetricsConfig(metrics=cast("Any", list(self.metrics))),
            logging_config=None
            if self.log_level is None
            else api.EventSourceMappingLoggingConfig(system_log_level=cast("Any", self.log_level)),
            **({} if self.stream is None else shown(self.stream)),
        )


MAPPING = Kind("lambda.mapping", Mapping)

# What mappings of other sources have and those of queues have not.
_STREAMS_ONLY = {
    "bisect_batch_on_function_error": "BisectBatchOnFunctionError",
    "destination_config": "DestinationConfig",
    "maximum_record_age_in_seconds": "MaximumRecordAgeInSeconds",
    "maximum_retry_attempts": "MaximumRetryAttempts",
    "parallelization_factor": "ParallelizationFactor",
    "starting_position": "StartingPosition",
    "starting_position_timestamp": "StartingPositionTimestamp",
    "tumbling_window_in_seconds": "TumblingWindowInSeconds",
    "topics": "Topics",
    "queues": "Queues",
    "source_access_configurations": "SourceAccessConfigurations",
    "self_managed_event_source": "SelfManagedEventSource",
    "amazon_managed_kafka_event_source_config": "AmazonManagedKafkaEventSourceConfig",
    "self_managed_kafka_event_source_config": "SelfManagedKafkaEventSourceConfig",
    "document_db_event_source_config": "DocumentDBEventSourceConfig",
}
_SOURCES = {
    "kafka": "Amazon MSK",
    "kinesis": "Kinesis streams",
    "mq": "Amazon MQ",
    "rds": "DocumentDB",
}


def check_source(source: str | None) -> Arn:
    """Return the queue or stream that a mapping is to read.

    Raises:
        InvalidParameterValueException: there is no source, or it is none that Lambda reads.
        NotImplemented: Lambda reads it, but this node does not.
    """
    if source is None:
        raise invalid("Event source ARN is required.")
    arn = Arn.parse(source)
    if arn.service == "sqs" or (arn.service == "dynamodb" and "/stream/" in arn.resource):
        return arn
    if arn.service in _SOURCES:
        raise not_implemented(f"Event source mappings for {_SOURCES[arn.service]} are not implemented by Forebay yet.")
    raise invalid("Unrecognized event source.")


def changed(mapping: Mapping, request: Request) -> Mapping:
    """Return the mapping with what a request gives.

    Raises:
        InvalidParameterValueException: a setting breaks a rule of mappings that read such a source.
    """
    if mapping.stream is None:
        _check_members(request)
    else:
        mapping = msgspec.structs.replace(mapping, stream=changed_settings(mapping.stream, request))
    _check_pollers(request)
    given: dict[str, Any] = {
        "is_enabled": request.enabled,
        "batch_size": request.batch_size,
        "window_seconds": request.maximum_batching_window_in_seconds,
        "kms_key": request.kms_key_arn,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if request.filter_criteria is not None:
        changes["filters"] = _filters(request.filter_criteria)
    if request.scaling_config is not None:
        # An empty object takes the limit away.
        changes["concurrency_max"] = request.scaling_config.maximum_concurrency
    if request.function_response_types is not None:
        changes["reports_failures"] = "ReportBatchItemFailures" in request.function_response_types
    if request.metrics_config is not None:
        changes["metrics"] = tuple(request.metrics_config.metrics or ())
    if request.logging_config is not None:
        changes["log_level"] = request.logging_config.system_log_level
    mapping = msgspec.structs.replace(mapping, **changes)
    _check_batch(mapping)
    return mapping


def _check_members(request: Request) -> None:
    for field, name in _STREAMS_ONLY.items():
        given = getattr(request, field, None)
        if given is not None and given not in ([], False) and msgspec.to_builtins(given) != {}:
            raise invalid(f"{name} is not valid for SQS event sources.")


def _check_pollers(request: Request) -> None:
    pollers = request.provisioned_poller_config
    if pollers is not None and (pollers.minimum_pollers or pollers.maximum_pollers):
        raise not_implemented("ProvisionedPollerConfig is not implemented by Forebay.")


def _check_batch(mapping: Mapping) -> None:
    if mapping.batch_size > limits.MAPPING_BATCH_MAX:
        most = f"Member must have value less than or equal to {limits.MAPPING_BATCH_MAX}"
        raise broken_constraint(mapping.batch_size, "batchSize", most)
    if mapping.stream is not None:
        return
    if mapping.source_arn.endswith(".fifo") and mapping.window_seconds > 0:
        raise invalid("Batching window is not supported for FIFO queues")
    if mapping.batch_size > limits.MAPPING_WINDOWLESS_BATCH_MAX and mapping.window_seconds == 0:
        raise invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10")


def _filters(criteria: api.FilterCriteria) -> tuple[str, ...]:
    filters = criteria.filters or []
    if len(filters) > limits.MAPPING_FILTERS_MAX:
        raise invalid(f"Cannot have more than {limits.MAPPING_FILTERS_MAX} filters.")
    texts = tuple(given.pattern or "" for given in filters)
    for text in texts:
        try:
            parse_pattern(text, LAMBDA)
        except InvalidPattern:
            raise invalid("Invalid filter pattern definition.") from None
    return texts
