"""What follows when a rule's delivery has found its end: records in the bus's log, and the dead letter."""

from collections.abc import Sequence

from msgspec.structs import replace

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, Settled
from forebay.delivery.dead_letters import dead_letter, failure_attributes
from forebay.services.events.bus_log import ended
from forebay.services.events.router import EVENT


class RuleSender:
    """Tells the log of a bus what became of deliveries, and sends dead letters of rules. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the records of the end, and the dead letter: the event, with attributes that say what went wrong."""
        records = ended(delivery, settled, self._clock.now(), self._ids)
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return records
        event = delivery.parameters.get(EVENT, delivery.payload)
        attributes = failure_attributes(delivery, settled, {"RULE_ARN": delivery.source})
        letter = dead_letter(delivery, event, attributes, letter_id=self._ids.uuid(), now=self._clock.now())
        # The group is the target's; a dead-letter queue of a rule is a standard one.
        return [*records, replace(letter, group=None, deduplication=None)]
