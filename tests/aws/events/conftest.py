"""What the tests of EventBridge share: clients, and queues that events arrive in."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.harness import RunningNode


@pytest.fixture
def events(node: RunningNode) -> Any:
    return node.client("events")


@pytest.fixture
def sqs(node: RunningNode) -> Any:
    return node.client("sqs")


@pytest.fixture
def inbox(sqs: Any) -> Callable[[str], Inbox]:
    return lambda name: Inbox(sqs, name)
