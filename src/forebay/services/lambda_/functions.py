"""Operations on functions: create, get, list, update code and configuration, delete."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from forebay.api import lambda_ as api
from forebay.core.errors import RuntimeFailure
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.runtimes.pool import FunctionPool
from forebay.services.lambda_.address import (
    FunctionAddress,
    load_function,
    load_number,
    parse_address,
    parse_unqualified,
)
from forebay.services.lambda_.alias import ALIAS
from forebay.services.lambda_.code import CodeStore
from forebay.services.lambda_.code_links import CodeLinks
from forebay.services.lambda_.configuration import changed, check_configuration
from forebay.services.lambda_.credentials import drop_credentials
from forebay.services.lambda_.errors import check_revision, conflict, function_not_found, invalid, not_implemented
from forebay.services.lambda_.function import FUNCTION, LATEST, VERSION, Function, Version, show, version_key
from forebay.services.lambda_.function_url import drop_urls
from forebay.services.lambda_.invoke_config import INVOKE_CONFIG
from forebay.services.lambda_.layer import load_layer_uses
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.policy import POLICY
from forebay.services.lambda_.releases import publish
from forebay.services.lambda_.resolution import load_version
from forebay.services.lambda_.tags import check_tags
from forebay.services.lambda_.uploads import read_archive
from forebay.store.records import Kind, key_prefix

# What goes with its function.
_BELONGING: tuple[Kind[Any], ...] = (
    cast("Kind[Any]", VERSION),
    cast("Kind[Any]", ALIAS),
    cast("Kind[Any]", POLICY),
    cast("Kind[Any]", INVOKE_CONFIG),
)

_CREATING: dict[str, Any] = {
    "state": "Pending",
    "state_reason": "The function is being created.",
    "state_reason_code": "Creating",
    "last_update_status": None,
}
_UPDATING: dict[str, Any] = {
    "last_update_status": "InProgress",
    "last_update_status_reason": "The function is being created.",
    "last_update_status_reason_code": "Creating",
}


@operation
async def create_function(call: Call, request: api.CreateFunctionRequest) -> api.FunctionConfiguration:
    """Create a function from an archive.

    The answer says Pending, as AWS's does; when it is given the function can be invoked.

    Raises:
        ResourceConflictException: there is a function of this name.
        InvalidParameterValueException: code, runtime or a setting does not do.
    """
    address = parse_unqualified(call, request.function_name)
    check_configuration(request)
    check_tags(request.tags or {})
    if request.package_type == "Image":
        raise not_implemented("Functions from container images (PackageType Image) are not implemented by Forebay.")
    if not request.runtime or not request.handler:
        # What a provided runtime calls its handler is the bootstrap's business, but AWS wants it named.
        raise invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    if await call.find(FUNCTION, address.key) is not None:
        raise conflict(f"Function already exist: {address.name}")
    note = await check_runtime(call, request.runtime)
    archive = await read_archive(call, request.code, "CreateFunction")
    sha256 = await call.part(CodeStore).keep(archive)

    def create(inner: Call) -> Version:
        if inner.records.find(FUNCTION, address.key) is not None:
            raise conflict(f"Function already exist: {address.name}")
        layers = load_layer_uses(inner, request.layers or ())
        blank = _blank(address, request, sha256, len(archive))
        version = msgspec.structs.replace(
            changed(blank, request, layers),
            architecture=(request.architectures or ["x86_64"])[0],
            note=note,
            revision=call.ids.uuid(),
            modified_at=call.now,
        )
        function = Function(latest=version, tags=request.tags or {}, created_at=call.now)
        inner.records.put(FUNCTION, address.key, function)
        return publish(inner, function, request.description) if request.publish else version

    made = await call.transact(create)
    return show(made, made.function_arn if made.version == LATEST else made.arn, **_CREATING)


@operation
async def get_function(call: Call, request: api.GetFunctionRequest) -> api.GetFunctionResponse:
    """Return a function's configuration, where its code can be fetched, its tags and its reserved concurrency."""
    address = parse_address(call, request.function_name, request.qualifier)

    def look(inner: Call) -> tuple[Function, Version]:
        function = load_function(inner, address)
        return function, load_version(inner, address, function)

    function, version = await call.look(look)
    link = call.part(CodeLinks).link(call.caller.endpoint, version.code, call.now)
    reserved = function.reserved_concurrency
    return api.GetFunctionResponse(
        configuration=show(version, address.arn),
        code=api.FunctionCodeLocation(repository_type="S3", location=link),
        tags=function.tags or None,
        concurrency=None if reserved is None else api.Concurrency(reserved_concurrent_executions=reserved),
    )


@operation(readonly=True)
def get_function_configuration(call: Call, request: api.GetFunctionConfigurationRequest) -> api.FunctionConfiguration:
    """Return the configuration of a function's version."""
    address = parse_address(call, request.function_name, request.qualifier)
    return show(load_version(call, address, load_function(call, address)), address.arn)


@operation(readonly=True)
def list_functions(call: Call, request: api.ListFunctionsRequest) -> api.ListFunctionsResponse:
    """List the functions of the account and region by name; with `FunctionVersion` ALL, every version of each."""
    prefix = key_prefix(call.account, call.region)
    found: list[Version] = []
    for key, function in call.reader.list(FUNCTION, prefix):
        found.append(function.latest)
        if request.function_version == "ALL":
            found += [version for _, version in call.reader.list(VERSION, key_prefix(key))]
    items, marker = page(found, _list_key, request.marker, request.max_items)
    shown = [
        show(version, version.arn if request.function_version == "ALL" else version.function_arn, **UNSEEN)
        for version in items
    ]
    return api.ListFunctionsResponse(functions=shown, next_marker=marker)


