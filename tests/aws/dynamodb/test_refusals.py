"""What cannot be read or breaks a rule of the model: code and words, as raw requests over one node.

Texts marked with UNVERIFIED in a comment were not seen in an answer of AWS.
"""

import gzip
import http.client
import json
from contextlib import closing
from typing import Any

import pytest

from tests.harness import RunningNode

CREDENTIAL = "000000000000/20270101/us-east-1/dynamodb/aws4_request"
SIGNED = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=00"
NAME_RULES = (
    "[Member must have length less than or equal to 255, Member must have length greater than or equal to 3, "
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"
)
MODEL = "com.amazonaws.dynamodb.v20120810"
NO_TABLE = "The parameter 'TableName' is required but was not present in the request"
LENGTH = "TableName must be at least 3 characters long and at most 255 characters long"
DATATYPES = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)


def violates(*parts: str) -> str:
    """Return the text that names these violations, each as `value|path|constraint`."""
    errors = "error" if len(parts) == 1 else "errors"
    listed = "; ".join("Value {} at '{}' failed to satisfy constraint: {}".format(*part.split("|")) for part in parts)
    return f"{len(parts)} validation {errors} detected: {listed}"


def absent(path: str) -> str:
    return f"null|{path}|Member must not be null"


@pytest.fixture(scope="module")
def send(running: RunningNode) -> Any:
    def send(operation: str | None, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        given = {"Content-Type": "application/x-amz-json-1.0", "Authorization": SIGNED, "X-Amz-Date": "x"}
        if operation is not None:
            given["X-Amz-Target"] = f"DynamoDB_20120810.{operation}"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(running.url.partition("://")[2], timeout=30)) as connection:
            connection.request("POST", "/", body, {name: value for name, value in given.items() if value})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")

    return send


