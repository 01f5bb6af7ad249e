"""A message: the rules that its parts obey, what is kept of it, its digests, and what a receiver is shown of it.

Pure: values in, values out. Sending is the product's hottest path, so checks look at bytes that are needed anyway
(size, MD5) and leave finding the culprit to the slow way out.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import md5, sha256
from typing import Any

import msgspec

from forebay.api import sqs as api
from forebay.core.errors import ServiceError
from forebay.services.sqs import limits
from forebay.services.sqs.errors import invalid_parameter, invalid_value
from forebay.services.sqs.fifo import sequence_number
from forebay.store.commands import ReceivedMessage

AttributeValue = api.MessageAttributeValue | api.MessageSystemAttributeValue


class Attribute(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message attribute as it is kept: text, or bytes for the type `Binary`."""

    data_type: str
    text: str | None = None
    data: bytes = b""

    def value_bytes(self) -> bytes:
        """Return the value as it counts for sizes and digests."""
        return self.data if self.text is None else self.text.encode()


class Envelope(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What is kept beside a message's body: who sent it, the trace header, the sender's attributes."""

    sender_id: str
    trace_header: str | None = None
    attributes: dict[str, Attribute] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode

# XML 1.0's characters: https://www.w3.org/TR/REC-xml/#charsets. In UTF-8 the forbidden ones below U+0020 are single
# bytes that stand for nothing else, and the two others these sequences.
_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_NONCHARACTERS = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ALLOWED = "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GROUP = re.compile(r"[!-~]{1,128}")

# Which system attributes a receiver may ask for.
_SYSTEM_NAMES = frozenset(
    {
        "All",
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
        # Documented for ReceiveMessage, although no message has it.
        "SqsManagedSseEnabled",
    }
)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the bytes that are kept of an envelope."""
    return _encode(envelope)


def envelope_bytes(sender: str, trace_header: str | None, attributes: dict[str, Attribute]) -> bytes:
    """Return the bytes that are kept beside a body; mostly they are the sender's last ones again."""
    if attributes or trace_header is not None:
        return _encode(Envelope(sender, trace_header, attributes))
    return _bare_envelope(sender)


@lru_cache(maxsize=1024)
def _bare_envelope(sender: str) -> bytes:
    return _encode(Envelope(sender))


def decode_envelope(data: bytes) -> Envelope:
    """Return the envelope that the bytes were made of."""
    return _decode(data)


# --- what a sender gives ---


def check_body(body: str) -> bytes:
    """Return the body's bytes in UTF-8 if all its characters are legal.

    Raises:
        InvalidMessageContents: a character is outside of XML 1.0's set.
    """
    try:
        data = body.encode()
    except UnicodeEncodeError:
        raise _illegal_body(body) from None
    if not is_legal(data):
        raise _illegal_body(body)
    return data


def is_legal(data: bytes) -> bool:
    """Return whether UTF-8 text holds only characters that XML 1.0 allows."""
    if len(data.translate(None, _CONTROLS)) != len(data):
        return False
    return data.isascii() or not any(sequence in data for sequence in _NONCHARACTERS)


def _illegal_body(body: str) -> ServiceError:
    return api.InvalidMessageContents(_illegal_text(body, "body"))


def _illegal_text(text: str, where: str) -> str:
    found = _ILLEGAL.search(text)
    code = ord(found.group()) if found else 0
    return (
        f"Invalid binary character '#x{code:X}' was found in the message {where}, "
        f"the set of allowed characters is {_ALLOWED}."
    )


def check_size(size_bytes: int, bytes_max: int) -> None:
    """Check the size of a message: body, and names, types and values of its attributes.

    Raises:
        InvalidParameterValue: it is larger than its queue allows.
    """
    if size_bytes > bytes_max:
        raise invalid_parameter(
            f"One or more parameters are invalid. Reason: Message must be shorter than {bytes_max} bytes."
        )


def check_group(group: str) -> None:
    """Check a message group id.

    Raises:
        InvalidParameterValue: it is too long or has characters that AWS refuses.
    """
    if _GROUP.fullmatch(group) is None:
        reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(group, "MessageGroupId", reason)


def check_delay(delay_seconds: int) -> None:
    """Check the delay of a message.

    Raises:
        InvalidParameterValue: it is out of range.
    """
    if not 0 <= delay_seconds <= limits.DELAY_SECONDS_MAX:
        raise invalid_value(delay_seconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")


def parse_attributes(given: Mapping[str, api.MessageAttributeValue]) -> dict[str, Attribute]:
    """Return a sender's message attributes as they are kept.

    Raises:
        InvalidParameterValue: there are too many, or a name, type or value breaks AWS's rules.
        UnsupportedOperation: a value is a list, which no version of SQS takes.
    """
    if len(given) > limits.MESSAGE_ATTRIBUTES_MAX:
        raise invalid_parameter(f"Number of message attributes [{len(given)}] exceeds the allowed maximum [10].")
    for name in given:
        _check_attribute_name(name)
    return {name: _parse_attribute(name, value, "user") for name, value in given.items()}


def parse_system_attributes(given: Mapping[str, api.MessageSystemAttributeValue]) -> dict[str, Attribute]:
    """Return the system attributes that a sender may set; there is one, AWSTraceHeader.

    Raises:
        InvalidParameterValue: another name, or a type other than String.
    """
    for name in given:
        if name != "AWSTraceHeader":
            raise invalid_parameter(f"Message system attribute name '{name}' is invalid.")
    attributes = {name: _parse_attribute(name, value, "system") for name, value in given.items()}
    for name, attribute in attributes.items():
        if attribute.data_type != "String":
            raise invalid_parameter(
                f"The type of message (system) attribute '{name}' is invalid. "
                "You must use only the following supported type prefixes: String."
            )
    return attributes


def _check_attribute_name(name: str) -> None:
    if not name:
        raise invalid_parameter("The request must contain non-empty message (user) attribute names.")
    if len(name) > limits.ATTRIBUTE_NAME_BYTES_MAX:
        raise invalid_parameter("Message (user) attribute names must be shorter than 256 Bytes")
    if _ATTRIBUTE_NAME.fullmatch(name) is None:
        # AWS's text, trailing space and all.
        raise invalid_parameter(
            "Message (user) attributes name can only contain upper and lower score characters, "
            "digits, periods, hyphens and underscores. "
        )
    if name.lower().startswith(("aws.", "amazon.")):
        raise invalid_parameter(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. "
            "These strings are reserved for internal use."
        )
    if name.startswith(".") or name.endswith(".") or ".." in name:
        raise invalid_parameter("Message (user) attributes names cannot start or end with a '.' or contain '..'.")


def _parse_attribute(name: str, given: AttributeValue, kind: str) -> Attribute:
    if given.string_list_values or given.binary_list_values:
        raise api.UnsupportedOperation("Message attribute list values in SendMessage operation are not supported.")
    base = _base_type(name, given.data_type, kind)
    value, other = given.string_value, given.binary_value
    field = "String"
    if base == "Binary":
        value, other, field = other, value, "Binary"
    if other is not None:
        raise invalid_parameter(f"The message ({kind}) attribute '{name}' with type '{base}' must use field '{field}'.")
    if not value:
        raise invalid_parameter(f"Message ({kind}) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if isinstance(value, bytes):
        return Attribute(given.data_type, None, value)
    _check_attribute_text(name, base, value, kind)
    return Attribute(given.data_type, value)


def _base_type(name: str, data_type: str, kind: str) -> str:
    """Return the part of a type that AWS knows, before a suffix of the sender's own."""
    if not data_type:
        raise invalid_parameter(f"Message ({kind}) attribute '{name}' must contain a non-empty attribute type.")
    base = data_type.partition(".")[0]
    if base not in {"String", "Number", "Binary"}:
        raise invalid_parameter(
            f"The type of message ({kind}) attribute '{name}' is invalid. "
            "You must use only the following supported type prefixes: Binary, Number, String."
        )
    if len(data_type) > limits.ATTRIBUTE_NAME_BYTES_MAX:
        raise invalid_parameter(f"Message ({kind}) attribute types must be shorter than 256 Bytes")
    return base


def _check_attribute_text(name: str, base: str, value: str, kind: str) -> None:
    if base == "Number" and _NUMBER.fullmatch(value) is None:
        raise invalid_parameter(f"Can't cast the value of message ({kind}) attribute '{name}' to a number.")
    if _ILLEGAL.search(value) is not None:
        raise invalid_parameter(_illegal_text(value, f"attribute '{name}' value"))


def attributes_size(attributes: Mapping[str, Attribute]) -> int:
    """Return how many bytes AWS counts for attributes: names, types and values."""
    size = 0
    for name, attribute in attributes.items():
        size += len(name) + len(attribute.data_type.encode()) + len(attribute.value_bytes())
    return size


def attributes_digest(attributes: Mapping[str, Attribute]) -> str:
    """Return the MD5 digest of message attributes.

    Sorted by name: name, type and value, each preceded by its length in four bytes, the value also by one byte that
    says whether it is text or binary (developer guide, "Calculating the MD5 message digest for message attributes").
    """
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        mark = b"\x02" if attribute.text is None else b"\x01"
        value = mark + _sized(attribute.value_bytes())
        digest.update(_sized(name.encode()) + _sized(attribute.data_type.encode()) + value)
    return digest.hexdigest()


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@lru_cache(maxsize=1024)
def sender_id(principal: str, account: str) -> str:
    """Return the id that `SenderId` shows for a principal: the account for its root, else an id of IAM's form.

    IAM's own ids are not known here; this one is as unique and never changes.
    """
    resource = principal.rpartition(":")[2]
    if resource in {"root", ""}:
        return account
    kind, *names = resource.split("/")
    unique = int.from_bytes(sha256(f"{account}/{names[0] if names else kind}".encode()).digest()[:11], "big")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    code = "".join(letters[(unique >> shift) & 31] for shift in range(0, 85, 5))
    return f"AROA{code}:{names[-1]}" if kind == "assumed-role" and len(names) > 1 else f"AIDA{code}"


# --- what a receiver gets ---


class Asked(msgspec.Struct, frozen=True):
    """Which system attributes and message attributes a receiver wants to see."""

    system: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    all_names: bool = False


NOTHING_ASKED = Asked()
EVERYTHING_ASKED = Asked(system=frozenset({"All"}), all_names=True)


def parse_asked(system: Iterable[str] | None, names: Iterable[str] | None) -> Asked:
    """Return what a receiver asks for; `All`, `.*` and `prefix.*` are AWS's wildcards.

    Raises:
        InvalidAttributeName: there is no such system attribute.
    """
    if not system and not names:
        return NOTHING_ASKED
    wanted = frozenset(system or ())
    for name in wanted:
        if name not in _SYSTEM_NAMES:
            raise api.InvalidAttributeName(f"Unknown Attribute {name}.")
    given = frozenset(names or ())
    prefixes = tuple(name[:-2] for name in given if name.endswith(".*"))
    return Asked(wanted, given, prefixes, "All" in given or ".*" in given)


def system_attributes(
    message: ReceivedMessage, envelope: Envelope, source_arn: str | None, asked: Asked, *, is_fifo: bool = False
) -> dict[str, str]:
    """Return a message's system attributes as far as they were asked for."""
    texts: dict[str, str | None] = {
        "SenderId": envelope.sender_id,
        "SentTimestamp": str(message.sent_at_ms),
        "ApproximateReceiveCount": str(message.receive_count),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_at_ms or message.sent_at_ms),
        "AWSTraceHeader": envelope.trace_header,
        "DeadLetterQueueSourceArn": source_arn,
        "MessageGroupId": message.group,
    }
    if is_fifo:
        texts["MessageDeduplicationId"] = message.deduplication
        texts["SequenceNumber"] = sequence_number(message.position)
    is_all = "All" in asked.system
    return {name: text for name, text in texts.items() if text is not None and (is_all or name in asked.system)}


def wanted_attributes(envelope: Envelope, asked: Asked) -> dict[str, Attribute]:
    """Return a message's own attributes as far as they were asked for."""
    if asked.all_names:
        return envelope.attributes
    return {
        name: attribute
        for name, attribute in envelope.attributes.items()
        if name in asked.names or name.startswith(asked.prefixes or "\0")
    }


def attribute_shape(attribute: Attribute) -> api.MessageAttributeValue:
    """Return an attribute in the API's form."""
    if attribute.text is not None:
        return api.MessageAttributeValue(data_type=attribute.data_type, string_value=attribute.text)
    return api.MessageAttributeValue(data_type=attribute.data_type, binary_value=attribute.data)


def function_attribute(attribute: Attribute) -> dict[str, Any]:
    """Return an attribute in the form that functions see in an event's record."""
    lists: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}
    if attribute.text is not None:
        return {"stringValue": attribute.text, **lists}
    return {"binaryValue": msgspec.to_builtins(attribute.data), **lists}
