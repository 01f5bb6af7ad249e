import hashlib
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode, wait_until


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"].get("Message", "")


@pytest.fixture
def s3(node: RunningNode) -> Any:
    client = node.client("s3")
    client.create_bucket(Bucket="box")
    return client


def test_object_is_returned_with_what_was_said_of_it(s3: Any) -> None:
    put = s3.put_object(
        Bucket="box",
        Key="a b/ü.txt",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="max-age=5",
        ContentDisposition="attachment",
        Metadata={"Team": "shop"},
        Tagging="a=1&b=2",
    )
    assert put["ETag"] == '"' + hashlib.md5(b"hello").hexdigest() + '"'
    got = s3.get_object(Bucket="box", Key="a b/ü.txt")
    assert got["Body"].read() == b"hello"
    assert got["ContentType"] == "text/plain"
    assert got["CacheControl"] == "max-age=5"
    assert got["ContentDisposition"] == "attachment"
    assert got["Metadata"] == {"team": "shop"}
    assert got["TagCount"] == 2
    assert got["ContentLength"] == 5
    assert "VersionId" not in got
    head = s3.head_object(Bucket="box", Key="a b/ü.txt")
    assert head["ContentLength"] == 5
    assert head["ETag"] == put["ETag"]
    assert head["LastModified"] == got["LastModified"]


def test_empty_object(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="empty")
    got = s3.get_object(Bucket="box", Key="empty")
    assert got["Body"].read() == b""
    assert got["ContentType"] == "binary/octet-stream"
    assert s3.head_object(Bucket="box", Key="empty")["ContentLength"] == 0


def test_missing_key_has_aws_text(s3: Any) -> None:
    assert refused("NoSuchKey", s3.get_object, Bucket="box", Key="none") == "The specified key does not exist."
    refused("404", s3.head_object, Bucket="box", Key="none")


def test_ranges(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket="box", Key="k", Range="bytes=2-4")
    assert got["Body"].read() == b"234"
    assert got["ContentRange"] == "bytes 2-4/10"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused("InvalidRange", s3.get_object, Bucket="box", Key="k", Range="bytes=10-")


def test_conditional_reads(s3: Any) -> None:
    etag = s3.put_object(Bucket="box", Key="k", Body=b"x")["ETag"]
    refused("304", s3.get_object, Bucket="box", Key="k", IfNoneMatch=etag)
    refused("PreconditionFailed", s3.get_object, Bucket="box", Key="k", IfMatch='"other"')
    assert s3.get_object(Bucket="box", Key="k", IfMatch=etag)["Body"].read() == b"x"


def test_conditional_writes(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="k", Body=b"x", IfNoneMatch="*")
    text = refused("PreconditionFailed", s3.put_object, Bucket="box", Key="k", Body=b"y", IfNoneMatch="*")
    assert text == "At least one of the pre-conditions you specified did not hold"
    refused("NoSuchKey", s3.put_object, Bucket="box", Key="none", Body=b"y", IfMatch='"x"')


def test_wrong_digest_is_refused(s3: Any) -> None:
    text = refused("BadDigest", s3.put_object, Bucket="box", Key="k", Body=b"x", ContentMD5="kAFQmDzST7DWlj99KOF/cg==")
    assert text == "The Content-MD5 you specified did not match what we received."
    text = refused("BadDigest", s3.put_object, Bucket="box", Key="k", Body=b"x", ChecksumCRC32="AAAAAA==")
    assert text == "The CRC32 you specified did not match the calculated checksum."


@pytest.mark.parametrize("name", ["CRC32", "SHA1", "SHA256"])
def test_checksum_is_kept(s3: Any, name: str) -> None:
    put = s3.put_object(Bucket="box", Key="k", Body=b"hello", ChecksumAlgorithm=name)
    head = s3.head_object(Bucket="box", Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{name}"] == put[f"Checksum{name}"]
    assert head["ChecksumType"] == "FULL_OBJECT"


def test_framed_body_with_a_trailer(s3: Any, node: RunningNode) -> None:
    # The SDKs frame bodies over TLS; here the frame is made by hand, with a trailer that has the checksum.
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Decoded-Content-Length": "5",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    request = urllib.request.Request(f"{node.url}/box/framed", body, headers, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["x-amz-checksum-crc32"] == "NhCmhg=="
    got = s3.get_object(Bucket="box", Key="framed")
    assert got["Body"].read() == b"hello"
    assert "ContentEncoding" not in got
    broken = urllib.request.Request(f"{node.url}/box/framed", body[:-9], headers, method="PUT")
    with pytest.raises(HTTPError) as raised:
        urllib.request.urlopen(broken)
    raised.value.close()
    assert raised.value.code == 400


def test_deleting_what_is_not_there_succeeds(s3: Any) -> None:
    s3.delete_object(Bucket="box", Key="none")
    s3.put_object(Bucket="box", Key="a", Body=b"x")
    answer = s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "a"}, {"Key": "none"}]})
    assert [each["Key"] for each in answer["Deleted"]] == ["a", "none"]
    refused("NoSuchKey", s3.get_object, Bucket="box", Key="a")


