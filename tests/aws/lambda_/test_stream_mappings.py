"""Functions that read tables' streams, through boto3."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import postgres as servers
from tests.aws.lambda_.conftest import Functions
from tests.aws.lambda_.test_event_source_mappings import Queues, arn
from tests.harness import RunningNode, wait_until

# Tells the queue `seen` of each call: its records' keys, and the event besides its records. Fails as items ask for.
READER = """
import boto3, json, os
sqs = boto3.client("sqs")
def handler(event, context):
    records = event.pop("Records")
    keys = [record["dynamodb"]["Keys"]["id"]["S"] for record in records]
    source = records[0]["eventSourceARN"] if records else event["eventSourceARN"]
    told = {"keys": keys, "event": event, "first": records[:1], "source": source}
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(told))
    if any("crash" in key for key in keys):
        raise RuntimeError("crash")
    failures = [{"itemIdentifier": r["dynamodb"]["SequenceNumber"]} for r, k in zip(records, keys) if "bad" in k]
    state = event.get("state", {})
    return {"batchItemFailures": failures, "state": {"count": state.get("count", 0) + len(keys)}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, databases: servers.PostgresServer | None) -> Iterator[RunningNode]:
    """A node with the function, for all tests of this file."""
    settings = {} if databases is None else {"store": databases.new_database("streams")}
    node = RunningNode(tmp_path_factory.mktemp("world") / "data", **settings).start()
    make_reader(node)
    yield node
    node.stop()


def make_reader(node: RunningNode) -> None:
    queues = Queues(node)
    queues.make("seen")
    environment = {"Variables": {"SEEN": queues.url("seen")}}
    Functions(node).make("reader", READER, Environment=environment, MemorySize=256, Timeout=20)


class Table:
    """A table with a stream, and a function that reads it."""

    numbers = count(1)

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        self.queues = Queues(node)
        self.name = f"orders{next(self.numbers)}"
        self.mapping = ""
        made = self.client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.stream = made["TableDescription"]["LatestStreamArn"]

    @property
    def client(self) -> Any:
        return self.node.client("dynamodb")

    @property
    def functions(self) -> Any:
        return self.node.client("lambda")

    def put(self, *names: str, **attributes: str) -> None:
        for name in names:
            item = {"id": {"S": name}, **{key: {"S": text} for key, text in attributes.items()}}
            self.client.put_item(TableName=self.name, Item=item)

    def map(self, **settings: Any) -> dict[str, Any]:
        given = {"StartingPosition": "TRIM_HORIZON", **settings}
        made = self.functions.create_event_source_mapping(EventSourceArn=self.stream, FunctionName="reader", **given)
        self.mapping = made["UUID"]
        return made

    def result(self) -> str:
        return self.functions.get_event_source_mapping(UUID=self.mapping)["LastProcessingResult"]

    def calls(self, count: int) -> list[dict[str, Any]]:
        """Take what `count` calls have told, in order."""
        told: list[dict[str, Any]] = []
        while len(told) < count:
            messages = [json.loads(message["Body"]) for message in self.queues.take("seen", 1)]
            # A call for the table of the test before may have come late.
            told += [message for message in messages if message["source"] == self.stream]
        assert len(told) == count, told
        return told

    def keys(self, calls: int) -> list[list[str]]:
        return [call["keys"] for call in self.calls(calls)]


@pytest.fixture
def table(world: RunningNode) -> Iterator[Table]:
    one = Table(world)
    yield one
    world.clock.resume()
    if one.mapping:
        one.functions.delete_event_source_mapping(UUID=one.mapping)


def test_records_are_handed_over_in_order(table: Table):
    table.put("a", "b")
    table.put("a", colour="red")
    made = table.map()
    assert made["State"] == "Creating"
    assert made["BatchSize"] == 100
    assert made["LastProcessingResult"] == "No records processed"
    expected = {
        "StartingPosition": "TRIM_HORIZON",
        "ParallelizationFactor": 1,
        "BisectBatchOnFunctionError": False,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": -1,
        "TumblingWindowInSeconds": 0,
        "DestinationConfig": {"OnFailure": {}},
    }
    assert {name: made[name] for name in expected} == expected
    (call,) = table.calls(1)
    assert call["keys"] == ["a", "b", "a"]
    (record,) = call["first"]
    assert record["eventName"] == "INSERT"
    assert record["eventSource"] == "aws:dynamodb"
    assert record["eventSourceARN"] == table.stream
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a"}}
    wait_until(lambda: table.result() == "OK")
    table.put("c")
    assert table.keys(1) == [["c"]]


def test_latest_begins_where_the_stream_ends(table: Table):
    table.put("old")
    table.map(StartingPosition="LATEST")
    table.put("new")
    assert table.keys(1) == [["new"]]


def test_timestamp_begins_at_a_moment(table: Table):
    table.node.clock.freeze()
    now = table.node.clock.now()
    table.put("old")
    table.node.clock.advance(100)
    table.put("new")
    table.map(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=now + 50)
    assert table.keys(1) == [["new"]]


