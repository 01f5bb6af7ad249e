import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.errors import ServiceError
from forebay.services.s3.checksum import (
    ALGORITHMS,
    check_checksums,
    check_content_md5,
    composite,
    compute,
    md5_of,
    multipart_etag,
)
from forebay.services.s3.crc import CRC32C, CRC64NVME, Polynomial, crc_of

CRC32 = Polynomial(0xEDB88320, 32)


@pytest.mark.parametrize(
    ("polynomial", "check"), [(CRC32C, 0xE3069283), (CRC64NVME, 0xAE8B14860A799888), (CRC32, 0xCBF43926)]
)
def test_check_value_of_the_catalogue(polynomial: Polynomial, check: int) -> None:
    assert crc_of(polynomial, b"123456789") == check


@given(st.integers(0, 3), st.integers(0, 40_000), st.integers(0, 255))
def test_rows_agree_with_the_standard_library(pad: int, size: int, fill: int) -> None:
    data = bytes((fill + at * 7) & 0xFF for at in range(size)) + b"\0" * pad
    assert crc_of(CRC32, data) == zlib.crc32(data)


@given(st.binary(max_size=20_000), st.binary(max_size=20_000))
def test_crc_continues(first: bytes, second: bytes) -> None:
    assert crc_of(CRC64NVME, second, crc_of(CRC64NVME, first)) == crc_of(CRC64NVME, first + second)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_checksum_over_parts_is_that_of_the_whole(name: str) -> None:
    algorithm = ALGORITHMS[name]
    assert compute(algorithm, (b"ab", b"c")) == compute(algorithm, (b"abc",))


def test_wrong_checksum_is_refused() -> None:
    with pytest.raises(ServiceError) as raised:
        check_checksums({"CRC32": base64.b64encode(b"1234").decode()}, (b"abc",))
    assert raised.value.code == "BadDigest"
    assert raised.value.message == "The CRC32 you specified did not match the calculated checksum."


def test_checksum_of_another_form_is_invalid() -> None:
    with pytest.raises(ServiceError, match="x-amz-checksum-crc32 header is invalid"):
        check_checksums({"CRC32": "abc"}, (b"abc",))


def test_content_md5_is_checked() -> None:
    check_content_md5("kAFQmDzST7DWlj99KOF/cg==", md5_of((b"abc",)))
    with pytest.raises(ServiceError) as raised:
        check_content_md5("kAFQmDzST7DWlj99KOF/cg==", md5_of((b"abd",)))
    assert raised.value.code == "BadDigest"
    with pytest.raises(ServiceError) as raised:
        check_content_md5("x", md5_of((b"abc",)))
    assert raised.value.code == "InvalidDigest"


def test_multipart_etag_counts_parts() -> None:
    etags = [f'"{md5_of((part,)).hex()}"' for part in (b"a", b"b")]
    digests = md5_of((b"a",)) + md5_of((b"b",))
    assert multipart_etag(etags) == f'"{md5_of((digests,)).hex()}-2"'


def test_composite_checksum_counts_parts() -> None:
    algorithm = ALGORITHMS["CRC32"]
    parts = [compute(algorithm, (part,)) for part in (b"a", b"b")]
    digests = zlib.crc32(b"a").to_bytes(4) + zlib.crc32(b"b").to_bytes(4)
    assert composite(algorithm, parts) == base64.b64encode(zlib.crc32(digests).to_bytes(4)).decode() + "-2"
