"""A subscription: what is kept of it, and the rules on its endpoint and attributes."""

import json
import math
import re
from typing import cast

import msgspec

from forebay.api import sns as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.delivery.contract import Throttle
from forebay.operations.call import Call
from forebay.services.sns import filter_policy
from forebay.services.sns.archive_policy import Replay, read_replay_policy
from forebay.services.sns.delivery_policy import check_subscription_delivery_policy
from forebay.services.sns.errors import invalid_parameter, invalid_within, no_subscription, not_implemented
from forebay.services.sns.topic import TopicAddress
from forebay.store.records import Kind, record_key

PROTOCOLS = ("http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose")
HTTP = frozenset({"http", "https"})
EMAIL = frozenset({"email", "email-json"})
# Those that are reached through their subscription, which knows how: deliveries have its ARN as their target.
THROUGH_SUBSCRIPTION = HTTP | EMAIL
_LARGE = frozenset({"sqs", "lambda", "firehose"})
_ABSENT = frozenset({"application", "firehose"})
_RAW = HTTP | {"sqs", "firehose"}
_FIFO = frozenset({"sqs"})
# Forebay's own: how many messages a second the endpoint gets, and how many at once.
PER_SECOND = "ForebayMaxPerSecond"
CONCURRENCY = "ForebayMaxConcurrency"
_NAMES = frozenset({
    "DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "ReplayPolicy",
    "SubscriptionRoleArn", PER_SECOND, CONCURRENCY,
})  # fmt: skip
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{4,20}")
_ID = re.compile(r"[0-9a-f-]{36}")


class Subscription(msgspec.Struct, frozen=True):
    """A subscription as it is kept; `attributes` are those that were set. `token` confirms it while it is pending."""

    subscription_id: str
    topic: TopicAddress
    protocol: str
    endpoint: str
    owner: str
    principal: str
    created_at: float
    attributes: dict[str, str] = {}
    is_pending: bool = False
    token: str = ""
    # Whether whoever confirmed it wants that only they can take it back.
    needs_authentication: bool = False
    was_authenticated: bool = True
    replay: Replay | None = None

    def key(self) -> str:
        """Return the key of its record."""
        return record_key(self.topic.account, self.topic.region, self.topic.name, self.subscription_id)

    def arn(self) -> str:
        """Return its ARN."""
        return f"{self.topic.arn()}:{self.subscription_id}"

    @property
    def is_raw(self) -> bool:
        """Whether the endpoint gets the message without an envelope."""
        return self.attributes.get("RawMessageDelivery") == "true"

    @property
    def dead_letter(self) -> str | None:
        """The queue that takes what cannot be delivered."""
        policy = self.attributes.get("RedrivePolicy")
        return json.loads(policy)["deadLetterTargetArn"] if policy else None

    @property
    def takes_new(self) -> bool:
        """Whether it gets what is published now: not while it is replaying, nor after a replay with an end."""
        if self.is_pending or (self.replay is not None and self.replay.is_under_way):
            return False
        is_over = self.replay is not None and self.replay.status == "Completed"
        policy = self.attributes.get("ReplayPolicy") if is_over else None
        return policy is None or read_replay_policy(policy).until_at is None

    @property
    def throttle(self) -> Throttle | None:
        """How many messages the endpoint gets at most."""
        per_second, concurrency = self.attributes.get(PER_SECOND), self.attributes.get(CONCURRENCY)
        if per_second is None and concurrency is None:
            return None
        return Throttle(
            None if per_second is None else float(per_second), None if concurrency is None else int(concurrency)
        )

    @property
    def scope(self) -> str:
        """What its filter policy looks at."""
        return self.attributes.get("FilterPolicyScope", filter_policy.ATTRIBUTES)

    def summary(self) -> api.Subscription:
        """Return it as lists show it."""
        return api.Subscription(
            subscription_arn="PendingConfirmation" if self.is_pending else self.arn(),
            owner=self.owner,
            protocol=self.protocol,
            endpoint=self.endpoint,
            topic_arn=self.topic.arn(),
        )


