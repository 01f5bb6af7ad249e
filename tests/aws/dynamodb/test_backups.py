import gzip
import json

from tests.aws.dynamodb.conftest import at, create, defined, key, new_name, refused, wait_active
from tests.harness import wait_until

GLOBAL = {"IndexName": "by-g", "KeySchema": key(("g", "HASH")), "Projection": {"ProjectionType": "ALL"}}


def filled(dynamodb):
    name = create(dynamodb, {"g": "S"}, GlobalSecondaryIndexes=[GLOBAL])
    for number in range(30):
        dynamodb.put_item(TableName=name, Item={**at("p", number), "g": {"S": "x"}, "v": {"N": "1"}})
    return name


def change(dynamodb, name):
    for number in range(10):
        dynamodb.delete_item(TableName=name, Key=at("p", number))
        dynamodb.put_item(TableName=name, Item={**at("new", number), "g": {"S": "x"}, "v": {"N": "2"}})
        dynamodb.put_item(TableName=name, Item={**at("p", 10 + number), "v": {"N": "2"}})


def check_restored(dynamodb, name):
    wait_active(dynamodb, name)
    items = dynamodb.scan(TableName=name)["Items"]
    assert sorted(int(item["sk"]["N"]) for item in items) == list(range(30))
    assert {item["v"]["N"] for item in items} == {"1"}
    listed = dynamodb.query(
        TableName=name, IndexName="by-g", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "x"}}
    )
    assert listed["Count"] == 30


def test_backup_restores_to_a_new_table(dynamodb):
    name = filled(dynamodb)
    arn = dynamodb.create_backup(TableName=name, BackupName="nightly")["BackupDetails"]["BackupArn"]

    def status():
        return dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"]

    wait_until(lambda: status() == "AVAILABLE")
    change(dynamodb, name)
    target = new_name()
    restored = dynamodb.restore_table_from_backup(TargetTableName=target, BackupArn=arn)["TableDescription"]
    assert restored["RestoreSummary"]["SourceBackupArn"] == arn
    check_restored(dynamodb, target)
    assert [backup["BackupArn"] for backup in dynamodb.list_backups(TableName=name)["BackupSummaries"]] == [arn]
    dynamodb.delete_backup(BackupArn=arn)
    assert refused(dynamodb.describe_backup, BackupArn=arn)[0] == "BackupNotFoundException"


def test_table_goes_back_to_a_moment(running, dynamodb):
    name = filled(dynamodb)
    target = new_name()
    request = {"SourceTableName": name, "TargetTableName": target}
    code, _ = refused(dynamodb.restore_table_to_point_in_time, **request, UseLatestRestorableTime=True)
    assert code == "PointInTimeRecoveryUnavailableException"
    running.clock.freeze(int(running.clock.now()) + 1.0)
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    running.clock.advance(1)
    moment = running.clock.now()
    running.clock.advance(1)
    change(dynamodb, name)
    running.clock.resume()
    dynamodb.restore_table_to_point_in_time(**request, RestoreDateTime=moment)
    check_restored(dynamodb, target)
    code, _ = refused(
        dynamodb.restore_table_to_point_in_time,
        SourceTableName=name,
        TargetTableName=new_name(),
        RestoreDateTime=moment - 1000,
    )
    assert code == "InvalidRestoreTimeException"


