"""The attributes of a queue as callers write and read them: names, ranges, texts.

`changed` reads what a caller sets, `shown` writes what a caller gets; both know every attribute that AWS documents.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

import msgspec

from forebay.api import sqs as api
from forebay.services.sqs import limits
from forebay.services.sqs.errors import invalid_value
from forebay.services.sqs.queue import Queue, RedrivePolicy
from forebay.store.commands import MessageCounts

# Name, field of `Queue`, least and most value.
_NUMBERS = {
    "DelaySeconds": ("delay_seconds", 0, limits.DELAY_SECONDS_MAX),
    "MaximumMessageSize": ("message_bytes_max", 1024, limits.MESSAGE_BYTES_MAX),
    "MessageRetentionPeriod": ("retention_seconds", 60, limits.RETENTION_SECONDS_MAX),
    "ReceiveMessageWaitTimeSeconds": ("wait_seconds", 0, limits.WAIT_SECONDS_MAX),
    "VisibilityTimeout": ("visibility_seconds", 0, limits.VISIBILITY_SECONDS_MAX),
    "KmsDataKeyReusePeriodSeconds": ("kms_reuse_seconds", 60, 86_400),
}

# What a queue has without being set, and cannot be set.
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
_FIXED = ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")
_ENCRYPTION = (
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
)

_PER_GROUP = "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."

# Attributes of FIFO queues: field of `Queue`, and the values that there are.
_FIFO: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "FifoQueue": ("is_fifo", {"true": True}),
    "ContentBasedDeduplication": ("content_deduplication", {"true": True, "false": False}),
    "DeduplicationScope": ("deduplication_scope", {"queue": "queue", "messageGroup": "messageGroup"}),
    "FifoThroughputLimit": (
        "throughput_limit",
        {"perQueue": "perQueue", "perMessageGroupId": "perMessageGroupId"},
    ),
}

_WHOLE = re.compile("-?[0-9]+")
_DIGITS_MAX = 10

Changes = dict[str, Any]


def changed(queue: Queue, attributes: Mapping[str, str]) -> Queue:
    """Return the queue with the given attributes set; the others keep their values.

    Raises:
        InvalidAttributeName: an attribute does not exist, cannot be set, or is for FIFO queues only.
        InvalidAttributeValue: a value is out of its range.
        InvalidParameterValue: a policy's JSON breaks AWS's rules.
    """
    changes: Changes = {}
    for name, text in attributes.items():
        if name in _NUMBERS:
            field, least, most = _NUMBERS[name]
            changes[field] = _number(name, text, least, most)
        elif name in _READERS:
            changes.update(_READERS[name](text))
        elif name in _FIFO:
            changes.update(_fifo(queue, name, text))
        else:
            raise api.InvalidAttributeName(f"Unknown Attribute {name}.")
    if attributes.get("SqsManagedSseEnabled") == "true" and attributes.get("KmsMasterKeyId"):
        raise api.InvalidAttributeName(_ENCRYPTION)
    queue = msgspec.structs.replace(queue, **changes)
    if queue.throughput_limit == "perMessageGroupId" and queue.deduplication_scope != "messageGroup":
        raise api.InvalidAttributeValue(_PER_GROUP)
    return queue


def shown(queue: Queue, counts: MessageCounts | None) -> dict[str, str]:
    """Return every attribute that the queue has, by name; those that are not set are not there."""
    texts = {
        "QueueArn": queue.arn(),
        "CreatedTimestamp": str(queue.created_at),
        "LastModifiedTimestamp": str(queue.modified_at),
        "VisibilityTimeout": str(queue.visibility_seconds),
        "MaximumMessageSize": str(queue.message_bytes_max),
        "MessageRetentionPeriod": str(queue.retention_seconds),
        "DelaySeconds": str(queue.delay_seconds),
        "ReceiveMessageWaitTimeSeconds": str(queue.wait_seconds),
        "SqsManagedSseEnabled": "true" if queue.managed_encryption else "false",
    }
    if counts is not None:
        texts |= zip(COUNTS, map(str, (counts.visible, counts.in_flight, counts.delayed)), strict=True)
    if queue.policy is not None:
        texts["Policy"] = queue.policy
    if queue.redrive is not None:
        texts["RedrivePolicy"] = queue.redrive.text()
    if queue.redrive_allow is not None:
        texts["RedriveAllowPolicy"] = queue.redrive_allow
    if queue.is_fifo:
        texts["FifoQueue"] = "true"
        texts["ContentBasedDeduplication"] = "true" if queue.content_deduplication else "false"
        texts["DeduplicationScope"] = queue.deduplication_scope
        texts["FifoThroughputLimit"] = queue.throughput_limit
    if queue.kms_key is not None:
        texts["KmsMasterKeyId"] = queue.kms_key
        texts["KmsDataKeyReusePeriodSeconds"] = str(queue.kms_reuse_seconds)
    return texts


def is_fifo_wanted(attributes: Mapping[str, str]) -> bool:
    """Return whether the attributes of a new queue make it a FIFO queue.

    Raises:
        InvalidAttributeName: they say that it is none, which AWS knows no attribute for.
    """
    wanted = attributes.get("FifoQueue")
    if wanted not in (None, "true"):
        raise api.InvalidAttributeName("Unknown Attribute FifoQueue.")
    return wanted is not None


def check_readable(queue: Queue, names: Iterable[str]) -> None:
    """Check the names that a caller asks for.

    Raises:
        InvalidAttributeName: a queue of this type has no such attribute.
    """
    for name in names:
        if name not in _READABLE and not (queue.is_fifo and name in _FIFO):
            raise api.InvalidAttributeName(f"Unknown Attribute {name}.")


def find_difference(queue: Queue, wanted: Queue, names: Collection[str]) -> str | None:
    """Return the first of `names` in which the two queues differ, or None."""
    here, there = shown(queue, None), shown(wanted, None)
    return next((name for name in names if here.get(name) != there.get(name)), None)


def _number(name: str, text: str, least: int, most: int) -> int:
    if len(text) > _DIGITS_MAX or _WHOLE.fullmatch(text) is None or not least <= int(text) <= most:
        raise api.InvalidAttributeValue(f"Invalid value for the parameter {name}.")
    return int(text)


def _fifo(queue: Queue, name: str, text: str) -> Changes:
    field, values = _FIFO[name]
    if not queue.is_fifo:
        if name in {"DeduplicationScope", "FifoThroughputLimit"}:
            raise api.InvalidAttributeName(f"You can specify the {name} only when FifoQueue is set to true.")
        raise api.InvalidAttributeName(f"Unknown Attribute {name}.")
    if text not in values:
        reason = " Reason: Modifying queue type is not supported." if name == "FifoQueue" else ""
        raise api.InvalidAttributeValue(f"Invalid value for the parameter {name}.{reason}")
    return {field: values[text]}


def _policy(text: str) -> Changes:
    if not text:
        return {"policy": None}
    value = _json(text)
    statements = cast("dict[str, object]", value).get("Statement") if isinstance(value, dict) else None
    listed = cast("list[object]", statements) if isinstance(statements, list) else [statements]
    if not all(_is_statement(statement) for statement in listed):
        raise api.InvalidAttributeValue("Invalid value for the parameter Policy.")
    return {"policy": text}


def _is_statement(value: object) -> bool:
    """Return whether a value has what every statement of a resource's policy has (IAM's policy grammar)."""
    if not isinstance(value, dict):
        return False
    members = cast("dict[str, object]", value)
    has_who = "Principal" in members or "NotPrincipal" in members
    has_what = "Action" in members or "NotAction" in members
    return members.get("Effect") in ("Allow", "Deny") and has_who and has_what


def _redrive_policy(text: str) -> Changes:
    if not text:
        return {"redrive": None}
    value = _json(text)
    if not isinstance(value, dict):
        raise invalid_value(text, "RedrivePolicy", "Redrive policy is not a valid JSON map.")
    members = cast("dict[str, object]", value)
    for name in members:
        if name not in {"deadLetterTargetArn", "maxReceiveCount"}:
            only = "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount]."
            raise invalid_value(text, "RedrivePolicy", only)
    for name in ("maxReceiveCount", "deadLetterTargetArn"):
        if name not in members:
            raise invalid_value(text, "RedrivePolicy", f"Redrive policy does not contain mandatory attribute: {name}.")
    count = _whole(members["maxReceiveCount"])
    if count is None or not 1 <= count <= limits.RECEIVES_MAX:
        given = members["maxReceiveCount"]
        # A text as it is; anything else as JSON writes it.
        shown = given if isinstance(given, str) else msgspec.json.encode(given).decode()
        reason = f"Invalid value for maxReceiveCount: {shown}, valid values are from 1 to 1000 both inclusive."
        raise invalid_value(text, "RedrivePolicy", reason)
    return {"redrive": RedrivePolicy(_target(members["deadLetterTargetArn"], text), count)}


def _target(value: object, policy: str) -> str:
    if not isinstance(value, str) or not value.startswith("arn:"):
        raise invalid_value(policy, "RedrivePolicy", "Invalid value for deadLetterTargetArn.")
    return value


def _redrive_allow_policy(text: str) -> Changes:
    """Read a RedriveAllowPolicy; AWS documents its members at SetQueueAttributes."""
    if not text:
        return {"redrive_allow": None}
    value = _json(text)
    members = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    permission, sources = members.get("redrivePermission"), members.get("sourceQueueArns")
    is_known = permission in ("allowAll", "denyAll", "byQueue") and not members.keys() - {
        "redrivePermission",
        "sourceQueueArns",
    }
    if not is_known or not (sources is None or isinstance(sources, list)):
        raise api.InvalidAttributeValue("Invalid value for the parameter RedriveAllowPolicy.")
    count = len(cast("list[object]", sources)) if sources is not None else 0
    because = "Amazon SQS can't create the redrive allow policy. "
    if permission != "byQueue" and sources is not None:
        because += "To specify one or more source queue ARNs, you must set redrivePermission to byQueue."
    elif permission == "byQueue" and count == 0:
        because += (
            "When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values."
        )
    elif count > limits.REDRIVE_SOURCES_MAX:
        because += "The maximum number of source queue ARNs you can specify is 10."
    else:
        return {"redrive_allow": text}
    raise invalid_value(text, "RedriveAllowPolicy", because)


def _managed_encryption(text: str) -> Changes:
    if text not in {"true", "false"}:
        raise api.InvalidAttributeValue("Invalid value for the parameter SqsManagedSseEnabled.")
    return {"managed_encryption": True, "kms_key": None} if text == "true" else {"managed_encryption": False}


def _kms_key(text: str) -> Changes:
    return {"kms_key": text, "managed_encryption": False} if text else {"kms_key": None}


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _whole(value: object) -> int | None:
    """Return a whole number that is given as such or as a text; AWS takes both."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    is_number = isinstance(value, str) and len(value) <= _DIGITS_MAX and _WHOLE.fullmatch(value) is not None
    return int(cast("str", value)) if is_number else None


_READERS: Mapping[str, Callable[[str], Changes]] = {
    "Policy": _policy,
    "RedrivePolicy": _redrive_policy,
    "RedriveAllowPolicy": _redrive_allow_policy,
    "SqsManagedSseEnabled": _managed_encryption,
    "KmsMasterKeyId": _kms_key,
}

_READABLE = frozenset(("All", *COUNTS, *_FIXED, *_NUMBERS, *_READERS))
