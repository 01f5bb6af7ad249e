"""Operations on subscriptions: subscribe, confirm, unsubscribe, list, attributes."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from forebay.api import sns as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sns import limits
from forebay.services.sns.archive import REPLAY_TIMER, ReplayPlace
from forebay.services.sns.archive_policy import Replay
from forebay.services.sns.confirmation import confirmation_delivery, farewell_delivery
from forebay.services.sns.delivery_policy import subscription_delivery_policy
from forebay.services.sns.errors import invalid_parameter, no_topic
from forebay.services.sns.pages import page
from forebay.services.sns.publisher import Publisher
from forebay.services.sns.subscription import (
    ENDED,
    ENDED_TIMER,
    HTTP,
    SUBSCRIPTION,
    Subscription,
    check_endpoint,
    check_new_attributes,
    check_takes_large,
    load_subscription,
    subscription_key,
    too_many_subscriptions,
    with_attribute,
)
from forebay.services.sns.topic import TOPIC, Topic, TopicAddress, load_topic
from forebay.store.commands import Command, DeleteTimers, PutTimers, Timer
from forebay.store.records import key_prefix, record_key

_TOKEN_DIGITS = 256


@operation
async def subscribe(call: Call, request: api.SubscribeInput) -> api.SubscribeResponse:
    """Subscribe an endpoint to a topic; the same endpoint again is the same subscription.

    Queues and functions of the caller's own account are subscribed at once, and so are phone numbers; the others must
    be confirmed with the token that they are sent, once more each time that they are subscribed.
    """
    address = TopicAddress.of(call, request.topic_arn)
    subscription = await call.transact(lambda inner: _subscribe(inner, address, request))
    if subscription.is_pending:
        delivery = await confirmation_delivery(subscription, call.part(Publisher), call.now)
        if delivery is not None:
            await call.submit(await call.deliveries.commands_for([delivery]))
    is_told = not subscription.is_pending or request.return_subscription_arn
    return api.SubscribeResponse(subscription_arn=subscription.arn() if is_told else "pending confirmation")


@operation
def confirm_subscription(call: Call, request: api.ConfirmSubscriptionInput) -> api.ConfirmSubscriptionResponse:
    """Confirm a pending subscription by the token that its endpoint was sent; again with the same token is no error."""
    address = TopicAddress.parse(request.topic_arn)
    if call.caller.access_key and address.region != call.region:
        # A link in a message bears no signature, and so no region of its own.
        raise invalid_parameter("Topic")
    load_topic(call, address)
    needs_authentication = (request.authenticate_on_unsubscribe or "").lower() == "true"
    if needs_authentication and not call.caller.access_key:
        raise api.AuthorizationErrorException("AuthenticateOnUnsubscribe requires authentication")
    for key, subscription in call.records.list(SUBSCRIPTION, key_prefix(address.key())):
        if not subscription.token or subscription.token != request.token:
            continue
        if subscription.is_pending:
            if call.now - subscription.created_at > limits.CONFIRMATION_SECONDS:
                break
            confirmed = replace(
                subscription,
                is_pending=False,
                needs_authentication=needs_authentication,
                was_authenticated=bool(call.caller.access_key),
            )
            call.records.put(SUBSCRIPTION, key, confirmed)
        return api.ConfirmSubscriptionResponse(subscription_arn=subscription.arn())
    restored = _restore(call, address, request.token)
    if restored is not None:
        return api.ConfirmSubscriptionResponse(subscription_arn=restored.arn())
    raise invalid_parameter("Token")


@operation
async def unsubscribe(call: Call, request: api.UnsubscribeInput) -> None:
    """End a subscription; one that is not there is no error.

    An HTTP endpoint is told, with a token by which it can take that back for two days.
    """
    key = subscription_key(request.subscription_arn)
    subscription = await call.look(lambda inner: inner.reader.find(SUBSCRIPTION, key))
    if subscription is None:
        return
    if subscription.needs_authentication and not call.caller.access_key:
        raise api.AuthorizationErrorException("Unsubscribing from this subscription requires authentication")
    ended = replace(subscription, token=call.ids.hex(_TOKEN_DIGITS))
    delivery = None if ended.is_pending else await farewell_delivery(ended, call.part(Publisher), call.now)
    commands = [] if delivery is None else await call.deliveries.commands_for([delivery])
    await call.transact(lambda inner: _unsubscribe(inner, ended, commands))


@operation(readonly=True)
def list_subscriptions(call: Call, request: api.ListSubscriptionsInput) -> api.ListSubscriptionsResponse:
    """List the subscriptions of the account's topics in the region."""
    found = [one for _, one in call.reader.list(SUBSCRIPTION, key_prefix(call.account, call.region))]
    shown, next_token = page(found, Subscription.key, request.next_token)
    return api.ListSubscriptionsResponse(subscriptions=[one.summary() for one in shown], next_token=next_token)


