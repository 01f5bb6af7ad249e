"""The messages that ask an endpoint to confirm its subscription, and tell it of the end of one."""

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.services.sns import limits
from forebay.services.sns.message import format_time
from forebay.services.sns.publisher import CONFIRMATION, ENDPOINT, MESSAGE_ID, MESSAGE_TYPE, Publisher
from forebay.services.sns.signing import STRONG
from forebay.services.sns.subscription import HTTP, THROUGH_SUBSCRIPTION, Subscription

FAREWELL = "UnsubscribeConfirmation"
_RETRY = RetryPolicy(limits.CONFIRMATION_ATTEMPTS, limits.CONFIRMATION_SECONDS)


async def confirmation_delivery(subscription: Subscription, publisher: Publisher, now: float) -> Delivery | None:
    """Return the delivery that asks an endpoint to confirm, or None where there is no way to ask it."""
    text = (
        f"You have chosen to subscribe to the topic {subscription.topic.arn()}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )
    return await _delivery(subscription, publisher, now, CONFIRMATION, text)


async def farewell_delivery(subscription: Subscription, publisher: Publisher, now: float) -> Delivery | None:
    """Return the delivery that tells an HTTP endpoint that it was unsubscribed, and how to take that back."""
    if subscription.protocol not in HTTP:
        return None
    text = (
        f"You have chosen to deactivate subscription {subscription.arn()}.\n"
        "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
    )
    return await _delivery(subscription, publisher, now, FAREWELL, text)


async def _delivery(
    subscription: Subscription, publisher: Publisher, now: float, message_type: str, text: str
) -> Delivery | None:
    is_through = subscription.protocol in THROUGH_SUBSCRIPTION
    if not is_through and subscription.protocol != "sqs":
        return None
    message_id = publisher.new_id()
    topic_arn = subscription.topic.arn()
    members = {
        "Type": message_type,
        "MessageId": message_id,
        "Token": subscription.token,
        "TopicArn": topic_arn,
        "Message": text,
        "SubscribeURL": publisher.url(
            f"Action=ConfirmSubscription&TopicArn={quote(topic_arn, safe=':')}&Token={subscription.token}"
        ),
        "Timestamp": format_time(now),
    }
    signed = await publisher.sign(_text_to_sign(members), "1", STRONG)
    parameters = {MESSAGE_TYPE: message_type, MESSAGE_ID: message_id}
    if message_type == FAREWELL:
        # The subscription is not there any more when this is sent.
        parameters[ENDPOINT] = subscription.endpoint
    return Delivery(
        publisher.new_id(),
        subscription.arn(),
        subscription.arn() if is_through else subscription.endpoint,
        _document({**members, **signed}),
        now,
        _RETRY,
        message_id,
        parameters=parameters if is_through else {},
    )


def _text_to_sign(members: Mapping[str, str]) -> str:
    """Return what a confirmation's signature covers ("Verifying the signatures of Amazon SNS messages")."""
    names = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    return "".join(f"{name}\n{members[name]}\n" for name in names)


def _document(members: Mapping[str, str]) -> str:
    lines = [f'  "{name}" : {msgspec.json.encode(value).decode()}' for name, value in members.items()]
    return "{\n" + ",\n".join(lines) + "\n}"
