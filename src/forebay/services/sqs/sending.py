"""A message on its way in: what a sender gave, checked, and what is put into the store for it.

`SendMessage` and the entries of `SendMessageBatch` have the same members, so one function checks both.
"""

from collections.abc import Callable

import msgspec

from forebay.api import sqs as api
from forebay.core.digests import md5_hex
from forebay.operations.call import Call
from forebay.services.sqs import fifo
from forebay.services.sqs import message as rules
from forebay.services.sqs.queue import Queue
from forebay.store.commands import NewMessage

Given = api.SendMessageRequest | api.SendMessageBatchRequestEntry


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A message that is ready to be sent, its size as AWS counts it, and the digests that the sender is told."""

    new: NewMessage
    size_bytes: int
    body_md5: str
    attributes_md5: str | None
    system_attributes_md5: str | None


class Sending(msgspec.Struct, frozen=True, gc=False):
    """What all messages of one request have in common. `envelope` is of those without attributes."""

    queue: Queue
    sender: str
    trace_header: str | None
    envelope: bytes
    now_ms: int
    new_id: Callable[[], str]


class _Attached(msgspec.Struct, frozen=True, gc=False):
    """What a sender gave beside the body: as it is kept, what it adds to the size, its digests."""

    envelope: bytes
    size_bytes: int = 0
    attributes_md5: str | None = None
    system_attributes_md5: str | None = None


def begin_sending(call: Call, queue: Queue) -> Sending:
    """Return what the messages of a request to a queue have in common."""
    caller = call.caller
    sender = rules.sender_id(caller.principal, caller.account)
    envelope = rules.envelope_bytes(sender, caller.trace_header, {})
    return Sending(queue, sender, caller.trace_header, envelope, call.now_ms, call.ids.uuid)


def draft_message(sending: Sending, given: Given) -> Draft:
    """Check what a sender gave and make a message of it; the body is not empty.

    Raises:
        InvalidMessageContents, InvalidParameterValue, UnsupportedOperation: in AWS's words, see `message`.
    """
    queue = sending.queue
    data = rules.check_body(given.message_body)
    delay_seconds = queue.delay_seconds
    if given.delay_seconds is not None:
        rules.check_delay(given.delay_seconds)
        delay_seconds = given.delay_seconds
    if queue.is_fifo or given.message_deduplication_id is not None:
        _check_type(queue, given)
        delay_seconds = queue.delay_seconds
    if given.message_group_id is not None:
        rules.check_group(given.message_group_id)
    if given.message_attributes or given.message_system_attributes:
        attached = _attach(sending, given)
    else:
        attached = _Attached(sending.envelope)
    size_bytes = len(data) + attached.size_bytes
    if size_bytes > queue.message_bytes_max:
        rules.check_size(size_bytes, queue.message_bytes_max)
    now_ms = sending.now_ms
    new = NewMessage(
        sending.new_id(),
        given.message_body,
        attached.envelope,
        now_ms,
        now_ms + delay_seconds * 1000,
        now_ms + queue.retention_seconds * 1000,
        given.message_group_id,
    )
    if queue.is_fifo:
        new = deduplicated(queue, new, given.message_deduplication_id, data)
    return Draft(new, size_bytes, md5_hex(data), attached.attributes_md5, attached.system_attributes_md5)


def _attach(sending: Sending, given: Given) -> _Attached:
    """Check attributes and make what is kept of them."""
    trace_header = sending.trace_header
    attributes: dict[str, rules.Attribute] = {}
    attributes_md5 = system_md5 = None
    if given.message_attributes:
        attributes = rules.parse_attributes(given.message_attributes)
        attributes_md5 = rules.attributes_digest(attributes)
    if given.message_system_attributes:
        # They do not count towards the size (SendMessage, API reference).
        system = rules.parse_system_attributes(given.message_system_attributes)
        system_md5 = rules.attributes_digest(system)
        trace_header = system["AWSTraceHeader"].text
    envelope = rules.envelope_bytes(sending.sender, trace_header, attributes)
    return _Attached(envelope, rules.attributes_size(attributes), attributes_md5, system_md5)


def deduplicated(queue: Queue, new: NewMessage, identity: str | None, body: bytes) -> NewMessage:
    """Return a message to a FIFO queue with what tells it from its duplicates.

    Raises:
        InvalidParameterValue: it has no deduplication id, and the queue makes none from the body.
    """
    own = fifo.deduplication_of(queue, new.group or "", identity, body, new.sent_at_ms)
    return msgspec.structs.replace(
        new, deduplication=own.identity, deduplication_key=own.key, deduplication_until_ms=own.until_ms
    )


def _check_type(queue: Queue, given: Given) -> None:
    """Check what only FIFO queues take, and what they do not."""
    if not queue.is_fifo:
        fifo.check_queue_type(given.message_deduplication_id, "MessageDeduplicationId")
    fifo.check_group_given(given.message_group_id)
    if given.message_deduplication_id is not None:
        fifo.check_id(given.message_deduplication_id, "MessageDeduplicationId")
    if given.delay_seconds:
        # A delay of a FIFO queue's message is its queue's (SendMessage, API reference); 0 says nothing.
        fifo.check_queue_type(given.delay_seconds, "DelaySeconds")