@operation(readonly=True)
def list_subscriptions_by_topic(
    call: Call, request: api.ListSubscriptionsByTopicInput
) -> api.ListSubscriptionsByTopicResponse:
    """List the subscriptions of a topic."""
    address = TopicAddress.of(call, request.topic_arn)
    load_topic(call, address)
    found = [one for _, one in call.reader.list(SUBSCRIPTION, key_prefix(address.key()))]
    shown, next_token = page(found, Subscription.key, request.next_token)
    return api.ListSubscriptionsByTopicResponse(subscriptions=[one.summary() for one in shown], next_token=next_token)


@operation(readonly=True)
def get_subscription_attributes(
    call: Call, request: api.GetSubscriptionAttributesInput
) -> api.GetSubscriptionAttributesResponse:
    """Return a subscription's attributes, those with AWS's defaults among them."""
    subscription = load_subscription(call, request.subscription_arn)
    topic = call.reader.find(TOPIC, subscription.topic.key())
    shown = {
        "SubscriptionArn": subscription.arn(),
        "TopicArn": subscription.topic.arn(),
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "Owner": subscription.owner,
        "SubscriptionPrincipal": subscription.principal,
        "PendingConfirmation": str(subscription.is_pending).lower(),
        "ConfirmationWasAuthenticated": str(not subscription.is_pending and subscription.was_authenticated).lower(),
        "RawMessageDelivery": "false",
        **subscription.attributes,
    }
    if "FilterPolicy" in shown:
        shown["FilterPolicyScope"] = subscription.scope
    if subscription.protocol in HTTP:
        topic_policy = topic.attributes.get("DeliveryPolicy") if topic else None
        own_policy = subscription.attributes.get("DeliveryPolicy")
        shown["EffectiveDeliveryPolicy"] = subscription_delivery_policy(topic_policy, own_policy)
    if subscription.replay is not None:
        shown["ReplayStatus"] = subscription.replay.status
    return api.GetSubscriptionAttributesResponse(attributes=shown)


@operation
def set_subscription_attributes(call: Call, request: api.SetSubscriptionAttributesInput) -> None:
    """Change one attribute of a subscription; an empty value takes it away."""
    subscription = load_subscription(call, request.subscription_arn)
    name, value = request.attribute_name, request.attribute_value or ""
    is_fifo = subscription.topic.name.endswith(".fifo")
    attributes = with_attribute(subscription.attributes, name, value, subscription.protocol, is_fifo=is_fifo)
    if name == "FilterPolicy" and value and "FilterPolicy" not in subscription.attributes:
        _check_filter_count(call, subscription.topic)
    subscription = replace(subscription, attributes=attributes)
    if name == "ReplayPolicy":
        subscription = _with_replay(call, subscription)
    call.records.put(SUBSCRIPTION, subscription.key(), subscription)


def _unsubscribe(call: Call, subscription: Subscription, farewell: Sequence[Command[Any]]) -> None:
    """Delete a subscription; with a farewell, it is kept aside under its token."""
    if not call.records.delete(SUBSCRIPTION, subscription.key()):
        return
    call.apply(DeleteTimers(REPLAY_TIMER, (subscription.key(),)))
    topic = call.records.find(TOPIC, subscription.topic.key())
    if topic is not None:
        counted = replace(topic, deleted_subscriptions=topic.deleted_subscriptions + 1)
        call.records.put(TOPIC, subscription.topic.key(), counted)
    if farewell:
        key = record_key(subscription.topic.key(), subscription.token)
        call.records.put(ENDED, key, replace(subscription, replay=None))
        until_ms = call.now_ms + limits.CONFIRMATION_SECONDS * 1000
        call.apply(PutTimers((Timer(ENDED_TIMER, key, until_ms, b""),)))
    for command in farewell:
        call.apply(command)


