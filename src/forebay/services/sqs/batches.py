"""The batches of the operations on messages: up to ten entries, each with its own result, in one commit."""

from collections.abc import Mapping, Sequence

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sqs import fifo
from forebay.services.sqs.address import find_queue
from forebay.services.sqs.batch import check_entries, check_total, failed_entry
from forebay.services.sqs.errors import empty_value, invalid_parameter
from forebay.services.sqs.fifo import sequence_number
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.messages import check_exists, check_gone, count_time, expired_handle, visibility_change
from forebay.services.sqs.queue import Queue
from forebay.services.sqs.receipt import parse_handle
from forebay.services.sqs.sending import Draft, Sending, begin_sending, draft_message
from forebay.services.sqs.throttle import FifoLimits
from forebay.store.commands import (
    ChangeVisibility,
    DeleteMessages,
    Receipt,
    SendMessages,
    SentMessage,
    VisibilityChange,
)

Failures = list[api.BatchResultErrorEntry]


@operation
async def send_message_batch(call: Call, request: api.SendMessageBatchRequest) -> api.SendMessageBatchResult:
    """Put up to ten messages on a queue, in order; those that break a rule are left out and named."""
    queue = await find_queue(call, request.queue_url)
    check_entries(request.entries, "SendMessageBatchRequestEntry")
    if queue.is_fifo:
        _check_fifo(queue, request.entries)
    failed: Failures = []
    drafts: list[tuple[str, Draft]] = []
    size_bytes = 0
    sending = begin_sending(call, queue)
    for entry in request.entries:
        try:
            draft = _draft_entry(sending, entry)
        except ServiceError as error:
            failed.append(failed_entry(entry.id, error))
            size_bytes += len(entry.message_body.encode(errors="surrogatepass"))
        else:
            drafts.append((entry.id, draft))
            size_bytes += draft.size_bytes
    check_total(size_bytes)
    if queue.is_fifo:
        groups = [entry.message_group_id for entry in request.entries]
        call.part(FifoLimits).check(queue, "SendMessageBatch", groups)
    sent: Sequence[SentMessage] = ()
    if drafts:
        sent = await call.run(SendMessages(queue.number, tuple([draft.new for _, draft in drafts]), queue.is_fifo))
        call.part(QueueMeasures).sent(queue, [draft.size_bytes for _, draft in drafts])
    entries = [_sent_entry(queue, entry_id, draft, one) for (entry_id, draft), one in zip(drafts, sent, strict=True)]
    return api.SendMessageBatchResult(successful=entries or None, failed=failed or None)


@operation
async def delete_message_batch(call: Call, request: api.DeleteMessageBatchRequest) -> api.DeleteMessageBatchResult:
    """Delete up to ten messages by their handles."""
    queue = await find_queue(call, request.queue_url)
    check_entries(request.entries, "DeleteMessageBatchRequestEntry")
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "DeleteMessageBatch")
    failed: Failures = []
    receipts: dict[str, Receipt] = {}
    for entry in request.entries:
        try:
            receipts[entry.id] = parse_handle(entry.receipt_handle, queue.number).receipt
        except ServiceError as error:
            failed.append(failed_entry(entry.id, error))
    if receipts:
        command = DeleteMessages(queue.number, tuple(receipts.values()), queue.is_fifo, call.now_ms)
        results = await call.run(command)
        if queue.is_fifo:
            handles = {entry.id: entry.receipt_handle for entry in request.entries}
            failed += await _expired(call, queue, receipts, handles, results)
    await count_time(call, queue, receipts.values())
    call.part(QueueMeasures).deleted(queue, len(receipts))
    deleted = [api.DeleteMessageBatchResultEntry(id=entry_id) for entry_id in receipts]
    return api.DeleteMessageBatchResult(successful=deleted or None, failed=failed or None)


@operation
async def change_message_visibility_batch(
    call: Call, request: api.ChangeMessageVisibilityBatchRequest
) -> api.ChangeMessageVisibilityBatchResult:
    """Change the visibility of up to ten messages."""
    queue = await find_queue(call, request.queue_url)
    check_entries(request.entries, "ChangeMessageVisibilityBatchRequestEntry")
    if queue.is_fifo:
        call.part(FifoLimits).check(queue, "ChangeMessageVisibilityBatch")
    failed: Failures = []
    changes: dict[str, tuple[VisibilityChange, str]] = {}
    for entry in request.entries:
        try:
            changes[entry.id] = visibility_change(call, queue, entry), entry.receipt_handle
        except ServiceError as error:
            failed.append(failed_entry(entry.id, error))
    results = await _change(call, queue, [change for change, _ in changes.values()])
    changed: list[api.ChangeMessageVisibilityBatchResultEntry] = []
    for (entry_id, (change, handle)), is_changed in zip(changes.items(), results, strict=True):
        try:
            if not is_changed:
                await check_exists(call, queue, change, handle)
        except ServiceError as error:
            failed.append(failed_entry(entry_id, error))
        else:
            changed.append(api.ChangeMessageVisibilityBatchResultEntry(id=entry_id))
    return api.ChangeMessageVisibilityBatchResult(successful=changed or None, failed=failed or None)


async def _expired(
    call: Call, queue: Queue, receipts: dict[str, Receipt], handles: Mapping[str, str], results: Sequence[bool]
) -> Failures:
    """Return failures for those of a FIFO queue's messages that were still there, and take them out of `receipts`."""
    failed: Failures = []
    # What a later entry has deleted was there when its turn had come.
    deleted_later: set[int] = set()
    for (entry_id, receipt), is_deleted in reversed(list(zip(receipts.items(), results, strict=True))):
        if is_deleted:
            deleted_later.add(receipt.position)
            continue
        try:
            if receipt.position in deleted_later:
                raise expired_handle(handles[entry_id])
            await check_gone(call, queue, receipt, handles[entry_id])
        except ServiceError as error:
            failed.insert(0, failed_entry(entry_id, error))
            del receipts[entry_id]
    return failed


def _check_fifo(queue: Queue, entries: Sequence[api.SendMessageBatchRequestEntry]) -> None:
    """Check what every message to a FIFO queue needs; where one lacks it, AWS refuses the whole batch."""
    if not all(entry.message_group_id for entry in entries):
        # Not as MissingParameter, unlike in SendMessage.
        raise invalid_parameter("The request must contain the parameter MessageGroupId.")
    if not queue.content_deduplication and any(entry.message_deduplication_id is None for entry in entries):
        raise fifo.not_deduplicated()


def _draft_entry(sending: Sending, entry: api.SendMessageBatchRequestEntry) -> Draft:
    if not entry.message_body:
        raise empty_value("The request must contain the parameter MessageBody.")
    return draft_message(sending, entry)


def _sent_entry(queue: Queue, entry_id: str, draft: Draft, sent: SentMessage) -> api.SendMessageBatchResultEntry:
    return api.SendMessageBatchResultEntry(
        id=entry_id,
        message_id=sent.message_id,
        sequence_number=sequence_number(sent.position) if queue.is_fifo else None,
        md5_of_message_body=draft.body_md5,
        md5_of_message_attributes=draft.attributes_md5,
        md5_of_message_system_attributes=draft.system_attributes_md5,
    )


async def _change(call: Call, queue: Queue, changes: Sequence[VisibilityChange]) -> Sequence[bool]:
    if not changes:
        return ()
    return await call.run(ChangeVisibility(queue.number, call.now_ms, tuple(changes), queue.is_fifo))
