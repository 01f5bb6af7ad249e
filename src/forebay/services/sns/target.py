"""Topics as targets: someone else's delivery becomes a message, in the sender's own commit."""

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected
from forebay.services.sns.endpoints import Endpoints
from forebay.services.sns.fifo import FifoPublisher
from forebay.services.sns.message import Entry, Publication
from forebay.services.sns.messages import new_publication
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.topic import TopicAddress
from forebay.services.sns.topic_index import LiveTopic, TopicIndex

# EventBridge's words in a dead letter's ERROR_CODE (user guide, "Using dead-letter queues").
_NO_RESOURCE = "NO_RESOURCE"
_INVALID_PARAMETER = "INVALID_PARAMETER"


class TopicTarget:
    """Publishes deliveries on topics, and sends messages to HTTP endpoints and mail addresses. A `Target`."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        index: TopicIndex,
        publisher: Publisher,
        fifo: FifoPublisher,
        endpoints: Endpoints,
    ) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._ids = ids
        self._index = index
        self._publisher = publisher
        self._fifo = fifo

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Return the commands by which a topic takes the delivery, its own subscriptions' deliveries among them."""
        if _is_endpoint(delivery):
            return await self._endpoints.accept(delivery)
        found = await self._find(delivery)
        if isinstance(found, Rejected):
            return found
        live, publication = found
        if live.topic.is_fifo:
            # Its order is that of its own commits.
            return Deferred()
        event_id = delivery.event_id or publication.message_id
        return Accepted(await self._publisher.commands_for(publication, live, event_id, delivery.trace_header))

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Post a delivery to an HTTP endpoint, or publish it on a FIFO topic (where a second time is recognised)."""
        if _is_endpoint(delivery):
            return await self._endpoints.deliver(delivery)
        found = await self._find(delivery)
        if isinstance(found, Rejected):
            return found
        live, publication = found
        await self._fifo.publish([publication], live, delivery.trace_header)
        return Delivered()

    async def _find(self, delivery: Delivery) -> tuple[LiveTopic, Publication] | Rejected:
        arn = Arn.parse(delivery.target)
        live = await self._index.find(TopicAddress(arn.account, arn.region, arn.resource))
        if live is None:
            return Rejected(_NO_RESOURCE, "Topic does not exist")
        is_fifo = live.topic.is_fifo
        entry = Entry(
            delivery.payload,
            message_group_id=delivery.group,
            message_deduplication_id=(delivery.deduplication or delivery.delivery_id) if is_fifo else None,
        )
        try:
            publication = new_publication(self._ids.uuid(), entry, live.topic, self._clock.now())
        except ServiceError as error:
            return Rejected(_INVALID_PARAMETER, error.message)
        return live, publication


def _is_endpoint(delivery: Delivery) -> bool:
    """Tell whether a delivery goes to a subscription's HTTP endpoint: its target has the subscription's id, too."""
    return ":" in Arn.parse(delivery.target).resource