def _restore(call: Call, address: TopicAddress, token: str) -> Subscription | None:
    """Bring a subscription back that was ended, by the token of its farewell."""
    key = record_key(address.key(), token)
    ended = call.records.find(ENDED, key)
    if ended is None:
        return None
    call.records.delete(ENDED, key)
    call.apply(DeleteTimers(ENDED_TIMER, (key,)))
    call.records.put(SUBSCRIPTION, ended.key(), ended)
    return ended


def _subscribe(call: Call, address: TopicAddress, request: api.SubscribeInput) -> Subscription:
    """Return the subscription that a request asks for, which is made if it is not there."""
    topic = call.records.find(TOPIC, address.key())
    is_fifo = address.name.endswith(".fifo")
    endpoint = check_endpoint(request.protocol, request.endpoint, is_fifo=is_fifo)
    attributes = check_new_attributes(request.attributes or {}, request.protocol, is_fifo=is_fifo)
    if topic is None:
        raise no_topic()
    others = [one for _, one in call.records.list(SUBSCRIPTION, key_prefix(address.key()))]
    for other in others:
        if (other.protocol, other.endpoint) == (request.protocol, endpoint):
            if request.attributes and attributes != other.attributes:
                raise invalid_parameter("Attributes Reason: Subscription already exists with different attributes")
            if not other.is_pending:
                return other
            # The token is sent again, and valid as long as a new one.
            renewed = replace(other, created_at=call.now)
            call.records.put(SUBSCRIPTION, other.key(), renewed)
            return renewed
    _check_room(topic, request.protocol, len(others))
    if "FilterPolicy" in attributes:
        _check_filter_count(call, address)
    subscription = _new_subscription(call, topic, request.protocol, endpoint, attributes)
    if "ReplayPolicy" in attributes:
        subscription = _with_replay(call, subscription)
    call.records.put(SUBSCRIPTION, subscription.key(), subscription)
    return subscription


def _check_room(topic: Topic, protocol: str, count: int) -> None:
    """Check that a topic can have one more subscription."""
    if topic.is_fifo and count >= limits.FIFO_SUBSCRIPTIONS_MAX:
        raise too_many_subscriptions()
    if topic.message_bytes_max > limits.MESSAGE_BYTES_DEFAULT:
        check_takes_large(protocol)
        if count >= limits.LARGE_SUBSCRIPTIONS_MAX:
            raise too_many_subscriptions()


def _new_subscription(
    call: Call, topic: Topic, protocol: str, endpoint: str, attributes: dict[str, str]
) -> Subscription:
    is_pending = _needs_confirmation(call, protocol, endpoint)
    return Subscription(
        call.ids.uuid(),
        topic.address(),
        protocol,
        endpoint,
        call.account,
        call.caller.principal,
        call.now,
        attributes,
        is_pending=is_pending,
        token=call.ids.hex(_TOKEN_DIGITS) if is_pending else "",
    )


def _with_replay(call: Call, subscription: Subscription) -> Subscription:
    """Return a subscription whose replay policy was set or taken away: a new replay begins, or none is left.

    Raises:
        InvalidParameter: the topic has no archive, or none that goes back so far.
    """
    policy = subscription.attributes.get("ReplayPolicy")
    if policy is None:
        call.apply(DeleteTimers(REPLAY_TIMER, (subscription.key(),)))
        return replace(subscription, replay=None)
    topic = call.records.find(TOPIC, subscription.topic.key())
    if topic is None or topic.archive is None:
        raise invalid_parameter("ReplayPolicy: the topic has no ArchivePolicy")
    replay = Replay(call.ids.hex(16))
    place = msgspec.json.encode(ReplayPlace(replay.replay_id))
    call.apply(PutTimers((Timer(REPLAY_TIMER, subscription.key(), call.now_ms, place),)))
    return replace(subscription, replay=replay)


def _needs_confirmation(call: Call, protocol: str, endpoint: str) -> bool:
    if protocol in {"sqs", "lambda"}:
        return Arn.parse(endpoint).account != call.account
    return protocol != "sms"


def _check_filter_count(call: Call, address: TopicAddress) -> None:
    others = call.records.list(SUBSCRIPTION, key_prefix(address.key()))
    if sum("FilterPolicy" in one.attributes for _, one in others) >= limits.FILTER_POLICIES_PER_TOPIC_MAX:
        raise api.FilterPolicyLimitExceededException("The filter policy limit for this topic is exceeded")
