import hashlib
import io
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.harness import RunningNode

MB = 1024 * 1024


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def s3(node: RunningNode) -> Any:
    client = node.client("s3")
    client.create_bucket(Bucket="box")
    return client


def begin(s3: Any, **more: Any) -> dict[str, Any]:
    upload_id = s3.create_multipart_upload(Bucket="box", Key="big", **more)["UploadId"]
    return {"Bucket": "box", "Key": "big", "UploadId": upload_id}


def upload(s3: Any, at: dict[str, Any], number: int, body: bytes) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": s3.upload_part(**at, PartNumber=number, Body=body)["ETag"]}


def test_parts_become_one_object(s3: Any) -> None:
    at = begin(s3, ContentType="application/zip", Metadata={"m": "1"})
    first, second = b"a" * 5 * MB, b"b" * 100
    parts = [upload(s3, at, 1, first), upload(s3, at, 3, second)]
    assert [part["Size"] for part in s3.list_parts(**at)["Parts"]] == [5 * MB, 100]
    done = s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    digests = hashlib.md5(first).digest() + hashlib.md5(second).digest()
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    got = s3.get_object(Bucket="box", Key="big")
    assert got["Body"].read() == first + second
    assert got["ContentType"] == "application/zip"
    assert got["Metadata"] == {"m": "1"}
    across = s3.get_object(Bucket="box", Key="big", Range=f"bytes={5 * MB - 2}-{5 * MB + 1}")
    assert across["Body"].read() == b"aabb"
    part = s3.get_object(Bucket="box", Key="big", PartNumber=2)
    assert part["Body"].read() == second
    assert part["PartsCount"] == 2
    refused("NoSuchUpload", s3.list_parts, **at)


def test_transfer_manager_goes_there_and_back(s3: Any) -> None:
    body = bytes(range(256)) * 4 * 1024 * 17
    config = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), "box", "big", Config=config)
    target = io.BytesIO()
    s3.download_fileobj("box", "big", target, Config=config)
    assert target.getvalue() == body
    head = s3.head_object(Bucket="box", Key="big", ChecksumMode="ENABLED")
    assert head["ChecksumType"] == "COMPOSITE"
    assert head["ChecksumCRC32"].endswith("-4")


def test_full_object_checksum_is_over_all_parts(s3: Any) -> None:
    at = begin(s3, ChecksumAlgorithm="CRC64NVME")
    parts = [upload(s3, at, 1, b"12345" * MB), upload(s3, at, 2, b"6789")]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    whole = s3.head_object(Bucket="box", Key="big", ChecksumMode="ENABLED")
    s3.copy_object(Bucket="box", Key="one", CopySource="box/big", ChecksumAlgorithm="CRC64NVME")
    single = s3.head_object(Bucket="box", Key="one", ChecksumMode="ENABLED")
    assert whole["ChecksumCRC64NVME"] == single["ChecksumCRC64NVME"]
    assert whole["ChecksumType"] == "FULL_OBJECT"


def test_bad_lists_of_parts_are_refused(s3: Any) -> None:
    at = begin(s3)
    parts = [upload(s3, at, 1, b"small"), upload(s3, at, 2, b"small")]
    text = refused("EntityTooSmall", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": parts})
    assert text == "Your proposed upload is smaller than the minimum allowed size"
    refused("InvalidPartOrder", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": parts[::-1]})
    wrong = [{"PartNumber": 9, "ETag": parts[0]["ETag"]}]
    refused("InvalidPart", s3.complete_multipart_upload, **at, MultipartUpload={"Parts": wrong})
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts[1:]})
    assert s3.get_object(Bucket="box", Key="big")["Body"].read() == b"small"


def test_aborted_upload_is_gone(s3: Any) -> None:
    at = begin(s3)
    upload(s3, at, 1, b"x")
    assert [each["Key"] for each in s3.list_multipart_uploads(Bucket="box")["Uploads"]] == ["big"]
    s3.abort_multipart_upload(**at)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="box")
    text = refused("NoSuchUpload", s3.upload_part, **at, PartNumber=2, Body=b"x")
    assert text.startswith("The specified upload does not exist.")


def test_part_is_copied_from_a_range(s3: Any) -> None:
    s3.put_object(Bucket="box", Key="source", Body=b"0123456789")
    at = begin(s3)
    copied = s3.upload_part_copy(**at, PartNumber=1, CopySource="box/source", CopySourceRange="bytes=2-4")
    part = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [part]})
    assert s3.get_object(Bucket="box", Key="big")["Body"].read() == b"234"
