"""A node that is killed while executions run ends each of them as it would have ended, without a gap in its history."""

import json
import os
import random
import time
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.fault.kill import ACCOUNT, Node

_EXECUTIONS = 12
_PATIENCE_SECONDS = 60.0
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


def client_of(node: Node, service: str) -> Any:
    keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "kill"}
    config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False)
    url = f"http://127.0.0.1:{node.port}"
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)


def definition(queue_url: str) -> str:
    def send(name: str) -> dict[str, Any]:
        body = {"execution.$": "$$.Execution.Name", "state": name, "n.$": "States.JsonToString($)"}
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl": queue_url, "MessageBody": body},
            "ResultPath": None,
        }

    branches = [
        {
            "StartAt": f"A{n}",
            "States": {f"A{n}": {**send(f"A{n}"), "Next": f"B{n}"}, f"B{n}": {**send(f"B{n}"), "End": True}},
        }
        for n in range(2)
    ]
    items = {"StartAt": "I", "States": {"I": {**send("I"), "End": True}}}
    states = {
        "Start": {"Type": "Pass", "Result": {"items": [1, 2, 3]}, "Next": "Both"},
        "Both": {"Type": "Parallel", "Branches": branches, "ResultPath": None, "Next": "Wait"},
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Each"},
        "Each": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": items, "Next": "Last"},
        "Last": {**send("Last"), "End": True},
    }
    return json.dumps({"StartAt": "Start", "States": states})


def wait_for_all(node: Node, arns: list[str]) -> list[dict[str, Any]]:
    states = client_of(node, "stepfunctions")
    until = time.monotonic() + _PATIENCE_SECONDS
    ended: dict[str, dict[str, Any]] = {}
    while len(ended) < len(arns):
        for arn in arns:
            if arn not in ended:
                shown = states.describe_execution(executionArn=arn)
                if shown["status"] != "RUNNING":
                    ended[arn] = shown
        assert time.monotonic() < until, f"{len(arns) - len(ended)} executions have not ended"
        time.sleep(0.1)
    return list(ended.values())


def history(states: Any, arn: str) -> list[dict[str, Any]]:
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn, maxResults=1000)
    return [event for page in pages for event in page["events"]]


def check_history(events: list[dict[str, Any]]) -> list[str]:
    """Check that a history has no gap, and that each task is done once; return the ids of the messages it tells of."""
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["previousEventId"] < event["id"] for event in events)
    types = [event["type"] for event in events]
    assert types.count("TaskScheduled") == types.count("TaskStarted") == types.count("TaskSucceeded") == 8
    assert types[-1] == "ExecutionSucceeded"
    outputs = [event["taskSucceededEventDetails"]["output"] for event in events if event["type"] == "TaskSucceeded"]
    return [json.loads(output)["MessageId"] for output in outputs]


def take_all(node: Node, url: str) -> dict[str, tuple[float, str]]:
    """Return all messages: when each was sent, and what by."""
    queue = client_of(node, "sqs")
    taken: dict[str, tuple[float, str]] = {}
    while True:
        answer = queue.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"], VisibilityTimeout=600
        )
        found = answer.get("Messages", [])
        if not found:
            return taken
        for message in found:
            taken[message["MessageId"]] = (int(message["Attributes"]["SentTimestamp"]), message["Body"])


def run_rounds(node: Node, lease_seconds: float) -> None:
    chance = random.Random(7)
    for number in range(int(os.environ.get("FOREBAY_KILL_ROUNDS", "2"))):
        queue, states = client_of(node, "sqs"), client_of(node, "stepfunctions")
        url = queue.create_queue(QueueName=f"sent-{number}")["QueueUrl"]
        machine = states.create_state_machine(name=f"m{number}", definition=definition(url), roleArn=_ROLE)
        arns = [
            states.start_execution(stateMachineArn=machine["stateMachineArn"], name=f"e{each}")["executionArn"]
            for each in range(_EXECUTIONS)
        ]
        for _ in range(2):
            time.sleep(chance.uniform(0.0, 0.9))
            node.kill()
            node.start()
            if lease_seconds:
                node.advance(lease_seconds)
        ended = wait_for_all(node, arns)
        assert {(each["status"], each["output"]) for each in ended} == {("SUCCEEDED", "[1,2,3]")}
        states = client_of(node, "stepfunctions")
        told = [message for arn in arns for message in check_history(history(states, arn))]
        taken = take_all(node, url.replace(url.split("/")[2], f"127.0.0.1:{node.port}"))
        assert len(set(told)) == len(told)
        assert set(told) <= set(taken)
        # Of each task, what is told to be done was sent last: it was not done again.
        latest: dict[str, float] = {}
        for sent_at, body in taken.values():
            latest[body] = max(latest.get(body, 0.0), sent_at)
        assert all(taken[message][0] == latest[taken[message][1]] for message in told)


@pytest.mark.timeout(1800)
def test_executions_end_as_they_would_have_whenever_the_node_is_killed(embedded_node: Node) -> None:
    run_rounds(embedded_node, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_executions_end_on_postgresql_too(postgres_node: Node) -> None:
    # The leases of a dead node end; with one store for many nodes, nobody can know that it is dead.
    run_rounds(postgres_node, 30.0)