def test_copy_keeps_or_replaces_metadata(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="a/1", Body=b"x", Metadata={"m": "1"}, ContentType="text/plain")
    s3.copy_object(Bucket="box", Key="b", CopySource={"Bucket": "box", "Key": "a/1"})
    copied = s3.get_object(Bucket="box", Key="b")
    assert (copied["Body"].read(), copied["Metadata"], copied["ContentType"]) == (b"x", {"m": "1"}, "text/plain")
    s3.copy_object(Bucket="box", Key="b", CopySource="box/a/1", MetadataDirective="REPLACE", Metadata={"n": "2"})
    assert s3.head_object(Bucket="box", Key="b")["Metadata"] == {"n": "2"}
    s3.delete_object(Bucket="box", Key="a/1")
    assert s3.get_object(Bucket="box", Key="b")["Body"].read() == b"x"
    text = refused("InvalidRequest", s3.copy_object, Bucket="box", Key="b", CopySource="box/b")
    assert text.startswith("This copy request is illegal because it is trying to copy an object to itself")


def test_lists_roll_up_and_go_on(s3: Any) -> None:
    for key in ("a", "dir/1", "dir/2", "z"):
        s3.put_object(Bucket="box", Key=key, Body=b"x")
    first = s3.list_objects_v2(Bucket="box", Delimiter="/", MaxKeys=2)
    assert [each["Key"] for each in first["Contents"]] == ["a"]
    assert [each["Prefix"] for each in first["CommonPrefixes"]] == ["dir/"]
    assert first["KeyCount"] == 2
    second = s3.list_objects_v2(Bucket="box", Delimiter="/", ContinuationToken=first["NextContinuationToken"])
    assert [each["Key"] for each in second["Contents"]] == ["z"]
    assert "CommonPrefixes" not in second
    inside = s3.list_objects_v2(Bucket="box", Prefix="dir/", StartAfter="dir/1")
    assert [each["Key"] for each in inside["Contents"]] == ["dir/2"]
    assert [each["Size"] for each in s3.list_objects(Bucket="box", Marker="dir/1")["Contents"]] == [1, 1]


def test_keys_with_any_character_are_listed(s3: Any) -> None:
    keys = sorted(["a+b", "a b", "ä/ö", "per%cent", "x&<y>", "😀"])
    for key in keys:
        s3.put_object(Bucket="box", Key=key, Body=b"x")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="box")["Contents"]] == keys
    for key in keys:
        assert s3.get_object(Bucket="box", Key=key)["Body"].read() == b"x"


def test_object_tags(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="k", Body=b"x", Tagging="a=1")
    s3.put_object_tagging(Bucket="box", Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    assert s3.get_object_tagging(Bucket="box", Key="k")["TagSet"] == [{"Key": "b", "Value": "2"}]
    s3.delete_object_tagging(Bucket="box", Key="k")
    assert s3.get_object_tagging(Bucket="box", Key="k")["TagSet"] == []


def test_presigned_urls(s3: Any) -> None:
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "box", "Key": "p"})
    with urllib.request.urlopen(urllib.request.Request(put, b"signed", method="PUT")) as answer:
        assert answer.status == 200
    get = s3.generate_presigned_url("get_object", Params={"Bucket": "box", "Key": "p"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"signed"


def test_bytes_of_deleted_objects_are_removed_and_equal_ones_stay(
    s3: Any, node: RunningNode, tmp_path: Any, databases: Any
) -> None:
    if databases is not None:
        pytest.skip("looks for the bytes in the data folder, where a database has them otherwise")
    s3.put_object(Bucket="box", Key="a", Body=b"same")
    s3.put_object(Bucket="box", Key="b", Body=b"same")

    def holders() -> int:
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and len(path.name) == 62]
        return sum(path.read_bytes().startswith(b"same") for path in files)

    assert holders() == 2
    s3.delete_object(Bucket="box", Key="a")
    node.clock.advance(61)
    wait_until(lambda: holders() == 1)
    assert s3.get_object(Bucket="box", Key="b")["Body"].read() == b"same"


def test_customer_keys_and_acls_are_refused(s3: Any) -> None:
    text = refused("AccessControlListNotSupported", s3.put_object, Bucket="box", Key="k", Body=b"x", ACL="public-read")
    assert text == "The bucket does not allow ACLs"


def test_attributes(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    got = s3.get_object_attributes(
        Bucket="box", Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum", "StorageClass"]
    )
    assert got["ObjectSize"] == 5
    assert got["ETag"] == hashlib.md5(b"hello").hexdigest()
    assert got["StorageClass"] == "STANDARD"
    assert got["Checksum"]["ChecksumSHA256"]


def test_objects_survive_a_restart(s3: Any, node: RunningNode) -> None:
    s3.put_object(Bucket="box", Key="k", Body=b"kept")
    node.restart()
    assert node.client("s3").get_object(Bucket="box", Key="k")["Body"].read() == b"kept"
