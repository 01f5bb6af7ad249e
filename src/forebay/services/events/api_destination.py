"""An API destination as it is kept: an HTTP endpoint that rules send events to."""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.store.records import Kind, record_key

RESOURCE = "api-destination/"


class ApiDestination(msgspec.Struct, frozen=True, kw_only=True):
    """One API destination. `unique` ends its ARN; `rate` is in requests a second."""

    account: str
    region: str
    name: str
    unique: str
    connection: str
    endpoint: str
    method: api.ApiDestinationHttpMethod
    rate: int
    created_at: float
    modified_at: float
    description: str | None = None

    def key(self) -> str:
        """Return the key of the destination's record."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the destination's ARN."""
        return str(Arn.of("events", self.region, self.account, f"{RESOURCE}{self.name}/{self.unique}"))


API_DESTINATION = Kind("events.api-destination", ApiDestination)


def api_destination_key(arn: Arn) -> str:
    """Return the key of the record of the destination that an ARN names."""
    return record_key(arn.account, arn.region, arn.resource.removeprefix(RESOURCE).split("/")[0])


def load_api_destination(call: Call, name: str) -> ApiDestination:
    """Return an API destination of the caller's account and region inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such destination.
    """
    destination = call.reader.find(API_DESTINATION, record_key(call.account, call.region, name))
    if destination is None:
        raise api.ResourceNotFoundException(
            f"Failed to describe the api-destination(s). An api-destination '{name}' does not exist."
        )
    return destination
