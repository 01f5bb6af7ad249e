"""Tables as resources of stacks."""

import json
from typing import Any

from tests.aws.cloudformation.stacks import create, delete, outputs, update
from tests.harness import RunningNode


def table(**properties: Any) -> dict[str, Any]:
    return {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "orders",
                "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "BillingMode": "PAY_PER_REQUEST",
                **properties,
            },
        }
    }


INDEX = {
    "IndexName": "inverted",
    "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"},
}
OUTPUTS = {
    "Outputs": {
        "Name": {"Value": {"Ref": "Table"}},
        "Arn": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}},
        "Stream": {"Value": {"Fn::GetAtt": ["Table", "StreamArn"]}},
    }
}


def test_table_is_made_changed_and_deleted(node: RunningNode) -> None:
    client, dynamodb = node.client("cloudformation"), node.client("dynamodb")
    first = table(
        StreamSpecification={"StreamViewType": "NEW_IMAGE"},
        TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True},
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    stack = create(client, "tables", first, **OUTPUTS)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    shown = dynamodb.describe_table(TableName="orders")["Table"]
    assert outputs(stack) == {"Name": "orders", "Arn": shown["TableArn"], "Stream": shown["LatestStreamArn"]}
    expiry = dynamodb.describe_time_to_live(TableName="orders")["TimeToLiveDescription"]
    assert expiry["AttributeName"] == "ttl"
    dynamodb.put_item(TableName="orders", Item={"pk": {"S": "a"}, "sk": {"S": "b"}})

    # Within the hour of one change of the time to live there is no other.
    node.clock.advance(3_600)
    second = table(GlobalSecondaryIndexes=[INDEX], DeletionProtectionEnabled=True, Tags=[{"Key": "team", "Value": "b"}])
    sections = {"Outputs": {name: OUTPUTS["Outputs"][name] for name in ("Name", "Arn")}}
    assert update(client, "tables", second, **sections)["StackStatus"] == "UPDATE_COMPLETE"
    shown = dynamodb.describe_table(TableName="orders")["Table"]
    assert [index["IndexName"] for index in shown["GlobalSecondaryIndexes"]] == ["inverted"]
    assert shown["GlobalSecondaryIndexes"][0]["ItemCount"] == 1
    assert "StreamSpecification" not in shown
    assert shown["DeletionProtectionEnabled"] is True
    tags = dynamodb.list_tags_of_resource(ResourceArn=shown["TableArn"])["Tags"]
    assert {"Key": "team", "Value": "b"} in tags
    assert dynamodb.describe_time_to_live(TableName="orders")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "DISABLED"
    }
    recovery = dynamodb.describe_continuous_backups(TableName="orders")["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"

    dynamodb.update_table(TableName="orders", DeletionProtectionEnabled=False)
    assert delete(client, "tables") == "DELETE_COMPLETE"
    assert dynamodb.list_tables()["TableNames"] == []


def test_table_gets_units_together_with_its_indexes(node: RunningNode) -> None:
    client, dynamodb = node.client("cloudformation"), node.client("dynamodb")
    assert create(client, "t", table(GlobalSecondaryIndexes=[INDEX]))["StackStatus"] == "CREATE_COMPLETE"
    for units in (3, 5):
        throughput = {"ReadCapacityUnits": units, "WriteCapacityUnits": units}
        index = {**INDEX, "ProvisionedThroughput": throughput}
        provisioned = table(BillingMode="PROVISIONED", ProvisionedThroughput=throughput, GlobalSecondaryIndexes=[index])
        assert update(client, "t", provisioned)["StackStatus"] == "UPDATE_COMPLETE"
        shown = dynamodb.describe_table(TableName="orders")["Table"]
        assert shown["ProvisionedThroughput"]["ReadCapacityUnits"] == units
        assert shown["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == units
    assert update(client, "t", table(GlobalSecondaryIndexes=[INDEX]))["StackStatus"] == "UPDATE_COMPLETE"
    shown = dynamodb.describe_table(TableName="orders")["Table"]
    assert shown["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_global_table_of_this_region_is_a_table(node: RunningNode) -> None:
    client, dynamodb = node.client("cloudformation"), node.client("dynamodb")
    (properties,) = (resource["Properties"] for resource in table().values())
    resource = {
        "Type": "AWS::DynamoDB::GlobalTable",
        "Properties": {**properties, "Replicas": [{"Region": "us-east-1"}]},
    }
    assert create(client, "one", {"Table": resource})["StackStatus"] == "CREATE_COMPLETE"
    assert dynamodb.describe_table(TableName="orders")["Table"]["TableStatus"] == "ACTIVE"
    two = {**resource["Properties"], "Replicas": [{"Region": "us-east-1"}, {"Region": "eu-west-1"}], "TableName": "b-b"}
    failed = create(client, "two", {"Table": {**resource, "Properties": two}}, OnFailure="DO_NOTHING")
    assert failed["StackStatus"] == "CREATE_FAILED"


def test_simple_table_of_sam(node: RunningNode) -> None:
    client, dynamodb = node.client("cloudformation"), node.client("dynamodb")
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Simple": {
                "Type": "AWS::Serverless::SimpleTable",
                "Properties": {"TableName": "simple", "PrimaryKey": {"Name": "id", "Type": "String"}},
            }
        },
    }
    sections = {key: value for key, value in template.items() if key != "Resources"}
    stack = create(client, "sam", template["Resources"], Capabilities=["CAPABILITY_AUTO_EXPAND"], **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE", json.dumps(stack, default=str)
    assert dynamodb.describe_table(TableName="simple")["Table"]["KeySchema"] == [
        {"AttributeName": "id", "KeyType": "HASH"}
    ]
