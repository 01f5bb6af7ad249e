"""A message: the rules on what a publisher gives, and the forms in which subscribers get it. Pure."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from forebay.api import sns as api
from forebay.core.timestamps import format_iso8601
from forebay.services.sns import limits
from forebay.services.sns.errors import invalid_parameter, invalid_value
from forebay.services.sns.topic import Topic

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_ID = re.compile(r"[!-~]{1,128}")
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TYPES = ("String", "Number", "Binary")


class Entry(msgspec.Struct, frozen=True):
    """What a publisher gives: one Publish, or one entry of a batch."""

    message: str
    subject: str | None = None
    message_structure: str | None = None
    message_attributes: Mapping[str, api.MessageAttributeValue] = {}
    message_group_id: str | None = None
    message_deduplication_id: str | None = None

    def size_bytes(self) -> int:
        """Return how many bytes count: the message, and names, types and values of its attributes."""
        size = len(self.message.encode())
        for name, value in self.message_attributes.items():
            size += len(name.encode()) + len(value.data_type.encode()) + len(value.binary_value or b"")
            size += len((value.string_value or "").encode())
        return size


class Publication(msgspec.Struct, frozen=True):
    """A message on its way: `bodies` has a text for each protocol that has its own, under "default" the others'."""

    message_id: str
    topic_arn: str
    at: float
    bodies: Mapping[str, str]
    subject: str | None = None
    attributes: Mapping[str, api.MessageAttributeValue] = {}
    group: str | None = None
    deduplication: str | None = None
    sequence_number: str | None = None
    is_replayed: bool = False

    def body_for(self, protocol: str) -> str:
        """Return the text that subscribers of a protocol get."""
        return self.bodies.get(protocol, self.bodies["default"])