SUBSCRIPTION = Kind("sns.subscription", Subscription)
# Those that were ended and can be brought back, by topic and token; the timer ends that.
ENDED = Kind("sns.ended_subscription", Subscription)
ENDED_TIMER = "sns.ended_subscription"


def subscription_key(text: str) -> str:
    """Return the key of the record of a subscription by its ARN.

    Raises:
        InvalidParameter: the text is none.
    """
    elements = text.split(":")
    if len(elements) < 6:
        raise invalid_parameter(f"SubscriptionArn Reason: An ARN must have at least 6 elements, not {len(elements)}")
    if elements[0] != "arn" or elements[2] != "sns" or len(elements) > 7:
        raise invalid_parameter("SubscriptionArn")
    if len(elements) == 6 or not _ID.fullmatch(elements[6]):
        raise invalid_parameter("SubscriptionId")
    return record_key(elements[4], elements[3], elements[5], elements[6])


def load_subscription(call: Call, arn: str) -> Subscription:
    """Return a subscription.

    Raises:
        InvalidParameter: the ARN is none.
        NotFound: there is no such subscription.
    """
    subscription = call.reader.find(SUBSCRIPTION, subscription_key(arn))
    if subscription is None:
        raise no_subscription()
    return subscription


def check_endpoint(protocol: str, endpoint: str | None, *, is_fifo: bool) -> str:
    """Return the endpoint if a topic can send to it.

    Raises:
        InvalidParameter: the protocol is unknown, or the endpoint is none of its kind.
        NotImplemented: AWS has the protocol, this node has not.
    """
    if protocol not in PROTOCOLS:
        raise invalid_parameter(f"Amazon SNS does not support this protocol string: {protocol}")
    if protocol in _ABSENT:
        raise not_implemented(f"Subscriptions with protocol {protocol} are")
    if not endpoint:
        raise invalid_parameter("Endpoint")
    if is_fifo and protocol not in _FIFO:
        raise invalid_parameter(f"Invalid protocol type: {protocol}")
    if protocol == "sms" and not _PHONE.fullmatch(endpoint):
        # The one text that does not begin as all others.
        raise api.InvalidParameterException(f"Invalid SMS endpoint: {endpoint}")
    problem = _find_endpoint_problem(protocol, endpoint)
    if problem is not None:
        raise invalid_parameter(problem)
    if protocol == "sqs" and endpoint.endswith(".fifo") and not is_fifo:
        raise invalid_parameter(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
        )
    return endpoint


def check_takes_large(protocol: str) -> None:
    """Check that subscriptions of a protocol take messages above 256 KiB; AWS's text is not known.

    Raises:
        InvalidParameter: they do not.
    """
    if protocol not in _LARGE:
        raise invalid_parameter(
            f"MaximumMessageSize Reason: Protocol {protocol} does not support messages larger than 262144 bytes"
        )


def too_many_subscriptions() -> ServiceError:
    """Return the answer about one subscription too many."""
    return api.SubscriptionLimitExceededException("Subscription limit exceeded for this topic")


def check_new_attributes(attributes: dict[str, str], protocol: str, *, is_fifo: bool) -> dict[str, str]:
    """Return the attributes that Subscribe was given in the form in which they are kept.

    Raises:
        InvalidParameter: a name is unknown, or a value cannot be.
    """
    kept: dict[str, str] = {}
    # The scope says how the filter policy is read.
    for name in sorted(attributes, key=lambda name: name != "FilterPolicyScope"):
        if name not in _NAMES:
            raise invalid_parameter("Attributes Reason: Unknown attribute: " + name)
        try:
            kept = with_attribute(kept, name, attributes[name], protocol, is_fifo=is_fifo)
        except api.InvalidParameterException as refused:
            raise invalid_within("Attributes", refused) from None
    return kept


