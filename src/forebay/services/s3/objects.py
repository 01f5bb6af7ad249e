"""Operations on objects: put, get, head, delete, attributes."""

from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.answer import (
    check_overrides,
    delete_marker_error,
    get_output,
    head_output,
    no_such_key,
    no_such_version,
)
from forebay.services.s3.bucket import Bucket, fetch_bucket, load_bucket
from forebay.services.s3.checksum import (
    FULL_OBJECT,
    as_members,
    check_checksums,
    check_content_md5,
    compute,
    find_algorithm,
    given_checksums,
    md5_of,
)
from forebay.services.s3.condition import byte_range, check_read_conditions, check_write_conditions, part_range
from forebay.services.s3.content import off_loop, read_bytes, store_bytes
from forebay.services.s3.object import (
    ObjectVersion,
    check_key,
    check_no_customer_key,
    headers_of,
    parse_tagging,
)
from forebay.services.s3.placement import CURRENT, add_version, delete_current, delete_version, find_version
from forebay.store.records import record_key

# A read whose bytes were deleted under it looks again: there may be a newer version.
_READ_ATTEMPTS_MAX = 3


@operation
async def put_object(call: Call, request: api.PutObjectRequest) -> api.PutObjectOutput:
    """Write an object: a new version of its key."""
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    check_key(request.key)
    headers, tags = headers_of(request), parse_tagging(request.tagging)
    body = request.body or b""
    etag, checksums = await off_loop(len(body), lambda: _checked_digests(request, body))
    version = ObjectVersion(
        key=request.key,
        modified_at=call.now,
        size=len(body),
        etag=etag,
        segments=await store_bytes(call, body),
        headers=headers,
        tags=tags,
        checksums=checksums,
        checksum_type=FULL_OBJECT if checksums else None,
    )

    def work(inner: Call) -> ObjectVersion:
        current = inner.records.find(CURRENT, record_key(bucket.name, request.key))
        check_write_conditions(current, request.if_match, request.if_none_match)
        return add_version(inner, load_bucket(inner, bucket.name), version)

    placed = await call.transact(work)
    output = api.PutObjectOutput(
        e_tag=placed.etag,
        version_id=placed.label if bucket.versioning == "Enabled" else None,
        server_side_encryption=headers.encryption,
        ssekms_key_id=headers.kms_key,
        checksum_type=placed.checksum_type,
    )
    return replace(output, **as_members(checksums))


def _checked_digests(request: api.PutObjectRequest, body: bytes) -> tuple[str, dict[str, str]]:
    """Check a body against what was said of it; return its ETag and checksums."""
    md5 = md5_of((body,))
    check_content_md5(request.content_md5, md5)
    checksums = given_checksums(request)
    check_checksums(checksums, (body,))
    algorithm = find_algorithm(request.checksum_algorithm)
    if algorithm is not None and algorithm.name not in checksums:
        checksums[algorithm.name] = compute(algorithm, (body,))
    return f'"{md5.hex()}"', checksums


@operation
async def get_object(call: Call, request: api.GetObjectRequest) -> api.GetObjectOutput:
    """Return an object's bytes, all or a range of them."""
    for _ in range(_READ_ATTEMPTS_MAX):
        bucket, version = await _find_readable(call, request)
        start, end = 0, version.size
        part = request.part_number
        wanted = part_range(version, part) if part else byte_range(request.range, version.size)
        if wanted is not None:
            start, end = wanted
        try:
            body = await read_bytes(call, version.segments, start, end)
        except KeyError:
            continue
        return get_output(bucket, version, request, body, wanted)
    raise no_such_key(request.key)


@operation
async def head_object(call: Call, request: api.HeadObjectRequest) -> api.HeadObjectOutput:
    """Return what GetObject would say of an object, without its bytes."""
    bucket, version = await _find_readable(call, request)
    part = request.part_number
    wanted = part_range(version, part) if part else byte_range(request.range, version.size)
    return head_output(bucket, version, request, wanted)


