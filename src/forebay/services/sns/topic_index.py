"""The subscriptions of each topic, their filters compiled: what a message is matched against without the store.

A topic is compiled when its first message comes, and kept up to date by the store's commits: before Subscribe has
answered, its subscription is here.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

import msgspec

from forebay.delivery.contract import Throttle
from forebay.languages.event_pattern import (
    SNS_ATTRIBUTES,
    SNS_PAYLOAD,
    Fields,
    Mismatch,
    Pattern,
    RuleSet,
    explain_fields,
)
from forebay.services.sns.filter_policy import BODY, attributes_document, body_document, compile_policy
from forebay.services.sns.message import Publication
from forebay.services.sns.subscription import SUBSCRIPTION, Subscription
from forebay.services.sns.topic import TOPIC, Topic, TopicAddress
from forebay.store.contract import Store, View
from forebay.store.records import key_parts, key_prefix, record_key

_encode = msgspec.json.Encoder().encode


class LiveSubscription(msgspec.Struct, frozen=True):
    """A confirmed subscription ready for messages; `pattern` None takes them all."""

    arn: str
    protocol: str
    endpoint: str
    is_raw: bool
    dead_letter: str | None
    delivery_policy: str | None
    scope: str
    pattern: Pattern | None
    # Of the URL that ends it.
    unsubscribe_query: str
    throttle: Throttle | None = None


class LiveTopic:
    """One topic and its confirmed subscriptions, by the keys of their records."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.subscriptions: dict[str, LiveSubscription] = {}
        # Keys of those that get archived messages at present, and new ones when that is over.
        self.replaying: set[str] = set()
        self._unfiltered: dict[str, LiveSubscription] = {}
        self._by_attributes: RuleSet[str] = RuleSet(SNS_ATTRIBUTES)
        self._by_body: RuleSet[str] = RuleSet(SNS_PAYLOAD)

    def put(self, key: str, subscription: Subscription) -> None:
        """Add a subscription, or replace it; one that is not confirmed gets nothing."""
        self.remove(key)
        if subscription.takes_new:
            self.add(key, compile_subscription(subscription))
        elif subscription.replay is not None and subscription.replay.is_under_way:
            self.replaying.add(key)

    def add(self, key: str, live: LiveSubscription) -> None:
        """Add a subscription that is ready for messages."""
        self.subscriptions[key] = live
        if live.pattern is None:
            self._unfiltered[key] = live
        else:
            (self._by_body if live.scope == BODY else self._by_attributes).add(key, live.pattern)

    def remove(self, key: str) -> None:
        """Forget a subscription."""
        self.replaying.discard(key)
        self.subscriptions.pop(key, None)
        self._unfiltered.pop(key, None)
        self._by_attributes.remove(key)
        self._by_body.remove(key)

    def see(self, publication: Publication) -> "Seen":
        """Return a message as far as the filters look at it, for `match` and `explain`."""
        attributes = body = None
        if len(self._by_attributes):
            attributes = self._by_attributes.fields_of(attributes_document(publication.attributes))
        if len(self._by_body) and (document := body_document(publication.bodies["default"])) is not None:
            body = self._by_body.fields_of(document)
        return Seen(attributes, body)

    def match(self, seen: "Seen") -> list[LiveSubscription]:
        """Return the subscriptions that want a message."""
        matched = list(self._unfiltered.values())
        if seen.attributes is not None:
            matched += [self.subscriptions[key] for key in self._by_attributes.match_fields(seen.attributes)]
        if seen.body is not None:
            matched += [self.subscriptions[key] for key in self._by_body.match_fields(seen.body)]
        return matched

    def explain(self, seen: "Seen", matched: Iterable[LiveSubscription], fields_max: int) -> list[tuple[str, str]]:
        """Return the ARNs of the other subscriptions, and why they do not want the message."""
        taken = {live.arn for live in matched}
        reasons: list[tuple[str, str]] = []
        for live in self.subscriptions.values():
            if live.pattern is None or live.arn in taken:
                continue
            fields = seen.body if live.scope == BODY else seen.attributes
            if fields is None:
                reasons.append((live.arn, "The message is not a JSON object."))
            else:
                differences = explain_fields(live.pattern, fields)[:fields_max]
                reasons.append((live.arn, "; ".join(map(_difference, differences))))
        return reasons


class Seen(msgspec.Struct, frozen=True):
    """A message as far as filters look at it; None where none looks there, or the body is no JSON object."""

    attributes: Fields | None
    body: Fields | None


def _difference(mismatch: Mismatch) -> str:
    found = ", ".join([_encode(value).decode() for value in mismatch.found]) or "nothing"
    return f"{mismatch.path}: expected {mismatch.expected}, found {found}"


class TopicIndex:
    """Finds topics ready for messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._topics: dict[str, LiveTopic] = {}
        # Counts changes, so that a topic is not compiled from subscriptions that changed meanwhile.
        self._changes = 0
        store.watch(TOPIC, self._topic_changed)
        store.watch(SUBSCRIPTION, self._subscription_changed)

    async def find(self, address: TopicAddress) -> LiveTopic | None:
        """Return a topic, or None where there is none."""
        key = address.key()
        return self._topics.get(key) or await self._compile(key)

    async def _compile(self, key: str) -> LiveTopic | None:
        def read(view: View) -> tuple[Topic | None, Sequence[tuple[str, Subscription]]]:
            return view.records.find(TOPIC, key), view.records.list(SUBSCRIPTION, key_prefix(key))

        while True:
            changes = self._changes
            topic, records = await self._store.view(read)
            if changes == self._changes:
                break
        if topic is None:
            return None
        live = self._topics[key] = LiveTopic(topic)
        for subscription_key, subscription in records:
            live.put(subscription_key, subscription)
        return live

    def _topic_changed(self, key: str, topic: Topic | None) -> None:
        self._changes += 1
        if topic is None:
            self._topics.pop(key, None)
        elif key in self._topics:
            self._topics[key].topic = topic

    def _subscription_changed(self, key: str, subscription: Subscription | None) -> None:
        self._changes += 1
        live = self._topics.get(record_key(*key_parts(key)[:-1]))
        if live is None:
            return
        if subscription is None:
            live.remove(key)
        else:
            live.put(key, subscription)


def compile_subscription(subscription: Subscription) -> LiveSubscription:
    """Return a subscription ready for messages."""
    policy = subscription.attributes.get("FilterPolicy")
    return LiveSubscription(
        subscription.arn(),
        subscription.protocol,
        subscription.endpoint,
        subscription.is_raw,
        subscription.dead_letter,
        subscription.attributes.get("DeliveryPolicy"),
        subscription.scope,
        compile_policy(policy, subscription.scope) if policy else None,
        f"Action=Unsubscribe&SubscriptionArn={quote(subscription.arn(), safe=':')}",
        subscription.throttle,
    )
