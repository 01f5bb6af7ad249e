"""Dead letters: what is left of a delivery that has failed for good, on its way to the sender's queue.

Every sender's letter is a delivery of its own, taken in the commit that settles the first one. What it says, and with
which attributes, is the sender's to choose; those that EventBridge and Scheduler share are made here.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from forebay.delivery.contract import Delivery, Exhausted, MessageAttribute, Rejected, RetryPolicy

# A queue takes its message in the commit that settles the delivery, or never.
_NO_RETRY = RetryPolicy(0, 0)


def dead_letter(
    delivery: Delivery, payload: str, attributes: Mapping[str, MessageAttribute], *, letter_id: str, now: float
) -> Delivery:
    """Return the delivery that takes a payload to the dead-letter queue of one that has failed."""
    assert delivery.dead_letter is not None, "callers ask first"
    return replace(
        delivery,
        delivery_id=letter_id,
        target=delivery.dead_letter,
        payload=payload,
        created_at=now,
        retry=_NO_RETRY,
        attributes=attributes,
        parameters={},
        dead_letter=None,
        attempts=0,
        last_code="",
        last_message="",
        throttle=None,
        turn_at=None,
        is_reported=False,
    )


def failure_attributes(
    delivery: Delivery, settled: Rejected | Exhausted, more: Mapping[str, str]
) -> dict[str, MessageAttribute]:
    """Return the attributes that say what went wrong; of `more`, those that are not empty.

    Source: EventBridge user guide, "Using dead-letter queues to process undelivered events" and "Configuring a
    dead-letter queue for EventBridge Scheduler".
    """
    texts = {
        **more,
        "TARGET_ARN": delivery.target,
        "ERROR_CODE": settled.code,
        "ERROR_MESSAGE": settled.message,
        "RETRY_ATTEMPTS": str(max(delivery.attempts - 1, 0)),
    }
    if isinstance(settled, Exhausted):
        texts["EXHAUSTED_RETRY_CONDITION"] = settled.condition
    return {name: MessageAttribute("String", text) for name, text in texts.items() if text}
