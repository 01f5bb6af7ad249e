import functools
import operator

import pytest

from tests.aws.dynamodb.conftest import at, create, invalid, key


@pytest.fixture(scope="module")
def filled(running):
    """A table with three partitions of ten items, an index of each kind."""
    dynamodb = running.client("dynamodb")
    table = create(
        dynamodb,
        {"g": "S", "h": "N", "l": "S"},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "many",
                "KeySchema": key(("g", "HASH"), ("h", "HASH"), ("l", "RANGE"), ("sk", "RANGE")),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-l",
                "KeySchema": key(("pk", "HASH"), ("l", "RANGE")),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
            }
        ],
    )
    for number in range(30):
        further = {"g": {"S": "G"}, "h": {"N": "7"}, "l": {"S": "abcde"[number % 5]}, "x": {"S": "x"}, "z": {"S": "z"}}
        dynamodb.put_item(TableName=table, Item={**at(f"p{number % 3}", number - 15), **further})
    return table


def sorts(answer):
    return [int(item["sk"]["N"]) for item in answer["Items"]]


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("pk = :p", {}, [-15, -12, -9, -6, -3, 0, 3, 6, 9, 12]),
        ("pk = :p AND sk > :a", {":a": {"N": "6"}}, [9, 12]),
        ("pk = :p AND sk <= :a", {":a": {"N": "-12"}}, [-15, -12]),
        ("pk = :p AND sk BETWEEN :a AND :b", {":a": {"N": "-4"}, ":b": {"N": "3"}}, [-3, 0, 3]),
        ("sk = :a AND pk = :p", {":a": {"N": "3.0"}}, [3]),
    ],
)
def test_query_reads_a_range_in_order(dynamodb, filled, condition, values, expected):
    request = {"KeyConditionExpression": condition, "ExpressionAttributeValues": {":p": {"S": "p0"}, **values}}
    assert sorts(dynamodb.query(TableName=filled, **request)) == expected
    assert sorts(dynamodb.query(TableName=filled, ScanIndexForward=False, **request)) == expected[::-1]


def test_pages_follow_each_other(dynamodb, filled):
    request = {
        "TableName": filled,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "p1"}},
        "Limit": 4,
    }
    found, start = [], {}
    while True:
        page = dynamodb.query(**request, **start)
        found.append(sorts(page))
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert [len(page) for page in found] == [4, 4, 2]
    assert functools.reduce(operator.iadd, found, []) == [-14, -11, -8, -5, -2, 1, 4, 7, 10, 13]


def test_filter_counts_what_was_looked_at(dynamodb, filled):
    answer = dynamodb.query(
        TableName=filled,
        KeyConditionExpression="pk = :p",
        FilterExpression="l IN (:a, :b)",
        ExpressionAttributeValues={":p": {"S": "p0"}, ":a": {"S": "a"}, ":b": {"S": "b"}},
        Select="COUNT",
        ReturnConsumedCapacity="TOTAL",
    )
    assert (answer["Count"], answer["ScannedCount"]) == (4, 10)
    assert "Items" not in answer
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 0.5


def test_index_of_several_attributes(dynamodb, filled):
    values = {":g": {"S": "G"}, ":h": {"N": "7"}}
    request = {"TableName": filled, "IndexName": "many"}
    answer = dynamodb.query(
        **request,
        KeyConditionExpression="g = :g AND h = :h AND l = :l AND sk > :s",
        ExpressionAttributeValues={**values, ":l": {"S": "b"}, ":s": {"N": "0"}},
    )
    assert sorts(answer) == [1, 6, 11]
    assert set(answer["Items"][0]) == {"pk", "sk", "g", "h", "l"}
    answer = dynamodb.query(
        **request,
        KeyConditionExpression="g = :g AND h = :h AND l BETWEEN :a AND :b",
        ExpressionAttributeValues={**values, ":a": {"S": "a"}, ":b": {"S": "b"}},
    )
    assert answer["Count"] == 12
    text = invalid(
        dynamodb.query,
        **request,
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": "G"}},
    )
    assert text == "Query condition missed key schema element: h"


