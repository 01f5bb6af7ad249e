"""API destinations as targets: events become HTTP requests, no more of them a second than a destination takes."""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.delivery.contract import Deferred, Delivery, Outcome, Rejected, Retry
from forebay.delivery.rate import Places, Rate
from forebay.operations.secret_box import SecretBox
from forebay.services.events import limits
from forebay.services.events.api_destination import API_DESTINATION, ApiDestination, api_destination_key
from forebay.services.events.authorizer import Tokens
from forebay.services.events.connection import CONNECTION, Connection, connection_key, unseal
from forebay.services.events.http_client import HttpClient, NoAnswer
from forebay.services.events.invocation import FAILURE, UNAUTHORIZED, invocation, outcome_of, unreachable
from forebay.services.events.rule_target import HTTP
from forebay.store.contract import Store

_NO_RESOURCE = "NO_RESOURCE"
_decode_parameters = msgspec.json.Decoder(api.HttpParameters).decode


class ApiDestinationTarget:
    """Sends deliveries to API destinations. A `Target`."""

    def __init__(self, store: Store, clock: Clock, client: HttpClient, tokens: Tokens, box: SecretBox) -> None:
        self._store = store
        self._clock = clock
        self._client = client
        self._tokens = tokens
        self._box = box
        self._rates: dict[str, Rate] = {}
        self._places = Places(limits.INVOCATIONS_IN_FLIGHT_MAX, limits.INVOCATION_SECONDS_MAX, limits.BUSY_SECONDS_MAX)

    async def accept(self, delivery: Delivery) -> Deferred | Rejected:
        """Say that a delivery goes to the outbox first, where there is such a destination."""
        destination = await self._find(delivery.target)
        return _missing(delivery.target) if destination is None else Deferred()

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Send the request, unless the destination has had as many as it takes for now."""
        destination = await self._find(delivery.target)
        if destination is None:
            return _missing(delivery.target)
        connection = await self._find_connection(destination)
        if connection is None or connection.parameters is None:
            return Rejected(FAILURE, "The API destination is inactive: its connection is not authorized.")
        now = self._clock.now()
        wait_seconds = self._places.take(delivery.target, now)
        if wait_seconds > 0:
            return Retry(FAILURE, "The API destination is busy.", wait_seconds, counts=False)
        try:
            wait_seconds = self._rates.setdefault(delivery.target, Rate()).wait_seconds(destination.rate, now)
            if wait_seconds > 0:
                return Retry(FAILURE, "The API destination's rate limit is reached.", wait_seconds, counts=False)
            return await self._invoke(delivery, destination, connection)
        except NoAnswer as failure:
            return unreachable(str(failure))
        finally:
            self._places.leave(delivery.target)

    async def _invoke(self, delivery: Delivery, destination: ApiDestination, connection: Connection) -> Outcome:
        connection = await unseal(self._box, connection)
        token = await self._tokens.find(connection)
        given = _decode_parameters(delivery.parameters.get(HTTP, "{}"))
        answer = await self._client.send(invocation(destination, connection, given, delivery.payload, token))
        if answer.status in UNAUTHORIZED:
            self._tokens.forget(connection)
        return outcome_of(answer, self._clock.now())

    async def _find(self, arn: str) -> ApiDestination | None:
        found = await self._store.find(API_DESTINATION, api_destination_key(Arn.parse(arn)))
        return found if found is not None and found.arn() == arn else None

    async def _find_connection(self, destination: ApiDestination) -> Connection | None:
        key = connection_key(destination.connection)
        found = None if key is None else await self._store.find(CONNECTION, key)
        return found if found is not None and found.arn() == destination.connection else None


def _missing(arn: str) -> Rejected:
    return Rejected(_NO_RESOURCE, f"API destination {arn} does not exist.")
