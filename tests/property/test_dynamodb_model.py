"""Random operations on a table against an independent small model, on every engine.

The model is a dict of plain values. After each history everything that can be read has to agree with it: the table, the
index, the counters, and the items that come of replaying the stream from its beginning.
"""

import asyncio
import itertools
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.services.dynamodb import SERVICE
from forebay.services.dynamodb.streams_service import SERVICE as STREAMS
from forebay.store.memory import MemoryStore
from forebay.store.sqlite import open_sqlite
from tests import postgres as server
from tests.unit.operations.stage import CALLER, Stage

KEYS = st.tuples(st.sampled_from("ab"), st.sampled_from(["-3", "0", "2.50", "10"]))
GROUPS = st.sampled_from(["x", "y", None])
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), KEYS, GROUPS, st.integers(-5, 5)),
    st.tuples(st.just("create"), KEYS, GROUPS, st.integers(-5, 5)),
    st.tuples(st.just("add"), KEYS, st.integers(-5, 5)),
    st.tuples(st.just("regroup"), KEYS, GROUPS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("move"), KEYS, KEYS),
    st.tuples(st.just("range"), st.sampled_from("ab"), st.sampled_from(["-3", "0", "5"]), st.booleans()),
)


class Model:
    """A table as a dict: what each operation does, said once more and as simply as can be."""

    def __init__(self):
        self.items = {}

    def put(self, key, group, value):
        self.items[_key(key)] = {"g": group, "v": Decimal(value)}

    def create(self, key, group, value):
        if _key(key) in self.items:
            return "ConditionalCheckFailedException"
        return self.put(key, group, value)

    def add(self, key, value):
        item = self.items.setdefault(_key(key), {"g": None, "v": Decimal(0)})
        item["v"] += value

    def regroup(self, key, group):
        if _key(key) not in self.items:
            return "ConditionalCheckFailedException"
        self.items[_key(key)]["g"] = group
        return None

    def delete(self, key):
        self.items.pop(_key(key), None)

    def move(self, source, target):
        """Take one from one item and give it to another, both or neither."""
        if _key(source) == _key(target):
            return "ValidationException"
        if self.items.get(_key(source), {"v": 0})["v"] < 1:
            return "TransactionCanceledException"
        self.items[_key(source)]["v"] -= 1
        self.add(target, 1)
        return None


def _key(key):
    return key[0], Decimal(key[1])


def _wire(key):
    return {"pk": {"S": key[0]}, "sk": {"N": key[1]}}


