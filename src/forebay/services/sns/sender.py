"""What follows when a subscription's delivery has failed for good: the message goes to the subscription's queue."""

from collections.abc import Sequence

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, Settled
from forebay.delivery.dead_letters import dead_letter

# More than a queue's message can have.
_ATTRIBUTES_MAX = 10


class SubscriptionSender:
    """Sends dead letters of subscriptions. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: what the endpoint would have got, with the attributes of a raw message."""
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return ()
        attributes = delivery.attributes if len(delivery.attributes) <= _ATTRIBUTES_MAX else {}
        letter_id, now = self._ids.uuid(), self._clock.now()
        return (dead_letter(delivery, delivery.payload, attributes, letter_id=letter_id, now=now),)