def test_local_index_fetches_what_it_has_not(dynamodb, filled):
    request = {
        "TableName": filled,
        "IndexName": "by-l",
        "KeyConditionExpression": "pk = :p AND l = :l",
        "ExpressionAttributeValues": {":p": {"S": "p0"}, ":l": {"S": "a"}},
        "ReturnConsumedCapacity": "INDEXES",
    }
    answer = dynamodb.query(**request)
    assert set(answer["Items"][0]) == {"pk", "sk", "l", "x"}
    assert answer["ConsumedCapacity"]["Table"]["CapacityUnits"] == 0.0
    answer = dynamodb.query(**request, Select="ALL_ATTRIBUTES", ConsistentRead=True)
    assert "z" in answer["Items"][0]
    assert answer["ConsumedCapacity"]["Table"]["CapacityUnits"] == 2.0


def test_segments_hold_every_item_once(dynamodb, filled):
    found = []
    for segment in range(4):
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=filled, Segment=segment, TotalSegments=4, PaginationConfig={"PageSize": 3}
        ):
            found += sorts(page)
    assert sorted(found) == list(range(-15, 15))


def test_a_page_ends_with_a_megabyte(dynamodb, table):
    for number in range(12):
        dynamodb.put_item(TableName=table, Item={**at("big", number), "x": {"S": "x" * 100_000}})
    page = dynamodb.scan(TableName=table, ReturnConsumedCapacity="TOTAL", ConsistentRead=True)
    assert page["Count"] == 11
    assert page["ConsumedCapacity"]["CapacityUnits"] == 269.0
    rest = dynamodb.scan(TableName=table, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert rest["Count"] == 1
    assert "LastEvaluatedKey" not in rest


def test_older_parameters_query_and_scan(dynamodb, filled):
    answer = dynamodb.query(
        TableName=filled,
        KeyConditions={
            "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "p2"}]},
            "sk": {"ComparisonOperator": "GE", "AttributeValueList": [{"N": "5"}]},
        },
        QueryFilter={"l": {"ComparisonOperator": "NE", "AttributeValueList": [{"S": "a"}]}},
    )
    assert sorts(answer) == [8, 11, 14]
    answer = dynamodb.scan(
        TableName=filled,
        ScanFilter={
            "l": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
            "z": {"ComparisonOperator": "NULL"},
        },
        ConditionalOperator="OR",
    )
    assert answer["Count"] == 6


P0 = {":p": {"S": "p0"}}


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
        (
            {"KeyConditionExpression": "pk = :p", "FilterExpression": "sk = :p", "ExpressionAttributeValues": P0},
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "IndexName": "none", "ExpressionAttributeValues": P0},
            "The table does not have the specified index: none",
        ),
        (
            {
                "KeyConditionExpression": "g = :p",
                "IndexName": "many",
                "ConsistentRead": True,
                "ExpressionAttributeValues": P0,
            },
            "Consistent reads are not supported on global secondary indexes",
        ),
        (
            {"KeyConditionExpression": "pk = :p", "Select": "SPECIFIC_ATTRIBUTES", "ExpressionAttributeValues": P0},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            {
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": P0,
                "ExclusiveStartKey": at("p1", 1),
            },
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            {
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": P0,
                "ExclusiveStartKey": {"pk": {"S": "p0"}},
            },
            "The provided starting key is invalid: The provided key element does not match the schema",
        ),
    ],
)
def test_query_refuses(dynamodb, filled, request_, text):
    assert invalid(dynamodb.query, TableName=filled, **request_) == text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            {"Segment": 4, "TotalSegments": 4},
            (
                "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
                "Segment: 4 is not less than TotalSegments: 4"
            ),
        ),
        (
            {"Segment": 0},
            (
                "The TotalSegments parameter is required but was not present in the request "
                "when Segment parameter is present"
            ),
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            (
                "One or more parameter values were invalid: "
                "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
            ),
        ),
        (
            {"IndexName": "many", "Select": "ALL_ATTRIBUTES"},
            (
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global "
                "secondary index many because its projection type is not ALL"
            ),
        ),
    ],
)
def test_scan_refuses(dynamodb, filled, request_, text):
    assert invalid(dynamodb.scan, TableName=filled, **request_) == text