def test_batches_have_a_size_and_filters(table: Table):
    table.put("a", "b", "skipped", "c")
    pattern = json.dumps({"dynamodb": {"Keys": {"id": {"S": [{"anything-but": ["skipped"]}]}}}})
    table.map(BatchSize=2, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    assert table.keys(2) == [["a", "b"], ["c"]]


def test_failing_batch_is_halved_until_the_record_is_alone_and_told_of(table: Table):
    table.queues.make(failures := f"failures-{table.name}")
    table.put("a", "b", "crash", "d")
    destination = {"OnFailure": {"Destination": arn(failures)}}
    table.map(BisectBatchOnFunctionError=True, MaximumRetryAttempts=1, DestinationConfig=destination)
    assert table.keys(6) == [["a", "b", "crash", "d"], ["a", "b"], ["crash", "d"], ["crash"], ["crash"], ["d"]]
    told = json.loads(table.queues.take(failures, 1)[0]["Body"])
    info = told.pop("DDBStreamBatchInfo")
    assert told["requestContext"].pop("requestId")
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "version": "1.0",
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:reader",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }
    assert info["startSequenceNumber"] == info["endSequenceNumber"]
    assert (info["batchSize"], info["streamArn"]) == (1, table.stream)
    streams = table.node.client("dynamodbstreams")
    shards = streams.describe_stream(StreamArn=table.stream)["StreamDescription"]["Shards"]
    assert info["shardId"] in {shard["ShardId"] for shard in shards}


def test_partial_failure_begins_again_at_the_lowest_record(table: Table):
    table.put("a", "bad", "c")
    table.map(FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1)
    assert table.keys(2) == [["a", "bad", "c"], ["bad", "c"]]
    table.put("d")
    assert table.keys(1) == [["d"]]


def test_records_that_are_too_old_are_told_of(table: Table):
    table.node.clock.freeze()
    table.queues.make(failures := f"failures-{table.name}")
    table.put("old")
    table.node.clock.advance(100)
    table.put("new")
    table.map(MaximumRecordAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": arn(failures)}})
    assert table.keys(1) == [["new"]]
    told = json.loads(table.queues.take(failures, 1)[0]["Body"])
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in told
    assert told["DDBStreamBatchInfo"]["batchSize"] == 1


def test_bucket_has_discarded_records_with_their_data(table: Table):
    s3 = table.node.client("s3")
    s3.create_bucket(Bucket="discarded")
    table.put("crash")
    destination = {"OnFailure": {"Destination": "arn:aws:s3:::discarded"}}
    made = table.map(MaximumRetryAttempts=0, DestinationConfig=destination)
    found = wait_until(lambda: s3.list_objects_v2(Bucket="discarded").get("Contents"))
    told = json.loads(s3.get_object(Bucket="discarded", Key=found[0]["Key"])["Body"].read())
    assert found[0]["Key"].startswith(f"aws/lambda/{made['UUID']}/{told['DDBStreamBatchInfo']['shardId']}/2")
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    (record,) = json.loads(told["payload"])["Records"]
    assert record["dynamodb"]["Keys"] == {"id": {"S": "crash"}}


def test_tumbling_window_carries_its_state(table: Table):
    clock = table.node.clock
    clock.freeze()
    clock.advance(60 - clock.now() % 60)
    table.put("a", "b", "c")
    table.map(BatchSize=2, TumblingWindowInSeconds=60)
    first, second = table.calls(2)
    assert (first["keys"], second["keys"]) == (["a", "b"], ["c"])
    assert first["event"]["state"] == {}
    assert second["event"]["state"] == {"count": 2}
    assert first["event"]["isFinalInvokeForWindow"] is False
    assert first["event"]["eventSourceARN"] == table.stream
    assert first["event"]["window"]["start"].endswith(":00Z")
    clock.advance(61)
    (final,) = table.calls(1)
    assert final["keys"] == []
    assert final["event"]["state"] == {"count": 3}
    assert final["event"]["isFinalInvokeForWindow"] is True
    assert final["event"]["window"] == first["event"]["window"]
    table.put("d")
    (fresh,) = table.calls(1)
    assert fresh["event"]["state"] == {}


def test_mapping_goes_on_where_it_was(node: RunningNode):
    make_reader(node)
    table = Table(node)
    made = table.map(ParallelizationFactor=2)
    table.put("a")
    assert table.keys(1) == [["a"]]
    wait_until(lambda: table.result() == "OK")
    table.functions.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    table.put("b")
    node.restart()
    environment = {"Variables": {"SEEN": table.queues.url("seen")}}
    table.functions.update_function_configuration(FunctionName="reader", Environment=environment)
    table.functions.update_event_source_mapping(UUID=made["UUID"], Enabled=True, ParallelizationFactor=1)
    assert table.keys(1) == [["b"]]
    gone = table.functions.delete_event_source_mapping(UUID=made["UUID"])
    assert gone["State"] == "Deleting"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"StartingPosition": None},
            (
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
                "Member must not be null."
            ),
        ),
        ({"ScalingConfig": {"MaximumConcurrency": 5}}, "ScalingConfig is not valid for DynamoDB event sources."),
        ({"EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/none/stream/2026"}, "Stream not found: "),
    ],
)
def test_wrong_settings_are_refused(table: Table, settings: dict[str, Any], text: str):
    given = {"EventSourceArn": table.stream, "FunctionName": "reader", "StartingPosition": "LATEST", **settings}
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(ClientError) as caught:
        table.functions.create_event_source_mapping(**given)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert caught.value.response["Error"]["Message"].startswith(text)
