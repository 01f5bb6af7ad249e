"""What is known to be wrong with a task before it runs: an operation, or parameters, that a service does not have.

Parameters are held to AWS's models, of every service that this node has a model of; of others nothing is known.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from forebay.core.schema import schema_of
from forebay.core.shapes import Operation, ServiceModel
from forebay.services.stepfunctions.integrations.optimised import OPERATIONS
from forebay.services.stepfunctions.integrations.sdk import capital, find_operation, model_name
from forebay.services.stepfunctions.payload import as_object
from forebay.services.stepfunctions.resource import Resource, parse_resource

# Services without a model, or whose tasks take other parameters than an operation.
_OTHERS = frozenset({"apigateway", "http", "states", "lambda"})


def task_rules(text: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a task: in AWS's words, and the field of the state that it is about."""
    try:
        resource = parse_resource(text)
    except ValueError:
        return
    if resource.family != "task" or (not resource.is_sdk and resource.service in _OTHERS):
        return
    model = _find_model(model_name(resource.service))
    if model is None:
        return
    operation = find_operation(model.operations.values(), resource.operation)
    if operation is None or not (resource.is_sdk or (resource.service, resource.operation) in OPERATIONS):
        yield _unrecognised(resource), "Resource"
        return
    name = "Arguments" if "Arguments" in fields else "Parameters"
    if isinstance(fields.get(name), dict):
        for message in _misfits(operation, as_object(fields.get(name))):
            yield message, name


def _misfits(operation: Operation, given: Mapping[str, Any]) -> Iterator[str]:
    names = {key.removesuffix(".$") for key in given}
    members = schema_of(operation.input).members
    known = {member.name.lower() for member in members}
    for each in names:
        if each.lower() not in known:
            yield f'The field "{each}" is not supported by Step Functions'
    lower = {each.lower() for each in names}
    for member in members:
        if member.required and member.name.lower() not in lower:
            yield f"The field '{capital(member.name)}' is required but was missing"


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
