"""What a schedule may send to: templated targets by their ARN, and any operation of the node (universal targets)."""

from collections.abc import Mapping

import msgspec

from forebay.api import scheduler as api
from forebay.core.arn import Arn
from forebay.operations import universal
from forebay.operations.call import Call
from forebay.services.scheduler import limits
from forebay.services.scheduler.errors import invalid, not_implemented

# User guide, "Using templated targets".
_TEMPLATED = frozenset({
    "codebuild", "codepipeline", "ecs", "events", "firehose", "inspector", "inspector2", "kinesis", "lambda",
    "sagemaker", "sns", "sqs", "states",
})  # fmt: skip
_JSON_ONLY = frozenset({"lambda", "states", "events"})

_SAMPLE = {
    "<aws.scheduler.schedule-arn>": "arn",
    "<aws.scheduler.scheduled-time>": "2022-03-22T18:59:43Z",
    "<aws.scheduler.execution-id>": "d32c5kddcf5bb8c3",
    "<aws.scheduler.attempt-number>": "1",
}


def render(text: str, context: Mapping[str, str]) -> str:
    """Return an input with Scheduler's context attributes filled in (user guide, "Adding context attributes")."""
    if "<aws.scheduler." in text:
        for placeholder, value in context.items():
            text = text.replace(placeholder, value)
    return text


async def check_target(call: Call, target: api.Target) -> None:
    """Check a target of a schedule.

    Raises:
        ValidationException: AWS would refuse it.
        NotImplemented: this node cannot deliver to it; the text names what is missing.
    """
    try:
        arn = Arn.parse(target.arn)
    except ValueError:
        raise invalid("Provided Arn is not in correct format.") from None
    if universal.is_universal(target.arn):
        await _check_universal(call, target)
        return
    if arn.service not in _TEMPLATED:
        raise invalid(f"{arn.service} is not a supported service for a target.")
    if target.input is not None and arn.service in _JSON_ONLY:
        _check_json(target.input)
    _check_parameters(arn, target)
    is_other = arn.service == "events" and not arn.resource.startswith("event-bus/")
    if is_other or not await call.deliveries.has_target(arn.service):
        kind = f"{arn.service}:{arn.resource.partition('/')[0]}" if is_other else arn.service
        raise not_implemented(f"Schedules with targets of {kind} are not implemented by Forebay.")


def with_defaults(target: api.Target) -> api.Target:
    """Return a target with the retry policy that AWS shows where none, or a part of one, was given."""
    given = target.retry_policy or api.RetryPolicy()
    age_seconds, attempts = given.maximum_event_age_in_seconds, given.maximum_retry_attempts
    policy = api.RetryPolicy(
        maximum_event_age_in_seconds=limits.EVENT_AGE_SECONDS if age_seconds is None else age_seconds,
        maximum_retry_attempts=limits.RETRY_ATTEMPTS if attempts is None else attempts,
    )
    return msgspec.structs.replace(target, retry_policy=policy)


async def _check_universal(call: Call, target: api.Target) -> None:
    service, action = universal.parts_of(target.arn)
    if not service or not action:
        raise invalid("Provided Arn is not in correct format.")
    if universal.is_read_only(action):
        raise invalid(f"{action} API is not supported.")
    if target.input is None:
        raise invalid("You must provide an input to set this target for your schedule.")
    _check_json(target.input)
    table = call.platform.table
    found = await universal.find_operation(table, target.arn)
    if found is None:
        raise invalid(f"{action} API is not supported.")
    if not universal.is_implemented(table, found):
        raise not_implemented(f"Operation {found.operation} of {found.service} is not implemented by Forebay.")


def _check_json(text: str) -> None:
    try:
        msgspec.json.decode(render(text, _SAMPLE), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        raise invalid("The Input you provide for the target must be well-formed JSON.") from None


def _check_parameters(arn: Arn, target: api.Target) -> None:
    if arn.service == "events" and target.event_bridge_parameters is None and arn.resource.startswith("event-bus/"):
        raise invalid("EventBridgeParameters must be specified for an Amazon EventBridge target.")
    given = {
        "EcsParameters": (target.ecs_parameters, "ecs"),
        "EventBridgeParameters": (target.event_bridge_parameters, "events"),
        "KinesisParameters": (target.kinesis_parameters, "kinesis"),
        "SageMakerPipelineParameters": (target.sage_maker_pipeline_parameters, "sagemaker"),
        "SqsParameters": (target.sqs_parameters, "sqs"),
    }
    for member, (parameters, service) in given.items():
        if parameters is not None and arn.service != service:
            raise invalid(f"{member} is not valid for a target of {arn.service}.")
