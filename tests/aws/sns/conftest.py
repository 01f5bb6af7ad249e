"""What the tests of SNS share: clients, topics, and queues that messages arrive in."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.harness import RunningNode


@pytest.fixture
def sns(node: RunningNode) -> Any:
    return node.client("sns")


@pytest.fixture
def sqs(node: RunningNode) -> Any:
    return node.client("sqs")


@pytest.fixture
def topic(sns: Any) -> str:
    return sns.create_topic(Name="orders")["TopicArn"]


@pytest.fixture
def subscribed(sns: Any, sqs: Any, topic: str) -> Callable[..., Inbox]:
    """Make a queue that is subscribed to the topic with the given attributes."""

    def subscribe(name: str = "q", **attributes: object) -> Inbox:
        inbox = Inbox(sqs, name)
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn, Attributes=texts)
        return inbox

    return subscribe
