"""The message that asks an endpoint to confirm its subscription."""

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.services.sns import limits
from forebay.services.sns.message import format_time
from forebay.services.sns.publisher import MESSAGE_ID, MESSAGE_TYPE, Publisher
from forebay.services.sns.signing import STRONG
from forebay.services.sns.subscription import HTTP, Subscription

CONFIRMATION = "SubscriptionConfirmation"
_RETRY = RetryPolicy(limits.CONFIRMATION_ATTEMPTS, limits.CONFIRMATION_SECONDS)


async def confirmation_delivery(subscription: Subscription, publisher: Publisher, now: float) -> Delivery | None:
    """Return the delivery that asks an endpoint to confirm, or None where there is no way to ask it."""
    is_http = subscription.protocol in HTTP
    if not is_http and subscription.protocol != "sqs":
        return None
    message_id = publisher.new_id()
    topic_arn = subscription.topic.arn()
    members = {
        "Type": CONFIRMATION,
        "MessageId": message_id,
        "Token": subscription.token,
        "TopicArn": topic_arn,
        "Message": (
            f"You have chosen to subscribe to the topic {topic_arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message."
        ),
        "SubscribeURL": publisher.url(
            f"Action=ConfirmSubscription&TopicArn={quote(topic_arn, safe=':')}&Token={subscription.token}"
        ),
        "Timestamp": format_time(now),
    }
    signed = await publisher.sign(_text_to_sign(members), "1", STRONG)
    return Delivery(
        publisher.new_id(),
        subscription.arn(),
        subscription.arn() if is_http else subscription.endpoint,
        _document({**members, **signed}),
        now,
        _RETRY,
        message_id,
        parameters={MESSAGE_TYPE: CONFIRMATION, MESSAGE_ID: message_id} if is_http else {},
    )


def _text_to_sign(members: Mapping[str, str]) -> str:
    """Return what a confirmation's signature covers ("Verifying the signatures of Amazon SNS messages")."""
    names = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    return "".join(f"{name}\n{members[name]}\n" for name in names)


def _document(members: Mapping[str, str]) -> str:
    lines = [f'  "{name}" : {msgspec.json.encode(value).decode()}' for name, value in members.items()]
    return "{\n" + ",\n".join(lines) + "\n}"
