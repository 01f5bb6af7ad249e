"""A global endpoint as it is kept: two buses of the same name in two Regions, one of which gets what is sent to it.

Its health check is not asked: the primary Region, which is the endpoint's own, always counts as healthy.
"""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.events.bus import BusAddress
from forebay.store.records import Kind, record_key


class GlobalEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `endpoint_id` is what PutEvents is given."""

    account: str
    region: str
    name: str
    endpoint_id: str
    routing: api.RoutingConfig
    buses: tuple[str, ...]
    replicates: bool
    role: str | None
    created_at: float
    modified_at: float
    description: str | None = None

    def key(self) -> str:
        """Return the key of the endpoint's record."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the endpoint's ARN."""
        return str(Arn.of("events", self.region, self.account, f"endpoint/{self.name}"))

    def url(self) -> str:
        """Return the URL under which AWS would serve it."""
        return f"https://{self.endpoint_id}.endpoint.events.amazonaws.com"

    def addresses(self) -> list[BusAddress]:
        """Return the buses that get an event: the primary one, then the other where events are replicated."""
        addresses = [BusAddress.at(Arn.parse(arn)) for arn in self.buses]
        addresses.sort(key=lambda address: address.region != self.region)
        return addresses if self.replicates else addresses[:1]


ENDPOINT = Kind("events.endpoint", GlobalEndpoint)


def load_endpoint(call: Call, name: str) -> GlobalEndpoint:
    """Return an endpoint of the caller's account and region.

    Raises:
        ResourceNotFoundException: there is no such endpoint.
    """
    endpoint = call.reader.find(ENDPOINT, record_key(call.account, call.region, name))
    if endpoint is None:
        raise api.ResourceNotFoundException(f"Endpoint {name} does not exist.")
    return endpoint
