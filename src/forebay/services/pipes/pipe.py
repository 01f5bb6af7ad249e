"""A pipe as it is kept, and what may be in one. Pure but for the loads."""

import msgspec

from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.delivery.stream import StreamSettings
from forebay.languages.event_pattern import PIPES, InvalidPattern, Pattern, parse_pattern
from forebay.operations.call import Call
from forebay.services.pipes.errors import invalid, no_pipe, not_implemented
from forebay.services.pipes.input_template import InputTemplate, InvalidInputTemplate
from forebay.store.records import Kind, record_key

_ARN_RESOURCE = "pipe/"
BATCH_SIZE = 10
STREAM_BATCH_SIZE = 100
FIFO_BATCH_SIZE_MAX = 10

# User guide, "Amazon EventBridge Pipes sources" and "targets".
_SOURCES = frozenset({"sqs", "kinesis", "dynamodb", "mq", "kafka"})
_TARGETS = frozenset({
    "batch", "ecs", "events", "execute-api", "firehose", "inspector", "kinesis", "lambda", "logs", "redshift",
    "redshift-serverless", "sagemaker", "sns", "sqs", "states", "timestream",
})  # fmt: skip
# What this node's pipes send to and ask.
_TARGETS_HERE = frozenset({"events", "execute-api", "lambda", "logs", "sns", "sqs", "states"})
_ENRICHMENTS = frozenset({"events", "execute-api", "lambda", "states"})


class Pipe(msgspec.Struct, frozen=True, kw_only=True):
    """One pipe. Times are seconds since the epoch. `DELETED` is desired of one that is being deleted."""

    account: str
    region: str
    name: str
    source: str
    target: str
    role: str
    desired_state: api.RequestedPipeStateDescribeResponse = "RUNNING"
    current_state: api.PipeState = "CREATING"
    state_reason: str | None = None
    description: str | None = None
    filters: tuple[str, ...] = ()
    batch_size: int = BATCH_SIZE
    window_seconds: int | None = None
    # Of a pipe that reads a stream: how it is read.
    stream: StreamSettings | None = None
    enrichment: str | None = None
    enrichment_parameters: api.PipeEnrichmentParameters | None = None
    target_parameters: api.PipeTargetParameters | None = None
    log_configuration: api.PipeLogConfigurationParameters | None = None
    kms_key: str | None = None
    tags: dict[str, str] = {}
    created_at: float = 0.0
    modified_at: float = 0.0

    def key(self) -> str:
        """Return the key of the pipe's record and of its timer."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the pipe's ARN."""
        return str(Arn.of("pipes", self.region, self.account, _ARN_RESOURCE + self.name))

    @property
    def is_running(self) -> bool:
        """Whether the source is read."""
        return self.current_state == "RUNNING"

    @property
    def reading_id(self) -> str:
        """What names the rows of how far a stream is read."""
        return f"pipes/{self.account}/{self.region}/{self.name}"

    def patterns(self) -> tuple[Pattern, ...]:
        """Return the filters, compiled."""
        return tuple(parse_pattern(text, PIPES) for text in self.filters)


PIPE = Kind("pipes.pipe", Pipe)


def load_pipe(call: Call, name: str) -> Pipe:
    """Return a pipe of the caller's inside a transaction or view.

    Raises:
        NotFoundException: there is no such pipe.
    """
    return _load(call, record_key(call.account, call.region, name), name)


def load_pipe_at(call: Call, text: str) -> Pipe:
    """Return the pipe that an ARN names inside a transaction or view.

    Raises:
        NotFoundException: it names none that is there.
    """
    arn = Arn.parse(text)
    name = arn.resource.removeprefix(_ARN_RESOURCE)
    return _load(call, record_key(arn.account, arn.region, name), name)


async def check_pipe(call: Call, pipe: Pipe) -> None:
    """Check what a pipe is to be.

    Raises:
        ValidationException: AWS would refuse it.
        NotImplemented: this node has not what it needs; the text names what is missing.
    """
    _check_source(pipe)
    await _check_target(call, pipe)
    await _check_enrichment(call, pipe)
    for member, parameters in (
        ("EnrichmentParameters", pipe.enrichment_parameters),
        ("TargetParameters", pipe.target_parameters),
    ):
        if parameters is not None and parameters.input_template:
            _check_template(f"{member}.InputTemplate", parameters.input_template)
    logs = pipe.log_configuration
    if logs is not None and (logs.firehose_log_destination is not None or logs.s3_log_destination is not None):
        raise not_implemented("Logs of pipes go to CloudWatch Logs only: other destinations are not implemented.")


def _load(call: Call, key: str, name: str) -> Pipe:
    pipe = call.reader.find(PIPE, key)
    if pipe is None:
        raise no_pipe(name)
    return pipe


def _check_source(pipe: Pipe) -> None:
    if not pipe.source.startswith("arn:"):
        raise not_implemented("Pipes that read a self-managed Kafka cluster are not implemented by Forebay.")
    source = Arn.parse(pipe.source)
    if source.service not in _SOURCES:
        raise invalid("Source", f"{source.service} is not a supported source.")
    if source.service != "sqs" and not (source.service == "dynamodb" and "/stream/" in source.resource):
        raise not_implemented(f"Pipes that read {source.service} are not implemented by Forebay.")
    if (source.account, source.region) != (pipe.account, pipe.region):
        raise invalid("Source", "The source must be in the same account and Region as the pipe.")
    if source.resource.endswith(".fifo") and pipe.batch_size > FIFO_BATCH_SIZE_MAX:
        raise invalid(
            "SourceParameters.SqsQueueParameters.BatchSize", "FIFO queues have batches of at most 10 messages."
        )
    for number, text in enumerate(pipe.filters):
        try:
            parse_pattern(text, PIPES)
        except InvalidPattern as error:
            member = f"SourceParameters.FilterCriteria.Filters[{number}].Pattern"
            raise invalid(member, f"Event pattern is not valid. Reason: {error.reason}") from None


async def _check_target(call: Call, pipe: Pipe) -> None:
    target = Arn.parse(pipe.target)
    if target.service not in _TARGETS:
        raise invalid("Target", f"{target.service} is not a supported target.")
    is_other = target.service == "events" and not target.resource.startswith(("event-bus/", "api-destination/"))
    if target.service not in _TARGETS_HERE or is_other or not await call.deliveries.has_target(target.service):
        kind = f"{target.service}:{target.resource.partition('/')[0]}" if is_other else target.service
        raise not_implemented(f"Pipes with targets of {kind} are not implemented by Forebay.")
    parameters = pipe.target_parameters or api.PipeTargetParameters()
    queue = parameters.sqs_queue_parameters
    if target.service == "sqs" and target.resource.endswith(".fifo") and (queue is None or not queue.message_group_id):
        raise invalid("TargetParameters.SqsQueueParameters.MessageGroupId", "Missing required parameter.")


async def _check_enrichment(call: Call, pipe: Pipe) -> None:
    if pipe.enrichment is None:
        return
    arn = Arn.parse(pipe.enrichment)
    is_other = arn.service == "events" and not arn.resource.startswith("api-destination/")
    if arn.service not in _ENRICHMENTS or is_other:
        raise invalid("Enrichment", f"{arn.service} is not a supported enrichment.")
    if not await call.deliveries.has_target(arn.service):
        raise not_implemented(f"Pipes with enrichments of {arn.service} are not implemented by Forebay.")


def _check_template(member: str, text: str) -> None:
    try:
        InputTemplate.parse(text)
    except InvalidInputTemplate as error:
        raise invalid(member, str(error)) from None
