"""Operations that run functions."""

import base64
import binascii

import msgspec

from forebay.api import lambda_ as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import FunctionAddress, parse_address
from forebay.services.lambda_.async_invocation import CLIENT_CONTEXT, find_config, own_delivery
from forebay.services.lambda_.errors import function_not_found, invalid, not_implemented, user_error
from forebay.services.lambda_.runner import Broken, Missing, Order, Ran, Run, Runner, Throttled


@operation
async def invoke(call: Call, request: api.InvocationRequest) -> api.InvocationResponse:
    """Run a function and return its answer; or take the event for later (Event), or only check (DryRun).

    Raises:
        ResourceNotFoundException: there is no such function, version or alias.
        InvalidRequestContentException: the payload is not JSON.
        RequestTooLargeException: the payload is above 6 MB; for Event, above 1 MB.
        TooManyRequestsException: the function's or the node's concurrency is used up.
    """
    address = parse_address(call, request.function_name, request.qualifier)
    if request.durable_execution_name or request.tenant_id:
        raise not_implemented("Durable executions and tenants are not implemented by Forebay.")
    payload = request.payload or b""
    if request.invocation_type == "Event":
        _check_async_size(payload)
        await _accept(call, address, payload, _client_context(request.client_context))
        return api.InvocationResponse(status_code=202)
    _check_size(payload)
    runner = call.part(Runner)
    if request.invocation_type == "DryRun":
        if await runner.find(address) is None:
            raise function_not_found(address.arn)
        return api.InvocationResponse(status_code=204)
    order = Order(
        address=address,
        payload=checked_payload(payload),
        request_id=call.caller.request_id,
        client_context=_client_context(request.client_context),
        trace_header=call.caller.trace_header or "",
    )
    ran = ran_or_raise(await runner.run(order))
    tail = base64.b64encode(ran.result.log_tail).decode() if request.log_type == "Tail" else None
    return api.InvocationResponse(
        status_code=200,
        function_error=ran.result.function_error,
        log_result=tail,
        payload=ran.result.payload,
        executed_version=ran.version,
    )


@operation
async def invoke_async(call: Call, request: api.InvokeAsyncRequest) -> api.InvokeAsyncResponse:
    """Take an event for later, as the Event type of Invoke does (the deprecated form)."""
    address = parse_address(call, request.function_name)
    _check_async_size(request.invoke_args)
    await _accept(call, address, request.invoke_args, "")
    return api.InvokeAsyncResponse(status=202)


def checked_payload(payload: bytes) -> bytes:
    """Return what the function gets; no payload is an empty object.

    Raises:
        InvalidRequestContentException: it is not JSON.
    """
    if not payload:
        return b"{}"
    try:
        # Raw checks the text without building anything of it.
        msgspec.json.decode(payload, type=msgspec.Raw)
        payload.decode("utf-8")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        text = f"Could not parse request body into json: {error}"
        raise user_error(api.InvalidRequestContentException, text) from None
    return payload


def ran_or_raise(run: Run) -> Ran:
    """Return a run that took place.

    Raises:
        ServiceError: it did not; the error is Invoke's answer.
    """
    match run:
        case Ran():
            return run
        case Missing(arn):
            raise function_not_found(arn)
        case Throttled(reason):
            raise api.TooManyRequestsException("Rate Exceeded.", type="User", reason=reason)
        case Broken(message):
            raise api.InvalidRuntimeException(message, type="User")


async def _accept(call: Call, address: FunctionAddress, payload: bytes, client_context: str) -> None:
    """Commit an event to the function's own queue."""
    text = checked_payload(payload).decode()
    if await call.part(Runner).find(address) is None:
        raise function_not_found(address.arn)
    config = await find_config(call.platform.store, address)
    delivery = own_delivery(call.caller.request_id, address, text, call.now, config)
    delivery = msgspec.structs.replace(delivery, trace_header=call.caller.trace_header)
    if client_context:
        parameters = {**delivery.parameters, CLIENT_CONTEXT: client_context}
        delivery = msgspec.structs.replace(delivery, parameters=parameters)
    await call.submit(await call.deliveries.commands_for([delivery]))


def _check_size(payload: bytes) -> None:
    limit = limits.SYNC_PAYLOAD_BYTES_MAX
    if len(payload) > limit:
        text = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise user_error(api.RequestTooLargeException, text)


def _check_async_size(payload: bytes) -> None:
    size, limit = len(payload), limits.ASYNC_PAYLOAD_BYTES_MAX
    if size > limit:
        text = f"{size} byte payload is too large for the Event invocation type (limit {limit} bytes)"
        raise ServiceError.of("RequestEntityTooLargeException", text, 413)


def _client_context(text: str | None) -> str:
    """Return the client context as JSON; the header has it in base64."""
    if not text:
        return ""
    if len(text) > limits.CLIENT_CONTEXT_BYTES_MAX:
        raise invalid(f"Client context must be no more than {limits.CLIENT_CONTEXT_BYTES_MAX} bytes.")
    try:
        decoded = base64.b64decode(text, validate=True)
        msgspec.json.decode(decoded)
        return decoded.decode()
    except (binascii.Error, RecursionError, UnicodeDecodeError, msgspec.DecodeError):
        error = "Client context must be a valid Base64-encoded JSON object."
        raise user_error(api.InvalidRequestContentException, error) from None