UNREADABLE = [
    ("hello", None),
    ("", None),
    ('{"TableName":"abc"}}', None),
    ('{"TableName":23}', "NUMBER_VALUE cannot be converted to String"),
    ('{"TableName":2.5}', "DECIMAL_VALUE cannot be converted to String"),
    ('{"TableName":true}', "TRUE_VALUE cannot be converted to String"),
    ('{"TableName":{}}', "Start of structure or map found where not expected"),
    ('{"TableName":[]}', "Unrecognized collection type class java.lang.String"),
    ('{"Item":"a"}', "Unexpected field type"),
    (
        '{"Item":[]}',
        f"Unrecognized collection type java.util.Map<java.lang.String, {MODEL}.AttributeValue>",
    ),
    ('{"Item":{"a":"b"}}', "Unexpected value type in payload"),
    ('{"Item":{"a":[]}}', f"Unrecognized collection type class {MODEL}.AttributeValue"),
    ('{"Item":{"a":{"S":5}}}', "NUMBER_VALUE cannot be converted to String"),
    ('{"Item":{"a":{"N":5}}}', "NUMBER_VALUE cannot be converted to String"),
    ('{"Item":{"a":{"B":5}}}', "only base-64-encoded strings are convertible to bytes"),
    ('{"Item":{"a":{"B":"abc"}}}', "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
    ('{"Item":{"a":{"SS":"a"}}}', "Unexpected field type"),
    ('{"Item":{"a":{"BOOL":"true"}}}', "STRING_VALUE cannot be converted to Boolean"),
]


@pytest.mark.parametrize(("body", "text"), UNREADABLE)
def test_what_cannot_be_read_is_said_in_the_words_of_javas_reader(send, body, text):
    status, answer = send("PutItem", body.encode())
    expected = {"__type": "com.amazon.coral.service#SerializationException"}
    assert (status, answer) == (400, expected if text is None else {**expected, "Message": text})


@pytest.mark.parametrize(
    ("operation", "headers", "expected"),
    [
        ("Nothing", {}, {"__type": "com.amazon.coral.service#UnknownOperationException"}),
        (None, {}, {"__type": "com.amazon.coral.service#UnknownOperationException"}),
        (
            "ListTables",
            {"Authorization": ""},
            {
                "__type": "com.amazon.coral.service#MissingAuthenticationTokenException",
                "message": "Request is missing Authentication Token",
            },
        ),
        (
            "ListTables",
            {"Authorization": "AWS4-HMAC-SHA256 a", "X_Amz_Date": ""},
            {
                "__type": "com.amazon.coral.service#IncompleteSignatureException",
                "message": "Authorization header requires 'Credential' parameter. "
                "Authorization header requires 'Signature' parameter. "
                "Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of "
                "either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 a",
            },
        ),
    ],
)
def test_requests_for_nothing_or_by_nobody_are_refused(send, operation, headers, expected):
    assert send(operation, b"{}", **headers) == (400, expected)


def test_bodies_may_be_compressed_but_not_endless(send):
    listed = gzip.compress(b'{"ExclusiveStartTableName":"zzz"}')
    assert send("ListTables", listed, Content_Encoding="gzip") == (200, {"TableNames": []})
    assert send("ListTables", b"not gzip", Content_Encoding="gzip")[0] == 400
    endless = gzip.compress(b" " * (17 * 1024 * 1024))
    assert send("ListTables", endless, Content_Encoding="gzip")[0] == 413


RULES: list[tuple[str, dict[str, Any], str]] = [
    ("CreateTable", {}, NO_TABLE),
    ("DescribeTable", {}, NO_TABLE),
    ("DeleteTable", {"TableName": ""}, LENGTH),
    ("UpdateTable", {"TableName": "ab"}, LENGTH),
    ("DescribeTimeToLive", {"TableName": "a" * 256}, LENGTH),
    (
        "DescribeTable",
        {"TableName": "abc;"},
        violates("'abc;'|tableName|Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ),
    (
        "CreateTable",
        {"TableName": "abc;"},
        violates(
            absent("attributeDefinitions"),
            "'abc;'|tableName|Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            absent("keySchema"),
        ),
    ),
    ("PutItem", {}, violates(absent("tableName"), absent("item"))),
    (
        "GetItem",
        {"TableName": "a;"},
        violates(
            "'a;'|tableName|Member must have length greater than or equal to 3",
            "'a;'|tableName|Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            absent("key"),
        ),
    ),
    (
        "PutItem",
        {"TableName": "abc", "Item": {}, "ReturnValues": "x"},
        violates(
            "'x'|returnValues|Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
        ),
    ),
    (
        "Query",
        {"TableName": "abc", "Select": "x"},
        violates(
            "'x'|select|Member must satisfy enum value set: "
            "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
        ),
    ),
    (
        "Scan",
        {"TableName": "abc", "ScanFilter": {"a": {"ComparisonOperator": "x"}}},
        violates(
            "'x'|scanFilter.a.member.comparisonOperator|Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, "
            "NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]"
        ),
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {"abc": []}},
        violates(
            "'{abc=[]}'|requestItems|Map value must satisfy constraint: "
            "[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"
        ),
    ),
    (
        "BatchGetItem",
        {"RequestItems": {"a": {}}},
        violates(
            absent("requestItems.a.member.keys"),
            f"'{{a=null}}'|requestItems|Map keys must satisfy constraint: {NAME_RULES}",
        ),
    ),
    ("BatchWriteItem", {"RequestItems": {"abc": [{}]}}, DATATYPES),
    ("ListTagsOfResource", {}, "Invalid TableArn"),
    ("TagResource", {"ResourceArn": ""}, "Invalid TableArn"),
    ("TagResource", {"ResourceArn": "abc"}, violates(absent("tags"))),
    ("TagResource", {"ResourceArn": "abc", "Tags": []}, "Atleast one Tag needs to be provided as Input."),
    ("UntagResource", {"ResourceArn": "abc", "TagKeys": []}, "Atleast one Tag Key needs to be provided as Input."),
    (
        "UntagResource",
        {"ResourceArn": "abc", "TagKeys": ["a"]},
        "Invalid TableArn: Invalid ResourceArn provided as input abc",
    ),
    (
        "UpdateTable",
        {"TableName": "absent", "ProvisionedThroughput": {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 1}},
        f"Given value {10**12 + 1} for ReadCapacityUnits is out of bounds",
    ),
    (
        "UpdateItem",
        {
            "TableName": "absent",
            "Key": {},
            "UpdateExpression": "SET a = ((:a))",
            "ExpressionAttributeValues": {":a": {"S": "a"}},
        },
        "Invalid UpdateExpression: The expression has redundant parentheses;",
    ),
    (
        # UNVERIFIED
        "GetItem",
        {
            "TableName": "absent",
            "Key": {},
            "ProjectionExpression": "a",
            "ExpressionAttributeNames": {"#" + "a" * 255: "b"},
        },
        (
            "ExpressionAttributeNames contains invalid key: "
            f'The expression attribute map contains a key that is too long; key: "#{"a" * 255}"'
        ),
    ),
]


@pytest.mark.parametrize(("operation", "body", "text"), RULES)
def test_rules_that_need_no_table_come_first(send, operation, body, text):
    status, answer = send(operation, json.dumps(body).encode())
    assert status == 400
    assert answer == {"__type": "com.amazon.coral.validate#ValidationException", "message": text}


def test_ten_violations_are_told_at_most(send):
    body = {"TableName": "abc", "KeySchema": [{}] * 6}
    text = send("CreateTable", json.dumps(body).encode())[1]["message"]
    assert text.startswith("10 validation errors detected: ")


@pytest.mark.parametrize("expression", ["(" * 140 + "a = :a" + ")" * 140, "size(" * 300 + "a" + ")" * 300 + " = :a"])
def test_expressions_too_deep_for_us_are_refused(send, expression):
    body = {"TableName": "absent", "FilterExpression": expression, "ExpressionAttributeValues": {":a": {"S": "a"}}}
    status, answer = send("Scan", json.dumps(body).encode())
    # UNVERIFIED: AWS has a bound of its own.
    assert (status, answer["message"]) == (400, "Invalid FilterExpression: The expression is nested too deeply;")