def test_export_can_be_imported(running, dynamodb):
    s3 = running.client("s3")
    s3.create_bucket(Bucket="exports")
    name = filled(dynamodb)
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    export = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports", S3Prefix="out")
    export_arn = export["ExportDescription"]["ExportArn"]

    def described():
        found = dynamodb.describe_export(ExportArn=export_arn)["ExportDescription"]
        return found if found["ExportStatus"] != "IN_PROGRESS" else None

    done = wait_until(described)
    assert (done["ExportStatus"], done["ItemCount"]) == ("COMPLETED", 30)
    manifest = json.loads(s3.get_object(Bucket="exports", Key=done["ExportManifest"])["Body"].read())
    files = s3.get_object(Bucket="exports", Key=manifest["manifestFilesS3Key"])["Body"].read()
    data_key = json.loads(files.splitlines()[0])["dataFileS3Key"]
    lines = gzip.decompress(s3.get_object(Bucket="exports", Key=data_key)["Body"].read()).splitlines()
    assert json.loads(lines[0])["Item"]["v"] == {"N": "1"}
    target = new_name()
    made = dynamodb.import_table(
        S3BucketSource={"S3Bucket": "exports", "S3KeyPrefix": data_key.rpartition("/")[0]},
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": target,
            "AttributeDefinitions": defined(pk="S", sk="N"),
            "KeySchema": key(("pk", "HASH"), ("sk", "RANGE")),
            "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]
    assert made["ImportStatus"] == "IN_PROGRESS"
    wait_active(dynamodb, target)
    found = dynamodb.describe_import(ImportArn=made["ImportArn"])["ImportTableDescription"]
    assert (found["ImportStatus"], found["ImportedItemCount"], found["ErrorCount"]) == ("COMPLETED", 30, 0)
    assert dynamodb.scan(TableName=target)["Count"] == 30


def test_ion_keeps_every_type(running, dynamodb):
    s3 = running.client("s3")
    s3.create_bucket(Bucket="ion")
    name = create(dynamodb)
    item = {
        **at("all", -3),
        "n": {"N": "12345678901234567890.123456789"},
        "b": {"B": b"\x00\xff"},
        "ss": {"SS": ["a", "b"]},
        "ns": {"NS": ["1", "2.5"]},
        "bs": {"BS": [b"x"]},
        "l": {"L": [{"NULL": True}, {"BOOL": False}, {"S": ""}]},
        "m": {"M": {"k": {"M": {}}, "l": {"L": []}}},
    }
    dynamodb.put_item(TableName=name, Item=item)
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    export = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket="ion", ExportFormat="ION")
    export_arn = export["ExportDescription"]["ExportArn"]
    wait_until(
        lambda: dynamodb.describe_export(ExportArn=export_arn)["ExportDescription"]["ExportStatus"] == "COMPLETED"
    )
    target = new_name()
    identifier = export_arn.rpartition("/")[2]
    dynamodb.import_table(
        S3BucketSource={"S3Bucket": "ion", "S3KeyPrefix": f"AWSDynamoDB/{identifier}/data/"},
        InputFormat="ION",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": target,
            "AttributeDefinitions": defined(pk="S", sk="N"),
            "KeySchema": key(("pk", "HASH"), ("sk", "RANGE")),
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    wait_active(dynamodb, target)
    assert dynamodb.scan(TableName=target)["Items"] == [item]


def test_csv_is_imported_and_bad_rows_are_counted(running, dynamodb):
    s3 = running.client("s3")
    s3.create_bucket(Bucket="sheets")
    s3.put_object(Bucket="sheets", Key="in/a.csv", Body=b'pk,sk,x\na,1,"hello, you"\nb,two,\nc,3,\n')
    target = new_name()
    made = dynamodb.import_table(
        S3BucketSource={"S3Bucket": "sheets", "S3KeyPrefix": "in/"},
        InputFormat="CSV",
        TableCreationParameters={
            "TableName": target,
            "AttributeDefinitions": defined(pk="S", sk="N"),
            "KeySchema": key(("pk", "HASH"), ("sk", "RANGE")),
            "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]
    wait_active(dynamodb, target)
    found = dynamodb.describe_import(ImportArn=made["ImportArn"])["ImportTableDescription"]
    assert (found["ImportedItemCount"], found["ErrorCount"]) == (2, 1)
    items = sorted(dynamodb.scan(TableName=target)["Items"], key=lambda item: item["pk"]["S"])
    assert items == [{**at("a", 1), "x": {"S": "hello, you"}}, at("c", 3)]
