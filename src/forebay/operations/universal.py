"""Operations of the node as targets: `arn:aws:scheduler:::aws-sdk:<service>:<operation>`, with its input as payload.

Schedules have them with AWS (Scheduler user guide, "Using universal targets"). Here rules may have them, too.
"""

from typing import NamedTuple

from forebay.operations.table import OperationTable

PREFIX = "arn:aws:scheduler:::aws-sdk:"
# The parameter of a delivery that says in whose name the operation is run.
ROLE = "RoleArn"

# User guide, "Using universal targets", unsupported actions.
_READ_ONLY_PREFIXES = (
    "get", "describe", "list", "poll", "receive", "search", "scan", "query", "select", "read", "lookup", "discover",
    "validate", "batchget", "batchdescribe", "batchread", "transactget", "adminget", "adminlist", "testmigration",
    "retrieve", "testconnection", "translatedocument", "isauthorized", "invokemodel",
)  # fmt: skip

# Services whose name in universal ARNs is not that of botocore's model.
_SERVICES = {"cloudwatchlogs": "logs", "eventbridge": "events", "sfn": "stepfunctions"}


class UniversalOperation(NamedTuple):
    """An operation as a universal target's ARN names it: service and operation by their names in the models."""

    service: str
    operation: str


def is_universal(arn: str) -> bool:
    """Return whether an ARN names an operation rather than a resource."""
    return arn.startswith(PREFIX)


def parts_of(arn: str) -> tuple[str, str]:
    """Return service and action as a universal target's ARN names them; one that is not there is empty."""
    service, _, action = arn.removeprefix(PREFIX).partition(":")
    return service, action


def is_read_only(action: str) -> bool:
    """Return whether an action only reads, which no universal target may be."""
    return action.lower().startswith(_READ_ONLY_PREFIXES)


async def find_operation(table: OperationTable, arn: str) -> UniversalOperation | None:
    """Return the operation that a universal target names, or None where the service's model has none such.

    Raises:
        ServiceError: the service is not part of this node.
    """
    service_name, action = parts_of(arn)
    service = _SERVICES.get(service_name, service_name)
    model = await table.load(service)
    # ARNs say sendMessage, and getQueueURL where the API says GetQueueUrl.
    wanted = action.lower()
    found = next((name for name in model.operations if name.lower() == wanted), None)
    return None if found is None else UniversalOperation(service, found)


def is_implemented(table: OperationTable, found: UniversalOperation) -> bool:
    """Return whether the node has a function for an operation that was found."""
    service = next(service for service in table.loaded if service.name == found.service)
    return table.is_implemented(service, found.operation)
