"""Queues as sources: event source mappings and pipes read messages as the records that functions see."""

from collections.abc import Sequence
from typing import Any

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.digests import md5_hex
from forebay.delivery.contract import Source, SourceRecord
from forebay.services.sqs import message as rules
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.services.sqs.receipt import format_handle
from forebay.services.sqs.receiving import find_sources, receive_command
from forebay.services.sqs.waiting import WaitingRoom
from forebay.store.commands import DeleteMessages, Receipt, ReceivedMessage, ReceiveMessages
from forebay.store.contract import Store


class QueueSources:
    """Opens queues by ARN. A `SourceOpener`."""

    def __init__(self, store: Store, clock: Clock, waiting_room: WaitingRoom, measures: QueueMeasures) -> None:
        self._measures = measures
        self._store = store
        self._clock = clock
        self._waiting_room = waiting_room

    async def open(self, arn: Arn) -> Source | None:
        """Return the queue as a source, or None where there is none."""
        queue = await self._store.find(QUEUE, arn_key(arn))
        if queue is None:
            return None
        return QueueSource(self._store, self._clock, self._waiting_room, self._measures, queue)


class QueueSource:
    """One queue that a poller reads. A `Source`.

    Messages that are taken stay hidden for the queue's visibility timeout. Those that failed are left to it, as AWS
    leaves them: they become visible again when it ends.
    """

    def __init__(
        self, store: Store, clock: Clock, waiting_room: WaitingRoom, measures: QueueMeasures, queue: Queue
    ) -> None:
        self._measures = measures
        self._store = store
        self._clock = clock
        self._waiting_room = waiting_room
        self._queue = queue
        self._arn = queue.arn()
        self._key = arn_key(Arn.parse(self._arn))

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[SourceRecord]:
        """Take up to `limit` messages, which may be more than ten, waiting for the first.

        Raises:
            QueueDoesNotExist: the queue has been deleted.
        """
        number = self._queue.number

        async def prepare() -> ReceiveMessages:
            return await receive_command(self._store, self._key, self._clock.now(), limit, number=number)

        received = await self._waiting_room.receive(number, prepare, wait_seconds)
        self._measures.received(self._queue, len(received.messages))
        sources = await find_sources(self._store, received.messages)
        now_ms = int(self._clock.now() * 1000)
        if not self._queue.is_fifo:
            self._measures.tenants.received(number, received.messages, now_ms)
        return [self._record(message, sources, now_ms) for message in received.messages]

    async def settle(self, succeeded: Sequence[SourceRecord], failed: Sequence[SourceRecord]) -> None:  # noqa: ARG002 failed ones are left to their timeout
        """Delete the messages that succeeded."""
        receipts = tuple(record.token for record in succeeded if isinstance(record.token, Receipt))
        if receipts:
            now_ms = int(self._clock.now() * 1000)
            await self._store.submit((DeleteMessages(self._queue.number, receipts, self._queue.is_fifo, now_ms),))
            self._measures.deleted(self._queue, len(receipts))
            noisy = (
                None if self._queue.is_fifo else self._measures.tenants.deleted(self._queue.number, receipts, now_ms)
            )
            if noisy is not None:
                await self._store.submit((noisy,))

    def _record(self, message: ReceivedMessage, sources: dict[int, str], now_ms: int) -> SourceRecord:
        envelope = rules.decode_envelope(message.attributes)
        source = None if message.dead_letter_source is None else sources.get(message.dead_letter_source)
        data: dict[str, Any] = {
            "messageId": message.message_id,
            "receiptHandle": format_handle(self._queue.number, message.position, message.receive_count, now_ms),
            "body": message.body,
            "attributes": rules.system_attributes(
                message, envelope, source, rules.EVERYTHING_ASKED, is_fifo=self._queue.is_fifo
            ),
            "messageAttributes": {
                name: rules.function_attribute(attribute) for name, attribute in envelope.attributes.items()
            },
            "md5OfBody": md5_hex(message.body.encode()),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._queue.region,
        }
        if envelope.attributes:
            data["md5OfMessageAttributes"] = rules.attributes_digest(envelope.attributes)
        receipt = Receipt(message.position, message.receive_count)
        return SourceRecord(message.message_id, data, message.group, receipt)
