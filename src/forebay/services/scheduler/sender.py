"""What follows when a schedule's delivery has failed for good: its payload goes to the dead-letter queue."""

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
from forebay.services.scheduler.firing import ATTEMPT_NUMBER, EXECUTION_ID, SCHEDULED_TIME
from forebay.services.scheduler.schedule_target import render

# A queue takes its message in the commit that settles the delivery, or never.
_NO_RETRY = RetryPolicy(0, 0)


class ScheduleSender:
    """Sends dead letters of schedules. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: what the target was last given, with attributes that say what went wrong."""
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return ()
        letter = Delivery(
            self._ids.uuid(),
            delivery.source,
            delivery.dead_letter,
            render(delivery.payload, {ATTEMPT_NUMBER: str(max(delivery.attempts, 1))}),
            self._clock.now(),
            _NO_RETRY,
            delivery.event_id,
            delivery.trace_header,
            attributes=_attributes(delivery, settled),
        )
        return (letter,)


def _attributes(delivery: Delivery, settled: Rejected | Exhausted) -> Mapping[str, MessageAttribute]:
    """Return the attributes of the user guide's "Configuring a dead-letter queue for EventBridge Scheduler"."""
    texts = {
        "ERROR_CODE": settled.code,
        "ERROR_MESSAGE": settled.message,
        "EXECUTION_ID": delivery.parameters.get(EXECUTION_ID, ""),
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": str(max(delivery.attempts - 1, 0)),
        "SCHEDULED_TIME": delivery.parameters.get(SCHEDULED_TIME, ""),
        "SCHEDULE_ARN": delivery.source,
        "TARGET_ARN": delivery.target,
    }
    if isinstance(settled, Exhausted):
        texts["EXHAUSTED_RETRY_CONDITION"] = settled.condition
    return {name: MessageAttribute("String", text) for name, text in texts.items() if text}
