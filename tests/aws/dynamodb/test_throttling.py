import pytest

from tests.aws.dynamodb.conftest import at, create
from tests.harness import RunningNode


@pytest.fixture
def throttling(tmp_path):
    node = RunningNode(tmp_path / "data", dynamodb_throttling=True).start()
    node.clock.freeze()
    yield node
    node.stop()


def test_table_without_units_left_refuses_until_it_has_some(throttling):
    dynamodb = throttling.client("dynamodb")
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    table = create(dynamodb, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    other = create(dynamodb)
    for number in range(2):
        dynamodb.put_item(TableName=table, Item={**at("big", number), "x": {"S": "x" * 250_000}})
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException) as failure:
        dynamodb.put_item(TableName=table, Item=at("more"))
    assert failure.value.response["ThrottlingReasons"][0]["reason"] == "TableWriteProvisionedThroughputExceeded"
    put = {"PutRequest": {"Item": at("a")}}
    answer = dynamodb.batch_write_item(RequestItems={table: [put], other: [put]})
    assert answer["UnprocessedItems"] == {table: [put]}
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        dynamodb.batch_write_item(RequestItems={table: [put]})
    assert "Item" in dynamodb.get_item(TableName=table, Key=at("big", 1))
    throttling.clock.advance(300)
    dynamodb.put_item(TableName=table, Item=at("more"))
