"""Histories event by event, as AWS was publicly seen to record them: ids, previous ids, types and details.

Unverified is only what the cases say.
"""

import json
from typing import Any

import pytest

from tests.aws.stepfunctions.conftest import States

Events = list[tuple[int, int, str, dict[str, Any] | None]]

PASS = {"Type": "Pass", "End": True}
WAIT = {"Type": "Wait", "Seconds": 3600, "End": True}
FAIL = {"Type": "Fail", "Error": "E", "Cause": "C"}
NOWHERE = {"Type": "Pass", "Parameters": {"m.$": "$.nope"}, "End": True}


def one(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": state}, **more}


def branches(*states: dict[str, Any]) -> dict[str, Any]:
    made = [{"StartAt": f"B{at}", "States": {f"B{at}": state}} for at, state in enumerate(states)]
    return one({"Type": "Parallel", "Branches": made, "End": True})


def mapped(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"StartAt": "P", "States": {"P": state}}
    return one({"Type": "Map", "ItemProcessor": processor, "End": True, **fields})


def entered(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "input": text, "inputDetails": {"truncated": False}}


def exited(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "output": text, "outputDetails": {"truncated": False}}


def shown(states: States, execution: str) -> Events:
    """Return the events after the first, each with its details."""
    return [
        (
            event["id"],
            event["previousEventId"],
            event["type"],
            next((value for name, value in event.items() if name.endswith("EventDetails")), None),
        )
        for event in states.history(execution)[1:]
    ]


_NO_PATH = "The JSONPath '$.nope' specified for the field 'm.$' could not be found in the input"
_IN_STATE = "An error occurred while executing the state"
CASES: dict[str, tuple[dict[str, Any], Any, Events]] = {
    "fail without words": (
        one({"Type": "Fail"}),
        {},
        [(2, 0, "FailStateEntered", entered("S", "{}")), (3, 2, "ExecutionFailed", {})],
    ),
    "path that leads nowhere": (
        one(NOWHERE),
        {},
        [
            (2, 0, "PassStateEntered", entered("S", "{}")),
            (
                3,
                2,
                "ExecutionFailed",
                {
                    "error": "States.Runtime",
                    "cause": f"{_IN_STATE} 'S' (entered at the event id #2). {_NO_PATH} '{{}}'",
                },
            ),
        ],
    ),
    "index beyond its array": (
        one({"Type": "Pass", "Parameters": {"x.$": "$[3]"}, "End": True}),
        [1],
        [
            (2, 0, "PassStateEntered", entered("S", "[1]")),
            (3, 2, "PassStateExited", exited("S", '{"x":null}')),
            (4, 3, "ExecutionSucceeded", {"output": '{"x":null}', "outputDetails": {"truncated": False}}),
        ],
    ),
    "variables": (
        one({**PASS, "Assign": {"a": "{% $states.input %}", "b": [True]}}, QueryLanguage="JSONata"),
        1,
        [
            (2, 0, "PassStateEntered", entered("S", "1")),
            (
                3,
                2,
                "PassStateExited",
                {
                    **exited("S", "1"),
                    "assignedVariables": {"a": "1", "b": "[true]"},
                    "assignedVariablesDetails": {"truncated": False},
                },
            ),
            (4, 3, "ExecutionSucceeded", {"output": "1", "outputDetails": {"truncated": False}}),
        ],
    ),
    "branches": (
        branches(PASS, PASS),
        1,
        [
            (2, 0, "ParallelStateEntered", entered("S", "1")),
            (3, 2, "ParallelStateStarted", None),
            (4, 3, "PassStateEntered", entered("B0", "1")),
            (5, 4, "PassStateExited", exited("B0", "1")),
            (6, 3, "PassStateEntered", entered("B1", "1")),
            (7, 6, "PassStateExited", exited("B1", "1")),
            (8, 7, "ParallelStateSucceeded", None),
            (9, 7, "ParallelStateExited", exited("S", "[1,1]")),
            (10, 9, "ExecutionSucceeded", {"output": "[1,1]", "outputDetails": {"truncated": False}}),
        ],
    ),
    "failing branch": (
        branches(WAIT, FAIL),
        1,
        [
            (2, 0, "ParallelStateEntered", entered("S", "1")),
            (3, 2, "ParallelStateStarted", None),
            (4, 3, "WaitStateEntered", entered("B0", "1")),
            (5, 3, "FailStateEntered", entered("B1", "1")),
            (6, 4, "WaitStateAborted", None),
            (7, 5, "ParallelStateFailed", None),
            (8, 7, "ExecutionFailed", {"error": "E", "cause": "C"}),
        ],
    ),
    # That the last event follows the state's entry is unverified.
    "runtime error in a branch": (
        branches(WAIT, NOWHERE),
        {},
        [
            (2, 0, "ParallelStateEntered", entered("S", "{}")),
            (3, 2, "ParallelStateStarted", None),
            (4, 3, "WaitStateEntered", entered("B0", "{}")),
            (5, 3, "PassStateEntered", entered("B1", "{}")),
            (
                6,
                5,
                "ExecutionFailed",
                {
                    "error": "States.Runtime",
                    "cause": f"{_IN_STATE} 'B1' (entered at the event id #5). {_NO_PATH} '{{}}'",
                },
            ),
        ],
    ),
    "iterations": (
        mapped(PASS, MaxConcurrency=1),
        [7, 8],
        [
            (2, 0, "MapStateEntered", entered("S", "[7, 8]")),
            (3, 2, "MapStateStarted", {"length": 2}),
            (4, 3, "MapIterationStarted", {"name": "S", "index": 0}),
            (5, 4, "PassStateEntered", entered("P", "7")),
            (6, 5, "PassStateExited", exited("P", "7")),
            (7, 6, "MapIterationSucceeded", {"name": "S", "index": 0}),
            (8, 3, "MapIterationStarted", {"name": "S", "index": 1}),
            (9, 8, "PassStateEntered", entered("P", "8")),
            (10, 9, "PassStateExited", exited("P", "8")),
            (11, 10, "MapIterationSucceeded", {"name": "S", "index": 1}),
            (12, 11, "MapStateSucceeded", None),
            (13, 11, "MapStateExited", exited("S", "[7,8]")),
            (14, 13, "ExecutionSucceeded", {"output": "[7,8]", "outputDetails": {"truncated": False}}),
        ],
    ),
    "failing iteration": (
        mapped(FAIL, MaxConcurrency=1),
        [7, 8],
        [
            (2, 0, "MapStateEntered", entered("S", "[7, 8]")),
            (3, 2, "MapStateStarted", {"length": 2}),
            (4, 3, "MapIterationStarted", {"name": "S", "index": 0}),
            (5, 4, "FailStateEntered", entered("P", "7")),
            (6, 5, "MapIterationFailed", {"name": "S", "index": 0}),
            (7, 5, "MapStateFailed", None),
            (8, 7, "ExecutionFailed", {"error": "E", "cause": "C"}),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_history_is_that_of_aws(states: States, case: str) -> None:
    definition, data, expected = CASES[case]
    machine = states.create(definition)
    execution = states.client.start_execution(stateMachineArn=machine, input=json.dumps(data))["executionArn"]
    states.ended(execution)
    assert shown(states, execution) == expected


def test_failed_evaluation_is_recorded_before_the_failure(states: States) -> None:
    execution = states.run(one({**PASS, "Output": {"v": "{% $states.input.a %}"}}, QueryLanguage="JSONata"))
    sentence = "The JSONata expression '$states.input.a' specified for the field 'Output/v' returned nothing"
    error = {
        "error": "States.QueryEvaluationError",
        "cause": f"{_IN_STATE} 'S' (entered at the event id #2). {sentence} (undefined).",
    }
    assert shown(states, execution["executionArn"])[1:] == [
        (3, 2, "EvaluationFailed", {**error, "location": "Output/v", "state": "S"}),
        (4, 3, "ExecutionFailed", error),
    ]


@pytest.mark.parametrize("reason", [{}, {"error": "Manual", "cause": "probe"}])
def test_stopping_records_nothing_else(states: States, reason: dict[str, str]) -> None:
    execution = states.start(states.create(branches(WAIT, WAIT)))
    states.wait_for(execution, "WaitStateEntered")
    states.client.stop_execution(executionArn=execution, **reason)
    assert shown(states, execution)[-1] == (6, 0, "ExecutionAborted", reason)
    described = states.client.describe_execution(executionArn=execution)
    assert {name: described[name] for name in ("error", "cause") if name in described} == reason


def test_a_machines_timeout_is_told_by_its_event_alone(states: States) -> None:
    execution = states.run(one(WAIT, TimeoutSeconds=1))
    assert (execution["status"], "error" in execution, "cause" in execution) == ("TIMED_OUT", False, False)
    last = shown(states, execution["executionArn"])[-1]
    assert last == (3, 0, "ExecutionTimedOut", {"error": "States.Timeout"})


def test_a_task_that_ends_in_no_time_says_so(states: States) -> None:
    activity = states.client.create_activity(name=states.name())["activityArn"]
    execution = states.run(one({"Type": "Task", "Resource": activity, "TimeoutSeconds": 1, "End": True}))
    scheduled = {
        "resource": activity,
        "input": "{}",
        "inputDetails": {"truncated": False},
        "timeoutInSeconds": 1,
    }
    assert shown(states, execution["executionArn"])[1:] == [
        (3, 2, "ActivityScheduled", scheduled),
        (4, 3, "ActivityTimedOut", {"error": "States.Timeout"}),
        (5, 4, "ExecutionFailed", {"error": "States.Timeout"}),
    ]


@pytest.mark.parametrize(
    ("action", "arguments", "fault"),
    [
        (
            "sqs:sendMessage",
            {"QueueUrl": "u", "MessageBody": "m", "MessageAttributes": "none"},
            "The value of the field 'MessageAttributes' has an invalid format",
        ),
        ("lambda:invoke", {"FunctionName": "f", "Colour": 1}, 'The field "Colour" is not supported by Step Functions'),
        ("aws-sdk:sqs:getQueueUrl", {}, "The field 'QueueName' is required but was missing"),
    ],
)
def test_arguments_that_do_not_fit_start_no_task(
    states: States, action: str, arguments: dict[str, Any], fault: str
) -> None:
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{action}", "Arguments": "{% $states.input %}", "End": True}
    machine = states.create(one(task, QueryLanguage="JSONata"))
    execution = states.ended(states.start(machine, arguments))
    text = json.dumps(arguments, separators=(",", ":"))
    sentence = f"The Parameters '{text}' could not be used to start the Task: [{fault}]"
    assert [event[2] for event in shown(states, execution["executionArn"])] == ["TaskStateEntered", "ExecutionFailed"]
    assert execution["error"] == "States.Runtime"
    assert execution["cause"] == f"{_IN_STATE} 'S' (entered at the event id #2). {sentence}"


def test_an_answer_of_dynamodb_has_its_headers(states: States) -> None:
    states.node.client("dynamodb").create_table(
        TableName="histories",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": "histories", "Item": {"id": {"S": "1"}}},
        "End": True,
    }
    output = json.loads(states.run(one(task))["output"])
    assert list(output) == ["SdkHttpMetadata", "SdkResponseMetadata"]
    metadata = output["SdkHttpMetadata"]
    assert list(metadata["HttpHeaders"]) == [
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Server",
        "x-amz-crc32",
        "x-amzn-RequestId",
    ]
    # As AWS answers an item that was put: `{}`.
    assert (metadata["HttpHeaders"]["Content-Length"], metadata["HttpHeaders"]["x-amz-crc32"]) == ("2", "2745614147")
    assert {name: [value] for name, value in metadata["HttpHeaders"].items()} == metadata["AllHttpHeaders"]
