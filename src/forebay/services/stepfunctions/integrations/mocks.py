"""Mocked results of tasks, held to the model of the operation that they stand for.

Source: TestState, `fieldValidationMode`: STRICT wants all required members and every member as the model has it,
PRESENT only the latter, NONE nothing; and developer guide, "Mock validation modes": what a model does not have is
ignored in all of them.
"""

from typing import Any, cast

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.errors import ServiceError
from forebay.core.schema import Flag, ListOf, MapOf, Node, Number, Structure, Text, Time, schema_of
from forebay.operations.table import OperationTable
from forebay.services.stepfunctions.integrations.sdk import find_operation, model_name
from forebay.services.stepfunctions.resource import SYNC, Resource


async def check_mock(table: OperationTable, resource: Resource, result: str, mode: str) -> None:
    """Check a mocked result against the output of the resource's operation; others can be anything.

    Raises:
        ValidationException: it does not fit.
    """
    if mode == "NONE" or resource.family != "task" or resource.service in {"http", "apigateway"}:
        return
    # Who waits for an execution is held to what is polled, whose output is a text even for `.sync:2`; other patterns
    # are free.
    is_execution = resource.service == "states" and resource.pattern.startswith(SYNC)
    if resource.pattern and not is_execution:
        return
    try:
        model = await table.load(model_name(resource.service))
    except ServiceError:
        # Of services that this node has not, nothing is known.
        return
    name = "describeExecution" if is_execution else resource.operation
    operation = find_operation(model.operations.values(), name)
    if operation is None:
        return
    value = msgspec.json.decode(result)
    if resource.service == "lambda" and isinstance(value, dict):
        # A payload is whatever the function answers.
        value = {name: each for name, each in cast("dict[str, Any]", value).items() if name != "Payload"}
    faults = _faults(Structure(operation.output), value, "", is_strict=mode == "STRICT")
    if faults:
        raise api.ValidationException(f"Mock result schema validation error: {', '.join(faults)}")


def _faults(  # noqa: C901, PLR0911 - one case for each kind of node
    node: Node, value: Any, path: str, *, is_strict: bool
) -> list[str]:
    match node:
        case Structure():
            return _structure_faults(node, value, path, is_strict=is_strict)
        case ListOf():
            if not isinstance(value, list):
                return [_unfit(path, "an array")]
            items = cast("list[Any]", value)
            return [
                each
                for index, item in enumerate(items)
                for each in _faults(node.item, item, f"{path}[{index}]", is_strict=is_strict)
            ]
        case MapOf():
            if not isinstance(value, dict):
                return [_unfit(path, "an object")]
            members = cast("dict[str, Any]", value)
            return [
                each
                for name, item in members.items()
                for each in _faults(node.value, item, f"{path}.{name}", is_strict=is_strict)
            ]
        case Text() | Time():
            return [] if isinstance(value, str) else [_unfit(path, "a string")]
        case Number():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return [] if is_number else [_unfit(path, "a number")]
        case Flag():
            return [] if isinstance(value, bool) else [_unfit(path, "a boolean")]
        case _:
            return []


def _structure_faults(node: Structure, value: Any, path: str, *, is_strict: bool) -> list[str]:
    if not isinstance(value, dict):
        return [_unfit(path, "an object")]
    given = cast("dict[str, Any]", value)
    members = {member.name[:1].upper() + member.name[1:]: member for member in schema_of(node.type).members}
    faults: list[str] = []
    for name, item in given.items():
        if name in members:
            faults += _faults(members[name].node, item, f"{path}.{name}" if path else name, is_strict=is_strict)
    if is_strict:
        faults += [
            f"Field '{f'{path}.{name}' if path else name}' is required but missing"
            for name, member in members.items()
            if member.required and name not in given
        ]
    return faults


def _unfit(path: str, kind: str) -> str:
    return f"Field '{path}' must be {kind}" if path else f"The result must be {kind}"
