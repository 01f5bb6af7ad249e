"""Operations on messages: publish, one or a batch."""

from collections.abc import Sequence
from typing import Any

from forebay.api import sns as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns import limits
from forebay.services.sns.errors import invalid_parameter, no_topic, not_implemented
from forebay.services.sns.fifo import FifoPublisher
from forebay.services.sns.message import Entry, Publication, check_batch_id, check_entry, read_bodies
from forebay.services.sns.phone_numbers import check_phone_number
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.topic import Topic, TopicAddress
from forebay.services.sns.topic_index import LiveTopic, TopicIndex
from forebay.store.commands import Command


@operation
async def publish(call: Call, request: api.PublishInput) -> api.PublishResponse:
    """Send a message to the subscriptions of a topic that want it, in one commit."""
    address = _address(call, request)
    entry = Entry(
        request.message,
        request.subject,
        request.message_structure,
        request.message_attributes or {},
        request.message_group_id,
        request.message_deduplication_id,
    )
    live = await _find(call, address)
    publication = new_publication(call.ids.event_id(), entry, live.topic, call.now)
    if live.topic.is_fifo:
        (sent,) = await call.part(FifoPublisher).publish([publication], live)
        return api.PublishResponse(message_id=sent.message_id, sequence_number=sent.sequence_number)
    commands = await _commands(call, publication, live)
    if commands:
        await call.submit(commands)
    return api.PublishResponse(message_id=publication.message_id)


@operation
async def publish_batch(call: Call, request: api.PublishBatchInput) -> api.PublishBatchResponse:
    """Send up to ten messages in one commit; those that are not as they must be are answered as failed."""
    address = TopicAddress.of(call, request.topic_arn)
    entries = request.publish_batch_request_entries
    _check_batch([one.id for one in entries])
    live = await _find(call, address)
    failed: list[api.BatchResultErrorEntry] = []
    taken: list[tuple[str, Publication]] = []
    given = [(one.id, _entry(one)) for one in entries]
    if sum(entry.size_bytes() for _, entry in given) > live.topic.message_bytes_max:
        raise api.BatchRequestTooLongException("The length of all the messages put together is more than the limit.")
    for entry_id, entry in given:
        try:
            taken.append((entry_id, new_publication(call.ids.event_id(), entry, live.topic, call.now)))
        except ServiceError as error:
            failed.append(
                api.BatchResultErrorEntry(id=entry_id, code=error.code, message=error.message, sender_fault=True)
            )
    sent = await _send(call, [publication for _, publication in taken], live)
    successful = [
        api.PublishBatchResultEntry(id=entry_id, message_id=one.message_id, sequence_number=one.sequence_number)
        for (entry_id, _), one in zip(taken, sent, strict=True)
    ]
    return api.PublishBatchResponse(successful=successful, failed=failed)


def new_publication(message_id: str, entry: Entry, topic: Topic, now: float) -> Publication:
    """Return what a publisher gives as a message on its way.

    Raises:
        InvalidParameter, ParameterValueInvalid: it is not as it must be.
    """
    if not entry.message:
        raise invalid_parameter("Empty message")
    check_entry(entry, topic)
    return Publication(
        message_id,
        topic.address().arn(),
        now,
        read_bodies(entry),
        entry.subject,
        entry.message_attributes,
        entry.message_group_id,
        entry.message_deduplication_id,
    )


async def _send(call: Call, publications: Sequence[Publication], live: LiveTopic) -> Sequence[Publication]:
    if live.topic.is_fifo:
        return await call.part(FifoPublisher).publish(publications, live)
    commands = [command for one in publications for command in await _commands(call, one, live)]
    if commands:
        await call.submit(commands)
    return publications


async def _commands(call: Call, publication: Publication, live: LiveTopic) -> list[Command[Any]]:
    publisher = call.part(Publisher)
    return await publisher.commands_for(publication, live, publication.message_id, call.caller.trace_header)


async def _find(call: Call, address: TopicAddress) -> LiveTopic:
    live = await call.part(TopicIndex).find(address)
    if live is None:
        raise no_topic()
    return live


def _address(call: Call, request: api.PublishInput) -> TopicAddress:
    """Return the topic that a request names as a topic or as a target."""
    given = [one for one in (request.topic_arn, request.target_arn, request.phone_number) if one]
    if not given:
        raise invalid_parameter("TopicArn or TargetArn Reason: no value for required parameter")
    if len(given) > 1:
        raise invalid_parameter("TopicArn or TargetArn or PhoneNumber Reason: only one of them can be given")
    if request.phone_number:
        check_phone_number(request.phone_number)
        raise not_implemented("Messages to phone numbers are")
    arn = request.topic_arn or request.target_arn or ""
    if ":endpoint/" in arn:
        raise not_implemented("Messages to mobile push endpoints are")
    return TopicAddress.of(call, arn, "TopicArn" if request.topic_arn else "TargetArn")


def _entry(given: api.PublishBatchRequestEntry) -> Entry:
    return Entry(
        given.message,
        given.subject,
        given.message_structure,
        given.message_attributes or {},
        given.message_group_id,
        given.message_deduplication_id,
    )


def _check_batch(ids: Sequence[str]) -> None:
    if not ids:
        raise api.EmptyBatchRequestException("The batch request doesn't contain any entries.")
    if len(ids) > limits.BATCH_ENTRIES_MAX:
        raise api.TooManyEntriesInBatchRequestException("The batch request contains more entries than permissible.")
    if len(set(ids)) < len(ids):
        raise api.BatchEntryIdsNotDistinctException("Two or more batch entries in the request have the same Id.")
    if not all(map(check_batch_id, ids)):
        raise api.InvalidBatchEntryIdException(
            "The Id of a batch entry in a batch request doesn't abide by the specification."
        )
