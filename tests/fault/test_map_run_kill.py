"""A node that is killed while a map run's children run ends the map run as it would have ended."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fault.kill import ACCOUNT, Node
from tests.fault.test_states_kill import client_of, wait_for_all

_ITEMS = 200
# Longer than the lease that a dead node leaves behind.
_LEASE_SECONDS = 21.0


def definition(kind: str, url: str) -> str:
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": url, "MessageBody": {"item.$": "$"}},
        "ResultPath": None,
        "End": True,
    }
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "S",
        "States": {"S": send},
    }
    state: dict[str, Any] = {"Type": "Map", "ItemsPath": "$", "MaxConcurrency": 40, "ItemProcessor": processor}
    return json.dumps({"StartAt": "M", "States": {"M": {**state, "End": True}}})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
@pytest.mark.parametrize("pause_seconds", [0.1, 0.5])
def test_a_map_run_ends_as_it_would_have(tmp_path: Path, kind: str, pause_seconds: float) -> None:
    node = Node(tmp_path / "data")
    node.start()
    try:
        url = client_of(node, "sqs").create_queue(QueueName="sent")["QueueUrl"]
        states = client_of(node, "stepfunctions")
        role = f"arn:aws:iam::{ACCOUNT}:role/r"
        machine = states.create_state_machine(name="m", definition=definition(kind, url), roleArn=role)
        given = json.dumps(list(range(_ITEMS)))
        arn = states.start_execution(stateMachineArn=machine["stateMachineArn"], input=given)["executionArn"]
        for _ in range(2):
            time.sleep(pause_seconds)
            node.kill()
            node.start()
        node.advance(_LEASE_SECONDS)
        time.sleep(1.0)
        node.advance(_LEASE_SECONDS)
        (ended,) = wait_for_all(node, [arn])
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", list(range(_ITEMS)))
        states = client_of(node, "stepfunctions")
        (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
        shown = states.describe_map_run(mapRunArn=run["mapRunArn"])
        assert (shown["status"], shown["executionCounts"]["succeeded"]) == ("SUCCEEDED", _ITEMS)
    finally:
        node.stop()
