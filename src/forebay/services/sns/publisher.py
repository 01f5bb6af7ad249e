"""From a message on a topic to what is committed for it: deliveries to the subscriptions that want it, and the trace.

Publish and topics that are targets both go through here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from forebay.api import sns as api
from forebay.core.arn import Arn
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, MessageAttribute, RetryPolicy, Throttle
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Paths, Step, Trace
from forebay.services.sns import limits
from forebay.services.sns.delivery_policy import effective_policy, retry_rules
from forebay.services.sns.message import Publication, envelope, function_event, json_text, text_to_sign
from forebay.services.sns.signing import FAST, STRONG, Signer
from forebay.services.sns.status_log import StatusLog
from forebay.services.sns.subscription import HTTP, THROUGH_SUBSCRIPTION
from forebay.services.sns.topic_index import LiveSubscription, LiveTopic, Seen
from forebay.store.commands import Command
from forebay.store.joining import join

CERTIFICATES = "certificates"
"""Where certificates are served: `/_aws/sns/certificates/<file name>`."""

# Parameters of a delivery to an HTTP endpoint that become headers.
MESSAGE_TYPE = "MessageType"
MESSAGE_ID = "MessageId"
# The URL of an endpoint whose subscription is not there any more.
ENDPOINT = "Endpoint"
NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"

_MANAGED = RetryPolicy(
    limits.MANAGED_ATTEMPTS, limits.MANAGED_AGE_SECONDS, backoff_seconds_max=limits.MANAGED_BACKOFF_SECONDS_MAX
)


class Publisher:
    """Turns messages into commands. Holds no state of its own."""

    def __init__(
        self,
        deliveries: Deliveries,
        ids: Ids,
        signer: Signer,
        endpoint: Callable[[], str],
        status_log: StatusLog,
        trace: Trace,
    ) -> None:
        self._deliveries = deliveries
        self._ids = ids
        self._signer = signer
        self._endpoint = endpoint
        self._status_log = status_log
        self._trace = trace

    async def commands_for(
        self, publication: Publication, live: LiveTopic, event_id: str, trace_header: str | None = None
    ) -> list[Command[Any]]:
        """Return the commands by which a topic's subscriptions take a message; `event_id` names it in the trace."""
        seen = live.see(publication)
        matched = live.match(seen)
        steps = self._steps_of(publication, seen, live, matched) if self._trace.is_on else ()
        return await self.send(publication, live, matched, event_id, trace_header, steps)

    async def send(
        self,
        publication: Publication,
        live: LiveTopic,
        matched: Sequence[LiveSubscription],
        event_id: str,
        trace_header: str | None = None,
        steps: Sequence[Step] = (),
    ) -> list[Command[Any]]:
        """Return the commands by which subscriptions take a message; its path begins with `steps`."""
        run = _Run(self, publication, live, event_id, trace_header)
        for bits in run.keys_for(matched):
            await self._signer.prepare(bits)
        deliveries = [run.delivery(subscription) for subscription in matched if subscription.protocol in _SENT]
        if _QUEUE_LOG in live.topic.attributes:
            deliveries += await self._logged(deliveries)
        paths = Paths(self._trace)
        paths.add(event_id, *steps)
        return join(await self._deliveries.commands_for(deliveries, paths))

    async def _logged(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Return the status log's entries about deliveries that queues take at once; others tell when they end."""
        at_once = [one for one in deliveries if one.throttle is None and Arn.parse(one.target).service == "sqs"]
        entries = [await self._status_log.entry(one, Delivered(), "sqs") for one in at_once]
        return [entry for entry in entries if entry is not None]

    async def sign(self, text: str, version: str, bits: int) -> Mapping[str, str]:
        """Return the members of a message's signature."""
        await self._signer.prepare(bits)
        return self.sign_at_once(text, version, bits)

    def sign_at_once(self, text: str, version: str, bits: int) -> Mapping[str, str]:
        """Return the members of a message's signature by a key that has been prepared."""
        signature, file_name = self._signer.sign(bits, text, version)
        url = f"{self._endpoint()}/_aws/sns/{CERTIFICATES}/{file_name}"
        return {"SignatureVersion": version, "Signature": signature, "SigningCertURL": url}

    def url(self, query: str) -> str:
        """Return the URL of an operation that needs no signature."""
        return f"{self._endpoint()}/?{query}&Version={_VERSION}"

    def new_id(self) -> str:
        """Return a fresh id for a delivery."""
        return self._ids.event_id()

    def _steps_of(
        self, publication: Publication, seen: Seen, live: LiveTopic, matched: Sequence[LiveSubscription]
    ) -> list[Step]:
        at = publication.at
        steps = [Step(at, "received", publication.topic_arn), *(Step(at, "matched", one.arn) for one in matched)]
        if len(matched) < len(live.subscriptions) <= limits.EXPLAINED_MAX:
            reasons = live.explain(seen, matched, limits.EXPLAINED_FIELDS_MAX)
            steps += [Step(at, "unmatched", arn, message=reason) for arn, reason in reasons]
        return steps


_QUEUE_LOG = "SQSSuccessFeedbackRoleArn"
_VERSION = api.MODEL.api_version
_UNSIGNED: Mapping[str, str] = {}
_SENT = THROUGH_SUBSCRIPTION | {"sqs", "lambda"}


class _Run:
    """One message on its way to several subscriptions: what they have in common is made once."""

    def __init__(
        self, publisher: Publisher, publication: Publication, live: LiveTopic, event_id: str, trace_header: str | None
    ) -> None:
        self._publisher = publisher
        self._publication = publication
        self._topic = live.topic
        self._event_id = event_id
        self._trace_header = trace_header
        # By the body, which may be a protocol's own, and the size of the key.
        self._signed: dict[tuple[str, int], Mapping[str, str]] = {}
        self._envelopes: dict[tuple[str, int], tuple[str, str]] = {}

    def delivery(self, subscription: LiveSubscription) -> Delivery:
        publication = self._publication
        to_fifo = subscription.protocol == "sqs" and subscription.endpoint.endswith(".fifo")
        # A FIFO topic's ids mean nothing to a standard queue; a standard topic's group is its fair queues' tenant.
        group = publication.group if to_fifo or not self._topic.is_fifo else None
        is_http = subscription.protocol in HTTP
        is_through = subscription.protocol in THROUGH_SUBSCRIPTION
        return Delivery(
            self._publisher.new_id(),
            subscription.arn,
            subscription.arn if is_through else subscription.endpoint,
            self._payload(subscription),
            publication.at,
            self._retry(subscription) if is_http else _MANAGED,
            self._event_id,
            self._trace_header,
            attributes=_raw_attributes(publication) if subscription.is_raw else {},
            group=group if subscription.protocol == "sqs" else None,
            deduplication=publication.deduplication if to_fifo else None,
            parameters={MESSAGE_ID: publication.message_id} if is_http else {},
            dead_letter=subscription.dead_letter,
            throttle=self._throttle(subscription),
        )

    def keys_for(self, subscriptions: Iterable[LiveSubscription]) -> set[int]:
        """Return the sizes of the keys that sign the message for subscriptions."""
        if self._topic.is_fifo:
            return set()
        return {_bits(one.protocol) for one in subscriptions if not one.is_raw}

    def _payload(self, subscription: LiveSubscription) -> str:
        publication, protocol = self._publication, subscription.protocol
        body = publication.body_for(protocol)
        if subscription.is_raw:
            return body
        unsubscribe_url = self._publisher.url(subscription.unsubscribe_query)
        if protocol == "lambda":
            signed = self._signature(body, protocol)
            return function_event(publication, body, signed, unsubscribe_url, subscription.arn)
        parts = self._envelopes.get((body, _bits(protocol)))
        if parts is None:
            signed = _UNSIGNED if self._topic.is_fifo else self._signature(body, protocol)
            parts = self._envelopes[body, _bits(protocol)] = envelope(publication, body, signed)
        return json_text(unsubscribe_url).join(parts)

    def _retry(self, subscription: LiveSubscription) -> RetryPolicy:
        policy = effective_policy(self._topic.attributes.get("DeliveryPolicy"), subscription.delivery_policy)
        # When it is tried again, the endpoint's rules say after each failure.
        return RetryPolicy(retry_rules(policy).num_retries, limits.MANAGED_AGE_SECONDS, 0.0, 0.0)

    def _throttle(self, subscription: LiveSubscription) -> Throttle | None:
        """Return the subscription's own limits; for an HTTP endpoint those of its throttle policy as well."""
        if subscription.protocol not in HTTP:
            return subscription.throttle
        policy = effective_policy(self._topic.attributes.get("DeliveryPolicy"), subscription.delivery_policy)
        given: Mapping[str, Any] = policy["throttlePolicy"] or {}
        per_second: float | None = given.get("maxReceivesPerSecond")
        if per_second is None or (subscription.throttle is not None and subscription.throttle.per_second is not None):
            return subscription.throttle
        return replace(subscription.throttle or Throttle(), per_second=float(per_second))

    def _signature(self, body: str, protocol: str) -> Mapping[str, str]:
        bits = _bits(protocol)
        found = self._signed.get((body, bits))
        if found is None:
            version = self._topic.attributes.get("SignatureVersion", "1")
            found = self._publisher.sign_at_once(text_to_sign(self._publication, body), version, bits)
            self._signed[body, bits] = found
        return found


def _bits(protocol: str) -> int:
    """Return the size of the key that signs what a protocol's endpoints get."""
    return STRONG if protocol in THROUGH_SUBSCRIPTION else FAST


def _raw_attributes(publication: Publication) -> dict[str, MessageAttribute]:
    return {
        name: MessageAttribute(value.data_type, value.string_value, value.binary_value)
        for name, value in publication.attributes.items()
    }