@operation
async def update_function_code(call: Call, request: api.UpdateFunctionCodeRequest) -> api.FunctionConfiguration:
    """Change the code of a function's latest version; with `DryRun`, only say what would come of it."""
    address = parse_unqualified(call, request.function_name)
    if request.publish_to:
        raise not_implemented("PublishTo of functions is not implemented by Forebay.")
    if await call.find(FUNCTION, address.key) is None:
        raise function_not_found(address.arn)
    archive = await read_archive(call, request, "UpdateFunctionCode")
    sha256 = await call.part(CodeStore).keep(archive)

    def update(inner: Call) -> Version:
        function = load_function(inner, address)
        check_revision(request.revision_id, function.latest.revision)
        version = msgspec.structs.replace(
            function.latest,
            code=sha256,
            code_bytes=len(archive),
            architecture=(request.architectures or [function.latest.architecture])[0],
        )
        return version if request.dry_run else _put_latest(inner, function, version, publishes=bool(request.publish))

    made = await call.transact(update)
    arn = made.function_arn if made.version == LATEST else made.arn
    return show(made, arn, **({} if request.dry_run else _UPDATING))


@operation
async def update_function_configuration(
    call: Call, request: api.UpdateFunctionConfigurationRequest
) -> api.FunctionConfiguration:
    """Change settings of a function's latest version; those that are not given keep their values."""
    address = parse_unqualified(call, request.function_name)
    check_configuration(request)
    if await call.find(FUNCTION, address.key) is None:
        raise function_not_found(address.arn)
    note = await check_runtime(call, request.runtime) if request.runtime else None

    def update(inner: Call) -> Version:
        function = load_function(inner, address)
        check_revision(request.revision_id, function.latest.revision)
        layers = None if request.layers is None else load_layer_uses(inner, request.layers)
        version = changed(function.latest, request, layers)
        if note is not None:
            version = msgspec.structs.replace(version, note=note)
        return _put_latest(inner, function, version, publishes=False)

    made = await call.transact(update)
    return show(made, made.function_arn, **_UPDATING)


@operation
def delete_function(call: Call, request: api.DeleteFunctionRequest) -> api.DeleteFunctionResponse:
    """Delete a function with all its versions, aliases and settings; with a qualifier, only that version.

    Mappings to it stay, as on AWS, and run again when the function does.
    """
    address = parse_address(call, request.function_name, request.qualifier)
    function = load_function(call, address)
    if address.qualifier is not None:
        _delete_version(call, address, function)
        return api.DeleteFunctionResponse(status_code=204)
    for kind in _BELONGING:
        for key, _ in call.records.list(kind, key_prefix(address.key)):
            call.records.delete(kind, key)
    drop_urls(call.records, address.key)
    drop_credentials(call.records, address.key)
    call.records.delete(FUNCTION, address.key)
    return api.DeleteFunctionResponse(status_code=204)


async def check_runtime(call: Call, runtime: str) -> str:
    """Return what differs when this machine runs a runtime's functions, empty if nothing does.

    Raises:
        InvalidParameterValueException: it cannot run them, or only by another version and the node is strict.
    """
    try:
        return await call.part(FunctionPool).check(runtime)
    except RuntimeFailure as error:
        raise invalid(str(error)) from error


# State and update status are absent from lists, as AWS's API reference says of `State`.
UNSEEN: dict[str, Any] = {"state": None, "state_reason": None, "last_update_status": None}


def _blank(address: FunctionAddress, request: api.CreateFunctionRequest, code: str, code_bytes: int) -> Version:
    assert request.runtime is not None
    assert request.handler is not None
    return Version(
        account=address.account,
        region=address.region,
        name=address.name,
        version=LATEST,
        code=code,
        code_bytes=code_bytes,
        role=request.role,
        runtime=request.runtime,
        handler=request.handler,
        revision="",
        modified_at=0.0,
    )


def _put_latest(call: Call, function: Function, version: Version, *, publishes: bool) -> Version:
    version = msgspec.structs.replace(version, revision=call.ids.uuid(), modified_at=call.now)
    function = msgspec.structs.replace(function, latest=version)
    call.records.put(FUNCTION, function.key, function)
    return publish(call, function, None) if publishes else version


def _delete_version(call: Call, address: FunctionAddress, function: Function) -> None:
    if address.qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    version = load_number(call, address, function)
    users = _aliases_of(call, address.key, version.version)
    if users:
        raise conflict(
            f"Version {version.version} is referenced by aliases {users} and cannot be deleted: "
            "delete or change the aliases first."
        )
    call.records.delete(VERSION, version_key(address.key, version.version))


def _aliases_of(call: Call, function_key: str, version: str) -> Sequence[str]:
    aliases = [alias for _, alias in call.records.list(ALIAS, key_prefix(function_key))]
    return [alias.name for alias in aliases if alias.version == version or version in alias.weights]


def _list_key(version: Version) -> str:
    number = "" if version.version == LATEST else version.version.zfill(10)
    return f"{version.name} {number}"
