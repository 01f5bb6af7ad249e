import pytest

from tests.aws.dynamodb.conftest import at, create, defined, invalid, key, new_name, refused, wait_active
from tests.harness import wait_until

WRONG = "One or more parameter values were invalid: "
GLOBAL = {"IndexName": "by-g", "KeySchema": key(("g", "HASH")), "Projection": {"ProjectionType": "ALL"}}


def test_description_is_complete(dynamodb):
    name = create(dynamodb, {"g": "S"}, GlobalSecondaryIndexes=[GLOBAL], TableClass="STANDARD_INFREQUENT_ACCESS")
    dynamodb.put_item(TableName=name, Item={**at("a"), "g": {"S": "x"}})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["TableArn"] == f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
    assert (table["ItemCount"], table["TableSizeBytes"]) == (1, 3 + 4 + 2)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert table["DeletionProtectionEnabled"] is False
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexStatus"], index["ItemCount"]) == ("ACTIVE", 1)
    assert index["IndexArn"].endswith(f"{name}/index/by-g")


def test_tables_are_listed_in_pages(dynamodb):
    names = sorted(create(dynamodb) for _ in range(3))
    start, found = "table-", []
    while True:
        page = dynamodb.list_tables(ExclusiveStartTableName=start, Limit=2)
        found += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            break
        start = page["LastEvaluatedTableName"]
    assert set(names) <= set(found)


def test_deleted_table_is_gone_with_its_items(running, dynamodb):
    name = create(dynamodb, DeletionProtectionEnabled=True)
    dynamodb.put_item(TableName=name, Item=at("a"))
    text = invalid(dynamodb.delete_table, TableName=name)
    assert text.startswith("Resource cannot be deleted as it is currently protected against deletion.")
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert dynamodb.delete_table(TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
    assert refused(dynamodb.describe_table, TableName=name) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Table: {name} not found",
    )
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=defined(pk="S"),
        KeySchema=key(("pk", "HASH")),
        BillingMode="PAY_PER_REQUEST",
    )
    assert dynamodb.scan(TableName=name)["Count"] == 0


def test_index_is_filled_while_items_are_written(dynamodb):
    name = create(dynamodb)
    for number in range(60):
        value = {"S": f"g{number % 3}"} if number % 10 else {"N": "1"}
        dynamodb.put_item(TableName=name, Item={**at("p", number), "g": value})
    updated = dynamodb.update_table(
        TableName=name,
        AttributeDefinitions=defined(g="S"),
        GlobalSecondaryIndexUpdates=[{"Create": GLOBAL}],
    )["TableDescription"]
    assert updated["TableStatus"] == "UPDATING"
    assert updated["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    wait_active(dynamodb, name)
    dynamodb.put_item(TableName=name, Item={**at("p", 99), "g": {"S": "g1"}})
    answer = dynamodb.query(
        TableName=name, IndexName="by-g", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "g1"}}
    )
    assert answer["Count"] == 18 + 1
    text = invalid(dynamodb.put_item, TableName=name, Item={**at("p", 1), "g": {"N": "1"}})
    assert text == WRONG + "Type mismatch for Index Key g Expected: S Actual: N IndexName: by-g"
    dynamodb.update_table(TableName=name, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-g"}}])
    wait_until(lambda: "GlobalSecondaryIndexes" not in dynamodb.describe_table(TableName=name)["Table"])
    assert dynamodb.describe_table(TableName=name)["Table"]["AttributeDefinitions"] == defined(pk="S", sk="N")
    dynamodb.put_item(TableName=name, Item={**at("p", 1), "g": {"N": "1"}})


def test_throughput_changes_are_told(dynamodb):
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    name = create(dynamodb, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    text = invalid(dynamodb.update_table, TableName=name, ProvisionedThroughput=units)
    assert text.startswith("The provisioned throughput for the table will not change.")
    less = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 9}
    table = dynamodb.update_table(TableName=name, ProvisionedThroughput=less)["TableDescription"]
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    throughput = dynamodb.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["NumberOfDecreasesToday"]) == (3, 1)
    assert {"LastIncreaseDateTime", "LastDecreaseDateTime"} <= set(throughput)
    table = dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")["TableDescription"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


