"""Operations on multipart uploads: create, parts, complete, abort, lists.

A finished object is the list of its parts' blobs: nothing is copied together.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.bucket import Bucket, canonical_id, fetch_bucket, load_bucket, owner_of
from forebay.services.s3.checksum import (
    COMPOSITE,
    FULL_OBJECT,
    Algorithm,
    as_members,
    check_checksums,
    check_content_md5,
    composite,
    compute,
    find_algorithm,
    given_checksums,
    md5_of,
    multipart_etag,
)
from forebay.services.s3.condition import byte_range, check_write_conditions
from forebay.services.s3.content import off_loop, read_bytes, store_bytes
from forebay.services.s3.copies import find_source, read_source
from forebay.services.s3.listing import encoded, walk
from forebay.services.s3.object import (
    ObjectVersion,
    check_key,
    check_no_customer_key,
    headers_of,
    parse_tagging,
)
from forebay.services.s3.placement import CURRENT, add_version, discard
from forebay.services.s3.upload import (
    PART,
    UPLOAD,
    Part,
    Upload,
    checked_upload,
    drop_upload,
    list_upload_parts,
    list_uploads,
    load_upload,
    part_key,
)
from forebay.store.records import record_key

_UPLOAD_ID_CHARACTERS = 96
_UPLOAD_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"


@operation
def create_multipart_upload(call: Call, request: api.CreateMultipartUploadRequest) -> api.CreateMultipartUploadOutput:
    """Begin an upload in parts."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    check_key(request.key)
    algorithm = find_algorithm(request.checksum_algorithm)
    upload = Upload(
        bucket=bucket.name,
        key=request.key,
        upload_id=call.ids.token(_UPLOAD_ID_CHARACTERS, _UPLOAD_ID_ALPHABET),
        started_at=call.now,
        headers=headers_of(request),
        tags=parse_tagging(request.tagging),
        checksum_algorithm=None if algorithm is None else algorithm.name,
        checksum_type=_checksum_type(algorithm, request.checksum_type),
    )
    call.records.put(UPLOAD, record_key(bucket.name, upload.key, upload.upload_id), upload)
    return api.CreateMultipartUploadOutput(
        bucket=bucket.name,
        key=upload.key,
        upload_id=upload.upload_id,
        server_side_encryption=upload.headers.encryption,
        ssekms_key_id=upload.headers.kms_key,
        checksum_algorithm=upload.checksum_algorithm,
        checksum_type=upload.checksum_type,
    )


def _checksum_type(algorithm: Algorithm | None, asked: str | None) -> str | None:
    if algorithm is None:
        return None
    if algorithm.name == "CRC64NVME":
        if asked == COMPOSITE:
            text = "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."
            raise api.InvalidRequest(text)
        return FULL_OBJECT
    if asked == FULL_OBJECT and not algorithm.name.startswith("CRC"):
        name = algorithm.name.lower()
        raise api.InvalidRequest(f"The FULL_OBJECT checksum type cannot be used with the {name} checksum algorithm.")
    return asked or COMPOSITE


@operation
async def upload_part(call: Call, request: api.UploadPartRequest) -> api.UploadPartOutput:
    """Upload one part, in place of one with the same number."""
    check_no_customer_key(request.sse_customer_algorithm)
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    upload = await _find_upload(call, bucket, request.key, request.upload_id)
    body = request.body or b""

    def digests() -> tuple[bytes, dict[str, str]]:
        md5 = md5_of((body,))
        check_content_md5(request.content_md5, md5)
        checksums = given_checksums(request)
        check_checksums(checksums, (body,))
        return md5, _completed(checksums, upload, body)

    md5, checksums = await off_loop(len(body), digests)
    part = await _keep_part(call, upload, request.part_number, body, md5=md5, checksums=checksums)
    output = api.UploadPartOutput(
        e_tag=part.etag, server_side_encryption=upload.headers.encryption, ssekms_key_id=upload.headers.kms_key
    )
    return replace(output, **as_members(checksums))


@operation
async def upload_part_copy(call: Call, request: api.UploadPartCopyRequest) -> api.UploadPartCopyOutput:
    """Make a part of an object that is there, or of a range of it."""
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    upload = await _find_upload(call, bucket, request.key, request.upload_id)
    _, source = await find_source(call, request)
    start, end = byte_range(request.copy_source_range, source.size) or (0, source.size)
    body = await read_source(call, source, start, end)
    md5, checksums = await off_loop(len(body), lambda: (md5_of((body,)), _completed({}, upload, body)))
    part = await _keep_part(call, upload, request.part_number, body, md5=md5, checksums=checksums)
    result = api.CopyPartResult(e_tag=part.etag, last_modified=part.modified_at)
    return api.UploadPartCopyOutput(
        copy_source_version_id=source.version_id, copy_part_result=replace(result, **as_members(checksums))
    )


