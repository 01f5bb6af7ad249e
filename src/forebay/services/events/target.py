"""What of EventBridge is a target: event buses, for events that rules of other buses send or other services make.

API destinations are apart, in `api_destination_target`.
"""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected, Target
from forebay.services.events.api_destination import RESOURCE
from forebay.services.events.bus import BUS, DEFAULT, BusAddress
from forebay.services.events.event import Event, Origin, forwarded_event, new_event, read_detail
from forebay.services.events.router import FORWARDED, Router
from forebay.store.contract import Store

# EventBridge's words in a dead letter's ERROR_CODE (user guide, "Using dead-letter queues").
_NO_RESOURCE = "NO_RESOURCE"
_INVALID_PARAMETER = "INVALID_PARAMETER"
_THIRD_REGION = "THIRD_REGION_HOP_DETECTED"
_THIRD_ACCOUNT = "THIRD_ACCOUNT_HOP_DETECTED"


class EventsTarget:
    """Hands each delivery to the target of the kind of resource that it goes to. A `Target`."""

    def __init__(self, buses: "BusTarget", api_destinations: Target) -> None:
        self._buses = buses
        self._api_destinations = api_destinations

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Say how the delivery is taken."""
        return await self._of(delivery).accept(delivery)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Hand over a delivery that was deferred."""
        return await self._of(delivery).deliver(delivery)

    def _of(self, delivery: Delivery) -> Target:
        is_destination = Arn.parse(delivery.target).resource.startswith(RESOURCE)
        return self._api_destinations if is_destination else self._buses


class BusTarget:
    """Puts deliveries on event buses. A `Target`.

    What a rule delivers is the event itself, which keeps its id, account and region. What another service delivers (a
    destination, a pipe) becomes the detail of a new event, with the delivery's parameters `Source`, `DetailType`,
    `Resources` (a JSON array) and `Time` (seconds since the epoch).
    """

    def __init__(self, store: Store, clock: Clock, ids: Ids, router: Router) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._router = router

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Return the commands by which the bus takes the event, its own rules' deliveries among them."""
        arn = Arn.parse(delivery.target)
        try:
            address = BusAddress.at(arn)
        except ValueError:
            return Rejected(_INVALID_PARAMETER, f"Forebay does not deliver to {delivery.target}.")
        if FORWARDED in delivery.parameters:
            # "EventBridge can't route events received from a sender event bus to a third event bus" (user guide).
            code = _THIRD_ACCOUNT if arn.region == delivery.region() else _THIRD_REGION
            return Rejected(code, "The event has come from another event bus already.")
        if address.name != DEFAULT and await self._store.find(BUS, address.key()) is None:
            return Rejected(_NO_RESOURCE, f"Event bus {address.name} does not exist.")
        event = self._event(delivery)
        if event is None:
            return Rejected(_INVALID_PARAMETER, "The payload is not an event.")
        return Accepted(await self._router.route(event, address))

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Put a delivery on its bus that was deferred, which this target itself never asks for."""
        taken = await self.accept(delivery)
        if not isinstance(taken, Accepted):
            assert isinstance(taken, Rejected)
            return taken
        await self._store.submit(taken.commands)
        return Delivered()

    def _event(self, delivery: Delivery) -> Event | None:
        now, given = self._clock.now(), delivery.parameters
        if Arn.parse(delivery.source).service == "events":
            return forwarded_event(delivery.payload, now, delivery.trace_header)
        detail = read_detail(delivery.payload)
        if detail is None or not given.get("Source") or not given.get("DetailType"):
            return None
        entry = api.PutEventsRequestEntry(
            source=given["Source"],
            detail_type=given["DetailType"],
            detail=delivery.payload,
            resources=msgspec.json.decode(given.get("Resources") or "[]", type=list[str]),
            trace_header=delivery.trace_header,
            time=float(given["Time"]) if "Time" in given else None,
        )
        origin = Origin(delivery.event_id or self._ids.uuid(), delivery.account(), delivery.region())
        return new_event(entry, detail, origin, now)
