"""Operations on how asynchronous invocations are retried and where their results go."""

from typing import Any

import msgspec

from forebay.api import lambda_ as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.lambda_.address import FunctionAddress, load_function, parse_address
from forebay.services.lambda_.errors import invalid, not_found, not_implemented
from forebay.services.lambda_.function import LATEST
from forebay.services.lambda_.invoke_config import INVOKE_CONFIG, InvokeConfig, invoke_config_key
from forebay.services.lambda_.pages import page
from forebay.services.lambda_.resolution import load_version
from forebay.store.records import key_prefix

_DESTINATIONS = ("events", "lambda", "sns", "sqs")


@operation
async def put_function_event_invoke_config(
    call: Call, request: api.PutFunctionEventInvokeConfigRequest
) -> api.FunctionEventInvokeConfig:
    """Set how a function's asynchronous invocations are treated, in place of what was set before."""
    address = _address(call, request.function_name, request.qualifier)
    if (request.maximum_retry_attempts, request.maximum_event_age_in_seconds, request.destination_config) == (
        None,
        None,
        None,
    ):
        raise invalid("You must specify at least one of error handling or destination setting.")
    await _check_destinations(call, request.destination_config)
    return await call.transact(lambda inner: _put(inner, address, request, None).show())


@operation
async def update_function_event_invoke_config(
    call: Call, request: api.UpdateFunctionEventInvokeConfigRequest
) -> api.FunctionEventInvokeConfig:
    """Change how a function's asynchronous invocations are treated; what is not given keeps its value."""
    address = _address(call, request.function_name, request.qualifier)
    await _check_destinations(call, request.destination_config)
    return await call.transact(lambda inner: _put(inner, address, request, _load(inner, address)).show())


@operation(readonly=True)
def get_function_event_invoke_config(
    call: Call, request: api.GetFunctionEventInvokeConfigRequest
) -> api.FunctionEventInvokeConfig:
    """Return how a function's asynchronous invocations are treated."""
    return _load(call, _address(call, request.function_name, request.qualifier)).show()


@operation
def delete_function_event_invoke_config(call: Call, request: api.DeleteFunctionEventInvokeConfigRequest) -> None:
    """Go back to the defaults."""
    address = _address(call, request.function_name, request.qualifier)
    _load(call, address)
    call.records.delete(INVOKE_CONFIG, invoke_config_key(address.key, address.qualifier))


@operation(readonly=True)
def list_function_event_invoke_configs(
    call: Call, request: api.ListFunctionEventInvokeConfigsRequest
) -> api.ListFunctionEventInvokeConfigsResponse:
    """List the settings of a function and of its versions and aliases."""
    address = parse_address(call, request.function_name)
    load_function(call, address)
    found = [config for _, config in call.reader.list(INVOKE_CONFIG, key_prefix(address.key))]
    items, marker = page(found, lambda config: config.arn, request.marker, request.max_items)
    return api.ListFunctionEventInvokeConfigsResponse(
        function_event_invoke_configs=[config.show() for config in items], next_marker=marker
    )


def _address(call: Call, name: str, qualifier: str | None) -> FunctionAddress:
    address = parse_address(call, name, qualifier)
    return msgspec.structs.replace(address, qualifier=address.qualifier or LATEST)


def _load(call: Call, address: FunctionAddress) -> InvokeConfig:
    load_version(call, address, load_function(call, address))
    config = call.reader.find(INVOKE_CONFIG, invoke_config_key(address.key, address.qualifier))
    if config is None:
        raise not_found(f"The function {address.arn} doesn't have an EventInvokeConfig")
    return config


def _put(
    call: Call,
    address: FunctionAddress,
    request: api.PutFunctionEventInvokeConfigRequest | api.UpdateFunctionEventInvokeConfigRequest,
    present: InvokeConfig | None,
) -> InvokeConfig:
    load_version(call, address, load_function(call, address))
    config = present or InvokeConfig(arn=address.arn, modified_at=call.now)
    changes: dict[str, Any] = {"modified_at": call.now}
    if request.maximum_retry_attempts is not None:
        changes["retries"] = request.maximum_retry_attempts
    if request.maximum_event_age_in_seconds is not None:
        changes["age_seconds"] = request.maximum_event_age_in_seconds
    destinations = request.destination_config
    if destinations is not None and destinations.on_success is not None:
        changes["on_success"] = destinations.on_success.destination or ""
    if destinations is not None and destinations.on_failure is not None:
        changes["on_failure"] = destinations.on_failure.destination or ""
    config = msgspec.structs.replace(config, **changes)
    call.records.put(INVOKE_CONFIG, invoke_config_key(address.key, address.qualifier), config)
    return config


async def _check_destinations(call: Call, destinations: api.DestinationConfig | None) -> None:
    """Check that results can be delivered to where they are to go."""
    if destinations is None:
        return
    for wanted in (destinations.on_success, destinations.on_failure):
        if wanted is not None and wanted.destination:
            await check_destination(call, wanted.destination)


async def check_destination(call: Call, destination: str) -> None:
    """Check that this node can deliver to an ARN.

    Raises:
        InvalidParameterValueException: Lambda does not deliver to that service.
        NotImplemented: Lambda does, but this node does not.
    """
    try:
        service = Arn.parse(destination).service
    except ValueError:
        raise invalid(f"The provided destination config DestinationConfig is invalid: {destination}") from None
    if service == "s3":
        raise not_implemented("S3 buckets as destinations are not implemented by Forebay.")
    if service not in _DESTINATIONS:
        raise invalid(f"The destination ARN {destination} is invalid.")
    if not await call.deliveries.has_target(service):
        raise not_implemented(f"Forebay does not deliver to {service} yet, so {destination} cannot be a destination.")