def _completed(checksums: dict[str, str], upload: Upload, body: bytes) -> dict[str, str]:
    """Return a part's checksums with the one that its upload asks for."""
    algorithm = find_algorithm(upload.checksum_algorithm)
    if algorithm is None or algorithm.name in checksums:
        return checksums
    return {**checksums, algorithm.name: compute(algorithm, (body,))}


async def _find_upload(call: Call, bucket: Bucket, key: str, upload_id: str) -> Upload:
    return checked_upload(await call.find(UPLOAD, record_key(bucket.name, key, upload_id)), upload_id)


async def _keep_part(
    call: Call, upload: Upload, number: int, body: bytes, *, md5: bytes, checksums: dict[str, str]
) -> Part:
    if not 1 <= number <= limits.PART_NUMBER_MAX:
        text = f"Part number must be an integer between 1 and {limits.PART_NUMBER_MAX}, inclusive"
        raise ServiceError.of("InvalidArgument", text)
    part = Part(
        number=number,
        size=len(body),
        etag=f'"{md5.hex()}"',
        modified_at=call.now,
        segments=await store_bytes(call, body),
        checksums=checksums,
    )

    def work(inner: Call) -> Part:
        load_upload(inner.records, upload.bucket, upload.key, upload.upload_id)
        at = part_key(upload.upload_id, number)
        old = inner.records.find(PART, at)
        if old is not None:
            discard(inner, old.segments)
        inner.records.put(PART, at, part)
        return part

    return await call.transact(work)


@operation
async def complete_multipart_upload(
    call: Call, request: api.CompleteMultipartUploadRequest
) -> api.CompleteMultipartUploadOutput:
    """Make an object of the parts that are named; the others are dropped."""
    bucket = await fetch_bucket(call, request.bucket, request.expected_bucket_owner)
    upload = await _find_upload(call, bucket, request.key, request.upload_id)
    stored = await call.look(lambda inner: list_upload_parts(inner.reader, upload.upload_id))
    parts = _named_parts(request, stored)
    checksums = await _object_checksums(call, upload, parts)
    _check_object_checksums(request, checksums)
    version = ObjectVersion(
        key=upload.key,
        modified_at=call.now,
        size=sum(part.size for part in parts),
        etag=multipart_etag([part.etag for part in parts]),
        segments=tuple(segment for part in parts for segment in part.segments),
        headers=upload.headers,
        tags=upload.tags,
        checksums=checksums,
        checksum_type=upload.checksum_type if checksums else None,
        parts=tuple(part.size for part in parts),
    )
    if request.mpu_object_size not in (None, version.size):
        raise api.InvalidRequest("The provided 'x-amz-mp-object-size' header does not match the size of the object.")

    def work(inner: Call) -> ObjectVersion:
        load_upload(inner.records, upload.bucket, upload.key, upload.upload_id)
        current = inner.records.find(CURRENT, record_key(bucket.name, upload.key))
        check_write_conditions(current, request.if_match, request.if_none_match)
        if [part for part in list_upload_parts(inner.records, upload.upload_id) if part in parts] != parts:
            # A part was uploaded again meanwhile.
            raise _invalid_part()
        discard(inner, drop_upload(inner, upload, keep=parts))
        return add_version(inner, load_bucket(inner, bucket.name), version)

    placed = await call.transact(work)
    output = api.CompleteMultipartUploadOutput(
        location=f"{call.caller.endpoint}/{bucket.name}/{encoded(upload.key, 'url')}",
        bucket=bucket.name,
        key=upload.key,
        e_tag=placed.etag,
        checksum_type=placed.checksum_type,
        server_side_encryption=upload.headers.encryption,
        ssekms_key_id=upload.headers.kms_key,
        version_id=placed.version_id,
    )
    return replace(output, **as_members(checksums))


def _named_parts(request: api.CompleteMultipartUploadRequest, stored: Sequence[Part]) -> list[Part]:
    """Return the parts that an object is to be made of.

    Raises:
        ServiceError: InvalidPart, InvalidPartOrder, EntityTooSmall or MalformedXML.
    """
    named = request.multipart_upload.parts if request.multipart_upload is not None else None
    if not named:
        text = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ServiceError.of("MalformedXML", text)
    numbers = [each.part_number or 0 for each in named]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ServiceError.of(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
        )
    by_number = {part.number: part for part in stored}
    parts: list[Part] = []
    for each, number in zip(named, numbers, strict=True):
        part = by_number.get(number)
        if part is None or part.etag.strip('"') != (each.e_tag or "").strip('"'):
            raise _invalid_part()
        stated = given_checksums(each)
        if any(part.checksums.get(name, value) != value for name, value in stated.items()):
            raise _invalid_part()
        parts.append(part)
    if any(part.size < limits.PART_BYTES_MIN for part in parts[:-1]):
        text = "Your proposed upload is smaller than the minimum allowed size"
        raise ServiceError.of("EntityTooSmall", text)
    return parts