BASE = {
    "AttributeDefinitions": defined(pk="S"),
    "KeySchema": key(("pk", "HASH")),
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            WRONG
            + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            {"BillingMode": "PROVISIONED"},
            WRONG + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        ),
        (
            {"KeySchema": key(("pk", "RANGE"))},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            {"KeySchema": key(("pk", "HASH"), ("pk", "RANGE"))},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            {"AttributeDefinitions": defined(other="S")},
            "Invalid KeySchema: Some index key attribute have no definition",
        ),
        (
            {"AttributeDefinitions": defined(pk="S", other="S")},
            WRONG + "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions",
        ),
        (
            {"LocalSecondaryIndexes": [{**GLOBAL, "IndexName": "loc"}]},
            WRONG
            + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ),
        (
            {"GlobalSecondaryIndexes": [GLOBAL]},
            WRONG + "Some index key attributes are not defined in AttributeDefinitions. Keys: [g], "
            "AttributeDefinitions: [pk]",
        ),
        (
            {"AttributeDefinitions": defined(pk="S", g="S"), "GlobalSecondaryIndexes": [GLOBAL, GLOBAL]},
            WRONG + "Duplicate index name: by-g",
        ),
        (
            {
                "AttributeDefinitions": defined(pk="S", g="S"),
                "GlobalSecondaryIndexes": [{**GLOBAL, "Projection": {"ProjectionType": "INCLUDE"}}],
            },
            WRONG + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
    ],
)
def test_create_refuses(dynamodb, changes, text):
    assert invalid(dynamodb.create_table, TableName=new_name(), **{**BASE, **changes}) == text


def test_name_is_taken_or_no_name(dynamodb, table):
    assert refused(dynamodb.create_table, TableName=table, **BASE) == (
        "ResourceInUseException",
        f"Table already exists: {table}",
    )
    text = "TableName must be at least 3 characters long and at most 255 characters long"
    assert invalid(dynamodb.create_table, TableName="ab", **BASE) == text


def test_tags_and_policy_are_kept(dynamodb, table):
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    code, _ = refused(dynamodb.get_resource_policy, ResourceArn=arn)
    assert code == "PolicyNotFoundException"
    revision = dynamodb.put_resource_policy(ResourceArn=arn, Policy='{"Statement": []}')["RevisionId"]
    assert dynamodb.get_resource_policy(ResourceArn=arn)["RevisionId"] == revision


def test_what_is_not_there_is_said(dynamodb, table):
    assert dynamodb.describe_contributor_insights(TableName=table)["ContributorInsightsStatus"] == "DISABLED"
    code, text = refused(dynamodb.update_contributor_insights, TableName=table, ContributorInsightsAction="ENABLE")
    assert (code, text) == (
        "NotImplemented",
        "CloudWatch Contributor Insights for DynamoDB is not implemented by Forebay.",
    )
    code, text = refused(
        dynamodb.update_table, TableName=table, ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}]
    )
    assert code == "NotImplemented"
    assert "ReplicaUpdates" in text


def test_tables_outlive_a_restart(running):
    dynamodb = running.client("dynamodb")
    name = create(dynamodb)
    dynamodb.put_item(TableName=name, Item={**at("kept"), "v": {"N": "1"}})
    running.restart()
    dynamodb = running.client("dynamodb")
    assert dynamodb.get_item(TableName=name, Key=at("kept"))["Item"]["v"] == {"N": "1"}


def test_another_accounts_table_is_not_reached_by_its_arn(running, dynamodb, table):
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    assert dynamodb.scan(TableName=arn)["Count"] == 0
    stranger = running.client("dynamodb", account="111111111111")
    for call, request in (
        (stranger.scan, {"TableName": arn}),
        (stranger.describe_table, {"TableName": arn}),
        (stranger.list_tags_of_resource, {"ResourceArn": arn}),
        (stranger.describe_backup, {"BackupArn": f"{arn}/backup/01"}),
    ):
        assert refused(call, **request)[0] == "AccessDeniedException"


def test_time_to_live_changes_once_an_hour(running, dynamodb, table):
    def change(name: str, *, is_on: bool) -> dict[str, object]:
        return {"TableName": table, "TimeToLiveSpecification": {"Enabled": is_on, "AttributeName": name}}

    update = dynamodb.update_time_to_live
    assert invalid(update, **change("x", is_on=False)) == "TimeToLive is already disabled"
    update(**change("x", is_on=True))
    assert invalid(update, **change("x", is_on=True)) == "TimeToLive is already enabled"
    assert invalid(update, **change("y", is_on=True)) == (
        "TimeToLive is active on a different AttributeName: current AttributeName is x"
    )
    expected = "Time to live has been modified multiple times within a fixed interval"
    assert invalid(update, **change("x", is_on=False)) == expected
    running.clock.advance(3_600)
    update(**change("x", is_on=False))
    description = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert description == {"TimeToLiveStatus": "DISABLED"}


def test_tags_are_of_letters_digits_and_few_other_characters(dynamodb, table):
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    # UNVERIFIED: the documentation has the rule, but not the words.
    text = invalid(dynamodb.tag_resource, ResourceArn=arn, Tags=[{"Key": "a*", "Value": "b"}])
    assert text == WRONG + "Tag contains a character that is not allowed: a*"
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "Grösse 1", "Value": "a+b-c=d._:/@"}])


def test_since_when_a_table_is_on_demand_is_told_later(dynamodb):
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    name = create(dynamodb, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    table = dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")["TableDescription"]
    assert (table["TableStatus"], table["BillingModeSummary"]) == ("UPDATING", {"BillingMode": "PAY_PER_REQUEST"})
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"].keys() == {"BillingMode", "LastUpdateToPayPerRequestDateTime"}
