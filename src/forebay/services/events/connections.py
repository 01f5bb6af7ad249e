"""Operations on connections."""

from typing import TypeVar

from msgspec.structs import replace

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.operations.secret_box import SecretBox
from forebay.operations.service import operation
from forebay.services.events.authorizer import AUTHORIZE_TIMER
from forebay.services.events.connection import (
    CONNECTION,
    Connection,
    check_parameters,
    load_connection,
    merge_parameters,
    seal,
    shown_parameters,
    unseal,
)
from forebay.services.events.errors import not_implemented
from forebay.services.events.pages import page
from forebay.store.commands import DeleteTimers, PutTimers, Timer
from forebay.store.records import key_prefix

Answer = TypeVar(
    "Answer", api.UpdateConnectionResponse, api.DeauthorizeConnectionResponse, api.DeleteConnectionResponse
)


@operation
async def create_connection(call: Call, request: api.CreateConnectionRequest) -> api.CreateConnectionResponse:
    """Create a connection. With OAuth it is `AUTHORIZING` until a token was had, or refused.

    Raises:
        ResourceAlreadyExistsException: there is a connection of this name.
        ValidationException: the parameters are not those of the authorization type.
    """
    _check_public(request.invocation_connectivity_parameters)
    check_parameters(request.authorization_type, request.auth_parameters)
    connection = _authorized(
        Connection(
            account=call.account,
            region=call.region,
            name=request.name,
            unique=call.ids.uuid(),
            secret=f"{call.ids.uuid()}-{call.ids.token(6)}",
            type=request.authorization_type,
            parameters=request.auth_parameters,
            state="AUTHORIZED",
            created_at=call.now,
            modified_at=call.now,
            description=request.description or None,
            kms_key=request.kms_key_identifier or None,
        ),
        call.now,
    )
    sealed = await seal(call.part(SecretBox), connection)

    def create(inner: Call) -> None:
        if inner.records.find(CONNECTION, connection.key()) is not None:
            raise api.ResourceAlreadyExistsException(f"Connection {request.name} already exists.")
        _put(inner, sealed)

    await call.transact(create)
    return api.CreateConnectionResponse(
        connection_arn=connection.arn(),
        connection_state=connection.state,
        creation_time=connection.created_at,
        last_modified_time=connection.modified_at,
    )


@operation(readonly=True)
def describe_connection(call: Call, request: api.DescribeConnectionRequest) -> api.DescribeConnectionResponse:
    """Return a connection without its secrets."""
    connection = load_connection(call, request.name)
    return api.DescribeConnectionResponse(
        connection_arn=connection.arn(),
        name=connection.name,
        description=connection.description,
        connection_state=connection.state,
        state_reason=connection.state_reason,
        authorization_type=connection.type,
        secret_arn=connection.secret_arn(),
        kms_key_identifier=connection.kms_key,
        auth_parameters=shown_parameters(connection),
        creation_time=connection.created_at,
        last_modified_time=connection.modified_at,
        last_authorized_time=connection.authorized_at,
    )


@operation
async def update_connection(call: Call, request: api.UpdateConnectionRequest) -> api.UpdateConnectionResponse:
    """Change a connection; what is not named keeps its value, unless the authorization type is another.

    Raises:
        ValidationException: the parameters are not those of the authorization type.
    """
    found = await call.look(lambda inner: load_connection(inner, request.name))
    _check_public(request.invocation_connectivity_parameters)
    connection = found
    if request.authorization_type is not None or request.auth_parameters is not None:
        connection = await _with_parameters(call, found, request)
    if request.description is not None:
        connection = replace(connection, description=request.description or None)
    if request.kms_key_identifier is not None:
        connection = replace(connection, kms_key=request.kms_key_identifier or None)
    connection = replace(connection, modified_at=call.now)

    def update(inner: Call) -> None:
        if load_connection(inner, request.name) != found:
            raise api.ConcurrentModificationException(f"Connection {request.name} was changed at the same time.")
        _put(inner, connection)

    await call.transact(update)
    return _answer(connection, api.UpdateConnectionResponse)


