"""A node that is killed while it fires schedules has fired each of them once when it is back."""

import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fault.kill import ACCOUNT, Client, Node

_SCHEDULES = 250
_DAY = 86_400
# Longer than the lease that a dead node leaves behind.
_LEASE_SECONDS = 90
_PATIENCE_SECONDS = 20.0


def set_up(node: Node) -> None:
    def client_of(service: str) -> Any:
        keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "kill"}
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{node.port}", region_name="us-east-1", **keys)

    scheduler = client_of("scheduler")
    with closing(Client(node.port)) as client:
        client.call("AmazonSQS.CreateQueue", QueueName="fired")
    for number in range(_SCHEDULES):
        target = {
            "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:fired",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r",
            "Input": json.dumps(["<aws.scheduler.scheduled-time>", number]),
        }
        scheduler.create_schedule(
            Name=f"s{number}",
            ScheduleExpression="cron(0 0 * * ? *)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=target,
        )


def wait_for_the_first(client: Client) -> None:
    began = time.monotonic()
    names = ["ApproximateNumberOfMessages"]
    while True:
        answer = client.call("AmazonSQS.GetQueueAttributes", QueueUrl="fired", AttributeNames=names)
        if answer["Attributes"][names[0]] != "0":
            return
        assert time.monotonic() - began < _PATIENCE_SECONDS, "nothing was fired"


def take(client: Client, count: int) -> list[tuple[str, int]]:
    """Take as many messages as there should be, and any more that are there."""
    taken: list[tuple[str, int]] = []
    began = time.monotonic()
    while True:
        wait_seconds = 0 if len(taken) >= count else 1
        answer = client.call(
            "AmazonSQS.ReceiveMessage", QueueUrl="fired", MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds
        )
        found = answer.get("Messages", [])
        if not found and len(taken) >= count:
            return taken
        for message in found:
            at, number = json.loads(message["Body"])
            taken.append((at, number))
            client.call("AmazonSQS.DeleteMessage", QueueUrl="fired", ReceiptHandle=message["ReceiptHandle"])
        assert time.monotonic() - began < _PATIENCE_SECONDS, f"{len(taken)} of {count} were fired"


@pytest.mark.timeout(600)
def test_schedules_fire_once_whenever_the_node_is_killed(tmp_path: Path) -> None:
    rounds = int(os.environ.get("FOREBAY_KILL_ROUNDS", "2"))
    node = Node(tmp_path / "data")
    node.start()
    try:
        set_up(node)
        midnight = int(time.time()) // _DAY * _DAY
        offset = 0.0
        for number in range(1, rounds + 1):
            due_at = midnight + number * _DAY
            node.advance(due_at - time.time() - offset)
            with closing(Client(node.port)) as client:
                wait_for_the_first(client)
            node.kill()
            node.start()
            # A node that starts again begins at real time.
            offset = due_at + _LEASE_SECONDS - time.time()
            node.advance(offset)
            with closing(Client(node.port)) as client:
                taken = take(client, _SCHEDULES)
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due_at))
            assert sorted(taken) == [(at, name) for name in range(_SCHEDULES)]
    finally:
        node.stop()
