"""Operations on reserved concurrency."""

import msgspec

from forebay.api import lambda_ as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import load_function, parse_unqualified
from forebay.services.lambda_.errors import invalid
from forebay.services.lambda_.function import FUNCTION
from forebay.store.records import key_prefix


@operation
def put_function_concurrency(call: Call, request: api.PutFunctionConcurrencyRequest) -> api.Concurrency:
    """Reserve concurrency for a function, which also is the most it gets.

    Raises:
        InvalidParameterValueException: less than AWS's minimum would be left for all other functions.
    """
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    wanted = request.reserved_concurrent_executions
    others = sum(
        other.reserved_concurrency or 0
        for key, other in call.records.list(FUNCTION, key_prefix(call.account, call.region))
        if key != address.key
    )
    if limits.CONCURRENCY_MAX - others - wanted < limits.UNRESERVED_CONCURRENCY_MIN:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{limits.UNRESERVED_CONCURRENCY_MIN}]."
        )
    call.records.put(FUNCTION, address.key, msgspec.structs.replace(function, reserved_concurrency=wanted))
    return api.Concurrency(reserved_concurrent_executions=wanted)


@operation(readonly=True)
def get_function_concurrency(
    call: Call, request: api.GetFunctionConcurrencyRequest
) -> api.GetFunctionConcurrencyResponse:
    """Return a function's reserved concurrency; nothing where it has none."""
    function = load_function(call, parse_unqualified(call, request.function_name))
    return api.GetFunctionConcurrencyResponse(reserved_concurrent_executions=function.reserved_concurrency)


@operation
def delete_function_concurrency(call: Call, request: api.DeleteFunctionConcurrencyRequest) -> None:
    """Let a function share the account's concurrency again."""
    address = parse_unqualified(call, request.function_name)
    function = load_function(call, address)
    call.records.put(FUNCTION, address.key, msgspec.structs.replace(function, reserved_concurrency=None))