@operation
def deauthorize_connection(call: Call, request: api.DeauthorizeConnectionRequest) -> api.DeauthorizeConnectionResponse:
    """Forget a connection's secrets; until it is updated with others, nothing is sent through it."""
    connection = load_connection(call, request.name)
    connection = replace(connection, parameters=None, sealed=None, state="DEAUTHORIZED", modified_at=call.now)
    _put(call, connection)
    return _answer(connection, api.DeauthorizeConnectionResponse)


@operation
def delete_connection(call: Call, request: api.DeleteConnectionRequest) -> api.DeleteConnectionResponse:
    """Delete a connection; API destinations that use it become inactive."""
    connection = load_connection(call, request.name)
    call.records.delete(CONNECTION, connection.key())
    call.apply(DeleteTimers(AUTHORIZE_TIMER, (connection.key(),)))
    return _answer(replace(connection, state="DELETING"), api.DeleteConnectionResponse)


@operation(readonly=True)
def list_connections(call: Call, request: api.ListConnectionsRequest) -> api.ListConnectionsResponse:
    """List connections by name: all, or those in a state or with names that begin alike."""
    found = [
        connection
        for _, connection in call.reader.list(CONNECTION, key_prefix(call.account, call.region))
        if connection.name.startswith(request.name_prefix or "")
        and request.connection_state in {None, connection.state}
    ]
    shown, next_token = page(found, lambda connection: connection.name, request.next_token, request.limit)
    return api.ListConnectionsResponse(connections=[_listed(each) for each in shown], next_token=next_token)


def _listed(connection: Connection) -> api.Connection:
    return api.Connection(
        connection_arn=connection.arn(),
        name=connection.name,
        connection_state=connection.state,
        authorization_type=connection.type,
        creation_time=connection.created_at,
        last_modified_time=connection.modified_at,
        last_authorized_time=connection.authorized_at,
    )


def _answer(connection: Connection, answer: type[Answer]) -> Answer:
    return answer(
        connection_arn=connection.arn(),
        connection_state=connection.state,
        creation_time=connection.created_at,
        last_modified_time=connection.modified_at,
        last_authorized_time=connection.authorized_at,
    )


async def _with_parameters(call: Call, found: Connection, request: api.UpdateConnectionRequest) -> Connection:
    """Return a connection with the parameters that a request changes, sealed."""
    box = call.part(SecretBox)
    kind = request.authorization_type or found.type
    before = (await unseal(box, found)).parameters if kind == found.type else None
    parameters = merge_parameters(before, request.auth_parameters or api.UpdateConnectionAuthRequestParameters())
    check_parameters(kind, parameters)
    return await seal(box, _authorized(replace(found, type=kind, parameters=parameters), call.now))


def _put(call: Call, connection: Connection) -> None:
    """Keep a connection; one that is to be authorised is so by a worker."""
    call.records.put(CONNECTION, connection.key(), connection)
    if connection.state == "AUTHORIZING":
        call.apply(PutTimers((Timer(AUTHORIZE_TIMER, connection.key(), call.now_ms, b""),)))


def _authorized(connection: Connection, now: float) -> Connection:
    """Return a connection with new parameters; whether those of OAuth are good shows when a token is asked for."""
    connection = replace(connection, state_reason=None)
    if connection.type == "OAUTH_CLIENT_CREDENTIALS":
        return replace(connection, state="AUTHORIZING")
    return replace(connection, state="AUTHORIZED", authorized_at=now)


def _check_public(parameters: api.ConnectivityResourceParameters | None) -> None:
    if parameters is not None:
        raise not_implemented(
            "Private APIs are not implemented by Forebay: InvocationConnectivityParameters cannot be given."
        )