class Table:
    """The same operations as requests."""

    def __init__(self, stage):
        self._stage = stage

    async def run(self, operation, service="dynamodb", **params):
        return await self._stage.table.run_params(CALLER, service, operation, params)

    async def make(self):
        def key(*names):
            return [{"AttributeName": n, "KeyType": k} for n, k in zip(names, ("HASH", "RANGE"), strict=False)]

        made = await self.run(
            "CreateTable",
            TableName="table",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("sk", "N"), ("g", "S"))
            ],
            KeySchema=key("pk", "sk"),
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {"IndexName": "by-g", "KeySchema": key("g", "sk"), "Projection": {"ProjectionType": "ALL"}}
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.stream = made["TableDescription"]["LatestStreamArn"]

    async def put(self, key, group, value, **condition):
        grouped = {} if group is None else {"g": {"S": group}}
        item = {**_wire(key), **grouped, "v": {"N": str(value)}}
        return await self._outcome("PutItem", Item=item, **condition)

    async def create(self, key, group, value):
        return await self.put(key, group, value, ConditionExpression="attribute_not_exists(pk)")

    async def add(self, key, value):
        values = {":v": {"N": str(value)}}
        return await self._outcome(
            "UpdateItem", Key=_wire(key), UpdateExpression="ADD v :v", ExpressionAttributeValues=values
        )

    async def regroup(self, key, group):
        change = {"UpdateExpression": "REMOVE g"}
        if group is not None:
            change = {"UpdateExpression": "SET g = :g", "ExpressionAttributeValues": {":g": {"S": group}}}
        return await self._outcome("UpdateItem", Key=_wire(key), ConditionExpression="attribute_exists(pk)", **change)

    async def delete(self, key):
        return await self._outcome("DeleteItem", Key=_wire(key))

    async def move(self, source, target):
        take = {
            "TableName": "table",
            "Key": _wire(source),
            "UpdateExpression": "SET v = v - :one",
            "ConditionExpression": "v >= :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        give = {
            "TableName": "table",
            "Key": _wire(target),
            "UpdateExpression": "ADD v :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        try:
            await self.run("TransactWriteItems", TransactItems=[{"Update": take}, {"Update": give}])
        except ServiceError as error:
            return error.code
        return None

    async def _outcome(self, operation, **params):
        try:
            await self.run(operation, TableName="table", **params)
        except ServiceError as error:
            return error.code
        return None

    async def query(self, condition, values, **further):
        """Read all pages of a query, two items each."""
        found, start = [], {}
        while True:
            page = await self.run(
                "Query",
                TableName="table",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                Limit=2,
                **further,
                **start,
            )
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return [_plain(item) for item in found]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def records(self):
        described = await self.run("DescribeStream", "dynamodbstreams", StreamArn=self.stream)
        (shard,) = described["StreamDescription"]["Shards"]
        iterator = await self.run(
            "GetShardIterator",
            "dynamodbstreams",
            StreamArn=self.stream,
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        return (await self.run("GetRecords", "dynamodbstreams", ShardIterator=iterator["ShardIterator"]))["Records"]


def _plain(item):
    key = (item["pk"]["S"], Decimal(item["sk"]["N"]))
    return key, {"g": item.get("g", {}).get("S"), "v": Decimal(item["v"]["N"])}


async def check(store, history):
    model, table = Model(), Table(Stage(SERVICE, STREAMS, store=store))
    await table.make()
    for name, *arguments in history:
        if name == "range":
            await check_range(table, model, *arguments)
        else:
            assert await getattr(table, name)(*arguments) == getattr(model, name)(*arguments), (name, arguments)
    scanned = await table.run("Scan", TableName="table")
    assert dict(map(_plain, scanned["Items"])) == model.items
    for group in "xy":
        listed = await table.query("g = :g", {":g": {"S": group}}, IndexName="by-g")
        expected = {key: item for key, item in model.items.items() if item["g"] == group}
        assert dict(listed) == expected
        assert [key[1] for key, _ in listed] == sorted(key[1] for key in expected)
    description = (await table.run("DescribeTable", TableName="table"))["Table"]
    assert description["ItemCount"] == len(model.items)
    grouped = sum(item["g"] is not None for item in model.items.values())
    assert description["GlobalSecondaryIndexes"][0]["ItemCount"] == grouped
    check_replay(await table.records(), model)


async def check_range(table, model, partition, bound, is_backward):
    found = await table.query(
        "pk = :p AND sk >= :s", {":p": {"S": partition}, ":s": {"N": bound}}, ScanIndexForward=not is_backward
    )
    keys = sorted(key for key in model.items if key[0] == partition and key[1] >= Decimal(bound))
    expected = [(key, model.items[key]) for key in keys]
    assert found == (expected[::-1] if is_backward else expected)


def check_replay(records, model):
    """Every change is told once and in order: each record's old image is the state before it."""
    replayed = {}
    for record in records:
        change = record["dynamodb"]
        key = (change["Keys"]["pk"]["S"], Decimal(change["Keys"]["sk"]["N"]))
        assert replayed.get(key) == (_plain(change["OldImage"])[1] if "OldImage" in change else None)
        if "NewImage" in change:
            replayed[key] = _plain(change["NewImage"])[1]
        else:
            del replayed[key]
    assert replayed == model.items


@pytest.fixture(scope="module")
def postgres():
    if server.binaries() is None:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    one = server.PostgresServer()
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
@given(history=st.lists(OPERATIONS, max_size=25))
@settings(max_examples=25, deadline=None)
def test_table_is_as_the_model_says(engine, history):
    async def run():
        if engine == "memory":
            await check(MemoryStore(), history)
            return
        with tempfile.TemporaryDirectory() as folder:
            store = await open_sqlite(Path(folder))
            try:
                await check(store, history)
            finally:
                await store.close()

    asyncio.run(run())


SCHEMAS = itertools.count(1)


@given(history=st.lists(OPERATIONS, max_size=25))
@settings(max_examples=8, deadline=None)
def test_table_on_postgresql_is_as_the_model_says(postgres, history):
    from forebay.store.postgres import open_postgres

    async def run():
        store = await open_postgres(postgres.url, schema=f"tables{next(SCHEMAS)}")
        try:
            await check(store, history)
        finally:
            await store.close()

    asyncio.run(run())
