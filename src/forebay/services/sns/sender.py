"""What follows when a subscription's delivery has found its end: the dead letter, and the entry in the status log."""

from collections.abc import Sequence

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, MessageAttribute, Settled
from forebay.delivery.dead_letters import dead_letter
from forebay.services.sns.publisher import MESSAGE_TYPE, NOTIFICATION
from forebay.services.sns.status_log import StatusLog

# More than a queue's message can have.
_ATTRIBUTES_MAX = 10


class SubscriptionSender:
    """Sends dead letters of subscriptions. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids, status_log: StatusLog) -> None:
        self._clock = clock
        self._ids = ids
        self._status_log = status_log

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: what the endpoint would have got, with the attributes of a raw message."""
        service = Arn.parse(delivery.target).service
        if service == "logs" or delivery.parameters.get(MESSAGE_TYPE, NOTIFICATION) != NOTIFICATION:
            return ()
        follow_ups: list[Delivery] = []
        if not isinstance(settled, Delivered) and delivery.dead_letter is not None:
            fits = len(delivery.attributes) <= _ATTRIBUTES_MAX
            attributes = delivery.attributes if fits else dict[str, MessageAttribute]()
            letter_id, now = self._ids.uuid(), self._clock.now()
            follow_ups.append(dead_letter(delivery, delivery.payload, attributes, letter_id=letter_id, now=now))
        # An endpoint that is reached through its subscription is an HTTP server or a mail address.
        protocol = "http" if service == "sns" else service
        entry = await self._status_log.entry(delivery, settled, protocol)
        return follow_ups if entry is None else [*follow_ups, entry]
