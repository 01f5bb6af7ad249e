"""Logs of delivery status: which message was delivered to which endpoint, or why not, in CloudWatch Logs.

A topic says by its attributes (`SQSSuccessFeedbackRoleArn`, `SQSSuccessFeedbackSampleRate`, `SQSFailureFeedbackRoleArn`
and their like) whether it wants them. An entry is a delivery of its own to the group `sns/<region>/<account>/<topic>`,
or that with `/Failure`. Source: developer guide, "Amazon SNS message delivery status".
"""

from collections.abc import Callable
from hashlib import md5
from typing import Any

import msgspec

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.delivery.contract import Delivered, Delivery, RetryPolicy, Settled
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.sns.message import format_time
from forebay.services.sns.topic import TOPIC, Topic, TopicAddress
from forebay.store.contract import Store

_RETRY = RetryPolicy(10, 3_600.0)
_PREFIXES = {"sqs": "SQS", "lambda": "Lambda", "http": "HTTP", "https": "HTTP"}


class StatusLog:
    """Makes entries of delivery status."""

    def __init__(self, platform: Platform) -> None:
        self._store: Store = platform.store
        self._clock: Clock = platform.clock
        self._ids: Ids = platform.ids
        self._platform = platform
        self._groups: set[str] = set()

    async def entry(self, delivery: Delivery, settled: Settled, protocol: str) -> Delivery | None:
        """Return the entry about a settled delivery, if the topic wants it, with its log group made."""
        topic = await self._find_topic(delivery)
        if topic is None or not wants(topic, protocol, self._ids.uniform, succeeded=isinstance(settled, Delivered)):
            return None
        name = f"sns/{topic.region}/{topic.account}/{topic.name}"
        name = name if isinstance(settled, Delivered) else f"{name}/Failure"
        await self._make_group(topic, name)
        now = self._clock.now()
        return Delivery(
            self._ids.uuid(),
            delivery.source,
            str(Arn.of("logs", topic.region, topic.account, f"log-group:{name}")),
            _text(delivery, settled, topic, now),
            now,
            _RETRY,
        )

    async def _find_topic(self, delivery: Delivery) -> Topic | None:
        arn = delivery.source.rpartition(":")[0]
        return await self._store.find(TOPIC, TopicAddress.parse(arn).key())

    async def _make_group(self, topic: Topic, name: str) -> None:
        key = f"{topic.account}/{topic.region}/{name}"
        if key in self._groups:
            return
        platform = self._platform
        caller = new_caller(topic.region, topic.account, platform.ids, platform.endpoint(), "sns")
        try:
            await platform.table.run_params(caller, "logs", "CreateLogGroup", {"logGroupName": name})
        except ServiceError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
        self._groups.add(key)


def wants(topic: Topic, protocol: str, chance: Callable[[float, float], float], *, succeeded: bool) -> bool:
    """Return whether a topic wants an entry about one delivery; of successful ones, a sample."""
    prefix = _PREFIXES.get(protocol)
    if prefix is None:
        return False
    if not succeeded:
        return f"{prefix}FailureFeedbackRoleArn" in topic.attributes
    rate = int(topic.attributes.get(f"{prefix}SuccessFeedbackSampleRate", "0"))
    return f"{prefix}SuccessFeedbackRoleArn" in topic.attributes and chance(0.0, 100.0) < rate


def _text(delivery: Delivery, settled: Settled, topic: Topic, now: float) -> str:
    answer: dict[str, Any] = {
        "deliveryId": delivery.delivery_id,
        "destination": delivery.target,
        "dwellTimeMs": max(0, int((now - delivery.created_at) * 1000)),
        "attempts": max(1, delivery.attempts),
        "statusCode": 200,
    }
    if not isinstance(settled, Delivered):
        answer["statusCode"] = int(settled.code) if settled.code.isdecimal() else 400
        answer["providerResponse"] = f"{settled.code}: {settled.message}"
    entry = {
        "notification": {
            # What AWS shows for the message, not a matter of security.
            "messageMD5Sum": md5(delivery.payload.encode(), usedforsecurity=False).hexdigest(),
            "messageId": delivery.event_id or "",
            "topicArn": topic.address().arn(),
            "timestamp": _time(delivery.created_at),
        },
        "delivery": answer,
        "status": "SUCCESS" if isinstance(settled, Delivered) else "FAILURE",
    }
    return msgspec.json.encode(entry).decode()


def _time(at: float) -> str:
    return format_time(at).replace("T", " ").removesuffix("Z")
