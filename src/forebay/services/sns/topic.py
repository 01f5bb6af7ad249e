"""A topic: where it stands, what is kept of it, and the rules on its name and attributes."""

import json
import re
from typing import Any, cast

import msgspec

from forebay.api import sns as api
from forebay.core.arn import Arn
from forebay.operations.call import Call
from forebay.services.sns import limits
from forebay.services.sns.archive_policy import read_archive_policy
from forebay.services.sns.delivery_policy import check_topic_delivery_policy, topic_delivery_policy
from forebay.services.sns.errors import invalid_parameter, invalid_within, no_topic
from forebay.store.records import Kind, record_key

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FIFO_NAME = re.compile(r"(?=.{1,256}\Z)[A-Za-z0-9_-]+\.fifo")
_FIFO_NAME_TEXT = (
    "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, "
    "numbers, underscores, and hyphens, and must be between 1 and 256 characters long."
)
_FEEDBACK = frozenset(
    f"{protocol}{what}"
    for protocol in ("HTTP", "Firehose", "Lambda", "Application", "SQS")
    for what in ("SuccessFeedbackRoleArn", "SuccessFeedbackSampleRate", "FailureFeedbackRoleArn")
)
_FIFO_ONLY = frozenset({"ArchivePolicy", "ContentBasedDeduplication", "FifoThroughputScope"})
_SETTABLE = _FEEDBACK | _FIFO_ONLY | {
    "DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "MaximumMessageSize", "Policy", "SignatureVersion",
    "TracingConfig",
}  # fmt: skip
_CHOICES = {
    "ContentBasedDeduplication": ("true", "false"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
    "SignatureVersion": ("1", "2"),
    "TracingConfig": ("PassThrough", "Active"),
}
_DEFAULT_ACTIONS = (
    "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
    "ListSubscriptionsByTopic", "Publish",
)  # fmt: skip


class TopicAddress(msgspec.Struct, frozen=True):
    """Where a topic stands."""

    account: str
    region: str
    name: str

    @classmethod
    def parse(cls, text: str, parameter: str = "TopicArn") -> "TopicAddress":
        """Read a topic's ARN.

        Raises:
            InvalidParameter: the text is none; AWS answers 400, not 404, to a malformed ARN.
        """
        elements = text.split(":")
        if len(elements) < 6:
            raise invalid_parameter(f"{parameter} Reason: An ARN must have at least 6 elements, not {len(elements)}")
        if elements[0] != "arn" or elements[2] != "sns" or len(elements) != 6 or not elements[5]:
            raise invalid_parameter(parameter)
        return cls(elements[4], elements[3], elements[5])

    @classmethod
    def of(cls, call: Call, text: str, parameter: str = "TopicArn") -> "TopicAddress":
        """Read the ARN of a topic that a caller of its region names.

        Raises:
            InvalidParameter: the text is none, or of another region.
        """
        address = cls.parse(text, parameter)
        if address.region != call.region:
            raise invalid_parameter(parameter)
        return address

    def key(self) -> str:
        """Return the key of the topic's record."""
        return record_key(self.account, self.region, self.name)

    def arn(self) -> str:
        """Return the topic's ARN."""
        return str(Arn.of("sns", self.region, self.account, self.name))


class Topic(msgspec.Struct, frozen=True):
    """A topic as it is kept; `attributes` are those that were set, in AWS's form."""

    account: str
    region: str
    name: str
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    data_protection: str = ""
    deleted_subscriptions: int = 0
    # The archive's own part of its log's name, and since when there is one.
    archive: str | None = None
    archived_since: float = 0.0

    def address(self) -> TopicAddress:
        """Return where it stands."""
        return TopicAddress(self.account, self.region, self.name)

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of its messages."""
        return self.name.endswith(".fifo")

    @property
    def archive_days(self) -> int:
        """For how many days its messages are archived; 0 where they are not."""
        policy = self.attributes.get("ArchivePolicy")
        return read_archive_policy(policy) if policy else 0

    @property
    def message_bytes_max(self) -> int:
        """The size that a message may have."""
        return int(self.attributes.get("MaximumMessageSize", limits.MESSAGE_BYTES_DEFAULT))

    def policy(self) -> str:
        """Return the policy that says who may do what, AWS's own where none was set."""
        return self.attributes.get("Policy") or _default_policy(self)

    def shown(self) -> dict[str, str]:
        """Return the attributes that GetTopicAttributes shows, without the counts of subscriptions."""
        arn = self.address().arn()
        shown = {
            "TopicArn": arn,
            "Owner": self.account,
            "DisplayName": "",
            **self.attributes,
            "Policy": self.policy(),
            "EffectiveDeliveryPolicy": topic_delivery_policy(self.attributes.get("DeliveryPolicy")),
        }
        if self.is_fifo:
            shown = {"ContentBasedDeduplication": "false", "FifoTopic": "true", **shown}
        return shown


TOPIC = Kind("sns.topic", Topic)


def load_topic(call: Call, address: TopicAddress) -> Topic:
    """Return a topic.

    Raises:
        NotFound: there is none.
    """
    topic = call.reader.find(TOPIC, address.key())
    if topic is None:
        raise no_topic()
    return topic


def check_name(name: str, *, is_fifo: bool) -> None:
    """Check the name of a topic to be created.

    Raises:
        InvalidParameter: it breaks the rules for its kind of topic.
    """
    if is_fifo and not _FIFO_NAME.fullmatch(name):
        raise invalid_parameter(_FIFO_NAME_TEXT)
    if not is_fifo and not _NAME.fullmatch(name):
        raise invalid_parameter("Topic Name")


def check_new_attributes(attributes: dict[str, str]) -> dict[str, str]:
    """Return the attributes that CreateTopic was given in the form in which they are kept.

    Raises:
        InvalidParameter: a name is unknown, or a value cannot be.
    """
    is_fifo = attributes.get("FifoTopic", "false").lower() == "true"
    kept: dict[str, str] = {}
    for name, value in attributes.items():
        if name == "FifoTopic":
            if value.lower() not in {"true", "false"}:
                raise invalid_parameter(f"FifoTopic Reason: Invalid value [{value}]. Must be true or false.")
            continue
        if name not in _SETTABLE:
            raise invalid_parameter(f"Attributes Reason: Unknown attribute {name}")
        try:
            kept |= check_attribute(name, value, is_fifo=is_fifo)
        except api.InvalidParameterException as refused:
            raise invalid_within("Attributes", refused) from None
    return kept


def check_attribute(name: str, value: str, *, is_fifo: bool) -> dict[str, str]:
    """Return an attribute in the form in which it is kept; nothing for one that an empty text takes away.

    Raises:
        InvalidParameter: the name is unknown, or the value cannot be.
    """
    if name not in _SETTABLE or (name in _FIFO_ONLY and not is_fifo):
        raise invalid_parameter("AttributeName")
    if not value or (name == "ArchivePolicy" and value.strip() == "{}"):
        return {"DisplayName": ""} if name == "DisplayName" else {}
    if name in _CHOICES:
        return {name: _chosen(name, value)}
    _check_value(name, value)
    return {name: value}


def _check_value(name: str, value: str) -> None:
    if name == "MaximumMessageSize":
        _check_number(name, value, limits.MESSAGE_BYTES_MIN, limits.MESSAGE_BYTES_MAX)
    elif name.endswith("SampleRate"):
        _check_number(name, value, 0, 100)
    elif name == "Policy":
        check_policy(value)
    elif name == "ArchivePolicy":
        read_archive_policy(value)
    elif name == "DeliveryPolicy":
        check_topic_delivery_policy(value)
    elif name == "DisplayName" and len(value) > limits.SUBJECT_CHARACTERS_MAX:
        raise invalid_parameter("DisplayName exceeds maximum length of 100 characters")


def check_policy(text: str) -> dict[str, Any]:
    """Return an access policy, read.

    Raises:
        InvalidParameter: it is no JSON object with statements, or one of them says too little.
    """
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter("Policy failed to parse JSON.")
    policy = cast("dict[str, Any]", document)
    statements: object = policy.get("Statement")
    listed = cast("list[object]", statements) if isinstance(statements, list) else [statements]
    if not listed or not all(_is_statement(statement) for statement in listed):
        # AWS's very words, whatever is missing.
        raise invalid_parameter("Policy Error: null")
    policy["Statement"] = listed
    return policy


def check_data_protection(text: str) -> None:
    """Check a data protection policy, which an empty text takes away; AWS's texts are not known.

    Raises:
        InvalidParameter: it is no JSON object, or longer than AWS takes.
    """
    if len(text) > limits.DATA_PROTECTION_CHARACTERS_MAX:
        raise invalid_parameter("DataProtectionPolicy Reason: it is longer than 30720 characters")
    try:
        document: object = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise invalid_parameter("DataProtectionPolicy Reason: failed to parse JSON.")


def _is_statement(value: object) -> bool:
    """Return whether a value has what every statement of a topic's policy has (IAM's policy grammar)."""
    if not isinstance(value, dict):
        return False
    members = cast("dict[str, object]", value)
    has_who = "Principal" in members or "NotPrincipal" in members
    has_what = "Action" in members or "NotAction" in members
    return members.get("Effect") in ("Allow", "Deny") and has_who and has_what


def _chosen(name: str, value: str) -> str:
    choices = _CHOICES[name]
    found = value.lower() if choices[0] == "true" else value
    if found not in choices:
        raise invalid_parameter(f"{name}: Invalid value [{value}]. Must be one of: {', '.join(choices)}")
    return found


def _check_number(name: str, value: str, low: int, high: int) -> None:
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise invalid_parameter(f"{name}: must be an integer between {low} and {high}")


def _default_policy(topic: Topic) -> str:
    arn = topic.address().arn()
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in _DEFAULT_ACTIONS],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": topic.account}},
    }
    policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    return json.dumps(policy, separators=(",", ":"))
