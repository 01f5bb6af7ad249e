from datetime import UTC, datetime, timedelta

from tests.aws.dynamodb.conftest import at, create, invalid, key, refused
from tests.harness import wait_until


def test_consumed_units_and_failed_conditions_are_counted(running, dynamodb, table):
    cloudwatch = running.client("cloudwatch")
    dynamodb.put_item(TableName=table, Item={**at("a"), "x": {"S": "x" * 3000}})
    dynamodb.get_item(TableName=table, Key=at("a"), ConsistentRead=True)
    refused(dynamodb.put_item, TableName=table, Item=at("a"), ConditionExpression="attribute_not_exists(pk)")
    running.clock.advance(61)

    def total(metric):
        now = datetime.fromtimestamp(running.clock.now(), UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/DynamoDB",
            MetricName=metric,
            Dimensions=[{"Name": "TableName", "Value": table}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=10),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert wait_until(lambda: total("ConsumedWriteCapacityUnits")) == 3.0
    assert wait_until(lambda: total("ConsumedReadCapacityUnits")) == 1.0
    assert wait_until(lambda: total("ConditionalCheckFailedRequests")) == 1.0


def test_indexes_need_units_too(dynamodb):
    index = {"IndexName": "by-g", "KeySchema": key(("g", "HASH")), "Projection": {"ProjectionType": "ALL"}}
    table = create(dynamodb, {"g": "S"}, GlobalSecondaryIndexes=[index])
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    request = {"TableName": table, "BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
    text = invalid(dynamodb.update_table, **request)
    assert text == "One or more parameter values were invalid: ProvisionedThroughput must be specified for index: by-g"
    update = {"Update": {"IndexName": "by-g", "ProvisionedThroughput": units}}
    described = dynamodb.update_table(**request, GlobalSecondaryIndexUpdates=[update])["TableDescription"]
    assert described["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 1
