import pytest

from tests.aws.dynamodb.conftest import at, invalid, refused


def put(table, pk, condition=None):
    return {"Put": {"TableName": table, "Item": at(pk), **({"ConditionExpression": condition} if condition else {})}}


def test_all_or_none_is_written_and_the_reasons_say_why(dynamodb, table):
    dynamodb.put_item(TableName=table, Item={**at("there"), "v": {"N": "1"}})
    actions = [
        put(table, "new"),
        {
            "Update": {
                "TableName": table,
                "Key": at("there"),
                "UpdateExpression": "SET v = :two",
                "ConditionExpression": "v = :two",
                "ExpressionAttributeValues": {":two": {"N": "2"}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        },
        {"Update": {"TableName": table, "Key": at("none"), "UpdateExpression": "SET v = zz"}},
    ]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as failure:
        dynamodb.transact_write_items(TransactItems=actions)
    assert failure.value.response["Error"]["Message"] == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, ValidationError]"
    )
    reasons = failure.value.response["CancellationReasons"]
    assert reasons[0] == {"Code": "None"}
    assert reasons[1] == {
        "Code": "ConditionalCheckFailed",
        "Message": "The conditional request failed",
        "Item": {**at("there"), "v": {"N": "1"}},
    }
    assert reasons[2]["Message"] == "The provided expression refers to an attribute that does not exist in the item"
    assert "Item" not in dynamodb.get_item(TableName=table, Key=at("new"))


def test_every_kind_of_action_in_one_commit(dynamodb, table):
    dynamodb.put_item(TableName=table, Item=at("gone"))
    dynamodb.put_item(TableName=table, Item={**at("changed"), "v": {"N": "1"}})
    answer = dynamodb.transact_write_items(
        TransactItems=[
            put(table, "made", "attribute_not_exists(pk)"),
            {"Delete": {"TableName": table, "Key": at("gone")}},
            {
                "Update": {
                    "TableName": table,
                    "Key": at("changed"),
                    "UpdateExpression": "ADD v :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}},
                }
            },
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": at("absent"),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
        ],
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 8.0, "WriteCapacityUnits": 8.0}]
    found = dynamodb.transact_get_items(
        TransactItems=[{"Get": {"TableName": table, "Key": at(pk)}} for pk in ("made", "gone", "changed")]
    )["Responses"]
    assert found == [{"Item": at("made")}, {}, {"Item": {**at("changed"), "v": {"N": "2"}}}]


def test_token_is_good_for_one_request_and_ten_minutes(running, dynamodb, table):
    add = {
        "Update": {
            "TableName": table,
            "Key": at("t"),
            "UpdateExpression": "ADD v :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    request = {"TransactItems": [add], "ClientRequestToken": f"token-{table}"}

    def value():
        return dynamodb.get_item(TableName=table, Key=at("t"))["Item"]["v"]["N"]

    dynamodb.transact_write_items(**request)
    again = dynamodb.transact_write_items(**request, ReturnConsumedCapacity="TOTAL")
    assert again["ConsumedCapacity"][0]["ReadCapacityUnits"] == 2.0
    assert value() == "1"
    code, _ = refused(dynamodb.transact_write_items, **{**request, "TransactItems": [put(table, "other")]})
    assert code == "IdempotentParameterMismatchException"
    running.clock.advance(601)
    dynamodb.transact_write_items(**request)
    assert value() == "2"


def test_one_item_may_be_named_once(dynamodb, table):
    text = invalid(dynamodb.transact_write_items, TransactItems=[put(table, "a"), put(table, "a")])
    assert text == "Transaction request cannot include multiple operations on one item"


def test_batches_read_and_write_many(dynamodb, table):
    writes = [{"PutRequest": {"Item": at("b", number)}} for number in range(25)]
    assert dynamodb.batch_write_item(RequestItems={table: writes})["UnprocessedItems"] == {}
    answer = dynamodb.batch_get_item(
        RequestItems={
            table: {
                "Keys": [at("b", number) for number in range(26)],
                "ProjectionExpression": "#s",
                "ExpressionAttributeNames": {"#s": "sk"},
            }
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert sorted(int(item["sk"]["N"]) for item in answer["Responses"][table]) == list(range(25))
    assert answer["UnprocessedKeys"] == {}
    assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 13.0}]
    text = invalid(dynamodb.batch_get_item, RequestItems={table: {"Keys": [at("b", 1), at("b", 1)]}})
    assert text == "Provided list of item keys contains duplicates"
    many = [{"DeleteRequest": {"Key": at("b", number)}} for number in range(26)]
    text = invalid(dynamodb.batch_write_item, RequestItems={table: many[:13], "other-table": many[13:]})
    assert text == "Too many items requested for the BatchWriteItem call"


def test_batch_get_leaves_keys_for_which_16_megabytes_have_no_room(dynamodb, table):
    for number in range(42):
        dynamodb.put_item(TableName=table, Item={**at("huge", number), "x": {"S": "x" * 405_000}})
    answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": [at("huge", number) for number in range(42)]}})
    assert len(answer["Responses"][table]) == 41
    assert len(answer["UnprocessedKeys"][table]["Keys"]) == 1


def test_key_that_is_none_of_the_table_is_a_reason(dynamodb, table):
    wrong = {"Delete": {"TableName": table, "Key": {"pk": {"S": "a"}}}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as failure:
        dynamodb.transact_write_items(TransactItems=[put(table, "fine"), wrong])
    assert failure.value.response["CancellationReasons"] == [
        {"Code": "None"},
        {"Code": "ValidationError", "Message": "The provided key element does not match the schema"},
    ]


def test_key_that_is_none_of_the_table_cancels_reads_too(dynamodb, table):
    gets = [{"Get": {"TableName": table, "Key": key}} for key in (at("a"), {"pk": {"S": "a"}})]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as failure:
        dynamodb.transact_get_items(TransactItems=gets)
    assert failure.value.response["CancellationReasons"] == [
        {"Code": "None"},
        {"Code": "ValidationError", "Message": "The provided key element does not match the schema"},
    ]


def test_four_megabytes_are_the_most_of_a_transaction(dynamodb, table):
    puts = [{"Put": {"TableName": table, "Item": {**at("big", n), "x": {"S": "x" * 400_000}}}} for n in range(11)]
    # UNVERIFIED: the documentation has the bound, in these words.
    expected = "The aggregate size of the items in the transaction cannot exceed 4 MB"
    assert invalid(dynamodb.transact_write_items, TransactItems=puts) == expected
    dynamodb.transact_write_items(TransactItems=puts[:10])
    dynamodb.transact_write_items(TransactItems=puts[10:])
    gets = [{"Get": {"TableName": table, "Key": at("big", n)}} for n in range(11)]
    assert invalid(dynamodb.transact_get_items, TransactItems=gets) == expected
    assert len(dynamodb.transact_get_items(TransactItems=gets[:10])["Responses"]) == 10
