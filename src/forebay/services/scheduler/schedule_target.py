"""What a schedule may send to: templated targets by their ARN, and any operation of the node (universal targets)."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from forebay.api import scheduler as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.table import OperationTable
from forebay.services.scheduler import limits
from forebay.services.scheduler.errors import invalid, not_implemented

UNIVERSAL_PREFIX = "arn:aws:scheduler:::aws-sdk:"

# User guide, "Using templated targets".
_TEMPLATED = frozenset({
    "codebuild", "codepipeline", "ecs", "events", "firehose", "inspector", "inspector2", "kinesis", "lambda",
    "sagemaker", "sns", "sqs", "states",
})  # fmt: skip
_JSON_ONLY = frozenset({"lambda", "states", "events"})

# User guide, "Using universal targets", unsupported actions.
_READ_ONLY_PREFIXES = (
    "get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup", "discover",
    "validate", "batchget", "batchdescribe", "batchread", "transactget", "adminget", "adminlist", "testmigration",
    "retrieve", "testconnection", "translatedocument", "isauthorized", "invokemodel",
)  # fmt: skip

# Services whose name in universal ARNs is not that of botocore's model.
_SERVICES = {"cloudwatchlogs": "logs", "eventbridge": "events", "sfn": "stepfunctions"}

_SAMPLE = {
    "<aws.scheduler.schedule-arn>": "arn",
    "<aws.scheduler.scheduled-time>": "2022-03-22T18:59:43Z",
    "<aws.scheduler.execution-id>": "d32c5kddcf5bb8c3",
    "<aws.scheduler.attempt-number>": "1",
}


class UniversalOperation(NamedTuple):
    """An operation as a universal target's ARN names it: service and operation by their names in the models."""

    service: str
    operation: str


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
    if target.arn.startswith(UNIVERSAL_PREFIX):
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


async def find_operation(table: OperationTable, arn: str) -> UniversalOperation | None:
    """Return the operation that a universal target names, or None where the service's model has none such.

    Raises:
        ServiceError: the service is not part of this node.
    """
    service_name, _, api_action = arn.removeprefix(UNIVERSAL_PREFIX).partition(":")
    service = _SERVICES.get(service_name, service_name)
    model = await table.load(service)
    # ARNs say sendMessage, and getQueueURL where the API says GetQueueUrl.
    wanted = api_action.lower()
    found = next((name for name in model.operations if name.lower() == wanted), None)
    return None if found is None else UniversalOperation(service, found)


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
    service_name, _, api_action = target.arn.removeprefix(UNIVERSAL_PREFIX).partition(":")
    if not service_name or not api_action:
        raise invalid("Provided Arn is not in correct format.")
    if api_action.lower().startswith(_READ_ONLY_PREFIXES):
        raise invalid(f"{api_action} API is not supported.")
    if target.input is None:
        raise invalid("You must provide an input to set this target for your schedule.")
    _check_json(target.input)
    table = call.platform.table
    found = await find_operation(table, target.arn)
    if found is None:
        raise invalid(f"{api_action} API is not supported.")
    service = next(service for service in table.loaded if service.name == found.service)
    if not table.is_implemented(service, found.operation):
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
