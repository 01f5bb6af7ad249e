"""A table's stream reaches a queue whole and in order, however often the node is killed in between."""

import json
import os
import random
import threading
import time
from contextlib import closing, suppress

import pytest

from tests.fault.kill import ACCOUNT, Client, Node, NotAcknowledged

KEYS = "abcd"
ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))


def prepare(client: Client) -> None:
    """Have a pipe send a table's changes to a FIFO queue, where those of an item are a group."""
    client.call("AmazonSQS.CreateQueue", QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    made = client.call(
        "DynamoDB_20120810.CreateTable",
        TableName="counts",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    pipe = {
        "Source": made["TableDescription"]["LatestStreamArn"],
        "Target": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q.fifo",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/pipe",
        "SourceParameters": {
            "DynamoDBStreamParameters": {
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 7,
                "ParallelizationFactor": 2,
            }
        },
        "TargetParameters": {
            "InputTemplate": '{"id": <$.dynamodb.Keys.id.S>, "n": <$.dynamodb.NewImage.n.N>}',
            "SqsQueueParameters": {
                "MessageGroupId": "$.dynamodb.Keys.id.S",
                "MessageDeduplicationId": "$.dynamodb.SequenceNumber",
            },
        },
    }
    client.post("/v1/pipes/p", json.dumps(pipe), dict(_signed("pipes")))


def _signed(service: str) -> dict[str, str]:
    scope = f"{ACCOUNT}/20260101/us-east-1/{service}/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    return {"Content-Type": "application/json", "Authorization": authorization}


class Counting(threading.Thread):
    """Counts an item up without end, and knows how far that was acknowledged."""

    def __init__(self, port: int, key: str, known: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._key = key
        self._known = known

    def run(self) -> None:
        with closing(Client(self._port)) as client, suppress(NotAcknowledged):
            while True:
                answer = client.call(
                    "DynamoDB_20120810.UpdateItem",
                    TableName="counts",
                    Key={"id": {"S": self._key}},
                    UpdateExpression="ADD n :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                    ReturnValues="UPDATED_NEW",
                )
                self._known[self._key] = int(answer["Attributes"]["n"]["N"])


def drain(client: Client, seen: dict[str, list[int]]) -> bool:
    """Take what there is; return whether there was anything."""
    found = client.call("AmazonSQS.ReceiveMessage", QueueUrl="q.fifo", MaxNumberOfMessages=10).get("Messages")
    for message in found or ():
        body = json.loads(message["Body"])
        seen.setdefault(body["id"], []).append(int(body["n"]))
    if found:
        entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(found)]
        client.call("AmazonSQS.DeleteMessageBatch", QueueUrl="q.fifo", Entries=entries)
    return bool(found)


def run_rounds(node: Node) -> None:
    chance = random.Random(ROUNDS)
    known: dict[str, int] = {}
    seen: dict[str, list[int]] = {}
    with closing(Client(node.port)) as client:
        prepare(client)
    for _ in range(ROUNDS):
        writers = [Counting(node.port, key, known) for key in KEYS]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.3, 1.0))
        node.kill()
        for writer in writers:
            writer.join()
        node.start()
    # The lanes of the node that was killed last are free when their leases have lapsed.
    node.advance(25)
    with closing(Client(node.port)) as client:
        until = time.monotonic() + 60
        while any(len(seen.get(key, ())) < known[key] for key in KEYS):
            if drain(client, seen):
                until = time.monotonic() + 60
            else:
                assert time.monotonic() < until, {key: (len(seen.get(key, ())), known[key]) for key in KEYS}
                time.sleep(0.05)
        while drain(client, seen):
            pass
    for key in KEYS:
        assert seen[key] == list(range(1, len(seen[key]) + 1))
        assert len(seen[key]) >= known[key]


@pytest.mark.timeout(1800)
def test_no_change_is_missing_doubled_or_out_of_order(embedded_node: Node) -> None:
    run_rounds(embedded_node)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nor_is_one_on_postgresql(postgres_node: Node) -> None:
    run_rounds(postgres_node)
