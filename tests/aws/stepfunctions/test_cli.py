"""`forebay executions` against a real node."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from forebay.cli.executions import executions
from tests.aws.stepfunctions.conftest import States

MACHINE: dict[str, Any] = {
    "StartAt": "Receive",
    "States": {
        "Receive": {"Type": "Pass", "Assign": {"n": 5}, "Next": "Both"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "One", "States": {"One": {"Type": "Pass", "Result": 1, "End": True}}},
                {"StartAt": "Two", "States": {"Two": {"Type": "Pass", "Result": 2, "End": True}}},
            ],
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Item", "States": {"Item": {"Type": "Pass", "End": True}}},
            "Next": "Wait",
        },
        "Wait": {"Type": "Wait", "Seconds": 3600, "End": True},
    },
}


@pytest.fixture(scope="module")
def execution(states: States) -> str:
    return states.start(states.create(MACHINE, name="drawn"), {"k": "v"}, name="once")


def run(states: States, *arguments: str) -> str:
    result = CliRunner().invoke(executions, [*arguments, "--endpoint", states.node.url], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_names_executions_with_their_status(states: States, execution: str) -> None:
    head, line, *_ = run(states, "list", "drawn").splitlines()
    assert head.split() == ["STARTED", "STATUS", "TOOK", "STATE", "MACHINE", "EXECUTION"]
    assert line.split()[2:] == ["RUNNING", "runs", "drawn", "once"]
    assert json.loads(run(states, "list", "drawn", "--json"))[0]["executionArn"] == execution


@pytest.mark.usefixtures("execution")
def test_show_draws_branches_inside_their_state(states: States) -> None:
    lines = run(states, "show", "drawn/once", "--no-data").splitlines()
    drawn = [line.split("  +")[0] for line in lines[3:-1]]
    assert [" ".join(line.split()) for line in drawn] == [
        "● Receive Pass",
        "⑃ Both Parallel",
        "│ ● [0] One Pass",
        "│ ● [1] Two Pass",
        "⑃ Each Map",
        "│ ● [0] Item Pass",
        "│ ● [1] Item Pass",
        "◷ Wait Wait",
    ]


@pytest.mark.usefixtures("execution")
def test_show_tells_what_went_in_and_came_out(states: States) -> None:
    text = run(states, "show", "once")
    assert "$n = 5" in text
    assert 'in   {"k": "v"}' in text
    assert "out  [1,2]" in text


def test_stop_and_redrive_and_tail(states: States) -> None:
    arn = states.start(states.create(MACHINE, name="stopped"), name="twice")
    assert "is stopped" in run(states, "stop", "twice", "--error", "E", "--cause", "C")
    assert "E: C" in run(states, "show", "twice")
    followed = run(states, "tail", arn)
    assert followed.splitlines()[0].split()[1] == "ExecutionStarted"
    assert "ExecutionAborted" in followed.splitlines()[-1]
    assert "goes on" in run(states, "redrive", "stopped/twice")
    assert states.client.describe_execution(executionArn=arn)["status"] == "RUNNING"


def test_what_is_not_there_is_a_failure_that_says_so(states: States) -> None:
    result = CliRunner().invoke(executions, ["show", "nobody", "--endpoint", states.node.url])
    assert (result.exit_code, result.output) == (1, "Error: There is no execution nobody.\n")
