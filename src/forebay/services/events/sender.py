"""What follows when a rule's delivery has failed for good: the event goes to the target's dead-letter queue."""

from collections.abc import Mapping, Sequence

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import (
    Delivered,
    Delivery,
    Exhausted,
    MessageAttribute,
    Rejected,
    RetryPolicy,
    Settled,
)
from forebay.services.events.router import EVENT

# A queue takes its message in the commit that settles the delivery, or never.
_NO_RETRY = RetryPolicy(0, 0)


class RuleSender:
    """Sends dead letters of rules. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: the event as it was, with attributes that say what went wrong."""
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return ()
        letter = Delivery(
            self._ids.uuid(),
            delivery.source,
            delivery.dead_letter,
            delivery.parameters.get(EVENT, delivery.payload),
            self._clock.now(),
            _NO_RETRY,
            delivery.event_id,
            delivery.trace_header,
            attributes=_attributes(delivery, settled),
        )
        return (letter,)


def _attributes(delivery: Delivery, settled: Rejected | Exhausted) -> Mapping[str, MessageAttribute]:
    """Return the attributes of the user guide's "Using dead-letter queues to process undelivered events"."""
    texts = {
        "RULE_ARN": delivery.source,
        "TARGET_ARN": delivery.target,
        "ERROR_CODE": settled.code,
        "ERROR_MESSAGE": settled.message,
        "RETRY_ATTEMPTS": str(max(delivery.attempts - 1, 0)),
    }
    if isinstance(settled, Exhausted):
        texts["EXHAUSTED_RETRY_CONDITION"] = settled.condition
    return {name: MessageAttribute("String", text) for name, text in texts.items() if text}
