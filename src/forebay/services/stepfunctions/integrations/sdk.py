"""SDK integrations, `aws-sdk:service:operation`: every operation that the node serves, through the operation table.

Parameters and results have AWS's member names with a capital first letter, as the SDK for Java writes them; errors are
named by the service and the exception (developer guide, "Learning to use AWS service SDK integrations").
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import msgspec

from forebay.core.convert import base64_text, plain, read_shape
from forebay.core.errors import ServiceError
from forebay.core.marks import Header, HeaderPrefix
from forebay.core.schema import Blob, ListOf, MapOf, Node, Structure, Text, Time, schema_of
from forebay.core.shapes import Operation, Shape
from forebay.core.timestamps import format_iso8601
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.integrations.outcome import (
    Begun,
    Done,
    Failed,
    Outcome,
    Task,
    caller_for,
    is_of_model,
)

# Services whose name in resources is not that of their model.
_MODELS = {"cloudwatchlogs": "logs", "eventbridge": "events", "sfn": "stepfunctions", "states": "stepfunctions"}
# Service names as errors have them: those of the SDK for Java's clients.
_CLIENTS = {
    "apigateway": "ApiGateway",
    "apigatewayv2": "ApiGatewayV2",
    "cloudformation": "CloudFormation",
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "dynamodb": "DynamoDb",
    "dynamodbstreams": "DynamoDbStreams",
    "eventbridge": "EventBridge",
    "secretsmanager": "SecretsManager",
}
_RUNTIME = "States.Runtime"


async def call_sdk(platform: Platform, task: Task) -> Outcome:
    """Run an operation for a task."""
    service = model_name(task.resource.service)
    try:
        model = await platform.table.load(service)
    except ServiceError as error:
        return _refused(platform, task, error)
    operation = find_operation(model.operations.values(), task.resource.operation)
    if operation is None:
        text = f"The resource provided {task.resource.text} is not recognized."
        return Failed(_RUNTIME, text, is_submit=True)
    arguments = msgspec.json.decode(task.arguments)
    faults = misfits(operation.input, arguments)
    if faults:
        return Failed(_RUNTIME, unusable(task.arguments, faults), is_submit=True)
    caller = caller_for(platform, task)
    try:
        request = to_shape(operation.input, arguments)
        output = await platform.table.run(caller, service, operation.name, request)
    except ServiceError as error:
        return _refused(platform, task, error)
    text = msgspec.json.encode({} if output is None else from_shape(output)).decode()
    return Begun(text) if task.resource.pattern else Done(text)


def find_operation(operations: Any, name: str) -> Operation | None:
    """Return the operation that a resource names in camel case, or None where the model has none such."""
    wanted = name.lower()
    return next((operation for operation in operations if operation.name.lower() == wanted), None)


def to_shape(type_: type[Shape], arguments: object, *, texts: bool = False) -> Shape:
    """Build a structure from arguments; with `texts`, any value may stand for a text and becomes JSON."""
    return read_shape(type_, _given(Structure(type_), arguments, texts=texts), names="api")


def from_shape(shape: Shape) -> dict[str, Any]:
    """Return a structure as JSON values under names with a capital first letter.

    What travels in headers is as it is there: instants without fractions, and maps even where they are empty.
    """
    shown = cast("dict[str, Any]", _shown(Structure(type(shape)), _plain(shape)))
    for member in schema_of(type(shape)).members:
        value = getattr(shape, member.field)
        if isinstance(member.location, HeaderPrefix) and value is None:
            shown[capital(member.name)] = {}
        elif isinstance(member.location, Header) and isinstance(member.node, Time) and value is not None:
            shown[capital(member.name)] = format_iso8601(int(value))
    return shown


def misfits(type_: type[Shape], arguments: object) -> list[str]:
    """Return in AWS's words which arguments the operation does not have, and which it lacks."""
    if not isinstance(arguments, dict):
        return ["The Parameters must be a JSON object"]
    given = cast("dict[str, Any]", arguments)
    known, required = _members_of(type_)
    faults = [f'The field "{name}" is not supported by Step Functions' for name in given if name.lower() not in known]
    lower = {name.lower() for name in given}
    return faults + [
        f"The field '{required[name]}' is required but was missing" for name in required if name not in lower
    ]


