"""Clients of DynamoDB that people use, unchanged: only the endpoint tells them where they are.

Those that are no part of the project's environment come from the registries once and are kept.
"""

import json
import shutil
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key

from tests.aws.dynamodb.conftest import at, create, new_name
from tests.fault.kill import free_port
from tests.harness import ACCOUNT, REGION, RunningNode, wait_until
from tests.packages import node_packages, python_packages
from tests.programs import Programs, installed

_INSTALLED = pytest.mark.timeout(700)


@pytest.fixture
def programs(running: RunningNode, tmp_path: Path) -> Programs:
    return Programs(running, tmp_path)


def test_boto3_resource_keeps_numbers_sets_and_bytes(running: RunningNode) -> None:
    resource: Any = boto3.resource(
        "dynamodb",
        endpoint_url=running.url,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="any",
    )
    table = resource.create_table(
        TableName=new_name(),
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()
    item = {
        "pk": "a",
        "sk": 1,
        "price": Decimal("12.50"),
        "tags": {"x", "y"},
        "numbers": {Decimal(1), Decimal("1.5")},
        "raw": b"\x00\xff",
        "deep": {"list": [None, True, {"n": Decimal("-0.001")}]},
    }
    with table.batch_writer() as batch:
        batch.put_item(Item=item)
        for number in range(2, 61):
            batch.put_item(Item={"pk": "a", "sk": number, "even": number % 2 == 0})
    read = table.get_item(Key={"pk": "a", "sk": 1})["Item"]
    assert {**read, "raw": read["raw"].value} == item
    found = table.query(
        KeyConditionExpression=Key("pk").eq("a") & Key("sk").between(10, 19), FilterExpression=Attr("even").eq(True)
    )
    assert [one["sk"] for one in found["Items"]] == [10, 12, 14, 16, 18]
    updated = table.update_item(
        Key={"pk": "a", "sk": 1},
        UpdateExpression="SET price = price + :more REMOVE tags",
        ConditionExpression=Attr("price").lt(13),
        ExpressionAttributeValues={":more": Decimal("0.25")},
        ReturnValues="UPDATED_NEW",
    )
    assert updated["Attributes"] == {"price": Decimal("12.75")}
    with pytest.raises(resource.meta.client.exceptions.ConditionalCheckFailedException):
        table.delete_item(Key={"pk": "a", "sk": 1}, ConditionExpression=Attr("tags").exists())


def test_cli_writes_and_queries(programs: Programs, dynamodb: Any) -> None:
    name = create(dynamodb)
    aws = Path(sys.executable).with_name("aws")
    item = json.dumps({**at("a"), "n": {"N": "1"}})
    programs.run(aws, "dynamodb", "put-item", "--table-name", name, "--item", item)
    condition = ("--key-condition-expression", "pk = :p", "--expression-attribute-values", '{":p": {"S": "a"}}')
    answer = json.loads(programs.run(aws, "dynamodb", "query", "--table-name", name, *condition, "--output", "json"))
    assert (answer["Count"], answer["Items"]) == (1, [json.loads(item)])
    programs.run(aws, "dynamodb", "wait", "table-exists", "--table-name", name)
    statement = f"SELECT n FROM \"{name}\" WHERE pk = 'a' AND sk = 1"
    answer = json.loads(
        programs.run(aws, "dynamodb", "execute-statement", "--statement", statement, "--output", "json")
    )
    assert answer["Items"] == [{"n": {"N": "1"}}]


_DOCUMENT_CLIENT = """
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand, QueryCommand, UpdateCommand, TransactWriteCommand, BatchGetCommand,
  paginateScan } from "@aws-sdk/lib-dynamodb";

const TableName = process.env.TABLE;
const documents = DynamoDBDocumentClient.from(new DynamoDBClient({}));
for (let sk = 1; sk <= 5; sk++)
  await documents.send(new PutCommand({
    TableName, Item: { pk: "a", sk, list: [1, { b: true }], set: new Set(["x"]) } }));
const updated = await documents.send(new UpdateCommand({
  TableName, Key: { pk: "a", sk: 1 }, UpdateExpression: "SET #l[0] = :v", ExpressionAttributeNames: { "#l": "list" },
  ExpressionAttributeValues: { ":v": 2.5 }, ReturnValues: "ALL_NEW" }));
const queried = await documents.send(new QueryCommand({
  TableName, KeyConditionExpression: "pk = :p AND sk > :s", ExpressionAttributeValues: { ":p": "a", ":s": 3 },
  ScanIndexForward: false }));
let reasons;
try {
  await documents.send(new TransactWriteCommand({ TransactItems: [
    { Delete: { TableName, Key: { pk: "a", sk: 2 } } },
    { ConditionCheck: { TableName, Key: { pk: "a", sk: 9 }, ConditionExpression: "attribute_exists(pk)" } } ] }));
} catch (error) { reasons = [error.name, error.CancellationReasons.map((reason) => reason.Code)]; }
const got = await documents.send(new BatchGetCommand({
  RequestItems: { [TableName]: { Keys: [{ pk: "a", sk: 2 }], ProjectionExpression: "sk" } } }));
let scanned = 0;
for await (const page of paginateScan({ client: documents, pageSize: 2 }, { TableName })) scanned += page.Items.length;
console.log(JSON.stringify({ list: updated.Attributes.list, set: [...updated.Attributes.set],
  queried: queried.Items.map((item) => item.sk), reasons, got: got.Responses[TableName], scanned }));
"""


@pytest.mark.node
@pytest.mark.slow
@_INSTALLED
def test_javascript_document_client(programs: Programs, dynamodb: Any) -> None:
    folder = installed(node_packages, "@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb")
    script = folder / "documents.mjs"
    script.write_text(_DOCUMENT_CLIENT)
    answer = json.loads(programs.run(shutil.which("node") or "node", script, TABLE=create(dynamodb)))
    assert answer == {
        "list": [2.5, {"b": True}],
        "set": ["x"],
        "queried": [5, 4],
        "reasons": ["TransactionCanceledException", ["None", "ConditionalCheckFailed"]],
        "got": [{"sk": 2}],
        "scanned": 5,
    }


_PYNAMODB = """
import os
from datetime import datetime, timezone
from pynamodb.attributes import ListAttribute, MapAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute
from pynamodb.attributes import UTCDateTimeAttribute, VersionAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

class BySubject(GlobalSecondaryIndex):
    class Meta:
        index_name = "by-subject"
        read_capacity_units = write_capacity_units = 1
        projection = AllProjection()
    subject = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)

class Thread(Model):
    class Meta:
        table_name = "pynamo-threads"
        host = os.environ["AWS_ENDPOINT_URL"]
        region = "us-east-1"
        read_capacity_units = write_capacity_units = 1
    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    notes = ListAttribute(null=True)
    extra = MapAttribute(null=True)
    at = UTCDateTimeAttribute(default=lambda: datetime(2026, 1, 2, tzinfo=timezone.utc))
    version = VersionAttribute()
    by_subject = BySubject()

assert not Thread.exists()
Thread.create_table(wait=True)
for number in range(5):
    Thread("f", f"s{number}", views=number, tags={"a", "b"}, notes=["x", 1], extra={"deep": "y"}).save()
one = Thread.get("f", "s3")
assert (one.views, one.tags, one.notes, one.extra.deep, one.version) == (3, {"a", "b"}, ["x", 1], "y", 1)
one.update(actions=[Thread.views.add(10), Thread.tags.delete({"a"})], condition=Thread.views == 3)
assert (one.views, one.tags, one.version) == (13, {"b"}, 2)
assert [each.subject for each in Thread.query("f", Thread.subject.between("s1", "s2"))] == ["s1", "s2"]
assert [each.views for each in Thread.by_subject.query("s3", Thread.views > 5)] == [13]
assert Thread.count("f", filter_condition=Thread.views >= 2) == 3
assert sorted(each.subject for each in Thread.scan(page_size=2)) == [f"s{number}" for number in range(5)]
assert len(list(Thread.batch_get([("f", "s0"), ("f", "s1"), ("f", "none")]))) == 2
with Thread.batch_write() as batch:
    for number in range(30):
        batch.save(Thread("many", f"{number:02}"))
assert Thread.count("many") == 30
try:
    Thread("f", "s0").save(condition=Thread.forum.does_not_exist())
    raise SystemExit("no error")
except PutError as error:
    assert error.cause_response_code == "ConditionalCheckFailedException", error.cause_response_code
try:
    with TransactWrite(connection=Connection(host=os.environ["AWS_ENDPOINT_URL"])) as transaction:
        transaction.save(Thread("new", "x"))
        transaction.condition_check(Thread, "f", "none", condition=Thread.forum.exists())
    raise SystemExit("no error")
except TransactWriteError as error:
    reasons = [reason.code for reason in error.cancellation_reasons if reason is not None]
    assert reasons == ["ConditionalCheckFailed"], error.cancellation_reasons
try:
    Thread.get("new", "x")
    raise SystemExit("half a transaction")
except DoesNotExist:
    pass
one.refresh()
one.delete()
Thread.delete_table()
print("done")
"""

_DYNTASTIC = """
import os
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5, NAMESPACE_URL
from pydantic import Field
from dyntastic import A, Dyntastic, Index
from dyntastic.exceptions import DoesNotExist

class Product(Dyntastic):
    __table_name__ = "dyntastic-products"
    __table_host__ = os.environ["AWS_ENDPOINT_URL"]
    __table_region__ = "us-east-1"
    __hash_key__ = "product_id"
    product_id: str
    name: str
    price: Decimal = Decimal("1.10")
    tags: set[str] = {"new"}
    reference: UUID = uuid5(NAMESPACE_URL, "x")

class Event(Dyntastic):
    __table_name__ = "dyntastic-events"
    __table_host__ = os.environ["AWS_ENDPOINT_URL"]
    __table_region__ = "us-east-1"
    __hash_key__ = "event_id"
    __range_key__ = "timestamp"
    event_id: str
    timestamp: int
    data: dict = {}

Product.create_table()
Event.create_table(Index("event_id", "timestamp", index_name="again"))
Product(product_id="p", name="bread").save()
found = Product.get("p")
assert (found.price, found.tags, found.reference) == (Decimal("1.10"), {"new"}, uuid5(NAMESPACE_URL, "x"))
found.update(A.price.set(A.price.plus(1)) if hasattr(A.price, "plus") else A.price.set(Decimal("2.10")),
             condition=A.name == "bread")
found.refresh()
assert found.price == Decimal("2.10"), found.price
for number in range(5):
    Event(event_id="e", timestamp=number, data={"n": number}).save()
assert [event.timestamp for event in Event.query("e", range_key_condition=A.timestamp > 2)] == [3, 4]
assert len(list(Event.scan(A.timestamp < 2))) == 2
assert Product.safe_get("none") is None
assert {each.product_id for each in Product.batch_get(["p", "none"])} == {"p"}
found.delete()
try:
    Product.get("p")
    raise SystemExit("still there")
except DoesNotExist:
    print("done")
"""


@pytest.mark.slow
@_INSTALLED
@pytest.mark.parametrize(("package", "program"), [("pynamodb", _PYNAMODB), ("dyntastic", _DYNTASTIC)])
def test_object_mappers(programs: Programs, tmp_path: Path, package: str, program: str) -> None:
    scripts = installed(python_packages, package)
    script = tmp_path / "program.py"
    script.write_text(program)
    assert programs.run(scripts / "python", script) == "done\n"


@pytest.mark.node
@pytest.mark.slow
@_INSTALLED
def test_dynamodb_admin_shows_and_writes_items(running: RunningNode, programs: Programs, dynamodb: Any) -> None:
    folder = installed(node_packages, "dynamodb-admin")
    name = create(dynamodb)
    dynamodb.put_item(TableName=name, Item={**at("shown"), "colour": {"S": "blue"}})
    port = free_port()
    start = (folder / "node_modules" / ".bin" / "dynamodb-admin", "--port", str(port), "--host", "127.0.0.1")
    endpoint = f"http://127.0.0.1:{port}"

    def page(path: str) -> str:
        with urllib.request.urlopen(endpoint + path, timeout=10) as answer:
            return answer.read().decode()

    def answers() -> bool:
        try:
            return bool(page("/"))
        except OSError:
            return False

    with programs.beside(*start, DYNAMO_ENDPOINT=running.url):
        wait_until(answers, 30)
        assert name in page("/")
        assert '"colour": "blue"' in page(f"/tables/{name}/items")
        body = json.dumps({"pk": "made", "sk": 7, "list": [1, None]}).encode()
        request = urllib.request.Request(
            f"{endpoint}/tables/{name}/add-item",
            data=body,
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        assert dynamodb.get_item(TableName=name, Key=at("made", 7))["Item"]["list"]["L"] == [{"N": "1"}, {"NULL": True}]
