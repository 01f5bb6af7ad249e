"""HTTP endpoints: a message is posted to one, and what its answer means.

Source: "Sending Amazon SNS messages to HTTP/HTTPS endpoints" and "Amazon SNS message delivery retries".
"""

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forebay.core.clock import Clock
from forebay.delivery.contract import Delivered, Delivery, Outcome, Rejected, Retry
from forebay.delivery.rate import Places
from forebay.services.sns import limits
from forebay.services.sns.delivery_policy import effective_policy, retry_rules
from forebay.services.sns.publisher import CONFIRMATION, ENDPOINT, MESSAGE_ID, MESSAGE_TYPE, NOTIFICATION
from forebay.services.sns.subscription import SUBSCRIPTION, subscription_key
from forebay.services.sns.topic import TOPIC, TopicAddress
from forebay.store.contract import Store

if TYPE_CHECKING:
    import aiohttp

_TOO_MANY_REQUESTS = 429


class HttpEndpoints:
    """Connections to endpoints, shared by all subscriptions and opened when first needed."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._places = Places(limits.HTTP_IN_FLIGHT_MAX, limits.HTTP_SECONDS_MAX, limits.HTTP_BUSY_SECONDS_MAX)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, delivery: Delivery) -> Outcome:
        """Post a delivery to the endpoint of the subscription that is its target."""
        subscription = await self._store.find(SUBSCRIPTION, subscription_key(delivery.target))
        url = delivery.parameters.get(ENDPOINT, "" if subscription is None else subscription.endpoint)
        if not url:
            return Rejected("NO_RESOURCE", "Subscription does not exist")
        topic_arn = delivery.target.rpartition(":")[0]
        topic = await self._store.find(TOPIC, TopicAddress.parse(topic_arn).key())
        own, of_topic = (None if one is None else one.attributes.get("DeliveryPolicy") for one in (subscription, topic))
        policy = effective_policy(of_topic, own)
        is_raw = subscription is not None and subscription.is_raw
        wait_seconds = self._places.take(delivery.target, self._clock.now())
        if wait_seconds > 0:
            return Retry("Busy", "The endpoint has not answered earlier messages yet.", wait_seconds, counts=False)
        try:
            return await self._post(delivery, url, policy, _headers(delivery, topic_arn, policy, is_raw=is_raw))
        finally:
            self._places.leave(delivery.target)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(
        self, delivery: Delivery, url: str, policy: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Outcome:
        # As in API Gateway's integrations: loading takes a fifth of a second, for which no other request waits.
        if self._session is None:
            await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415 - see above

        session = self._open()
        try:
            async with (
                asyncio.timeout(limits.HTTP_SECONDS_MAX),
                session.post(url, data=delivery.payload.encode(), headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            return _later(delivery, policy, "Timeout", f"No answer within {limits.HTTP_SECONDS_MAX:g} s.")
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return _later(delivery, policy, "ConnectionFailed", f"Cannot reach the endpoint: {error}")
        return _outcome(delivery, policy, status)

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - see post

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limits.HTTP_CONNECTIONS_MAX),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept",),
                trust_env=False,
            )
        return self._session


def _headers(delivery: Delivery, topic_arn: str, policy: Mapping[str, Any], *, is_raw: bool) -> dict[str, str]:
    message_type = delivery.parameters.get(MESSAGE_TYPE, NOTIFICATION)
    headers = {
        "Content-Type": policy["requestPolicy"]["headerContentType"],
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": message_type,
        "x-amz-sns-message-id": delivery.parameters.get(MESSAGE_ID, ""),
        "x-amz-sns-topic-arn": topic_arn,
    }
    if message_type != CONFIRMATION:
        headers["x-amz-sns-subscription-arn"] = delivery.target
    if message_type == NOTIFICATION and is_raw:
        headers["x-amz-sns-rawdelivery"] = "true"
    return headers


def _outcome(delivery: Delivery, policy: Mapping[str, Any], status: int) -> Outcome:
    """Say what an answer means: an endpoint's own failure is tried again, a refusal is not (client-side error)."""
    if 200 <= status < 300:
        return Delivered()
    text = f"The endpoint answered {status}."
    if status >= 500 or status == _TOO_MANY_REQUESTS:
        return _later(delivery, policy, str(status), text)
    return Rejected(str(status), text)


def _later(delivery: Delivery, policy: Mapping[str, Any], code: str, text: str) -> Retry:
    # The attempt that failed is counted already: after the first one comes the first retry.
    return Retry(code, text, retry_rules(policy).delay_seconds(delivery.attempts))
