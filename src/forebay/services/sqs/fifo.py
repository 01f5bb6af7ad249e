"""The rules of FIFO queues: what makes two messages duplicates, sequence numbers, and what AWS refuses.

Source: the developer guide on FIFO queues ("Exactly-once processing", "Message deduplication ID") and the API
reference of SendMessage and ReceiveMessage.
"""

import re
from hashlib import sha256

import msgspec

from forebay.core.errors import ServiceError
from forebay.services.sqs import limits
from forebay.services.sqs.errors import invalid_parameter, invalid_value, missing_parameter
from forebay.services.sqs.queue import Queue

_ID = re.compile(r"[!-~]{1,128}")

# Sequence numbers have 20 digits and grow within a group; ours are positions in the store, so they grow everywhere.
_SEQUENCE_START = 18_800_000_000_000_000_000

# No group id can contain it.
_SEPARATOR = "\x1f"


class Deduplication(msgspec.Struct, frozen=True, gc=False):
    """A message's deduplication id, the key under which its queue remembers it, and until when."""

    identity: str
    key: str
    until_ms: int


def deduplication_of(queue: Queue, group: str, given: str | None, body: bytes, now_ms: int) -> Deduplication:
    """Return how a message to a FIFO queue is told from its duplicates: by its own id, else by its body's digest.

    Raises:
        InvalidParameterValue: there is no id, and the queue does not deduplicate by content.
    """
    if given is None:
        if not queue.content_deduplication:
            raise not_deduplicated()
        given = sha256(body).hexdigest()
    key = given if queue.deduplication_scope == "queue" else f"{group}{_SEPARATOR}{given}"
    return Deduplication(given, key, now_ms + limits.DEDUPLICATION_SECONDS * 1000)


def not_deduplicated() -> ServiceError:
    """Return the answer to a message without deduplication id where the queue makes none from the body."""
    return invalid_parameter(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )


def check_group_given(group: str | None) -> str:
    """Return the message group id, which every message to a FIFO queue has.

    Raises:
        MissingParameter: there is none.
    """
    if not group:
        raise missing_parameter("MessageGroupId")
    return group


def check_id(identity: str, parameter: str) -> None:
    """Check a deduplication id or a receive attempt's id.

    Raises:
        InvalidParameterValue: it is empty, too long or has characters that AWS refuses.
    """
    if _ID.fullmatch(identity) is None:
        reason = f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(identity, parameter, reason)


def check_queue_type(value: object, parameter: str) -> None:
    """Refuse a parameter that the queue's type does not have.

    Raises:
        InvalidParameterValue: always.
    """
    raise invalid_value(value, parameter, "The request include parameter that is not valid for this queue type.")


def sequence_number(position: int) -> str:
    """Return the sequence number of the message at a position."""
    return str(_SEQUENCE_START + position)
