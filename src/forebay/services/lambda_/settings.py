"""Operations on what stands around functions: account settings, runtime updates, recursion."""

import msgspec

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import load_function, parse_address, parse_unqualified
from forebay.services.lambda_.errors import not_implemented
from forebay.services.lambda_.function import FUNCTION, VERSION, runtime_version_arn
from forebay.services.lambda_.resolution import load_version
from forebay.store.records import key_prefix


@operation(readonly=True)
def get_account_settings(
    call: Call,
    request: api.GetAccountSettingsRequest,  # noqa: ARG001 - it has no members
) -> api.GetAccountSettingsResponse:
    """Return the account's limits and how much of them is used."""
    prefix = key_prefix(call.account, call.region)
    functions = [function for _, function in call.reader.list(FUNCTION, prefix)]
    versions = [version for _, version in call.reader.list(VERSION, prefix)]
    used = sum(function.latest.code_bytes for function in functions) + sum(version.code_bytes for version in versions)
    reserved = sum(function.reserved_concurrency or 0 for function in functions)
    return api.GetAccountSettingsResponse(
        account_limit=api.AccountLimit(
            total_code_size=limits.CODE_STORAGE_BYTES_MAX,
            code_size_unzipped=limits.UNZIPPED_BYTES_MAX,
            code_size_zipped=limits.ZIP_BYTES_MAX,
            concurrent_executions=limits.CONCURRENCY_MAX,
            unreserved_concurrent_executions=limits.CONCURRENCY_MAX - reserved,
        ),
        account_usage=api.AccountUsage(total_code_size=used, function_count=len(functions)),
    )


@operation(readonly=True)
def get_runtime_management_config(
    call: Call, request: api.GetRuntimeManagementConfigRequest
) -> api.GetRuntimeManagementConfigResponse:
    """Return how a function's runtime is updated; here it is always this machine's."""
    address = parse_address(call, request.function_name, request.qualifier)
    function = load_function(call, address)
    version = load_version(call, address, function)
    return api.GetRuntimeManagementConfigResponse(
        update_runtime_on=function.runtime_update,
        function_arn=version.arn if address.qualifier else version.function_arn,
    )


@operation
def put_runtime_management_config(
    call: Call, request: api.PutRuntimeManagementConfigRequest
) -> api.PutRuntimeManagementConfigResponse:
    """Keep how a function's runtime is to be updated. A fixed runtime version is refused: there are none to fix."""
    address = parse_address(call, request.function_name, request.qualifier)
    function = load_function(call, address)
    version = load_version(call, address, function)
    if request.update_runtime_on == "Manual":
        raise not_implemented("UpdateRuntimeOn Manual is not implemented by Forebay: this machine's runtimes serve.")
    call.records.put(FUNCTION, address.key, msgspec.structs.replace(function, runtime_update=request.update_runtime_on))
    return api.PutRuntimeManagementConfigResponse(
        update_runtime_on=request.update_runtime_on,
        function_arn=version.arn if address.qualifier else version.function_arn,
        runtime_version_arn=runtime_version_arn(version),
    )


@operation(readonly=True)
def get_function_recursion_config(
    call: Call, request: api.GetFunctionRecursionConfigRequest
) -> api.GetFunctionRecursionConfigResponse:
    """Return what is to happen when a function calls itself in a circle."""
    function = load_function(call, parse_unqualified(call, request.function_name))
    return api.GetFunctionRecursionConfigResponse(recursive_loop=function.recursive_loop)


@operation
def put_function_recursion_config(
    call: Call, request: api.PutFunctionRecursionConfigRequest
) -> api.PutFunctionRecursionConfigResponse:
    """Keep what is to happen when a function calls itself in a circle; loops are not detected here."""
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    call.records.put(FUNCTION, address.key, msgspec.structs.replace(function, recursive_loop=request.recursive_loop))
    return api.PutFunctionRecursionConfigResponse(recursive_loop=request.recursive_loop)
