"""Operations on messages: send, receive, delete, change visibility. Their batches are in `batches`."""

from collections.abc import Iterable

import msgspec

from forebay.api import sqs as api
from forebay.core.digests import md5_hex
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sqs import fifo, limits
from forebay.services.sqs import message as rules
from forebay.services.sqs.address import find_queue, url_key
from forebay.services.sqs.errors import invalid_value, missing_parameter
from forebay.services.sqs.fifo import sequence_number
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.queue import Queue
from forebay.services.sqs.receipt import Handle, format_handle, parse_handle
from forebay.services.sqs.receiving import find_sources, receive_command
from forebay.services.sqs.sending import begin_sending, draft_message
from forebay.services.sqs.throttle import FifoLimits
from forebay.services.sqs.waiting import WaitingRoom
from forebay.store.commands import (
    ChangeVisibility,
    DeleteMessages,
    PeekMessages,
    Receipt,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    VisibilityChange,
)


@operation
async def send_message(call: Call, request: api.SendMessageRequest) -> api.SendMessageResult:
    """Put one message on a queue."""
    queue = await find_queue(call, request.queue_url)
    if not request.message_body:
        raise missing_parameter("MessageBody")
    draft = draft_message(begin_sending(call, queue), request)
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "SendMessage", (request.message_group_id,))
    (sent,) = await call.run(SendMessages(queue.number, (draft.new,), queue.is_fifo))
    call.part(QueueMeasures).sent(queue, (draft.size_bytes,))
    return api.SendMessageResult(
        md5_of_message_body=draft.body_md5,
        md5_of_message_attributes=draft.attributes_md5,
        md5_of_message_system_attributes=draft.system_attributes_md5,
        # Of a duplicate, the one that came first.
        message_id=sent.message_id,
        sequence_number=sequence_number(sent.position) if queue.is_fifo else None,
    )


@operation
async def receive_message(call: Call, request: api.ReceiveMessageRequest) -> api.ReceiveMessageResult:
    """Take up to ten messages from a queue, hide them from other receivers, and wait for the first if asked to.

    Raises:
        OverLimit: 120,000 messages of the queue are in flight.
    """
    queue = await find_queue(call, request.queue_url)
    limit = check_receive(queue, request)
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "ReceiveMessage")
    system = [*(request.attribute_names or ()), *(request.message_system_attribute_names or ())]
    asked = rules.parse_asked(system, request.message_attribute_names)
    wait_seconds = queue.wait_seconds if request.wait_time_seconds is None else request.wait_time_seconds
    store, key = call.platform.store, url_key(call, request.queue_url)

    async def prepare() -> ReceiveMessages:
        hidden_seconds = request.visibility_timeout
        now = call.clock.now()
        command = await receive_command(store, key, now, limit, number=queue.number, visibility_seconds=hidden_seconds)
        attempt = request.receive_request_attempt_id
        return command if attempt is None else msgspec.structs.replace(command, attempt=attempt)

    received = await call.part(WaitingRoom).receive(queue.number, prepare, wait_seconds)
    call.part(QueueMeasures).received(queue, len(received.messages))
    if not queue.is_fifo:
        call.part(QueueMeasures).tenants.received(queue.number, received.messages, int(call.clock.now() * 1000))
    if received.is_over_limit:
        raise api.OverLimit(
            "Too many messages have been received without being deleted. "
            "Please delete your received messages or let them timeout before receiving more."
        )
    if not received.messages:
        return api.ReceiveMessageResult()
    sources = await find_sources(store, received.messages)
    # The same answer again has the same handles.
    received_at_ms = received.repeats_ms or int(call.clock.now() * 1000)
    messages = [show_message(queue, message, sources, asked, received_at_ms) for message in received.messages]
    return api.ReceiveMessageResult(messages=messages)


@operation
async def delete_message(call: Call, request: api.DeleteMessageRequest) -> None:
    """Delete a message by the handle of any of its receives; one that is gone already is as good as deleted.

    Raises:
        InvalidParameterValue: the queue is FIFO, and the message is visible again or was received once more.
    """
    queue = await find_queue(call, request.queue_url)
    if not request.receipt_handle:
        raise missing_parameter("ReceiptHandle")
    handle = parse_handle(request.receipt_handle, queue.number)
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "DeleteMessage")
    (is_deleted,) = await call.run(DeleteMessages(queue.number, (handle.receipt,), queue.is_fifo, call.now_ms))
    if queue.is_fifo and not is_deleted:
        await check_gone(call, queue, handle.receipt, request.receipt_handle)
    await count_time(call, queue, (handle.receipt,))
    # AWS counts calls that succeed, whether or not the message was still there.
    call.part(QueueMeasures).deleted(queue, 1)


@operation
async def change_message_visibility(call: Call, request: api.ChangeMessageVisibilityRequest) -> None:
    """Hide a message that is in flight for some seconds from now on; 0 makes it visible at once."""
    queue = await find_queue(call, request.queue_url)
    if not request.receipt_handle:
        raise missing_parameter("ReceiptHandle")
    change = visibility_change(call, queue, request)
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "ChangeMessageVisibility")
    (is_changed,) = await call.run(ChangeVisibility(queue.number, call.now_ms, (change,), queue.is_fifo))
    if not is_changed:
        await check_exists(call, queue, change, request.receipt_handle)


