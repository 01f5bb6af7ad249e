from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode


def refused(code: str, call: Any, **params: Any) -> Any:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response


@pytest.fixture
def s3(node: RunningNode) -> Any:
    client = node.client("s3")
    client.create_bucket(Bucket="box")
    client.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    return client


def put(s3: Any, body: str) -> str:
    return s3.put_object(Bucket="box", Key="k", Body=body.encode())["VersionId"]


def body(s3: Any, **more: Any) -> str:
    return s3.get_object(Bucket="box", Key="k", **more)["Body"].read().decode()


def test_each_write_is_a_version(s3: Any) -> None:
    first, second = put(s3, "1"), put(s3, "2")
    assert len(first) == 32
    assert body(s3) == "2"
    assert body(s3, VersionId=first) == "1"
    listed = s3.list_object_versions(Bucket="box")["Versions"]
    assert [(each["VersionId"], each["IsLatest"]) for each in listed] == [(second, True), (first, False)]
    refused("NoSuchVersion", s3.get_object, Bucket="box", Key="k", VersionId="x" * 32)


def test_delete_leaves_a_marker_that_can_be_deleted(s3: Any) -> None:
    put(s3, "1")
    deleted = s3.delete_object(Bucket="box", Key="k")
    assert deleted["DeleteMarker"]
    answer = refused("NoSuchKey", s3.get_object, Bucket="box", Key="k")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    assert "Contents" not in s3.list_objects_v2(Bucket="box")
    assert s3.list_object_versions(Bucket="box")["DeleteMarkers"][0]["IsLatest"]
    refused("MethodNotAllowed", s3.get_object, Bucket="box", Key="k", VersionId=deleted["VersionId"])
    again = s3.delete_object(Bucket="box", Key="k", VersionId=deleted["VersionId"])
    assert again["DeleteMarker"]
    assert body(s3) == "1"


def test_deleting_the_newest_version_brings_back_the_one_before(s3: Any) -> None:
    first, second, third = put(s3, "1"), put(s3, "2"), put(s3, "3")
    s3.delete_object(Bucket="box", Key="k", VersionId=third)
    assert body(s3) == "2"
    s3.delete_object(Bucket="box", Key="k", VersionId=first)
    s3.delete_object(Bucket="box", Key="k", VersionId=second)
    refused("NoSuchKey", s3.get_object, Bucket="box", Key="k")
    s3.delete_bucket(Bucket="box")


def test_suspended_versioning_writes_the_null_version(s3: Any) -> None:
    first = put(s3, "1")
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Suspended"})
    assert "VersionId" not in s3.put_object(Bucket="box", Key="k", Body=b"2")
    s3.put_object(Bucket="box", Key="k", Body=b"3")
    assert body(s3) == "3"
    assert body(s3, VersionId="null") == "3"
    assert body(s3, VersionId=first) == "1"
    assert [each["VersionId"] for each in s3.list_object_versions(Bucket="box")["Versions"]] == ["null", first]
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    latest = put(s3, "4")
    labels = [each["VersionId"] for each in s3.list_object_versions(Bucket="box")["Versions"]]
    assert labels == [latest, "null", first]


def test_versions_written_before_versioning_are_null(node: RunningNode) -> None:
    s3 = node.client("s3")
    s3.create_bucket(Bucket="box")
    s3.put_object(Bucket="box", Key="k", Body=b"0")
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    put(s3, "1")
    assert body(s3, VersionId="null") == "0"


def test_bucket_with_versions_is_not_deleted(s3: Any) -> None:
    put(s3, "1")
    s3.delete_object(Bucket="box", Key="k")
    answer = refused("BucketNotEmpty", s3.delete_bucket, Bucket="box")
    assert answer["Error"]["Message"] == (
        "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
    )


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_versions_come_in_pages(s3: Any, size: int) -> None:
    for key in ("a", "b", "c"):
        for number in range(3):
            s3.put_object(Bucket="box", Key=key, Body=str(number).encode())
    s3.delete_object(Bucket="box", Key="b")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket="box", PaginationConfig={"PageSize": size})
    found: list[tuple[str, str]] = []
    for page in pages:
        entries = page.get("Versions", []) + page.get("DeleteMarkers", [])
        assert len(entries) <= size
        found += [(each["Key"], each["VersionId"]) for each in entries]
    assert len(set(found)) == len(found) == 10


def test_copy_of_an_older_version(s3: Any) -> None:
    first = put(s3, "1")
    put(s3, "2")
    copied = s3.copy_object(Bucket="box", Key="k", CopySource={"Bucket": "box", "Key": "k", "VersionId": first})
    assert copied["CopySourceVersionId"] == first
    assert body(s3) == "1"
