"""Queues as targets: someone else's delivery becomes a message, in the sender's own commit."""

from functools import lru_cache

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, MessageAttribute, Outcome, Rejected
from forebay.services.sqs import limits
from forebay.services.sqs import message as rules
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.errors import invalid_parameter
from forebay.services.sqs.fifo import check_group_given
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.message import Attribute
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.services.sqs.sending import deduplicated
from forebay.store.commands import NewMessage, SendMessages
from forebay.store.contract import Store

# EventBridge's words in a dead letter's ERROR_CODE (user guide, "Using dead-letter queues").
_NO_RESOURCE = "NO_RESOURCE"
_INVALID_PARAMETER = "INVALID_PARAMETER"


class QueueTarget:
    """Puts deliveries on queues. A `Target`."""

    def __init__(self, store: Store, clock: Clock, measures: QueueMeasures) -> None:
        self._measures = measures
        self._store = store
        self._clock = clock

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Return the command that puts the delivery on its queue, or why it cannot be put there."""
        queue = await self._store.find(QUEUE, _key_of(delivery.target))
        if queue is None:
            return Rejected(_NO_RESOURCE, "The specified queue does not exist.")
        try:
            message = self._message(queue, delivery)
        except ServiceError as error:
            return Rejected(_INVALID_PARAMETER, error.message)
        return Accepted([SendMessages(queue.number, (message,), queue.is_fifo)])

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Put a delivery on its queue that was deferred, which this target itself never asks for."""
        taken = await self.accept(delivery)
        if not isinstance(taken, Accepted):
            assert isinstance(taken, Rejected)
            return taken
        await self._store.submit(taken.commands)
        return Delivered()

    def _message(self, queue: Queue, delivery: Delivery) -> NewMessage:
        if not delivery.payload:
            raise invalid_parameter("The request must contain the parameter MessageBody.")
        data = rules.check_body(delivery.payload)
        if len(delivery.attributes) > limits.MESSAGE_ATTRIBUTES_MAX:
            count = len(delivery.attributes)
            raise invalid_parameter(f"Number of message attributes [{count}] exceeds the allowed maximum [10].")
        size_bytes, attributes = len(data), dict[str, Attribute]()
        if delivery.attributes:
            attributes = {name: _attribute(given) for name, given in delivery.attributes.items()}
            size_bytes += rules.attributes_size(attributes)
        rules.check_size(size_bytes, queue.message_bytes_max)
        if queue.is_fifo:
            check_group_given(delivery.group)
        if delivery.group is not None:
            rules.check_group(delivery.group)
        now_ms = int(self._clock.now() * 1000)
        new = NewMessage(
            delivery.delivery_id,
            delivery.payload,
            rules.envelope_bytes(_sender_of(delivery.source), delivery.trace_header, attributes),
            now_ms,
            now_ms + queue.delay_seconds * 1000,
            now_ms + queue.retention_seconds * 1000,
            delivery.group,
        )
        if queue.is_fifo:
            new = deduplicated(queue, new, delivery.deduplication, data)
        self._measures.sent(queue, (size_bytes,))
        return new


# Taking an ARN apart costs as much as half the rest; senders have few targets.
@lru_cache(maxsize=4096)
def _key_of(target: str) -> str:
    return arn_key(Arn.parse(target))


@lru_cache(maxsize=4096)
def _sender_of(source: str) -> str:
    return rules.sender_id(source, Arn.parse(source).account)


def _attribute(given: MessageAttribute) -> Attribute:
    if given.binary_value is not None:
        return Attribute(given.data_type, None, given.binary_value)
    return Attribute(given.data_type, given.string_value or "")
