"""A node that is killed while its tables are written to keeps items, indexes and streams together.

Writers count up items of their own, alone and in transactions of two, and note what was acknowledged. After each kill:
no acknowledged count is lost, the items of a transaction are equal, the index lists each item once under what it says,
and the stream tells every change once, in order, up to what the table is now.
"""

import os
import threading
from contextlib import closing

import pytest

from tests.fault.kill import Client, Node, NotAcknowledged

WRITERS = 6
ACKNOWLEDGED_BEFORE_KILL = 150
TABLES = "DynamoDB_20120810."
STREAMS = "DynamoDBStreams_20120810."


def call(client, operation, **members):
    return client.call(TABLES + operation, **members)


def make(client):
    def key(*names):
        return [{"AttributeName": n, "KeyType": k} for n, k in zip(names, ("HASH", "RANGE"), strict=False)]

    made = call(
        client,
        "CreateTable",
        TableName="counts",
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"))
        ],
        KeySchema=key("pk", "sk"),
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[{"IndexName": "by-g", "KeySchema": key("g"), "Projection": {"ProjectionType": "ALL"}}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return made["TableDescription"]["LatestStreamArn"]


def counting(name, sort):
    return {
        "TableName": "counts",
        "Key": {"pk": {"S": name}, "sk": {"N": str(sort)}},
        "UpdateExpression": "SET g = :g ADD n :one",
        "ExpressionAttributeValues": {":g": {"S": "odd"}, ":one": {"N": "1"}},
    }


class Writer(threading.Thread):
    """Counts up until the node is gone; `alone` and `paired` are what was acknowledged."""

    def __init__(self, port, name, progress):
        super().__init__(daemon=True)
        self._port, self._name, self._progress = port, name, progress
        self.alone = self.paired = 0

    def run(self):
        with closing(Client(self._port)) as client:
            try:
                while True:
                    alone = counting(self._name, 0)
                    alone["ExpressionAttributeValues"][":g"]["S"] = "even" if self.alone % 2 else "odd"
                    call(client, "UpdateItem", **alone)
                    self.alone += 1
                    pair = [{"Update": counting(self._name, sort)} for sort in (1, 2)]
                    call(client, "TransactWriteItems", TransactItems=pair)
                    self.paired += 1
                    self._progress.release()
            except NotAcknowledged:
                pass


def pages(client, operation, **members):
    start = {}
    while True:
        page = call(client, operation, TableName="counts", **members, **start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def state(item):
    return (item["pk"]["S"], item["sk"]["N"]), (int(item["n"]["N"]), item["g"]["S"])


def check(client, stream, acknowledged):
    items = dict(state(item) for item in pages(client, "Scan", ConsistentRead=True))
    for name, (alone, paired) in acknowledged.items():
        # One more may have been committed just before the end, without an answer.
        assert items.get((name, "0"), (0,))[0] - alone in {0, 1}
        first, second = (items.get((name, sort), (0,))[0] for sort in "12")
        assert first == second
        assert first - paired in {0, 1}
        acknowledged[name] = (items.get((name, "0"), (0,))[0], first)
    listed = []
    for group in ("odd", "even"):
        found = pages(
            client,
            "Query",
            IndexName="by-g",
            KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": {"S": group}},
        )
        states = [state(item) for item in found]
        assert {of_group for _, (_, of_group) in states} <= {group}
        listed += states
    assert sorted(listed) == sorted(items.items())
    assert replayed(client, stream) == items


def replayed(client, stream):
    described = client.call(STREAMS + "DescribeStream", StreamArn=stream)["StreamDescription"]
    now = {}
    numbers = []
    for shard in described["Shards"]:
        iterator = client.call(
            STREAMS + "GetShardIterator",
            StreamArn=stream,
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        while True:
            page = client.call(STREAMS + "GetRecords", ShardIterator=iterator)
            for record in page["Records"]:
                change = record["dynamodb"]
                key, new = state(change["NewImage"])
                before = state(change["OldImage"])[1] if "OldImage" in change else None
                assert now.get(key) == before
                now[key] = new
                numbers.append(int(change["SequenceNumber"]))
            if not page["Records"]:
                break
            iterator = page["NextShardIterator"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return now


ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))


def run_rounds(node: Node) -> None:
    with closing(Client(node.port)) as client:
        stream = make(client)
    acknowledged = {f"writer-{number}": (0, 0) for number in range(WRITERS)}
    for _ in range(ROUNDS):
        progress = threading.Semaphore(0)
        writers = {name: Writer(node.port, name, progress) for name in acknowledged}
        for writer in writers.values():
            writer.start()
        for _ in range(ACKNOWLEDGED_BEFORE_KILL):
            assert progress.acquire(timeout=60)
        node.kill()
        for writer in writers.values():
            writer.join()
        for name, writer in writers.items():
            alone, paired = acknowledged[name]
            acknowledged[name] = (alone + writer.alone, paired + writer.paired)
        node.start()
        with closing(Client(node.port)) as client:
            check(client, stream, acknowledged)


@pytest.mark.timeout(1800)
def test_items_indexes_and_streams_survive_kills(embedded_node):
    run_rounds(embedded_node)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_they_survive_kills_on_postgresql_too(postgres_node):
    run_rounds(postgres_node)