async def _object_checksums(call: Call, upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    algorithm = find_algorithm(upload.checksum_algorithm)
    if algorithm is None:
        return {}
    if upload.checksum_type == COMPOSITE:
        return {algorithm.name: composite(algorithm, [part.checksums[algorithm.name] for part in parts])}
    try:
        bodies = [await read_bytes(call, part.segments, 0, part.size) for part in parts]
    except KeyError:
        raise _invalid_part() from None
    return {algorithm.name: await off_loop(sum(map(len, bodies)), lambda: compute(algorithm, bodies))}


def _check_object_checksums(request: api.CompleteMultipartUploadRequest, checksums: dict[str, str]) -> None:
    for name, value in given_checksums(request).items():
        if checksums.get(name, value).partition("-")[0] != value.partition("-")[0]:
            text = f"The {name} you specified did not match the calculated checksum."
            raise ServiceError.of("BadDigest", text)


@operation
def abort_multipart_upload(call: Call, request: api.AbortMultipartUploadRequest) -> None:
    """Give an upload up and drop its parts."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    upload = load_upload(call.records, bucket.name, request.key, request.upload_id)
    discard(call, drop_upload(call, upload))


@operation(readonly=True)
def list_parts(call: Call, request: api.ListPartsRequest) -> api.ListPartsOutput:
    """Return a page of an upload's parts by number."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    upload = load_upload(call.reader, bucket.name, request.key, request.upload_id)
    marker = request.part_number_marker or 0
    limit = min(request.max_parts or limits.PAGE_KEYS_MAX, limits.PAGE_KEYS_MAX)
    rest = [part for part in list_upload_parts(call.reader, upload.upload_id) if part.number > marker]
    page = rest[:limit]
    return api.ListPartsOutput(
        bucket=bucket.name,
        key=upload.key,
        upload_id=upload.upload_id,
        part_number_marker=marker,
        next_part_number_marker=page[-1].number if page else 0,
        max_parts=limit,
        is_truncated=len(rest) > limit,
        parts=[_listed(part) for part in page] or None,
        initiator=api.Initiator(id=canonical_id(bucket.account)),
        owner=owner_of(bucket.account),
        storage_class=upload.headers.storage_class or "STANDARD",
        checksum_algorithm=upload.checksum_algorithm,
        checksum_type=upload.checksum_type,
    )


@operation(readonly=True)
def list_multipart_uploads(call: Call, request: api.ListMultipartUploadsRequest) -> api.ListMultipartUploadsOutput:
    """Return a page of a bucket's unfinished uploads by key."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    prefix, encoding = request.prefix or "", request.encoding_type
    limit = min(request.max_uploads or limits.PAGE_KEYS_MAX, limits.PAGE_KEYS_MAX)
    key_marker, id_marker = request.key_marker or "", request.upload_id_marker
    uploads = [upload for upload in list_uploads(call.reader, bucket.name) if upload.key.startswith(prefix)]
    page = walk(
        lambda at: (
            (upload.key, upload)
            for upload in uploads
            if upload.key > at or (id_marker and upload.key == at == key_marker and upload.upload_id > id_marker)
        ),
        prefix=prefix,
        delimiter=request.delimiter,
        after=key_marker,
        limit=limit,
    )
    last = page.entries[-1][1] if page.entries and page.entries[-1][0] == page.last else None
    return api.ListMultipartUploadsOutput(
        bucket=bucket.name,
        key_marker=encoded(key_marker, encoding),
        upload_id_marker=id_marker,
        next_key_marker=encoded(page.last, encoding) if page.is_truncated else None,
        next_upload_id_marker=last.upload_id if last is not None and page.is_truncated else None,
        prefix=encoded(prefix, encoding),
        delimiter=encoded(request.delimiter, encoding),
        max_uploads=limit,
        is_truncated=page.is_truncated,
        uploads=[_pending(upload, bucket, encoding) for _, upload in page.entries] or None,
        common_prefixes=[api.CommonPrefix(prefix=encoded(each, encoding)) for each in page.common_prefixes] or None,
        encoding_type=encoding,
    )


def _listed(part: Part) -> api.Part:
    listed = api.Part(part_number=part.number, last_modified=part.modified_at, e_tag=part.etag, size=part.size)
    return replace(listed, **as_members(part.checksums))


def _pending(upload: Upload, bucket: Bucket, encoding: str | None) -> api.MultipartUpload:
    return api.MultipartUpload(
        upload_id=upload.upload_id,
        key=encoded(upload.key, encoding),
        initiated=upload.started_at,
        storage_class=upload.headers.storage_class or "STANDARD",
        owner=owner_of(bucket.account),
        initiator=api.Initiator(id=canonical_id(bucket.account)),
        checksum_algorithm=upload.checksum_algorithm,
        checksum_type=upload.checksum_type,
    )


def _invalid_part() -> ServiceError:
    text = (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag."
    )
    return ServiceError.of("InvalidPart", text)
