import http.client
import json
import zlib
from contextlib import closing

import pytest

from tests.aws.dynamodb.conftest import at, create, invalid, key, refused

WRONG = "One or more parameter values were invalid: "


def test_put_then_get_keeps_every_type(dynamodb, table):
    item = {
        **at("all"),
        "s": {"S": "täxt"},
        "empty": {"S": ""},
        "n": {"N": "-1.50"},
        "b": {"B": b"\x00\xff"},
        "ss": {"SS": ["a", "b"]},
        "ns": {"NS": ["1", "2.5"]},
        "bs": {"BS": [b"x"]},
        "l": {"L": [{"NULL": True}, {"BOOL": False}]},
        "m": {"M": {"k": {"M": {}}}},
    }
    dynamodb.put_item(TableName=table, Item=item)
    found = dynamodb.get_item(TableName=table, Key=at("all"), ConsistentRead=True)["Item"]
    assert found == {**item, "n": {"N": "-1.5"}}


def test_get_of_nothing_has_no_item(dynamodb, table):
    assert "Item" not in dynamodb.get_item(TableName=table, Key=at("none"))


def test_number_keys_are_the_same_however_written(dynamodb, table):
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "n"}, "sk": {"N": "10.0"}})
    assert "Item" in dynamodb.get_item(TableName=table, Key={"pk": {"S": "n"}, "sk": {"N": "1e1"}})


