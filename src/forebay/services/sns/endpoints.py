"""Endpoints that are reached through their subscription, which knows how: HTTP servers and mail addresses."""

from forebay.delivery.contract import Accepted, Deferred, Delivery, Outcome, Rejected
from forebay.services.sns.http_endpoint import HttpEndpoints
from forebay.services.sns.mailer import Mailer
from forebay.services.sns.subscription import EMAIL, SUBSCRIPTION, Subscription, subscription_key
from forebay.services.sns.topic import TOPIC, Topic
from forebay.store.contract import Store


class Endpoints:
    """Hands deliveries whose target is a subscription to its endpoint. A `Target`."""

    def __init__(self, store: Store, http: HttpEndpoints, mailer: Mailer) -> None:
        self._store = store
        self._http = http
        self._mailer = mailer

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Put a mail into the outbox at once, and everything else off until it can be sent."""
        found = await self._find_mail_subscription(delivery)
        return Deferred() if found is None else await self._mailer.accept(delivery, *found)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Post or mail a delivery."""
        found = await self._find_mail_subscription(delivery)
        if found is None:
            return await self._http.post(delivery)
        return await self._mailer.deliver(delivery, *found)

    async def _find_mail_subscription(self, delivery: Delivery) -> tuple[Subscription, Topic] | None:
        """Return the subscription that is a delivery's target if it is one of a mail address."""
        subscription = await self._store.find(SUBSCRIPTION, subscription_key(delivery.target))
        if subscription is None or subscription.protocol not in EMAIL:
            return None
        topic = await self._store.find(TOPIC, subscription.topic.key())
        return None if topic is None else (subscription, topic)
