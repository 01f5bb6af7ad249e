"""A queue as it is kept: its settings, its policies, and the rules on them that need nothing but the queue itself."""

import json
import re
from collections.abc import Mapping

import msgspec

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.services.sqs import limits
from forebay.services.sqs.errors import invalid_parameter
from forebay.store.records import Kind


class RedrivePolicy(msgspec.Struct, frozen=True):
    """Where messages go that were received too often: the ARN of the dead-letter queue and the most receives."""

    target: str
    receives_max: int

    def text(self) -> str:
        """Return the policy as GetQueueAttributes shows it."""
        members = {"deadLetterTargetArn": self.target, "maxReceiveCount": self.receives_max}
        return json.dumps(members, separators=(",", ":"))


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue.

    `number` keys the queue's messages and is never given twice, so a queue that is created again under its old name
    sees nothing of the old one's. Times are seconds since the epoch.
    """

    number: int
    account: str
    region: str
    name: str
    created_at: int
    modified_at: int
    delay_seconds: int = 0
    message_bytes_max: int = limits.MESSAGE_BYTES_MAX
    retention_seconds: int = 345_600
    wait_seconds: int = 0
    visibility_seconds: int = 30
    redrive: RedrivePolicy | None = None
    redrive_allow: str | None = None
    policy: str | None = None
    managed_encryption: bool = True
    kms_key: str | None = None
    kms_reuse_seconds: int = 300
    tags: dict[str, str] = {}
    purged_at: float | None = None
    is_fifo: bool = False
    content_deduplication: bool = False
    # "queue" or "messageGroup".
    deduplication_scope: str = "queue"
    # "perQueue" or "perMessageGroupId".
    throughput_limit: str = "perQueue"

    def arn(self) -> str:
        """Return the queue's ARN."""
        return str(Arn.of("sqs", self.region, self.account, self.name))


class DeletedQueue(msgspec.Struct, frozen=True):
    """That a queue's name is not free yet."""

    deleted_at: float


class QueueNumber(msgspec.Struct, frozen=True):
    """Which ARN a queue's number stands for; kept for queues that have (or had) a dead-letter queue.

    Messages in a dead-letter queue name their source even when that is deleted, so the record outlives the queue by
    the longest retention.
    """

    arn: str
    deleted_at: float | None = None


_NAME = re.compile(r"[A-Za-z0-9_-]+")

QUEUE = Kind("sqs.queue", Queue)
DELETED_QUEUE = Kind("sqs.deleted_queue", DeletedQueue)
QUEUE_NUMBER = Kind("sqs.queue_number", QueueNumber)


def number_key(number: int) -> str:
    """Return the key of a queue number's record."""
    return f"{number:020}"


def check_name(name: str, *, is_fifo: bool) -> None:
    """Check the name of a new queue: those of FIFO queues, and no others, end in `.fifo`.

    Raises:
        InvalidParameterValue: AWS would refuse the name.
    """
    stem = name.removesuffix(".fifo")
    is_plain = _NAME.fullmatch(stem) is not None and len(name) <= limits.NAME_CHARACTERS_MAX
    if is_fifo and (not is_plain or stem == name):
        raise invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
            "must end with .fifo suffix and be 1 to 80 in length."
        )
    if not is_plain or (stem != name and not is_fifo):
        raise invalid_parameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")


def check_unpurged(queue: Queue, now: float) -> None:
    """Check that a queue may be purged.

    Raises:
        PurgeQueueInProgress: it was purged less than a minute ago.
    """
    if queue.purged_at is not None and now - queue.purged_at < limits.PURGE_SECONDS:
        raise api.PurgeQueueInProgress(f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds.")


def check_allows(dead_letter_queue: Queue, source_arn: str, policy: str) -> None:
    """Check that the dead-letter queue lets `source_arn` use it.

    Raises:
        InvalidParameterValue: its RedriveAllowPolicy excludes the source.
    """
    if dead_letter_queue.redrive_allow is None:
        return
    allow: Mapping[str, object] = json.loads(dead_letter_queue.redrive_allow)
    permission = allow["redrivePermission"]
    sources = allow.get("sourceQueueArns")
    allowed = permission == "allowAll" or (
        permission == "byQueue" and isinstance(sources, list) and source_arn in sources
    )
    if not allowed:
        reason = "The dead-letter queue's RedriveAllowPolicy does not allow this source queue."
        raise invalid_parameter(f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}")
