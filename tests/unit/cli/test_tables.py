"""`forebay tables list|scan|query|export|import|stream` against a node."""

import json

import pytest


def key(pk, sk):
    return {"pk": {"S": pk}, "sk": {"S": sk}}


@pytest.fixture
def orders(node):
    """A table of orders with an index and a stream."""
    dynamodb = node.client("dynamodb")
    schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    dynamodb.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=schema,
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "inverted",
                "KeySchema": [
                    {"AttributeName": "sk", "KeyType": "HASH"},
                    {"AttributeName": "pk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    for number in range(3):
        further = {"total": {"N": f"{number}.5"}, "raw": {"B": b"\x00\xff"}, "m": {"M": {"l": {"L": [{"NULL": True}]}}}}
        dynamodb.put_item(TableName="orders", Item={**key("ada", f"ORDER#{number}"), **further})
    return dynamodb


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_keys_and_sizes(forebay, as_json, orders):
    (row,) = as_json("tables", "list")
    assert (row["name"], row["items"], row["key"]) == ("orders", 3, "pk+sk")
    assert row["indexes"] == ["inverted(sk+pk)"]
    assert "NEW_AND_OLD_IMAGES" in forebay("tables", "list").stdout


def test_list_of_nothing_says_so(forebay):
    assert "There are no tables." in forebay("tables", "list").output


def test_scan_filters_and_limits(forebay, orders):
    found = lines(forebay("tables", "scan", "orders", "--filter", "total > 1", "--json"))
    assert sorted(item["total"] for item in found) == [1.5, 2.5]
    assert found[0]["m"] == {"l": [None]}
    assert len(lines(forebay("tables", "scan", "orders", "--limit", "1", "--json"))) == 1
    assert "total=0.5" in forebay("tables", "scan", "orders").stdout


def test_query_is_in_order(forebay, orders):
    found = lines(forebay("tables", "query", "orders", "ada", "--reverse", "--json"))
    assert [item["sk"] for item in found] == ["ORDER#2", "ORDER#1", "ORDER#0"]
    found = lines(forebay("tables", "query", "orders", "ada", "begins_with(sk, 'ORDER#1')", "--json"))
    assert [item["sk"] for item in found] == ["ORDER#1"]
    found = lines(forebay("tables", "query", "orders", "ORDER#2", "--index", "inverted", "--json"))
    assert [item["pk"] for item in found] == ["ada"]
    assert "There are no items." in forebay("tables", "query", "orders", "o'hara").output
    assert "no index" in forebay("tables", "query", "orders", "ada", "--index", "none", code=1).output


def test_export_and_import_keep_every_type(forebay, orders, tmp_path):
    path = tmp_path / "orders.json"
    forebay("tables", "export", "orders", "-o", path)
    before = orders.scan(TableName="orders")["Items"]
    for item in before:
        orders.delete_item(TableName="orders", Key={name: item[name] for name in ("pk", "sk")})
    forebay("tables", "import", "orders", path)
    after = orders.scan(TableName="orders")["Items"]
    assert sorted(after, key=str) == sorted(before, key=str)
    path.write_text("{}\n")
    assert "Line 1 is not" in forebay("tables", "import", "orders", path, code=1).output


def test_stream_shows_what_has_changed(forebay, orders):
    orders.delete_item(TableName="orders", Key=key("ada", "ORDER#0"))
    result = forebay("tables", "stream", "orders", "--from-start", "--no-follow")
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["INSERT", "INSERT", "INSERT", "REMOVE"]
    assert "pk=ada sk=ORDER#0" in result.stdout
