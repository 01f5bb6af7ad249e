"""What is known to be wrong with a task before it starts: an operation, or parameters, that a service does not have.

Parameters are held to AWS's models, of every service that this node has a model of; of others nothing is known.
"""

import importlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from forebay.core.shapes import Operation, ServiceModel
from forebay.languages.asl.document import decode
from forebay.languages.json_kinds import is_object
from forebay.services.stepfunctions.integrations.optimised import OPERATIONS
from forebay.services.stepfunctions.integrations.sdk import (
    find_operation,
    misfits,
    misformed,
    model_name,
    unusable,
)
from forebay.services.stepfunctions.payload import as_object
from forebay.services.stepfunctions.resource import Resource, parse_resource

# Services without a model, or whose tasks take other parameters than an operation.
_OTHERS = frozenset({"apigateway", "http", "states"})
_OPTIMISED = frozenset({*OPERATIONS, ("lambda", "invoke")})
# Resources whose operations are remembered.
_RESOURCES_MAX = 1_000


def task_rules(text: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a task: in AWS's words, and the field of the state that it is about."""
    try:
        resource = parse_resource(text)
    except ValueError:
        return
    if not _is_modelled(resource) or _find_model(model_name(resource.service)) is None:
        return
    operation = _find_operation(resource)
    if operation is None:
        yield _unrecognised(resource), "Resource"
        return
    name = "Arguments" if "Arguments" in fields else "Parameters"
    if isinstance(fields.get(name), dict):
        given = {key.removesuffix(".$"): value for key, value in as_object(fields.get(name)).items()}
        for message in misfits(operation.input, given):
            yield message, name


def unfit(resource: Resource, arguments: str) -> str | None:
    """Return in AWS's words why a task cannot be started with its arguments, JSON; None where it can."""
    operation = _find_operation(resource) if _is_modelled(resource) else None
    if operation is None:
        return None
    given = decode(arguments)
    faults = misfits(operation.input, given)
    if not faults and is_object(given):
        faults = misformed(operation.input, given, texts=not resource.is_sdk)
    return unusable(arguments, faults) if faults else None


def _is_modelled(resource: Resource) -> bool:
    return resource.family == "task" and (resource.is_sdk or resource.service not in _OTHERS)


@lru_cache(_RESOURCES_MAX)
def _find_operation(resource: Resource) -> Operation | None:
    """Return the operation that a resource stands for, if its service has one that tasks may call."""
    model = _find_model(model_name(resource.service))
    if model is None or not (resource.is_sdk or (resource.service, resource.operation) in _OPTIMISED):
        return None
    return find_operation(model.operations.values(), resource.operation)


def _find_model(service: str) -> ServiceModel | None:
    try:
        module = importlib.import_module(f"forebay.api.{'lambda_' if service == 'lambda' else service}")
    except ImportError:
        return None
    return module.MODEL


def _unrecognised(resource: Resource) -> str:
    return (
        f"The resource provided {resource.text} is not recognized. "
        "The value is not a valid resource ARN, or the resource is not available in this region."
    )