# --- shared with the batches ---


def check_receive(queue: Queue, request: api.ReceiveMessageRequest) -> int:
    """Check the numbers of a receive and return how many messages are wanted.

    Raises:
        InvalidParameterValue: one is out of its range.
    """
    wanted, wait, hidden = request.max_number_of_messages, request.wait_time_seconds, request.visibility_timeout
    if wanted is not None and not 1 <= wanted <= limits.RECEIVE_MESSAGES_MAX:
        raise invalid_value(wanted, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
    if wait is not None and not 0 <= wait <= limits.WAIT_SECONDS_MAX:
        raise invalid_value(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
    if hidden is not None and not 0 <= hidden <= limits.VISIBILITY_SECONDS_MAX:
        raise invalid_value(hidden, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
    attempt = request.receive_request_attempt_id
    if attempt is not None:
        if not queue.is_fifo:
            fifo.check_queue_type(attempt, "ReceiveRequestAttemptId")
        fifo.check_id(attempt, "ReceiveRequestAttemptId")
    return 1 if wanted is None else wanted


def show_message(
    queue: Queue, message: ReceivedMessage, sources: dict[int, str], asked: rules.Asked, received_at_ms: int
) -> api.Message:
    """Return a message as its receiver gets it: attributes only as far as they were asked for."""
    system: dict[str, str] = {}
    attributes: dict[str, rules.Attribute] = {}
    if asked is not rules.NOTHING_ASKED:
        envelope = rules.decode_envelope(message.attributes)
        source = None if message.dead_letter_source is None else sources.get(message.dead_letter_source)
        system = rules.system_attributes(message, envelope, source, asked, is_fifo=queue.is_fifo)
        attributes = rules.wanted_attributes(envelope, asked)
    return api.Message(
        message_id=message.message_id,
        receipt_handle=format_handle(queue.number, message.position, message.receive_count, received_at_ms),
        md5_of_body=md5_hex(message.body.encode()),
        body=message.body,
        attributes=system or None,
        md5_of_message_attributes=rules.attributes_digest(attributes) if attributes else None,
        message_attributes={name: rules.attribute_shape(attribute) for name, attribute in attributes.items()} or None,
    )


def visibility_change(
    call: Call, queue: Queue, given: api.ChangeMessageVisibilityRequest | api.ChangeMessageVisibilityBatchRequestEntry
) -> VisibilityChange:
    """Check a wish to change a message's visibility and return the change.

    Raises:
        ReceiptHandleIsInvalid: the handle is none of this queue's.
        InvalidParameterValue: the timeout is out of range, or together with the time since the receive above 12 hours.
    """
    handle = parse_handle(given.receipt_handle, queue.number)
    seconds = given.visibility_timeout or 0
    if not 0 <= seconds <= limits.VISIBILITY_SECONDS_MAX:
        raise invalid_value(seconds, "VisibilityTimeout", "Must be between 0 and 43200, if provided.")
    _check_total_visibility(handle, seconds, call.now_ms)
    return VisibilityChange(handle.receipt, call.now_ms + seconds * 1000)


def _check_total_visibility(handle: Handle, seconds: int, now_ms: int) -> None:
    # AWS counts the 12 hours from the receive that the handle is of (ChangeMessageVisibility, API reference).
    if seconds and now_ms + seconds * 1000 - handle.received_at_ms > limits.VISIBILITY_SECONDS_MAX * 1000:
        reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
        raise invalid_value(seconds, "VisibilityTimeout", reason)


async def check_exists(call: Call, queue: Queue, change: VisibilityChange, handle: str) -> None:
    """Check that a message whose visibility could not be changed is at least there.

    On a standard queue a message that has become visible again stays as it is, and the caller is told nothing, as by
    AWS.

    Raises:
        InvalidParameterValue: the message is gone, or on a FIFO queue the handle is not of its latest receive.
    """
    if not await _is_there(call, queue, change.receipt):
        reason = "Message does not exist or is not available for visibility timeout change."
        raise invalid_value(handle, "ReceiptHandle", reason)
    if queue.is_fifo:
        raise expired_handle(handle)


async def check_gone(call: Call, queue: Queue, receipt: Receipt, handle: str) -> None:
    """Check that a message of a FIFO queue which could not be deleted is gone.

    Raises:
        InvalidParameterValue: it is there, but visible again or received by someone else.
    """
    if await _is_there(call, queue, receipt):
        raise expired_handle(handle)


async def count_time(call: Call, queue: Queue, receipts: Iterable[Receipt]) -> None:
    """Count the consumers' time that deleted messages took, and call noisy whose they were if it is too much."""
    if queue.is_fifo:
        return
    noisy = call.part(QueueMeasures).tenants.deleted(queue.number, receipts, call.now_ms)
    if noisy is not None:
        await call.run(noisy)


def expired_handle(handle: str) -> ServiceError:
    """Return the answer to a FIFO queue's handle whose message is visible again or was received by someone else."""
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


async def _is_there(call: Call, queue: Queue, receipt: Receipt) -> bool:
    query = PeekMessages(queue.number, receipt.position - 1, 1)
    found = await call.query(query)
    return bool(found) and found[0].position == receipt.position
