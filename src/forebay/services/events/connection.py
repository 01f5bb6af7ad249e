"""A connection as it is kept: how an API destination's requests are authorised."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.secret_box import SecretBox
from forebay.services.events.errors import not_implemented, validation_error
from forebay.store.records import Kind, record_key

_MEMBERS: Mapping[api.ConnectionAuthorizationType, str] = {
    "BASIC": "BasicAuthParameters",
    "API_KEY": "ApiKeyAuthParameters",
    "OAUTH_CLIENT_CREDENTIALS": "OAuthParameters",
}
_RESOURCE = "connection/"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. `unique` ends its ARN, `secret` that of its secret.

    In its record the secrets are left out of `parameters`, and all parameters are encrypted in `sealed`.
    """

    account: str
    region: str
    name: str
    unique: str
    secret: str
    type: api.ConnectionAuthorizationType
    # None once it has been deauthorised.
    parameters: api.CreateConnectionAuthRequestParameters | None
    state: api.ConnectionState
    created_at: float
    modified_at: float
    authorized_at: float | None = None
    description: str | None = None
    kms_key: str | None = None
    sealed: str | None = None
    state_reason: str | None = None

    def key(self) -> str:
        """Return the key of the connection's record."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the connection's ARN."""
        return str(Arn.of("events", self.region, self.account, f"{_RESOURCE}{self.name}/{self.unique}"))

    def secret_arn(self) -> str:
        """Return the ARN under which AWS shows the secret."""
        resource = f"secret:events!connection/{self.name}/{self.secret}"
        return str(Arn.of("secretsmanager", self.region, self.account, resource))


CONNECTION = Kind("events.connection", Connection)

_decode_parameters = msgspec.json.Decoder(api.CreateConnectionAuthRequestParameters).decode
# The model wants every secret to have at least one character.
_HIDDEN = "-"
_SECRETS = frozenset({"Password", "ApiKeyValue", "ClientSecret"})


async def seal(box: SecretBox, connection: Connection) -> Connection:
    """Return a connection as its record is: its secrets are encrypted."""
    if connection.parameters is None:
        return replace(connection, sealed=None)
    sealed = await box.seal(msgspec.json.encode(connection.parameters).decode())
    blank = _blank(msgspec.to_builtins(connection.parameters))
    parameters = msgspec.convert(blank, api.CreateConnectionAuthRequestParameters)
    return replace(connection, parameters=parameters, sealed=sealed)


async def unseal(box: SecretBox, connection: Connection) -> Connection:
    """Return a connection with its secrets."""
    if connection.sealed is None:
        return connection
    text = await box.open(connection.sealed)
    return replace(connection, parameters=_decode_parameters(text))


def connection_key(arn: str) -> str | None:
    """Return the key of the record of the connection that an ARN names, or None where it is of something else."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    parts = parsed.resource.split("/")
    if parsed.service != "events" or parts[0] != "connection" or len(parts) != 3:
        return None
    return record_key(parsed.account, parsed.region, parts[1])


def load_connection(call: Call, name: str) -> Connection:
    """Return a connection of the caller's account and region inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such connection.
    """
    connection = call.reader.find(CONNECTION, record_key(call.account, call.region, name))
    if connection is None:
        raise api.ResourceNotFoundException(
            f"Failed to describe the connection(s). Connection '{name}' does not exist."
        )
    return connection


def check_parameters(
    kind: api.ConnectionAuthorizationType, parameters: api.CreateConnectionAuthRequestParameters
) -> None:
    """Check that parameters are those of an authorization type, and of no other.

    Raises:
        ValidationException: they are another's, or there are none.
    """
    given = cast("dict[str, Any]", msgspec.to_builtins(parameters))
    if "ConnectivityParameters" in given:
        raise not_implemented("Private APIs are not implemented by Forebay: ConnectivityParameters cannot be given.")
    if [name for name in _MEMBERS.values() if name in given] != [_MEMBERS[kind]]:
        raise validation_error(
            f"Parameter AuthParameters is not valid. Reason: {_MEMBERS[kind]} and no others must be specified for"
            f" authorization type {kind}."
        )
    oauth = parameters.o_auth_parameters
    if oauth is not None:
        check_url(oauth.authorization_endpoint, "AuthorizationEndpoint")


def check_url(text: str, member: str) -> None:
    """Check the URL of an endpoint. AWS takes HTTPS only; a node also calls servers of its own network.

    Raises:
        ValidationException: it is none.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in {"http", "https"} or not rest.split("/")[0]:
        raise validation_error(f"Parameter {member} is not valid. Reason: It must be an HTTP or HTTPS URL.")


def merge_parameters(
    old: api.CreateConnectionAuthRequestParameters | None, new: api.UpdateConnectionAuthRequestParameters
) -> api.CreateConnectionAuthRequestParameters:
    """Return parameters with some of them changed; lists are replaced whole.

    Raises:
        ValidationException: what is left of them is not complete.
    """
    merged = _merged({} if old is None else msgspec.to_builtins(old), msgspec.to_builtins(new))
    try:
        return msgspec.convert(merged, api.CreateConnectionAuthRequestParameters)
    except msgspec.ValidationError as error:
        raise validation_error(f"Parameter AuthParameters is not valid. Reason: {error}") from None


def shown_parameters(connection: Connection) -> api.ConnectionAuthResponseParameters | None:
    """Return the parameters without their secrets, as DescribeConnection shows them."""
    if connection.parameters is None:
        return None
    # Members that the answer's shapes do not know (passwords, keys) are left out by converting.
    shown = _without_secrets(msgspec.to_builtins(connection.parameters))
    return msgspec.convert(shown, api.ConnectionAuthResponseParameters)


def _blank(value: Any) -> Any:
    """Return parameters with a mark in the place of each secret."""
    if isinstance(value, list):
        return [_blank(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    secrets = _SECRETS | ({"Value"} if members.get("IsValueSecret") is True else frozenset[str]())
    return {name: _HIDDEN if name in secrets else _blank(member) for name, member in members.items()}


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    both = cast("dict[str, Any]", {**old, **new})
    return {
        name: _merged(old[name], new[name]) if name in old and name in new else value for name, value in both.items()
    }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, Any]", value)
    is_secret = members.get("IsValueSecret") is True
    return {name: _without_secrets(member) for name, member in members.items() if not (is_secret and name == "Value")}
