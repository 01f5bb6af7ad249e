"""What follows when a subscription's delivery has failed for good: the message goes to the subscription's queue."""

from collections.abc import Sequence

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, RetryPolicy, Settled

# A queue takes its message in the commit that settles the delivery, or never.
_NO_RETRY = RetryPolicy(0, 0)
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
        fits = len(delivery.attributes) <= _ATTRIBUTES_MAX
        letter = Delivery(
            self._ids.uuid(),
            delivery.source,
            delivery.dead_letter,
            delivery.payload,
            self._clock.now(),
            _NO_RETRY,
            delivery.event_id,
            delivery.trace_header,
            attributes=delivery.attributes if fits else {},
            group=delivery.group,
            deduplication=delivery.deduplication,
        )
        return (letter,)