def misformed(type_: type[Shape], arguments: Mapping[str, Any], *, texts: bool) -> list[str]:
    """Return in AWS's words which arguments, all of them known, are not of the form that the operation has for them.

    With `texts`, any value may stand for a text.
    """
    known, _ = _members_of(type_)
    return [
        f"The value of the field '{name}' has an invalid format"
        for name, value in arguments.items()
        if not _is_formed(known[name.lower()], value, texts=texts)
    ]


@cache
def _members_of(type_: type[Shape]) -> tuple[dict[str, Node], dict[str, str]]:
    """Return a structure's members and the names of those it must have, both by names in lower case.

    The SDK for Java writes some names otherwise than the model: `SseAlgorithm`, `Md5`.
    """
    members = schema_of(type_).members
    return (
        {member.name.lower(): member.node for member in members},
        {member.name.lower(): capital(member.name) for member in members if member.required},
    )


def _is_formed(node: Node, value: object, *, texts: bool) -> bool:
    match node:
        case ListOf():
            return isinstance(value, list)
        case Structure() | MapOf():
            return isinstance(value, dict)
        case Text():
            return texts or not isinstance(value, dict | list)
        case Blob():
            return True
        case _:
            return not isinstance(value, dict | list)


def unusable(arguments: str, faults: list[str]) -> str:
    """Return the cause of a task whose arguments do not fit."""
    return f"The Parameters '{arguments}' could not be used to start the Task: [{', '.join(faults)}]"


def _plain(shape: Shape) -> dict[str, Any]:
    return plain(shape, names="api", time=lambda at, _: format_iso8601(at), blob=_text_of)


def _text_of(blob: bytes) -> str:
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return base64_text(blob)


def _given(  # noqa: PLR0911 - one case for each kind of node
    node: Node, value: object, *, texts: bool
) -> object:
    match node, value:
        case Structure(), dict():
            given = {name.lower(): item for name, item in cast("dict[str, Any]", value).items()}
            return {
                member.name: _given(member.node, given[name], texts=texts)
                for member in schema_of(node.type).members
                if (name := member.name.lower()) in given
            }
        case ListOf(), list():
            return [_given(node.item, item, texts=texts) for item in cast("list[Any]", value)]
        case MapOf(), dict():
            return {key: _given(node.value, item, texts=texts) for key, item in cast("dict[str, Any]", value).items()}
        case Blob(), str():
            return value.encode()
        case Blob(), dict() | list():
            return msgspec.json.encode(value)  # pyright: ignore[reportUnknownArgumentType] # any JSON
        case Text(), dict() | list() if texts:
            return msgspec.json.encode(value).decode()  # pyright: ignore[reportUnknownArgumentType] # any JSON
        case _:
            return value


def _shown(node: Node, value: object) -> object:
    match node, value:
        case Structure(), dict():
            given = cast("dict[str, Any]", value)
            return {
                capital(member.name): _shown(member.node, given[member.name])
                for member in schema_of(node.type).members
                if member.name in given
            }
        case ListOf(), list():
            return [_shown(node.item, item) for item in cast("list[Any]", value)]
        case MapOf(), dict():
            return {key: _shown(node.value, item) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _refused(platform: Platform, task: Task, error: ServiceError) -> Failed:
    client = client_name(task.resource.service)
    code = error.code.rpartition("#")[2].rpartition(".")[2]
    if not is_of_model(error):
        name = f"{client}Exception"
    else:
        name = code if code.endswith("Exception") else f"{code}Exception"
    cause = f"{error.message} (Service: {client}, Status Code: {error.status}, Request ID: {platform.ids.uuid()})"
    return Failed(f"{client}.{name}", cause, is_submit=bool(task.resource.pattern))


def model_name(service: str) -> str:
    """Return the model's name of a service as resources have it."""
    return _MODELS.get(service, service)


def client_name(service: str) -> str:
    """Return a service's name as errors have it."""
    return _CLIENTS.get(service, service[:1].upper() + service[1:])


def capital(name: str) -> str:
    """Return a member's name as parameters and results have it."""
    return name[:1].upper() + name[1:]
