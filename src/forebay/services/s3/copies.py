"""CopyObject: a new version made of another one's bytes."""

from urllib.parse import unquote

from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3.answer import delete_marker_error, no_such_key, no_such_version
from forebay.services.s3.bucket import Bucket, fetch_bucket, load_bucket
from forebay.services.s3.checksum import FULL_OBJECT, as_members, compute, find_algorithm, md5_of
from forebay.services.s3.condition import (
    NotModified,
    check_read_conditions,
    check_write_conditions,
    precondition_failed,
)
from forebay.services.s3.content import off_loop, read_bytes, store_bytes
from forebay.services.s3.object import Headers, ObjectVersion, check_key, headers_of, parse_tagging
from forebay.services.s3.placement import CURRENT, add_version, find_version
from forebay.store.records import record_key


@operation
async def copy_object(call: Call, request: api.CopyObjectRequest) -> api.CopyObjectOutput:
    """Write an object with the bytes of another, and its headers and tags or new ones."""
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    check_key(request.key)
    given = headers_of(request)
    source_bucket, source = await find_source(call, request)
    is_replaced = request.metadata_directive == "REPLACE"
    headers = given if is_replaced else _kept(source.headers, given)
    is_same = (source_bucket.name, source.key) == (bucket.name, request.key) and source.version_id is None
    if is_same and not is_replaced and headers == source.headers and bucket.versioning is None:
        raise api.InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
    body = await read_source(call, source, 0, source.size)
    version = await _copied(call, request, source, body, headers)

    def work(inner: Call) -> ObjectVersion:
        current = inner.records.find(CURRENT, record_key(bucket.name, request.key))
        check_write_conditions(current, request.if_match, request.if_none_match)
        return add_version(inner, load_bucket(inner, bucket.name), version)

    placed = await call.transact(work)
    result = api.CopyObjectResult(
        e_tag=placed.etag, last_modified=placed.modified_at, checksum_type=placed.checksum_type
    )
    return api.CopyObjectOutput(
        copy_object_result=replace(result, **as_members(placed.checksums)),
        copy_source_version_id=source.version_id,
        version_id=placed.version_id,
        server_side_encryption=headers.encryption,
        ssekms_key_id=headers.kms_key,
    )


async def find_source(
    call: Call, request: api.CopyObjectRequest | api.UploadPartCopyRequest
) -> tuple[Bucket, ObjectVersion]:
    """Return the bucket and version that a copy reads.

    Raises:
        ServiceError: the header is no source, the source is not there or conditions on it do not hold.
    """
    bucket_name, key, label = _parse_source(request.copy_source)
    bucket = await fetch_bucket(call, bucket_name, request.expected_source_bucket_owner)
    version = await call.look(lambda inner: find_version(inner.reader, bucket.name, key, label))
    if version is None:
        raise no_such_key(key) if label is None else no_such_version(key, label)
    if version.is_marker:
        if label is not None:
            raise api.InvalidRequest(
                "The source of a copy request may not specifically refer to a delete marker by version id."
            )
        raise delete_marker_error(version, is_named=False)
    try:
        check_read_conditions(
            version,
            match=request.copy_source_if_match,
            none_match=request.copy_source_if_none_match,
            modified_since=request.copy_source_if_modified_since,
            unmodified_since=request.copy_source_if_unmodified_since,
        )
    except NotModified:
        raise precondition_failed("x-amz-copy-source-If-None-Match") from None
    return bucket, version


async def read_source(call: Call, source: ObjectVersion, start: int, end: int) -> bytes:
    """Return a range of a source's bytes.

    Raises:
        NoSuchKey: it was deleted meanwhile.
    """
    try:
        return await read_bytes(call, source.segments, start, end)
    except KeyError:
        raise no_such_key(source.key) from None


async def _copied(
    call: Call, request: api.CopyObjectRequest, source: ObjectVersion, body: bytes, headers: Headers
) -> ObjectVersion:
    name = request.checksum_algorithm or next(iter(source.checksums), None)
    algorithm = find_algorithm(name)

    def digests() -> tuple[str, dict[str, str]]:
        checksums = {} if algorithm is None else {algorithm.name: compute(algorithm, (body,))}
        return f'"{md5_of((body,)).hex()}"', checksums

    etag, checksums = await off_loop(len(body), digests)
    return ObjectVersion(
        key=request.key,
        modified_at=call.now,
        size=len(body),
        etag=etag,
        segments=await store_bytes(call, body),
        headers=headers,
        tags=parse_tagging(request.tagging) if request.tagging_directive == "REPLACE" else source.tags,
        checksums=checksums,
        checksum_type=FULL_OBJECT if checksums else None,
    )


def _kept(source: Headers, given: Headers) -> Headers:
    """Return the source's headers; what is not metadata comes from the request."""
    return replace(
        source,
        redirect=given.redirect,
        storage_class=given.storage_class,
        encryption=given.encryption or source.encryption,
        kms_key=given.kms_key or source.kms_key,
    )


def _parse_source(header: str) -> tuple[str, str, str | None]:
    path, mark, query = header.partition("?")
    bucket, slash, key = unquote(path).removeprefix("/").partition("/")
    label = query.removeprefix("versionId=") if mark else None
    if not bucket or not slash or not key or (mark and not query.startswith("versionId=")):
        text = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise ServiceError.of("InvalidArgument", text)
    return bucket, key, label
