"""The rules on a function's configuration, and how a request changes a version."""

from collections.abc import Mapping
from typing import Any

import msgspec

from forebay.api import lambda_ as api
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import broken_constraint, invalid, not_implemented
from forebay.services.lambda_.function import LayerUse, Version

# "Defined runtime environment variables" in the developer guide: those that cannot be set.
_RESERVED_KEYS = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
    }
)
_UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)

# Members that ask for something this node does not do, in requests that create and that update.
_UNSUPPORTED = {
    "image_config": "ImageConfig",
    "tenancy_config": "TenancyConfig",
    "capacity_provider_config": "CapacityProviderConfig",
    "durable_config": "DurableConfig",
    "runtime_config": "RuntimeConfig",
    "accelerator_config": "AcceleratorConfig",
    "code_signing_config_arn": "CodeSigningConfigArn",
    "publish_to": "PublishTo",
}

Request = api.CreateFunctionRequest | api.UpdateFunctionConfigurationRequest


def check_configuration(request: Request) -> None:
    """Check what a request wants of a function, as far as the model does not.

    Raises:
        InvalidParameterValueException: the environment breaks a rule.
        ValidationException: timeout or memory is above what ordinary functions can have.
        NotImplemented: it asks for something that Forebay does not do.
    """
    for field, name in _UNSUPPORTED.items():
        if getattr(request, field, None):
            raise not_implemented(f"{name} of functions is not implemented by Forebay.")
    _check_most(request.timeout, "timeout", limits.TIMEOUT_SECONDS_MAX)
    _check_most(request.memory_size, "memorySize", limits.MEMORY_MB_MAX)
    if request.ephemeral_storage is not None:
        _check_most(request.ephemeral_storage.size, "ephemeralStorage.size", 10_240)
    if request.environment is not None:
        check_environment(request.environment.variables or {})
    if request.layers is not None and len(request.layers) > limits.LAYERS_MAX:
        raise invalid("Cannot reference more than 5 layers.")


def check_environment(variables: Mapping[str, str]) -> None:
    """Check a function's environment variables.

    Raises:
        InvalidParameterValueException: a name is reserved, or they are too large together.
    """
    reserved = [name for name in variables if name in _RESERVED_KEYS]
    if reserved:
        raise invalid(
            f"{_UNABLE} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = msgspec.json.encode(dict(variables))
    if len(measured) > limits.ENVIRONMENT_BYTES_MAX:
        raise invalid(f"{_UNABLE} exceeded the 4KB limit. String measured: {measured.decode()}")


def changed(version: Version, request: Request, layers: tuple[LayerUse, ...] | None) -> Version:
    """Return the version with what a request gives; what it does not give keeps its value."""
    given: dict[str, Any] = {
        "role": request.role,
        "runtime": request.runtime,
        "handler": request.handler,
        "description": request.description,
        "timeout_seconds": request.timeout,
        "memory_mb": request.memory_size,
        "vpc": request.vpc_config,
        "logging": request.logging_config,
        "kms_key": request.kms_key_arn,
        "layers": layers,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    return msgspec.structs.replace(version, **changes, **_unpacked(request))


def _unpacked(request: Request) -> dict[str, Any]:
    """Return the changes that a request gives inside of structures of their own."""
    changes: dict[str, Any] = {}
    if request.environment is not None:
        # An environment without variables is none.
        changes["environment"] = request.environment.variables or None
    if request.dead_letter_config is not None:
        changes["dead_letter"] = request.dead_letter_config.target_arn or ""
    if request.tracing_config is not None:
        changes["tracing"] = request.tracing_config.mode or "PassThrough"
    if request.snap_start is not None:
        changes["snap_start"] = request.snap_start.apply_on or "None"
    if request.ephemeral_storage is not None:
        changes["ephemeral_storage_mb"] = request.ephemeral_storage.size
    if request.file_system_configs is not None:
        changes["file_systems"] = tuple(request.file_system_configs)
    return changes


def _check_most(value: int | None, member: str, most: int) -> None:
    if value is not None and value > most:
        raise broken_constraint(value, member, f"Member must have value less than or equal to {most}")
