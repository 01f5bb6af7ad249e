import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"].get("Message", "")


@pytest.fixture
def s3(node: RunningNode) -> Any:
    return node.client("s3")


def test_bucket_is_created_listed_and_deleted(s3: Any) -> None:
    assert s3.create_bucket(Bucket="orders-1")["Location"] == "/orders-1"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["orders-1"]
    head = s3.head_bucket(Bucket="orders-1")
    assert head["BucketRegion"] == "us-east-1"
    s3.delete_bucket(Bucket="orders-1")
    assert s3.list_buckets()["Buckets"] == []
    refused("404", s3.head_bucket, Bucket="orders-1")


def test_creating_again_succeeds_in_us_east_1_only(node: RunningNode, s3: Any) -> None:
    s3.create_bucket(Bucket="orders-1")
    s3.create_bucket(Bucket="orders-1")
    ireland = node.client("s3", region="eu-west-1")
    configuration = {"LocationConstraint": "eu-west-1"}
    ireland.create_bucket(Bucket="orders-2", CreateBucketConfiguration=configuration)
    text = refused(
        "BucketAlreadyOwnedByYou",
        ireland.create_bucket,
        Bucket="orders-2",
        CreateBucketConfiguration=configuration,
    )
    assert text == "Your previous request to create the named bucket succeeded and you already own it."
    assert ireland.get_bucket_location(Bucket="orders-2")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_location(Bucket="orders-1")["LocationConstraint"] is None


def test_names_are_shared_by_all_accounts(node: RunningNode, s3: Any) -> None:
    s3.create_bucket(Bucket="orders-1")
    refused("BucketAlreadyExists", node.client("s3", account="111111111111").create_bucket, Bucket="orders-1")


def test_region_must_be_said(node: RunningNode) -> None:
    text = refused(
        "IllegalLocationConstraintException", node.client("s3", region="eu-west-1").create_bucket, Bucket="abc"
    )
    assert text == (
        "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to."
    )


@pytest.mark.parametrize("name", ["Upper", "1.2.3.4", "a..b", "xn--x"])
def test_bad_names_are_refused(s3: Any, name: str) -> None:
    assert refused("InvalidBucketName", s3.create_bucket, Bucket=name) == "The specified bucket is not valid."


def test_bucket_with_objects_is_not_deleted(s3: Any) -> None:
    s3.create_bucket(Bucket="orders-1")
    s3.put_object(Bucket="orders-1", Key="a", Body=b"x")
    assert refused("BucketNotEmpty", s3.delete_bucket, Bucket="orders-1") == (
        "The bucket you tried to delete is not empty"
    )
    s3.delete_object(Bucket="orders-1", Key="a")
    s3.delete_bucket(Bucket="orders-1")


def test_settings_are_stored(s3: Any) -> None:
    s3.create_bucket(Bucket="b-1")
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket="b-1")
    tags = [{"Key": "ManagedStackSource", "Value": "AwsSamCli"}]
    s3.put_bucket_tagging(Bucket="b-1", Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket="b-1")["TagSet"] == tags
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]})
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="b-1")
    s3.put_bucket_policy(Bucket="b-1", Policy=policy)
    assert s3.get_bucket_policy(Bucket="b-1")["Policy"] == policy
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket="b-1", ServerSideEncryptionConfiguration={"Rules": rules})
    assert s3.get_bucket_encryption(Bucket="b-1")["ServerSideEncryptionConfiguration"]["Rules"] == rules
    block = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    s3.put_public_access_block(Bucket="b-1", PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket="b-1")["PublicAccessBlockConfiguration"] == block
    s3.delete_bucket_policy(Bucket="b-1")
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="b-1")


def test_what_is_not_kept_is_refused_by_name(s3: Any) -> None:
    s3.create_bucket(Bucket="b-1")
    rules = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    text = refused("NotImplemented", s3.put_bucket_lifecycle_configuration, Bucket="b-1", LifecycleConfiguration=rules)
    assert "PutBucketLifecycleConfiguration" in text
    refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket="b-1")
    queue = {"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]}
    refused(
        "NotImplemented",
        s3.put_bucket_notification_configuration,
        Bucket="b-1",
        NotificationConfiguration={"QueueConfigurations": [queue]},
    )
    s3.put_bucket_notification_configuration(Bucket="b-1", NotificationConfiguration={})
    s3.delete_bucket_cors(Bucket="b-1")


def test_missing_bucket_has_aws_text(s3: Any) -> None:
    assert refused("NoSuchBucket", s3.list_objects_v2, Bucket="none") == "The specified bucket does not exist"


def test_acl_gives_everything_to_the_owner(s3: Any) -> None:
    s3.create_bucket(Bucket="b-1")
    acl = s3.get_bucket_acl(Bucket="b-1")
    assert acl["Grants"] == [
        {"Grantee": {"ID": acl["Owner"]["ID"], "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    ]


def test_virtual_host_addressing(node: RunningNode, s3: Any) -> None:
    s3.create_bucket(Bucket="hosted")
    s3.put_object(Bucket="hosted", Key="a/b", Body=b"x")
    request = urllib.request.Request(f"{node.url}/a/b", headers={"Host": "hosted.s3.localhost"})
    with urllib.request.urlopen(request) as answer:
        assert answer.read() == b"x"
