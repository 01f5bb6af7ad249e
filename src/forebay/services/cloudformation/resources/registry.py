"""Finds resource types by name. Each service's module and schemas are loaded when a template first needs them."""

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from forebay.services.cloudformation.resources.contract import ResourceType
from forebay.services.cloudformation.resources.schema import Schema, load_known_types, load_schemas, unknown_properties

# The module of each service by its name in types; the schemas' file has the same name without the underscore.
_MODULES: Mapping[str, str] = {
    "ApiGatewayV2": "apigatewayv2",
    "CloudFormation": "cloudformation",
    "DynamoDB": "dynamodb",
    "Events": "events",
    "IAM": "iam",
    "Lambda": "lambda_",
    "Logs": "logs",
    "Pipes": "pipes",
    "S3": "s3",
    "SNS": "sns",
    "SQS": "sqs",
    "SSM": "ssm",
    "Scheduler": "scheduler",
    "SecretsManager": "secretsmanager",
    "StepFunctions": "stepfunctions",
}
_CUSTOM = "AWS::CloudFormation::CustomResource"


class Registered(msgspec.Struct, frozen=True):
    """A type that can be deployed: how, and what AWS says of its properties."""

    type: ResourceType
    schema: Schema

    def has_attribute(self, name: str) -> bool:
        """Return whether `Fn::GetAtt` knows an attribute of the type."""
        extra = self.type.attributes
        if "*" in extra or name in extra or name in self.schema.read_only:
            return True
        return any(item.endswith(".*") and name.startswith(item[:-1]) for item in extra)

    def unknown(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the properties that AWS's type does not have."""
        return [] if self.type.open_properties else unknown_properties(self.schema, properties)

    def missing(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the properties that the type requires and that are not given."""
        return [name for name in self.schema.required if name not in properties]

    def unsupported(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the properties that AWS has and this platform has not."""
        return sorted(self.type.unsupported & set(properties))

    def without_effect(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the properties that are accepted and change nothing here."""
        return sorted(self.type.without_effect & set(properties))


def find_type(name: str) -> Registered | None:
    """Return a type that can be deployed, or None."""
    if name.startswith("Custom::"):
        name = _CUSTOM
    parts = name.split("::")
    return _types(parts[1]).get(name) if len(parts) == 3 and parts[0] == "AWS" else None


def is_known_to_aws(name: str) -> bool:
    """Return whether AWS has a type of that name."""
    return name in _known_types()


def supported_types() -> tuple[str, ...]:
    """Return the names of all types that can be deployed."""
    return tuple(sorted(name for service in _MODULES for name in _types(service)))


@cache
def _types(service: str) -> Mapping[str, Registered]:
    module = _MODULES.get(service)
    if module is None:
        return {}
    types: tuple[ResourceType, ...] = importlib.import_module(f"{__package__}.{module}").TYPES
    schemas = load_schemas(service.lower())
    return {item.name: Registered(item, schemas[item.name]) for item in types}


@cache
def _known_types() -> frozenset[str]:
    return load_known_types()
