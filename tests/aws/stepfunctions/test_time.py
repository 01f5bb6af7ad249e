"""Executions under a stepped clock, and over restarts: waits, timeouts, retries, heartbeats."""

import json
import urllib.request
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


def test_executions_are_logged_as_far_as_the_level_says_and_counted(states: States) -> None:
    logs, cloudwatch = states.node.client("logs"), states.node.client("cloudwatch")
    logs.create_log_group(logGroupName="errors")
    destination = {"logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:errors:*"}
    machine = states.create(
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}},
        loggingConfiguration={"level": "ERROR", "destinations": [{"cloudWatchLogsLogGroup": destination}]},
    )
    execution = states.start(machine)

    def lines() -> list[dict[str, Any]]:
        events = logs.filter_log_events(logGroupName="errors")["events"]
        return [json.loads(event["message"]) for event in events]

    read = wait_until(lines)
    assert [line["type"] for line in read] == ["FailStateEntered", "ExecutionFailed"]
    assert read[0]["details"] == {"name": "F"}
    assert read[1]["details"] == {"error": "E", "cause": "C"}
    assert (read[1]["execution_arn"], read[1]["redrive_count"]) == (execution, "0")
    (stream,) = logs.describe_log_streams(logGroupName="errors")["logStreams"]
    assert stream["logStreamName"].startswith("states/machine-1/")
    began = states.node.clock.now()
    states.node.clock.advance(61)

    def points() -> list[dict[str, Any]]:
        return cloudwatch.get_metric_statistics(
            Namespace="AWS/States",
            MetricName="ExecutionsFailed",
            Dimensions=[{"Name": "StateMachineArn", "Value": machine}],
            StartTime=began - 120,
            EndTime=began + 120,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]

    (point,) = wait_until(points)
    assert point["Sum"] == 1


def test_a_redrive_goes_on_where_it_failed(states: States) -> None:
    sqs = states.node.client("sqs")
    first = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:createQueue",
        "Parameters": {"QueueName": "made"},
        "ResultPath": None,
        "Next": "B",
    }
    second = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
        "Parameters": {"QueueName": "later"},
        "End": True,
    }
    execution = states.ended(states.start(states.create({"StartAt": "A", "States": {"A": first, "B": second}})))
    assert execution["status"] == "FAILED"
    assert execution["redriveStatus"] == "REDRIVABLE"
    arn = execution["executionArn"]
    sqs.create_queue(QueueName="later")
    token = {"clientToken": "once"}
    redriven = states.client.redrive_execution(executionArn=arn, **token)["redriveDate"]
    ended = states.ended(arn)
    assert (ended["status"], ended["redriveCount"], ended["redriveDate"]) == ("SUCCEEDED", 1, redriven)
    assert states.client.redrive_execution(executionArn=arn, **token)["redriveDate"] == redriven
    types = states.types(arn)
    assert types.count("TaskStateEntered") in {2, 3}
    assert types[types.index("ExecutionFailed") + 1] == "ExecutionRedriven"
    listed = states.client.list_executions(stateMachineArn=ended["stateMachineArn"], redriveFilter="REDRIVEN")
    assert [item["executionArn"] for item in listed["executions"]] == [arn]
    code, text = states.refusal("redrive_execution", executionArn=arn)
    assert (code, text) == ("ExecutionNotRedrivable", "Execution is SUCCEEDED and cannot be redriven")


def test_schedules_and_pipes_start_executions(states: States) -> None:
    sqs = states.node.client("sqs")
    role = "arn:aws:iam::000000000000:role/r"
    machine = states.create(PASS)
    states.node.client("scheduler").create_schedule(
        Name="hourly",
        ScheduleExpression="rate(1 hours)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": role, "Input": '{"from":"schedule"}'},
    )
    states.node.clock.advance(3601)

    def inputs() -> list[Any]:
        listed = states.client.list_executions(stateMachineArn=machine)["executions"]
        shown = [states.client.describe_execution(executionArn=item["executionArn"])["input"] for item in listed]
        return [json.loads(text) for text in shown]

    assert {"from": "schedule"} in wait_until(inputs)
    states.node.clock.resume()
    url = sqs.create_queue(QueueName="piped")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    parameters = {"StepFunctionStateMachineParameters": {"InvocationType": "FIRE_AND_FORGET"}}
    states.node.client("pipes").create_pipe(
        Name="p", Source=queue, Target=machine, RoleArn=role, TargetParameters=parameters
    )
    sqs.send_message(QueueUrl=url, MessageBody="from a pipe")
    wait_until(lambda: [each for each in inputs() if isinstance(each, list) and each[0]["body"] == "from a pipe"])


def test_a_reset_takes_executions_away_and_later_ones_last(states: States) -> None:
    machine = states.create({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}})
    gone = states.start(machine)
    with urllib.request.urlopen(urllib.request.Request(f"{states.node.url}/_forebay/reset", b"{}")) as answer:
        assert answer.status == 200
    assert states.refusal("describe_execution", executionArn=gone)[0] == "ExecutionDoesNotExist"
    machine = states.create({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}})
    kept = states.start(machine)
    states.node.restart()
    again = States(states.node)
    states.node.clock.advance(60)
    assert again.ended(kept)["status"] == "SUCCEEDED"
