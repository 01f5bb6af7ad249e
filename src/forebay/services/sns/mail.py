"""Mails of topics: what subscribers of the protocols email and email-json get. Pure.

Source: developer guide, "Subscribing an email address to an Amazon SNS topic".
"""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from urllib.parse import urlencode

import msgspec

from forebay.services.sns.outbox import OutboxMessage
from forebay.services.sns.subscription import Subscription
from forebay.services.sns.topic import Topic

SUBJECT = "AWS Notification Message"
CONFIRMATION_SUBJECT = "AWS Notification - Subscription Confirmation"


class Envelope(msgspec.Struct, frozen=True, rename="pascal"):
    """What a mail says of a notification or a confirmation, as HTTP endpoints get it."""

    type: str
    message: str
    message_id: str
    subject: str | None = None
    subscribe_url: str | None = msgspec.field(default=None, name="SubscribeURL")
    unsubscribe_url: str | None = msgspec.field(default=None, name="UnsubscribeURL")


_decode = msgspec.json.Decoder(Envelope).decode


def compose(payload: str, subscription: Subscription, topic: Topic, sender: str, now: float) -> OutboxMessage:
    """Return the mail for a payload, which is the JSON document that an HTTP endpoint would get."""
    envelope = _decode(payload)
    if envelope.type == "SubscriptionConfirmation":
        subject, text = CONFIRMATION_SUBJECT, _confirmation(topic, envelope)
    else:
        subject, text = envelope.subject or SUBJECT, _notification(subscription, topic, envelope)
    return OutboxMessage(
        envelope.message_id,
        now,
        "email",
        subscription.endpoint,
        formataddr((topic.attributes.get("DisplayName") or "AWS Notifications", sender)),
        subject,
        payload if subscription.protocol == "email-json" else text,
        topic.address().arn(),
    )


def as_email(message: OutboxMessage) -> EmailMessage:
    """Return a message in the form in which SMTP servers take it."""
    mail = EmailMessage()
    mail["From"] = message.sender
    mail["To"] = message.to
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
    mail["Message-ID"] = f"<{message.message_id}@sns.forebay>"
    mail.set_content(message.text)
    return mail


def _notification(subscription: Subscription, topic: Topic, envelope: Envelope) -> str:
    query = urlencode({"SubscriptionArn": subscription.arn(), "Endpoint": subscription.endpoint})
    link = envelope.unsubscribe_url or f"unsubscribe?{query}"
    return (
        f"{envelope.message}\n\n--\n"
        "If you wish to stop receiving notifications from this topic, please click or visit the link below to "
        f"unsubscribe:\n{link}\n\n"
        f"Please do not reply directly to this email. It was sent by the topic {topic.address().arn()}.\n"
    )


def _confirmation(topic: Topic, envelope: Envelope) -> str:
    return (
        f"You have chosen to subscribe to the topic:\n{topic.address().arn()}\n\n"
        "To confirm this subscription, click or visit the link below (If this was in error no action is necessary):\n"
        f"{envelope.subscribe_url}\n\n"
        "Please do not reply directly to this email.\n"
    )