def test_condition_that_fails_changes_nothing_and_shows_the_item(dynamodb, table):
    dynamodb.put_item(TableName=table, Item={**at("c"), "v": {"N": "1"}})
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as failure:
        dynamodb.put_item(
            TableName=table,
            Item=at("c"),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert failure.value.response["Error"]["Message"] == "The conditional request failed"
    assert failure.value.response["Item"]["v"] == {"N": "1"}
    assert dynamodb.get_item(TableName=table, Key=at("c"))["Item"]["v"] == {"N": "1"}


def test_update_returns_what_is_asked_for(dynamodb, table):
    def update(text, returned, **values):
        answer = dynamodb.update_item(
            TableName=table,
            Key=at("u"),
            UpdateExpression=text,
            ReturnValues=returned,
            **({"ExpressionAttributeValues": values} if values else {}),
        )
        return answer.get("Attributes")

    one = {":one": {"N": "1"}}
    assert update("SET a = :one, m = :m", "ALL_OLD", **one, **{":m": {"M": {"x": {"N": "1"}}}}) is None
    assert update("ADD a :one", "UPDATED_NEW", **one) == {"a": {"N": "2"}}
    assert update("SET m.x = :one, b = :one", "UPDATED_OLD", **one) == {"m": {"M": {"x": {"N": "1"}}}}
    assert update("REMOVE a", "ALL_NEW") == {**at("u"), "m": {"M": {"x": {"N": "1"}}}, "b": {"N": "1"}}
    assert update("REMOVE b", "NONE") is None


def test_update_without_expression_makes_the_item(dynamodb, table):
    dynamodb.update_item(TableName=table, Key=at("bare"))
    assert dynamodb.get_item(TableName=table, Key=at("bare"))["Item"] == at("bare")


def test_delete_returns_the_old_item(dynamodb, table):
    dynamodb.put_item(TableName=table, Item=at("d"))
    assert dynamodb.delete_item(TableName=table, Key=at("d"), ReturnValues="ALL_OLD")["Attributes"] == at("d")
    assert "Attributes" not in dynamodb.delete_item(TableName=table, Key=at("d"), ReturnValues="ALL_OLD")


def test_older_parameters_do_the_same(dynamodb, table):
    dynamodb.put_item(TableName=table, Item={**at("old"), "n": {"N": "1"}, "l": {"L": []}})
    answer = dynamodb.update_item(
        TableName=table,
        Key=at("old"),
        AttributeUpdates={
            "n": {"Action": "ADD", "Value": {"N": "2"}},
            "l": {"Action": "ADD", "Value": {"L": [{"S": "x"}]}},
            "p": {"Value": {"S": "put"}},
        },
        Expected={"n": {"Value": {"N": "1"}}, "zz": {"Exists": False}},
        ReturnValues="UPDATED_NEW",
    )
    assert answer["Attributes"] == {"n": {"N": "3"}, "l": {"L": [{"S": "x"}]}, "p": {"S": "put"}}
    code, _ = refused(
        dynamodb.delete_item,
        TableName=table,
        Key=at("old"),
        Expected={"n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "5"}]}},
    )
    assert code == "ConditionalCheckFailedException"
    found = dynamodb.get_item(TableName=table, Key=at("old"), AttributesToGet=["n", "p"])["Item"]
    assert found == {"n": {"N": "3"}, "p": {"S": "put"}}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"pk": {"S": "a"}}, WRONG + "Missing the key sk in the item"),
        ({"pk": {"N": "1"}, "sk": {"N": "1"}}, WRONG + "Type mismatch for key pk expected: S actual: N"),
        (
            {"pk": {"S": ""}, "sk": {"N": "1"}},
            (
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                "empty string value. Key: pk"
            ),
        ),
        (
            {"pk": {"S": "x" * 2049}, "sk": {"N": "1"}},
            WRONG + "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
        ({**at("a"), "x": {}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ({**at("a"), "x": {"S": "x" * 409_600}}, "Item size has exceeded the maximum allowed size"),
    ],
)
def test_put_refuses_items(dynamodb, table, item, text):
    assert invalid(dynamodb.put_item, TableName=table, Item=item) == text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema"),
        ({"Key": {**at("a"), "x": {"S": "b"}}}, "The provided key element does not match the schema"),
        (
            {"Key": at("a"), "ProjectionExpression": "a", "AttributesToGet": ["b"]},
            (
                "Can not use both expression and non-expression parameters in the same request: "
                "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
            ),
        ),
        (
            {"Key": at("a"), "ExpressionAttributeNames": {"#a": "a"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"Key": at("a"), "AttributesToGet": ["b", "b"]},
            WRONG + "Duplicate value in attribute name: b",
        ),
    ],
)
def test_get_refuses(dynamodb, table, request_, text):
    assert invalid(dynamodb.get_item, TableName=table, **request_) == text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            {"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": {"S": "b"}}},
            WRONG + "Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            {"ExpressionAttributeValues": {":v": {"S": "b"}}},
            (
                "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and "
                "ConditionExpression are null"
            ),
        ),
        (
            {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {}},
            "ExpressionAttributeValues must not be empty",
        ),
        (
            {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {"v": {"S": "b"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"',
        ),
        (
            {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": {}}},
            (
                "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain "
                "exactly one of the supported datatypes for key :v"
            ),
        ),
        (
            {"AttributeUpdates": {"a": {"Action": "ADD", "Value": {"S": "x"}}}},
            WRONG + "ADD action is not supported for the type S",
        ),
        (
            {"AttributeUpdates": {"a": {"Action": "PUT"}}},
            WRONG + "Only DELETE action is allowed when no attribute value is specified",
        ),
        (
            {"ConditionalOperator": "AND"},
            "ConditionalOperator cannot be used without Filter or Expected",
        ),
    ],
)
def test_update_refuses(dynamodb, table, request_, text):
    assert invalid(dynamodb.update_item, TableName=table, Key=at("a"), **request_) == text


def test_what_is_absent_or_misnamed_is_refused(dynamodb, table):
    assert refused(dynamodb.get_item, TableName="absent", Key=at("a")) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    text = invalid(dynamodb.get_item, TableName="a;", Key=at("a"))
    assert text == (
        "2 validation errors detected: Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length "
        "greater than or equal to 3; Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: [a-zA-Z0-9_.-]+"
    )
    text = invalid(dynamodb.put_item, TableName=table)
    assert text == (
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null"
    )


def test_capacity_counts_table_and_indexes(dynamodb):
    table = create(
        dynamodb,
        {"g": "S"},
        GlobalSecondaryIndexes=[
            {"IndexName": "by-g", "KeySchema": key(("g", "HASH")), "Projection": {"ProjectionType": "KEYS_ONLY"}}
        ],
    )

    def consumed(**item):
        answer = dynamodb.put_item(TableName=table, Item={**at("i"), **item}, ReturnConsumedCapacity="INDEXES")
        units = answer["ConsumedCapacity"]
        indexes = {name: used["CapacityUnits"] for name, used in units.get("GlobalSecondaryIndexes", {}).items()}
        return units["CapacityUnits"], units["Table"]["CapacityUnits"], indexes

    big = {"x": {"S": "x" * 2000}}
    assert consumed(**big) == (2.0, 2.0, {})
    assert consumed(g={"S": "a"}, **big) == (3.0, 2.0, {"by-g": 1.0})
    assert consumed(g={"S": "b"}, **big) == (4.0, 2.0, {"by-g": 2.0})
    assert consumed(g={"S": "b"}, y={"N": "1"}, **big) == (2.0, 2.0, {})
    read = dynamodb.get_item(TableName=table, Key=at("i"), ReturnConsumedCapacity="TOTAL", ConsistentRead=True)
    assert read["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 1.0}
    read = dynamodb.get_item(TableName=table, Key=at("none"), ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"]["CapacityUnits"] == 0.5


def test_answers_carry_their_checksum(dynamodb, table):
    dynamodb.put_item(TableName=table, Item=at("crc"))
    headers = dynamodb.get_item(TableName=table, Key=at("crc"))["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-crc32"].isdecimal()


def test_requests_that_cannot_be_read_are_refused_in_dynamodbs_form(running):
    def answer(body: bytes) -> tuple[int, dict[str, str]]:
        authorization = "AWS4-HMAC-SHA256 Credential=000000000000/20270101/us-east-1/dynamodb/aws4_request"
        headers = {
            "X-Amz-Target": "DynamoDB_20120810.GetItem",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"{authorization}, SignedHeaders=host, Signature=x",
        }
        with closing(http.client.HTTPConnection(running.url.partition("://")[2], timeout=30)) as connection:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            content = response.read()
        assert response.headers["x-amz-crc32"] == str(zlib.crc32(content))
        return response.status, json.loads(content)

    coral = "com.amazon.coral.service#SerializationException"
    assert answer(b'{"TableName": 23}') == (
        400,
        {"__type": coral, "Message": "NUMBER_VALUE cannot be converted to String"},
    )
    assert answer(b'{"TableName": "abc", "Key": {"a": {"B": "!!"}}}')[1]["__type"] == coral
    assert answer(b"{bad")[1]["__type"] == coral
    status, body = answer(b'{"TableName": "abc", "Key": {}, "ReturnConsumedCapacity": "x"}')
    assert (status, body["__type"]) == (400, "com.amazon.coral.validate#ValidationException")
    assert body["message"].startswith("1 validation error detected: Value 'x' at 'returnConsumedCapacity' failed")
    status, body = answer(b'{"TableName": "absent", "Key": {"a": {"S": "b"}}}')
    assert body == {
        "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message": "Requested resource not found",
    }
