"""What follows when a rule's delivery has failed for good: the event goes to the target's dead-letter queue."""

from collections.abc import Sequence

from msgspec.structs import replace

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, Settled
from forebay.delivery.dead_letters import dead_letter, failure_attributes
from forebay.services.events.router import EVENT


class RuleSender:
    """Sends dead letters of rules. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: the event as it was, with attributes that say what went wrong."""
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return ()
        event = delivery.parameters.get(EVENT, delivery.payload)
        attributes = failure_attributes(delivery, settled, {"RULE_ARN": delivery.source})
        letter = dead_letter(delivery, event, attributes, letter_id=self._ids.uuid(), now=self._clock.now())
        # The group is the target's; a dead-letter queue of a rule is a standard one.
        return (replace(letter, group=None, deduplication=None),)
