"""What the tests of Scheduler share: clients, a queue, and schedules to it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode

ROLE = f"arn:aws:iam::{ACCOUNT}:role/scheduler"


@pytest.fixture
def scheduler(node: RunningNode) -> Any:
    return node.client("scheduler")


@pytest.fixture
def queue(node: RunningNode) -> Inbox:
    return Inbox(node.client("sqs"), "q")


@pytest.fixture
def inbox(node: RunningNode) -> Callable[[str], Inbox]:
    return lambda name: Inbox(node.client("sqs"), name)


@pytest.fixture
def create(scheduler: Any, queue: Inbox) -> Callable[..., str]:
    """Make a schedule that sends its time to the queue, but for what is given; return its ARN."""

    def create(expression: str, name: str = "s", target: Any = None, **params: Any) -> str:
        default = {"Arn": queue.arn, "Input": "<aws.scheduler.scheduled-time>"}
        arguments: dict[str, Any] = {
            "Name": name,
            "ScheduleExpression": expression,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"RoleArn": ROLE, **default, **(target or {})},
            **params,
        }
        answer: str = scheduler.create_schedule(**arguments)["ScheduleArn"]
        return answer

    return create