def with_attribute(
    attributes: dict[str, str], name: str, value: str, protocol: str, *, is_fifo: bool
) -> dict[str, str]:
    """Return attributes with one set, or taken away by an empty text.

    Raises:
        InvalidParameter: the name is unknown, or the value cannot be.
    """
    if name not in _NAMES:
        raise invalid_parameter("AttributeName")
    if value and name == "ReplayPolicy" and not is_fifo:
        raise invalid_parameter("ReplayPolicy: only supported by subscriptions of FIFO topics")
    if value and is_fifo and name in {PER_SECOND, CONCURRENCY}:
        raise invalid_parameter(f"{name}: FIFO topics keep the order of their messages")
    rest = {known: text for known, text in attributes.items() if known != name}
    if not value or (name in {"FilterPolicy", "ReplayPolicy"} and value.strip() == "{}"):
        return rest
    _check_value(rest, name, value, protocol)
    if name == "RedrivePolicy":
        _check_redrive(value, is_fifo=is_fifo)
    return {**rest, name: value.lower() if name == "RawMessageDelivery" else value}


def _check_value(rest: dict[str, str], name: str, value: str, protocol: str) -> None:
    match name:
        case "RawMessageDelivery":
            _check_raw(value, protocol)
        case "FilterPolicyScope":
            _check_scope(rest, value)
        case "FilterPolicy":
            scope = rest.get("FilterPolicyScope", filter_policy.ATTRIBUTES)
            if problem := filter_policy.find_problem(value, scope):
                raise invalid_parameter(f"FilterPolicy: {problem}")
        case "ForebayMaxPerSecond" | "ForebayMaxConcurrency":
            _check_positive(name, value, float if name == PER_SECOND else int)
        case "DeliveryPolicy":
            check_subscription_delivery_policy(value)
        case "ReplayPolicy":
            read_replay_policy(value)
        case _:
            pass


def _check_positive(name: str, value: str, kind: type[float | int]) -> None:
    try:
        number = kind(value)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise invalid_parameter(f"{name}: Invalid value [{value}]. Must be a number above 0.")


def _check_raw(value: str, protocol: str) -> None:
    if value.lower() not in {"true", "false"}:
        raise invalid_parameter(f"RawMessageDelivery: Invalid value [{value}]. Must be true or false.")
    if value.lower() == "true" and protocol not in _RAW:
        raise invalid_parameter(f"Delivery protocol [{protocol}] does not support raw message delivery.")


def _check_scope(rest: dict[str, str], value: str) -> None:
    if value not in {filter_policy.ATTRIBUTES, filter_policy.BODY}:
        raise invalid_parameter(
            f"FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes"
        )
    policy = rest.get("FilterPolicy")
    problem = filter_policy.find_problem(policy, value) if policy else None
    if problem:
        raise invalid_parameter(f"FilterPolicyScope: {problem}")


def _check_redrive(value: str, *, is_fifo: bool) -> None:
    try:
        document: object = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter("RedrivePolicy: failed to parse JSON.")
    policy = cast("dict[str, object]", document)
    unknown = next((name for name in policy if name != "deadLetterTargetArn"), None)
    if unknown is not None:
        raise invalid_parameter(f"RedrivePolicy: invalid JSON. Attribute {unknown} is unknown.")
    target = policy.get("deadLetterTargetArn")
    if not isinstance(target, str) or not _is_arn(target, "sqs", ""):
        raise invalid_parameter("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if is_fifo and not target.endswith(".fifo"):
        # The rule is documented ("Configuring a dead-letter queue"), the text is not.
        raise invalid_parameter("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO topic")


def _find_endpoint_problem(protocol: str, endpoint: str) -> str | None:
    match protocol:
        case "http" | "https":
            return None if endpoint.startswith(f"{protocol}://") else "Endpoint must match the specified protocol"
        case "sqs":
            return None if _is_arn(endpoint, "sqs", "") else "SQS endpoint ARN"
        case "lambda":
            return None if _is_arn(endpoint, "lambda", "function:") else "Lambda endpoint ARN"
        case "sms":
            return None
        case _:
            return None if _is_email(endpoint) else "Email address"


def _is_arn(text: str, service: str, prefix: str) -> bool:
    try:
        arn = Arn.parse(text)
    except ValueError:
        return False
    return arn.service == service and bool(arn.region) and bool(arn.account) and arn.resource.startswith(prefix)


def _is_email(text: str) -> bool:
    name, _, host = text.rpartition("@")
    return bool(name and host) and not any(character.isspace() for character in text)
