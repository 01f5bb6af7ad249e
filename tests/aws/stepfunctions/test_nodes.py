"""Two nodes on one PostgreSQL database run the same executions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres as servers
from tests.aws.stepfunctions.conftest import States
from tests.harness import RunningNode, wait_until

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[States, States]]:
    server = servers.PostgresServer()
    started: list[RunningNode] = []
    try:
        server.start()
        started += [RunningNode(tmp_path / name, store=server.url).start() for name in ("a", "b")]
        yield States(started[0]), States(started[1])
    finally:
        for node in started:
            node.stop()
        server.remove()


def test_what_one_node_has_started_the_other_goes_on_with(nodes: tuple[States, States]) -> None:
    a, b = nodes
    url = a.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    ask: dict[str, Any] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
    }
    chain = {
        "First": {**ask, "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Second"},
        "Second": {**ask, "End": True},
    }
    execution = a.start(a.create({"StartAt": "First", "States": chain}))
    for number, states in enumerate((b, a)):
        sqs = states.node.client("sqs")
        (message,) = wait_until(lambda sqs=sqs: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"))
        token = json.loads(message["Body"])["token"]
        states.client.send_task_success(taskToken=token, output=str(number))
    assert a.ended(execution)["output"] == b.ended(execution)["output"] == "1"
    assert a.history(execution) == b.history(execution)
    activity = a.client.create_activity(name="work")["activityArn"]
    execution = a.start(
        a.create({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": True}}})
    )
    task = b.client.get_activity_task(activityArn=activity)
    b.client.send_task_success(taskToken=task["taskToken"], output="7")
    assert a.ended(execution)["output"] == "7"