def read_bodies(entry: Entry) -> dict[str, str]:
    """Return an entry's texts by protocol.

    Raises:
        InvalidParameter: the message is empty, or with `MessageStructure` json it is no JSON object of texts.
    """
    if not entry.message:
        raise invalid_parameter("Empty message")
    if entry.message_structure != "json":
        # Callers also say "string", which AWS takes.
        return {"default": entry.message}
    try:
        document: object = json.loads(entry.message, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter("Message Structure - JSON message body failed to parse")
    bodies = cast("dict[str, Any]", document)
    # Values that are no text count as absent (Publish: "non-string values will cause the key to be ignored").
    texts = {protocol: text for protocol, text in bodies.items() if isinstance(text, str)}
    if "default" not in texts:
        raise invalid_parameter("Message Structure - No default entry in JSON message body")
    return texts


def _without_duplicates(members: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; its keys must differ (Publish: "Duplicate keys are not allowed")."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError
    return found


def check_entry(entry: Entry, topic: Topic) -> None:
    """Check what a publisher gives, apart from the message's structure.

    Raises:
        InvalidParameter: size, subject, group or deduplication id are not as the topic wants them.
        ParameterValueInvalid: a message attribute is not as it must be.
    """
    if entry.size_bytes() > topic.message_bytes_max:
        raise invalid_parameter("Message too long")
    if entry.subject is not None:
        _check_subject(entry.subject)
    for name, value in entry.message_attributes.items():
        _check_attribute(name, value)
    _check_ids(entry, topic)


def check_batch_id(text: str) -> bool:
    """Return whether an entry's id is as it must be."""
    return _BATCH_ID.fullmatch(text) is not None


def envelope(publication: Publication, body: str, signed: Mapping[str, str]) -> tuple[str, str]:
    """Return the JSON text that queues and HTTP endpoints get, laid out as AWS lays it out, but for one member's value.

    That is `UnsubscribeURL`, which each subscription has its own of: a JSON string to be put between the two parts.
    `signed` has the members of the signature, in their order; none of them on FIFO topics.
    """
    members = {"Type": "Notification", "MessageId": publication.message_id}
    if publication.sequence_number is not None:
        members["SequenceNumber"] = publication.sequence_number
    members["TopicArn"] = publication.topic_arn
    if publication.subject is not None:
        members["Subject"] = publication.subject
    members["Message"] = body
    members["Timestamp"] = format_time(publication.at)
    members |= signed
    lines = [f'  "{name}" : {json_text(value)}' for name, value in members.items()]
    head = "{\n" + ",\n".join(lines) + ',\n  "UnsubscribeURL" : '
    tail = ',\n  "Replayed" : true' if publication.is_replayed else ""
    if publication.attributes:
        attributes = ",\n".join(
            f'    {json_text(name)} : {{"Type":{json_text(value.data_type)},"Value":{json_text(_shown(value))}}}'
            for name, value in publication.attributes.items()
        )
        tail += f',\n  "MessageAttributes" : {{\n{attributes}\n  }}'
    return head, tail + "\n}"


def function_event(
    publication: Publication, body: str, signed: Mapping[str, str], unsubscribe_url: str, subscription_arn: str
) -> str:
    """Return the event that a function gets."""
    notification: dict[str, object] = {
        "Type": "Notification",
        "MessageId": publication.message_id,
        "TopicArn": publication.topic_arn,
        "Subject": publication.subject,
        "Message": body,
        "Timestamp": format_time(publication.at),
        "SignatureVersion": signed["SignatureVersion"],
        "Signature": signed["Signature"],
        # The event of functions writes these two otherwise than the envelope.
        "SigningCertUrl": signed["SigningCertURL"],
        "UnsubscribeUrl": unsubscribe_url,
        "MessageAttributes": {
            name: {"Type": value.data_type, "Value": _shown(value)} for name, value in publication.attributes.items()
        },
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": notification,
    }
    return msgspec.json.encode({"Records": [record]}).decode()


def text_to_sign(publication: Publication, body: str) -> str:
    """Return what a notification's signature covers ("Verifying the signatures of Amazon SNS messages")."""
    subject = "" if publication.subject is None else f"Subject\n{publication.subject}\n"
    return (
        f"Message\n{body}\nMessageId\n{publication.message_id}\n{subject}"
        f"Timestamp\n{format_time(publication.at)}\nTopicArn\n{publication.topic_arn}\nType\nNotification\n"
    )


@lru_cache(maxsize=16)
def format_time(at: float) -> str:
    """Write a moment as SNS does, always with milliseconds."""
    text = format_iso8601(at)
    return text if "." in text else f"{text[:-1]}.000Z"


def json_text(value: str) -> str:
    """Return a text as a JSON string."""
    return msgspec.json.encode(value).decode()


def _shown(value: api.MessageAttributeValue) -> str:
    if value.binary_value is not None:
        return b64encode(value.binary_value).decode()
    return value.string_value or ""


def _check_subject(subject: str) -> None:
    # "ASCII text that begins with a letter, number, or punctuation mark; must not include line breaks or control
    # characters; and must be less than 100 characters long" (Publish); AWS takes 100 and other letters, too.
    if not 1 <= len(subject) <= limits.SUBJECT_CHARACTERS_MAX or subject[0].isspace() or not subject.isprintable():
        raise invalid_parameter("Subject")


def _check_attribute(name: str, value: api.MessageAttributeValue) -> None:
    _check_attribute_name(name)
    if not value.data_type:
        raise invalid_value(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = value.data_type.partition(".")[0]
    if base not in _TYPES:
        raise invalid_value(
            f"The message attribute '{name}' has an invalid message attribute type, "
            "the set of supported type prefixes is Binary, Number, and String."
        )
    given, other, field = value.string_value, value.binary_value, "String"
    if base == "Binary":
        given, other, field = other, given, "Binary"
    if given is None and other is not None:
        raise invalid_value(f"The message attribute '{name}' with type '{value.data_type}' must use field '{field}'.")
    if not given:
        raise invalid_value(
            f"The message attribute '{name}' must contain non-empty message attribute value "
            f"for message attribute type '{value.data_type}'."
        )
    if base == "Number" and isinstance(given, str) and not _NUMBER.fullmatch(given):
        raise invalid_value(f"Could not cast message attribute '{name}' value to number.")


def _check_attribute_name(name: str) -> None:
    if len(name) > limits.ATTRIBUTE_NAME_CHARACTERS_MAX:
        raise invalid_value("Length of message attribute name must be less than 256 bytes.")
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise invalid_value(
            f"Invalid non-alphanumeric character was found in the message attribute name '{name}'. "
            "Can only include alphanumeric characters, hyphens, underscores, or dots."
        )
    if name.startswith(".") or name.endswith(".") or ".." in name:
        raise invalid_value(
            f"Invalid dot position was found in the message attribute name '{name}'. "
            "A name must not start or end with a dot, or have successive dots."
        )


def _check_ids(entry: Entry, topic: Topic) -> None:
    group, deduplication = entry.message_group_id, entry.message_deduplication_id
    for name, given in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication)):
        if given is not None and not _ID.fullmatch(given):
            raise invalid_parameter(
                f"{name} Reason: {name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
            )
    if not topic.is_fifo and deduplication is not None:
        raise invalid_parameter(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid "
            "for this topic type"
        )
    if topic.is_fifo and group is None:
        raise invalid_parameter("The MessageGroupId parameter is required for FIFO topics")
    is_named = deduplication is not None or topic.attributes.get("ContentBasedDeduplication") == "true"
    if topic.is_fifo and not is_named:
        raise invalid_parameter(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
