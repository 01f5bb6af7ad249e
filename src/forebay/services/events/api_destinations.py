"""Operations on API destinations."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.api_destination import API_DESTINATION, ApiDestination, load_api_destination
from forebay.services.events.connection import CONNECTION, Connection, check_url, connection_key
from forebay.services.events.pages import page
from forebay.store.records import key_prefix, record_key


@operation
def create_api_destination(call: Call, request: api.CreateApiDestinationRequest) -> api.CreateApiDestinationResponse:
    """Create an API destination.

    Raises:
        ResourceNotFoundException: there is no such connection.
        ResourceAlreadyExistsException: there is an API destination of this name.
    """
    check_url(request.invocation_endpoint, "InvocationEndpoint")
    _load_connection(call, request.connection_arn)
    if call.records.find(API_DESTINATION, record_key(call.account, call.region, request.name)) is not None:
        raise api.ResourceAlreadyExistsException(f"An api-destination '{request.name}' already exists.")
    destination = ApiDestination(
        account=call.account,
        region=call.region,
        name=request.name,
        unique=call.ids.uuid(),
        connection=request.connection_arn,
        endpoint=request.invocation_endpoint,
        method=request.http_method,
        rate=request.invocation_rate_limit_per_second or limits.INVOCATION_RATE,
        created_at=call.now,
        modified_at=call.now,
        description=request.description or None,
    )
    call.records.put(API_DESTINATION, destination.key(), destination)
    return api.CreateApiDestinationResponse(
        api_destination_arn=destination.arn(),
        api_destination_state=_state(call, destination),
        creation_time=destination.created_at,
        last_modified_time=destination.modified_at,
    )


@operation(readonly=True)
def describe_api_destination(
    call: Call, request: api.DescribeApiDestinationRequest
) -> api.DescribeApiDestinationResponse:
    """Return an API destination."""
    destination = load_api_destination(call, request.name)
    return api.DescribeApiDestinationResponse(
        api_destination_arn=destination.arn(),
        name=destination.name,
        description=destination.description,
        api_destination_state=_state(call, destination),
        connection_arn=destination.connection,
        invocation_endpoint=destination.endpoint,
        http_method=destination.method,
        invocation_rate_limit_per_second=destination.rate,
        creation_time=destination.created_at,
        last_modified_time=destination.modified_at,
    )


@operation
def update_api_destination(call: Call, request: api.UpdateApiDestinationRequest) -> api.UpdateApiDestinationResponse:
    """Change an API destination; what is not named keeps its value."""
    destination = load_api_destination(call, request.name)
    if request.invocation_endpoint is not None:
        check_url(request.invocation_endpoint, "InvocationEndpoint")
    if request.connection_arn is not None:
        _load_connection(call, request.connection_arn)
    description = destination.description if request.description is None else request.description or None
    destination = replace(
        destination,
        connection=request.connection_arn or destination.connection,
        endpoint=request.invocation_endpoint or destination.endpoint,
        method=request.http_method or destination.method,
        rate=request.invocation_rate_limit_per_second or destination.rate,
        description=description,
        modified_at=call.now,
    )
    call.records.put(API_DESTINATION, destination.key(), destination)
    return api.UpdateApiDestinationResponse(
        api_destination_arn=destination.arn(),
        api_destination_state=_state(call, destination),
        creation_time=destination.created_at,
        last_modified_time=destination.modified_at,
    )


@operation
def delete_api_destination(call: Call, request: api.DeleteApiDestinationRequest) -> api.DeleteApiDestinationResponse:
    """Delete an API destination."""
    call.records.delete(API_DESTINATION, load_api_destination(call, request.name).key())
    return api.DeleteApiDestinationResponse()


@operation(readonly=True)
def list_api_destinations(call: Call, request: api.ListApiDestinationsRequest) -> api.ListApiDestinationsResponse:
    """List API destinations by name: all, or those of a connection or with names that begin alike."""
    found = [
        destination
        for _, destination in call.reader.list(API_DESTINATION, key_prefix(call.account, call.region))
        if destination.name.startswith(request.name_prefix or "")
        and request.connection_arn in {None, destination.connection}
    ]
    shown, next_token = page(found, lambda destination: destination.name, request.next_token, request.limit)
    return api.ListApiDestinationsResponse(
        api_destinations=[_listed(call, each) for each in shown], next_token=next_token
    )


def _listed(call: Call, destination: ApiDestination) -> api.ApiDestination:
    return api.ApiDestination(
        api_destination_arn=destination.arn(),
        name=destination.name,
        api_destination_state=_state(call, destination),
        connection_arn=destination.connection,
        invocation_endpoint=destination.endpoint,
        http_method=destination.method,
        invocation_rate_limit_per_second=destination.rate,
        creation_time=destination.created_at,
        last_modified_time=destination.modified_at,
    )


def _state(call: Call, destination: ApiDestination) -> api.ApiDestinationState:
    """Return whether requests can be sent: that hangs on the connection."""
    connection = _find_connection(call, destination.connection)
    return "ACTIVE" if connection is not None and connection.parameters is not None else "INACTIVE"


def _load_connection(call: Call, arn: str) -> Connection:
    connection = _find_connection(call, arn)
    if connection is None:
        name = arn.split("/")[1]
        raise api.ResourceNotFoundException(f"Connection '{name}' does not exist.")
    return connection


def _find_connection(call: Call, arn: str) -> Connection | None:
    key = connection_key(arn)
    connection = None if key is None else call.reader.find(CONNECTION, key)
    return connection if connection is not None and connection.arn() == arn else None
