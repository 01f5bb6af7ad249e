"""Queues that events arrive in, and refusals, as the tests of EventBridge see them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import ACCOUNT, REGION


class Inbox:
    """A queue that is a target, and the messages that have arrived there."""

    def __init__(self, sqs: Any, name: str, region: str = REGION, **attributes: str) -> None:
        self._sqs = sqs
        self.url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"

    def messages(self) -> list[Any]:
        """Take all messages, with their attributes."""
        taken: list[Any] = []
        while batch := self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages"):
            taken += batch
            for message in batch:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def bodies(self) -> list[str]:
        """Take all messages' bodies."""
        return [message["Body"] for message in self.messages()]

    def events(self) -> list[Any]:
        """Take all messages as JSON."""
        return [json.loads(body) for body in self.bodies()]


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Return the code and text with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    error: Any = caught.value.response["Error"]
    return error["Code"], error["Message"]
