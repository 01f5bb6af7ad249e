"""Pipes that read tables' streams, through boto3."""

import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipe"


def take(inbox: Inbox, count: int) -> list[Any]:
    """Wait for so many messages, and take them as JSON."""
    got: list[Any] = []

    def enough() -> bool:
        got.extend(inbox.events())
        return len(got) >= count

    wait_until(enough)
    return got


class Stream:
    """A table with a stream, and a pipe from it to a queue."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.tables = node.client("dynamodb")
        self.pipes = node.client("pipes")
        made = self.tables.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        self.arn = made["TableDescription"]["LatestStreamArn"]
        self.target = Inbox(node.client("sqs"), "target")

    def put(self, *names: str) -> None:
        for name in names:
            self.tables.put_item(TableName="orders", Item={"id": {"S": name}})

    def create(self, *, target: str | None = None, filters: Any = None, **parameters: Any) -> None:
        source: dict[str, Any] = {"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON", **parameters}}
        if filters:
            source["FilterCriteria"] = {"Filters": [{"Pattern": json.dumps(filters)}]}
        self.pipes.create_pipe(
            Name="p",
            Source=self.arn,
            Target=target or self.target.arn,
            RoleArn=ROLE,
            SourceParameters=source,
            TargetParameters={"InputTemplate": '{"id": <$.dynamodb.Keys.id.S>, "event": <$.eventName>}'},
        )
        wait_until(lambda: self.state() == "RUNNING")

    def state(self) -> str:
        state: str = self.pipes.describe_pipe(Name="p")["CurrentState"]
        return state


@pytest.fixture
def stream(node: RunningNode) -> Stream:
    return Stream(node)


def test_records_go_through_a_pipe_in_order(stream: Stream) -> None:
    stream.put("a", "skipped", "b")
    stream.create(filters={"dynamodb": {"Keys": {"id": {"S": [{"anything-but": "skipped"}]}}}})
    got = take(stream.target, 2)
    assert sorted(got, key=lambda event: event["id"]) == [
        {"id": "a", "event": "INSERT"},
        {"id": "b", "event": "INSERT"},
    ]
    shown = stream.pipes.describe_pipe(Name="p")["SourceParameters"]["DynamoDBStreamParameters"]
    assert shown == {
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
    }


def test_pipe_goes_on_where_it_was_stopped(stream: Stream) -> None:
    stream.put("a")
    stream.create()
    assert len(take(stream.target, 1)) == 1
    stream.pipes.stop_pipe(Name="p")
    wait_until(lambda: stream.state() == "STOPPED")
    stream.put("b")
    stream.pipes.start_pipe(Name="p")
    assert [event["id"] for event in take(stream.target, 1)] == ["b"]


def test_records_that_fail_are_told_of(stream: Stream) -> None:
    dead = Inbox(stream.node.client("sqs"), "dead")
    stream.put("a", "b")
    gone = f"arn:aws:sqs:us-east-1:{ACCOUNT}:gone"
    stream.create(
        target=gone,
        MaximumRetryAttempts=0,
        OnPartialBatchItemFailure="AUTOMATIC_BISECT",
        DeadLetterConfig={"Arn": dead.arn},
    )
    told = take(dead, 2)
    assert [one["DDBStreamBatchInfo"]["batchSize"] for one in told] == [1, 1]
    assert told[0]["context"] == {
        "partnerResourceArn": f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/p",
        "condition": "RetryAttemptsExhausted",
    }


def test_starting_position_is_required(stream: Stream) -> None:
    code, text = refusal(
        lambda: stream.pipes.create_pipe(Name="p", Source=stream.arn, Target=stream.target.arn, RoleArn=ROLE)
    )
    assert code == "ValidationException"
    assert "StartingPosition" in text
