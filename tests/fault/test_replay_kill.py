"""A replay goes on after its node is killed, and sends no event twice."""

import json
import os
import random
import time
from collections import Counter
from contextlib import closing

import pytest

from tests.fault.kill import ACCOUNT, Client, Node

_EVENTS = 1_000
_PREFIX = f"arn:aws:events:us-east-1:{ACCOUNT}:"


def prepare(client: Client) -> None:
    """Archive events on a bus, and then let a rule send all of them to a queue."""
    client.call("AmazonSQS.CreateQueue", QueueName="q")
    client.call("AWSEvents.CreateEventBus", Name="bus")
    client.call("AWSEvents.CreateArchive", ArchiveName="a", EventSourceArn=_PREFIX + "event-bus/bus")
    for start in range(0, _EVENTS, 10):
        entries = [
            {"Source": "kill", "DetailType": "t", "Detail": json.dumps({"n": number}), "EventBusName": "bus"}
            for number in range(start, start + 10)
        ]
        assert client.call("AWSEvents.PutEvents", Entries=entries)["FailedEntryCount"] == 0
    assert client.call("AWSEvents.DescribeArchive", ArchiveName="a")["EventCount"] == _EVENTS
    client.call("AWSEvents.PutRule", Name="all", EventBusName="bus", EventPattern='{"source":["kill"]}')
    target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}
    client.call("AWSEvents.PutTargets", Rule="all", EventBusName="bus", Targets=[target])


def start_replay(client: Client, name: str) -> None:
    now = time.time()
    client.call(
        "AWSEvents.StartReplay",
        ReplayName=name,
        EventSourceArn=_PREFIX + "archive/a",
        EventStartTime=now - 3_600,
        EventEndTime=now + 60,
        Destination={"Arn": _PREFIX + "event-bus/bus"},
    )


def await_end(node: Node, name: str, seconds: float) -> None:
    """Wait until a replay has ended; the lease of the node that was killed lapses when the clock moves on.

    A node that starts has the real time again, so each has to move on further than the one before.
    """
    node.advance(seconds)
    until = time.monotonic() + 30
    with closing(Client(node.port)) as client:
        while (state := client.call("AWSEvents.DescribeReplay", ReplayName=name)["State"]) != "COMPLETED":
            assert state in {"STARTING", "RUNNING"}
            assert time.monotonic() < until, "the replay did not end"
            time.sleep(0.02)


def drain(client: Client) -> Counter[int]:
    """Take all messages from the queue and count them by number."""
    counted: Counter[int] = Counter()
    while found := client.call("AmazonSQS.ReceiveMessage", QueueUrl="q", MaxNumberOfMessages=10).get("Messages"):
        counted.update(json.loads(message["Body"])["detail"]["n"] for message in found)
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(found)]
        client.call("AmazonSQS.DeleteMessageBatch", QueueUrl="q", Entries=entries)
    return counted


@pytest.mark.timeout(600)
def test_replay_sends_each_event_once_whenever_its_node_is_killed(tmp_path) -> None:
    rounds = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))
    chance = random.Random(rounds)
    node = Node(tmp_path / "data")
    node.start()
    try:
        with closing(Client(node.port)) as client:
            prepare(client)
        cut_short = 0
        for number in range(rounds):
            with closing(Client(node.port)) as client:
                start_replay(client, f"replay-{number}")
                time.sleep(chance.uniform(0.0, 0.2))
                state = client.call("AWSEvents.DescribeReplay", ReplayName=f"replay-{number}")["State"]
            node.kill()
            cut_short += state != "COMPLETED"
            node.start()
            await_end(node, f"replay-{number}", 40.0 * (number + 1))
            with closing(Client(node.port)) as client:
                assert drain(client) == Counter(range(_EVENTS))
        assert cut_short, "no replay was under way when its node was killed"
    finally:
        node.stop()
