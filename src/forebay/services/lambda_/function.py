"""Functions and their versions as they are kept, and how they are shown.

A `Function` is what all versions share (tags, concurrency, the version counter) with `latest`, the `$LATEST` version
that can change. Published versions are records of the same struct and never change.
"""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import partition_of
from forebay.store.records import Kind, record_key

LATEST = "$LATEST"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a function: its code and its configuration.

    `code` is the SHA-256 of the archive in hexadecimal and names its blob. `note` says what differs when this machine
    runs it (another interpreter), empty if nothing does. `role` and the structures of the API are kept as given.
    """

    account: str
    region: str
    name: str
    version: str
    code: str
    code_bytes: int
    role: str
    runtime: str
    handler: str
    revision: str
    modified_at: float
    note: str = ""
    description: str = ""
    timeout_seconds: int = 3
    memory_mb: int = 128
    ephemeral_storage_mb: int = 512
    environment: dict[str, str] | None = None
    layers: tuple["LayerUse", ...] = ()
    architecture: str = "x86_64"
    dead_letter: str = ""
    vpc: api.VpcConfig | None = None
    tracing: str = "PassThrough"
    logging: api.LoggingConfig = api.LoggingConfig()
    snap_start: str = "None"
    kms_key: str | None = None
    file_systems: tuple[api.FileSystemConfig, ...] = ()

    @property
    def function_arn(self) -> str:
        """The ARN of the function without a qualifier."""
        return function_arn(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        """The ARN of this version."""
        return f"{self.function_arn}:{self.version}"

    @property
    def key(self) -> str:
        """The key of the function's record."""
        return record_key(self.account, self.region, self.name)

    @property
    def log_group(self) -> str:
        """The log group that the version writes to."""
        return self.logging.log_group or f"/aws/lambda/{self.name}"


class LayerUse(msgspec.Struct, frozen=True):
    """A layer that a version uses: its version's ARN, its archive's SHA-256 and size."""

    arn: str
    code: str
    code_bytes: int


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function. `policies` has the revision of each qualifier's resource policy; versions count from 1."""

    latest: Version
    last_version: int = 0
    tags: dict[str, str] = {}
    reserved_concurrency: int | None = None
    recursive_loop: api.RecursiveLoop = "Terminate"
    runtime_update: api.UpdateRuntimeOn = "Auto"
    created_at: float = 0.0

    @property
    def key(self) -> str:
        """The key of the function's record."""
        return self.latest.key

    @property
    def arn(self) -> str:
        """The ARN without a qualifier."""
        return self.latest.function_arn


FUNCTION = Kind("lambda.function", Function)
VERSION = Kind("lambda.version", Version)

# Versions sort as numbers.
_VERSION_DIGITS = 10


def function_arn(account: str, region: str, name: str) -> str:
    """Return the ARN of a function."""
    return f"arn:{partition_of(region)}:lambda:{region}:{account}:function:{name}"


def version_key(function_key: str, version: str) -> str:
    """Return the key of a published version's record."""
    return record_key(function_key, version.zfill(_VERSION_DIGITS))


def base64_digest(sha256: str) -> str:
    """Return a digest as Lambda writes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def format_modified(at: float) -> str:
    """Write a time as Lambda does: `2026-11-24T09:15:02.123+0000`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def is_same_release(one: Version, other: Version) -> bool:
    """Tell whether publishing one after the other would make no new version: code and configuration are equal."""
    return _release(one) == _release(other)


def _release(version: Version) -> Version:
    return msgspec.structs.replace(version, version="", revision="", modified_at=0.0, description="")


def show(version: Version, arn: str, **changes: Any) -> api.FunctionConfiguration:
    """Return a version as GetFunctionConfiguration shows it, under the ARN that the caller named."""
    shown = api.FunctionConfiguration(
        function_name=version.name,
        function_arn=arn,
        runtime=cast("Any", version.runtime),
        role=version.role,
        handler=version.handler,
        code_size=version.code_bytes,
        description=version.description,
        timeout=version.timeout_seconds,
        memory_size=version.memory_mb,
        last_modified=format_modified(version.modified_at),
        code_sha256=base64_digest(version.code),
        version=version.version,
        vpc_config=_vpc(version.vpc),
        dead_letter_config=api.DeadLetterConfig(target_arn=version.dead_letter) if version.dead_letter else None,
        environment=None if version.environment is None else api.EnvironmentResponse(variables=version.environment),
        kms_key_arn=version.kms_key or None,
        tracing_config=api.TracingConfigResponse(mode=cast("Any", version.tracing)),
        revision_id=version.revision,
        layers=[api.Layer(arn=layer.arn, code_size=layer.code_bytes) for layer in version.layers] or None,
        state="Active",
        state_reason=version.note or None,
        last_update_status="Successful",
        file_system_configs=list(version.file_systems) or None,
        package_type="Zip",
        architectures=[cast("Any", version.architecture)],
        ephemeral_storage=api.EphemeralStorage(size=version.ephemeral_storage_mb),
        snap_start=api.SnapStartResponse(apply_on=cast("Any", version.snap_start), optimization_status="Off"),
        runtime_version_config=api.RuntimeVersionConfig(runtime_version_arn=runtime_version_arn(version)),
        logging_config=_logging(version),
    )
    return msgspec.structs.replace(shown, **changes) if changes else shown


def runtime_version_arn(version: Version) -> str:
    """Return an ARN for the runtime's version; it says nothing but that two functions share one."""
    digest = hashlib.sha256(f"{version.runtime}{version.note}".encode()).hexdigest()
    return f"arn:{partition_of(version.region)}:lambda:{version.region}::runtime:{digest}"


def _vpc(vpc: api.VpcConfig | None) -> api.VpcConfigResponse | None:
    if vpc is None:
        return None
    is_used = bool(vpc.subnet_ids)
    return api.VpcConfigResponse(
        subnet_ids=vpc.subnet_ids or [],
        security_group_ids=vpc.security_group_ids or [],
        # There are no networks here, so the answer names none.
        vpc_id="",
        ipv6_allowed_for_dual_stack=bool(vpc.ipv6_allowed_for_dual_stack) if is_used else False,
    )


def _logging(version: Version) -> api.LoggingConfig:
    given = version.logging
    is_json = given.log_format == "JSON"
    return api.LoggingConfig(
        log_format=given.log_format or "Text",
        application_log_level=(given.application_log_level or "INFO") if is_json else None,
        system_log_level=(given.system_log_level or "INFO") if is_json else None,
        log_group=version.log_group,
    )
