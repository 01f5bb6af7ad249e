"""Distributed Map states through boto3: items from S3, batches, results, tolerated failures, redrives."""

import json
from typing import Any

import pytest

from tests.aws.stepfunctions.conftest import States
from tests.harness import wait_until


def definition(kind: str, chain: dict[str, Any], **more: Any) -> dict[str, Any]:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, **chain}
    state = {"Type": "Map", "ItemProcessor": processor, "Label": "each", "End": True, **more}
    return {"StartAt": "M", "States": {"M": state}}


PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": {"n.$": "$"}, "End": True}}}
ODD_FAILS = {
    "StartAt": "C",
    "States": {
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.odd", "BooleanEquals": True, "Next": "F"}],
            "Default": "S",
        },
        "F": {"Type": "Fail", "Error": "Odd", "Cause": "it is"},
        "S": {"Type": "Succeed"},
    },
}


def bucket(states: States, name: str, **objects: str) -> str:
    s3 = states.node.client("s3")
    s3.create_bucket(Bucket=name)
    for key, body in objects.items():
        s3.put_object(Bucket=name, Key=key, Body=body.encode())
    return name


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_map_run_runs_its_items(states: States, kind: str) -> None:
    execution = states.run(definition(kind, PASS, ItemsPath="$.items", MaxConcurrency=2), {"items": [1, 2, 3]})
    assert execution["output"] == '[{"n":1},{"n":2},{"n":3}]'
    arn = execution["executionArn"]
    assert states.types(arn) == [
        "ExecutionStarted",
        "MapStateEntered",
        "MapStateStarted",
        "MapRunStarted",
        "MapRunSucceeded",
        "MapStateSucceeded",
        "MapStateExited",
        "ExecutionSucceeded",
    ]
    (run,) = states.client.list_map_runs(executionArn=arn)["mapRuns"]
    shown = states.client.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (shown["status"], shown["executionCounts"]["succeeded"], shown["itemCounts"]["total"]) == ("SUCCEEDED", 3, 3)
    children = states.client.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert len(children) == 3
    assert children[0]["stateMachineArn"].endswith("/each")
    if kind == "STANDARD":
        child = states.client.describe_execution(executionArn=children[0]["executionArn"])
        assert child["mapRunArn"] == run["mapRunArn"]


@pytest.mark.parametrize(
    ("config", "body", "items"),
    [
        ({"InputType": "JSON"}, '[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
        ({"InputType": "JSONL"}, '{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        (
            {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "a,b\n1,x\n2,y\n",
            [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}],
        ),
        (
            {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a"], "MaxItems": 1},
            "1\n2\n",
            [{"a": "1"}],
        ),
    ],
)
def test_items_are_read_from_an_object(states: States, config: dict[str, Any], body: str, items: list[Any]) -> None:
    name = bucket(states, f"read-{states.name()}", items=body)
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": config,
        "Parameters": {"Bucket": name, "Key": "items"},
    }
    succeed = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
    execution = states.run(definition("STANDARD", succeed, ItemReader=reader))
    assert json.loads(execution["output"]) == items


def test_a_listing_is_batched_and_its_results_are_written(states: States) -> None:
    name = bucket(states, "results", **{"in-1": "a", "in-2": "b", "in-3": "c"})
    reader = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": name, "Prefix": "in-"},
    }
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": name, "Prefix": "out"}}
    succeed = {"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"k": 1}}
    execution = states.run(
        definition(
            "STANDARD",
            succeed,
            ItemReader=reader,
            ItemBatcher=batcher,
            ResultWriter=writer,
            ItemSelector={"key.$": "$$.Map.Item.Value.Key", "at.$": "$$.Map.Item.Value.LastModified"},
        )
    )
    output = json.loads(execution["output"])
    s3 = states.node.client("s3")
    place = output["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(Bucket=place["Bucket"], Key=place["Key"])["Body"].read())
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    written = json.loads(s3.get_object(Bucket=name, Key=file["Key"])["Body"].read())
    first = json.loads(written[0]["Output"])
    assert (first["BatchInput"], [item["key"] for item in first["Items"]]) == ({"k": 1}, ["in-1", "in-2"])
    assert all(isinstance(item["at"], int) for item in first["Items"])
    assert [item["key"] for each in written for item in json.loads(each["Output"])["Items"]] == ["in-1", "in-2", "in-3"]
    counts = states.client.describe_map_run(mapRunArn=output["MapRunArn"])
    assert (counts["executionCounts"]["total"], counts["itemCounts"]["succeeded"]) == (2, 3)


def test_too_many_failures_fail_the_map_run(states: States) -> None:
    items = [{"odd": False}, {"odd": True}, {"odd": False}]
    execution = states.run(definition("STANDARD", ODD_FAILS, ItemsPath="$.items"), {"items": items})
    assert execution["error"] == "States.ExceedToleratedFailureThreshold"
    assert execution["cause"] == "The specified tolerated failure threshold was exceeded"
    assert "MapRunFailed" in states.types(execution["executionArn"])


def test_tolerated_failures_do_not(states: States) -> None:
    items = [{"odd": False}, {"odd": True}, {"odd": False}]
    tolerant = definition("STANDARD", ODD_FAILS, ItemsPath="$.items", ToleratedFailureCount=1)
    execution = states.run(tolerant, {"items": items})
    assert execution["status"] == "SUCCEEDED"
    (run,) = states.client.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    shown = states.client.describe_map_run(mapRunArn=run["mapRunArn"])
    assert (shown["executionCounts"]["succeeded"], shown["executionCounts"]["failed"]) == (2, 1)


def test_what_cannot_be_read_fails_the_state(states: States) -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "none-of-ours", "Key": "k"},
    }
    execution = states.run(definition("STANDARD", PASS, ItemReader=reader))
    assert execution["error"] == "States.ItemReaderFailed"


def test_stopping_stops_the_children(states: States) -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    machine = states.create(definition("STANDARD", wait, ItemsPath="$"))
    execution = states.start(machine, [1, 2])
    started = states.wait_for(execution, "MapRunStarted")
    run = started["mapRunStartedEventDetails"]["mapRunArn"]

    def running() -> bool:
        try:
            return len(states.client.list_executions(mapRunArn=run, statusFilter="RUNNING")["executions"]) == 2
        except states.client.exceptions.ResourceNotFound:
            return False

    wait_until(running)
    states.client.stop_execution(executionArn=execution)
    wait_until(lambda: len(states.client.list_executions(mapRunArn=run, statusFilter="ABORTED")["executions"]) == 2)
    assert states.client.describe_map_run(mapRunArn=run)["status"] == "ABORTED"


def test_a_redrive_runs_only_what_failed(states: States) -> None:
    sqs = states.node.client("sqs")
    ask = {
        "StartAt": "Q",
        "States": {
            "Q": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
                "Parameters": {"QueueName.$": "$.name"},
                "End": True,
            }
        },
    }
    sqs.create_queue(QueueName="there")
    execution = states.run(
        definition("STANDARD", ask, ItemsPath="$", ToleratedFailurePercentage=0), [{"name": "there"}, {"name": "later"}]
    )
    assert execution["status"] == "FAILED"
    sqs.create_queue(QueueName="later")
    states.client.redrive_execution(executionArn=execution["executionArn"])
    ended = states.ended(execution["executionArn"])
    assert ended["status"] == "SUCCEEDED"
    assert len(json.loads(ended["output"])) == 2
    assert "MapRunRedriven" in states.types(execution["executionArn"])
    assert ended["redriveCount"] == 1
