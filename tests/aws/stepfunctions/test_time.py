"""Executions under a stepped clock, and over restarts: waits, timeouts, retries, heartbeats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.stepfunctions.conftest import PASS, States
from tests.harness import RunningNode, wait_until


@pytest.fixture
def states(tmp_path: Path) -> Iterator[States]:
    """A node of the test's own, whose clock stands still."""
    running = RunningNode(tmp_path / "data").start()
    running.clock.freeze()
    yield States(running)
    running.stop()


def test_a_wait_ends_on_time_also_over_a_restart(states: States) -> None:
    machine = states.create({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}})
    execution = states.start(machine)
    states.node.restart()
    again = States(states.node)
    started = again.client.describe_execution(executionArn=execution)
    assert started["status"] == "RUNNING"
    states.node.clock.advance(3600)
    ended = again.ended(execution)
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() >= 3600
    assert again.types(execution)[-2:] == ["WaitStateExited", "ExecutionSucceeded"]


def test_a_task_without_a_sign_of_life_times_out_and_is_tried_again(states: States) -> None:
    activity = states.client.create_activity(name="slow")["activityArn"]
    state: dict[str, Any] = {
        "Type": "Task",
        "Resource": activity,
        "HeartbeatSeconds": 30,
        "TimeoutSeconds": 600,
        "Retry": [{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 10, "MaxAttempts": 1}],
        "End": True,
    }
    execution = states.start(states.create({"StartAt": "T", "States": {"T": state}}))
    first = states.client.get_activity_task(activityArn=activity)["taskToken"]
    states.node.clock.advance(20)
    states.client.send_task_heartbeat(taskToken=first)
    states.node.clock.advance(20)
    states.client.send_task_heartbeat(taskToken=first)
    states.node.clock.advance(31)
    timed_out = states.wait_for(execution, "ActivityTimedOut")
    assert timed_out["activityTimedOutEventDetails"]["error"] == "States.HeartbeatTimeout"
    states.node.clock.advance(11)
    second = states.client.get_activity_task(activityArn=activity)["taskToken"]
    states.client.send_task_success(taskToken=second, output="7")
    assert states.ended(execution)["output"] == "7"


def test_an_execution_times_out(states: States) -> None:
    wait = {"Type": "Wait", "Seconds": 3600, "End": True}
    machine = states.create({"StartAt": "W", "TimeoutSeconds": 60, "States": {"W": wait}})
    execution = states.start(machine)
    states.node.clock.advance(61)
    assert states.ended(execution)["status"] == "TIMED_OUT"


def test_executions_are_forgotten_after_ninety_days(states: States) -> None:
    execution = states.start(states.create(PASS))
    assert states.client.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
    states.node.clock.advance(90 * 86_400 + 1)

    def is_gone() -> bool:
        try:
            states.client.describe_execution(executionArn=execution)
        except states.client.exceptions.ExecutionDoesNotExist:
            return True
        states.node.clock.advance(300)
        return False

    wait_until(is_gone)