async def _find_readable(
    call: Call, request: api.GetObjectRequest | api.HeadObjectRequest
) -> tuple[Bucket, ObjectVersion]:
    """Return the version that is to be read.

    Raises:
        NoSuchKey, NoSuchVersion: there is none.
        ServiceError: MethodNotAllowed, a delete marker is asked for; PreconditionFailed or NotModified.
    """
    check_no_customer_key(request.sse_customer_algorithm)
    check_overrides(request)
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    if request.version_id is None:
        version = await call.find(CURRENT, record_key(bucket.name, request.key))
    else:
        label = request.version_id
        version = await call.look(lambda inner: find_version(inner.reader, bucket.name, request.key, label))
    if version is None:
        raise (
            no_such_key(request.key) if request.version_id is None else no_such_version(request.key, request.version_id)
        )
    if version.is_marker:
        raise delete_marker_error(version, is_named=request.version_id is not None)
    check_read_conditions(
        version,
        match=request.if_match,
        none_match=request.if_none_match,
        modified_since=request.if_modified_since,
        unmodified_since=request.if_unmodified_since,
    )
    return bucket, version


@operation
def delete_object(call: Call, request: api.DeleteObjectRequest) -> api.DeleteObjectOutput:
    """Delete a key, or one version for good; deleting what is not there succeeds."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    if request.if_match is not None:
        check_write_conditions(find_version(call.records, bucket.name, request.key, None), request.if_match, None)
    deleted = delete_one(call, bucket, request.key, request.version_id)
    return api.DeleteObjectOutput(
        delete_marker=deleted.delete_marker, version_id=deleted.delete_marker_version_id or deleted.version_id
    )


@operation
def delete_objects(call: Call, request: api.DeleteObjectsRequest) -> api.DeleteObjectsOutput:
    """Delete up to a thousand keys or versions."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    if not 0 < len(request.delete.objects) <= limits.DELETE_KEYS_MAX:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ServiceError.of("MalformedXML", text)
    deleted = [delete_one(call, bucket, each.key, each.version_id) for each in request.delete.objects]
    return api.DeleteObjectsOutput(deleted=None if request.delete.quiet else deleted)


def delete_one(call: Call, bucket: Bucket, key: str, label: str | None) -> api.DeletedObject:
    """Delete a key, or one version for good; return what S3 says about it."""
    if label is None:
        marker = delete_current(call, bucket, key)
        if marker is None:
            return api.DeletedObject(key=key)
        return api.DeletedObject(key=key, delete_marker=True, delete_marker_version_id=marker.label)
    gone = delete_version(call, bucket, key, label)
    if gone is not None and gone.is_marker:
        return api.DeletedObject(key=key, version_id=label, delete_marker=True, delete_marker_version_id=label)
    return api.DeletedObject(key=key, version_id=label)


@operation(readonly=True)
def get_object_attributes(call: Call, request: api.GetObjectAttributesRequest) -> api.GetObjectAttributesOutput:
    """Return the attributes of an object that are asked for."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    check_no_customer_key(request.sse_customer_algorithm)
    version = find_version(call.reader, bucket.name, request.key, request.version_id)
    if version is None:
        raise (
            no_such_key(request.key) if request.version_id is None else no_such_version(request.key, request.version_id)
        )
    if version.is_marker:
        raise delete_marker_error(version, is_named=request.version_id is not None)
    asked = request.object_attributes
    checksum = replace(api.Checksum(checksum_type=version.checksum_type), **as_members(version.checksums))
    return api.GetObjectAttributesOutput(
        last_modified=version.modified_at,
        version_id=version.version_id,
        e_tag=version.etag.strip('"') if "ETag" in asked else None,
        checksum=checksum if "Checksum" in asked and version.checksums else None,
        object_parts=(
            api.GetObjectAttributesParts(total_parts_count=len(version.parts))
            if "ObjectParts" in asked and version.parts
            else None
        ),
        storage_class=(version.headers.storage_class or "STANDARD") if "StorageClass" in asked else None,
        object_size=version.size if "ObjectSize" in asked else None,
    )
