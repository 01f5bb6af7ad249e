"""What follows when a schedule's delivery has failed for good: its payload goes to the dead-letter queue."""

from collections.abc import Sequence

from msgspec.structs import replace

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, Settled
from forebay.delivery.dead_letters import dead_letter, failure_attributes
from forebay.services.scheduler.firing import ATTEMPT_NUMBER, EXECUTION_ID, SCHEDULED_TIME
from forebay.services.scheduler.schedule_target import render


class ScheduleSender:
    """Sends dead letters of schedules. A `Sender`."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the dead letter: what the target was last given, with attributes that say what went wrong."""
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return ()
        payload = render(delivery.payload, {ATTEMPT_NUMBER: str(max(delivery.attempts, 1))})
        of_schedule = {
            "EXECUTION_ID": delivery.parameters.get(EXECUTION_ID, ""),
            "IS_PAYLOAD_TRUNCATED": "false",
            "SCHEDULED_TIME": delivery.parameters.get(SCHEDULED_TIME, ""),
            "SCHEDULE_ARN": delivery.source,
        }
        attributes = failure_attributes(delivery, settled, of_schedule)
        letter = dead_letter(delivery, payload, attributes, letter_id=self._ids.uuid(), now=self._clock.now())
        return (replace(letter, group=None, deduplication=None),)
