"""Checksums of objects: MD5 for ETags and Content-MD5, and the `x-amz-checksum-*` family."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.services.s3.crc import CRC32C, CRC64NVME, crc_of

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"


class Algorithm(NamedTuple):
    """A checksum algorithm: S3's name, the shapes' field, its digest over the parts of a body in order."""

    name: str
    field: str
    digest: Callable[[Sequence[bytes]], bytes]


def _hashed(name: str) -> Callable[[Sequence[bytes]], bytes]:
    def digest(parts: Sequence[bytes]) -> bytes:
        state = hashlib.new(name, usedforsecurity=False)
        for part in parts:
            state.update(part)
        return state.digest()

    return digest


def _crc32(parts: Sequence[bytes]) -> bytes:
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value.to_bytes(4)


def _crc32c(parts: Sequence[bytes]) -> bytes:
    value = 0
    for part in parts:
        value = crc_of(CRC32C, part, value)
    return value.to_bytes(4)


def _crc64nvme(parts: Sequence[bytes]) -> bytes:
    value = 0
    for part in parts:
        value = crc_of(CRC64NVME, part, value)
    return value.to_bytes(8)


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", "checksum_crc32", _crc32),
        Algorithm("CRC32C", "checksum_crc32_c", _crc32c),
        Algorithm("CRC64NVME", "checksum_crc64_nvme", _crc64nvme),
        Algorithm("SHA1", "checksum_sha1", _hashed("sha1")),
        Algorithm("SHA256", "checksum_sha256", _hashed("sha256")),
        Algorithm("SHA512", "checksum_sha512", _hashed("sha512")),
        Algorithm("MD5", "checksum_md5", _hashed("md5")),
    )
}

_UNSUPPORTED_FIELDS = ("checksum_xxhash64", "checksum_xxhash3", "checksum_xxhash128")


def text_of(digest: bytes) -> str:
    """Return a digest as S3 writes it."""
    return base64.b64encode(digest).decode()


def compute(algorithm: Algorithm, parts: Sequence[bytes]) -> str:
    """Return the checksum of a body."""
    return text_of(algorithm.digest(parts))


def find_algorithm(name: str | None) -> Algorithm | None:
    """Return the algorithm that a request names; None if it names none.

    Raises:
        ServiceError: InvalidRequest or NotImplemented, S3 or Forebay has no such algorithm.
    """
    if name is None:
        return None
    if name.upper().startswith("XXHASH"):
        raise ServiceError.of("NotImplemented", f"The checksum algorithm {name} is not implemented by Forebay.", 501)
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        text = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        raise api.InvalidRequest(text + "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
    return algorithm


def given_checksums(request: object) -> dict[str, str]:
    """Return the checksums that a request or part states, by algorithm name.

    Raises:
        ServiceError: NotImplemented, one is of an algorithm that Forebay lacks.
    """
    for field in _UNSUPPORTED_FIELDS:
        if getattr(request, field, None) is not None:
            find_algorithm(field.removeprefix("checksum_"))
    found = ((algorithm.name, getattr(request, algorithm.field, None)) for algorithm in ALGORITHMS.values())
    return {name: value for name, value in found if value is not None}


def as_members(checksums: Mapping[str, str]) -> dict[str, str]:
    """Return checksums as members of an answer, by field."""
    return {ALGORITHMS[name].field: value for name, value in checksums.items()}


def check_checksums(stated: Mapping[str, str], parts: Sequence[bytes]) -> None:
    """Check a body against the checksums that came with it.

    Raises:
        ServiceError: BadDigest or InvalidRequest.
    """
    for name, value in stated.items():
        algorithm = ALGORITHMS[name]
        if not _has_form(value, len(algorithm.digest(()))):
            raise api.InvalidRequest(f"Value for x-amz-checksum-{name.lower()} header is invalid.")
        if compute(algorithm, parts) != value:
            text = f"The {name} you specified did not match the calculated checksum."
            raise ServiceError.of("BadDigest", text)


def check_content_md5(stated: str | None, md5: bytes) -> None:
    """Check a body's MD5 against the Content-MD5 header.

    Raises:
        ServiceError: BadDigest or InvalidDigest.
    """
    if stated is None:
        return
    if not _has_form(stated, len(md5)):
        raise ServiceError.of("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if stated != text_of(md5):
        raise ServiceError.of("BadDigest", "The Content-MD5 you specified did not match what we received.")


def composite(algorithm: Algorithm, part_checksums: Sequence[str]) -> str:
    """Return the checksum of a multipart object's part checksums, as S3 writes it: with the number of parts."""
    digests = b"".join(base64.b64decode(value) for value in part_checksums)
    return f"{compute(algorithm, (digests,))}-{len(part_checksums)}"


def md5_of(parts: Sequence[bytes]) -> bytes:
    """Return the MD5 of a body."""
    return ALGORITHMS["MD5"].digest(parts)


def multipart_etag(part_etags: Sequence[str]) -> str:
    """Return the ETag of a multipart object: the MD5 of its parts' MD5s, with the number of parts."""
    digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in part_etags)
    return f'"{md5_of((digests,)).hex()}-{len(part_etags)}"'


def _has_form(text: str, size_bytes: int) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == size_bytes
    except (binascii.Error, ValueError):
        return False
