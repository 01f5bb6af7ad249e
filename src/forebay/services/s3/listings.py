"""Operations that list objects and versions."""

import heapq
from collections.abc import Iterator, Sequence

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.s3 import limits
from forebay.services.s3.bucket import Bucket, load_bucket, owner_of
from forebay.services.s3.listing import LAST, encoded, walk
from forebay.services.s3.object import ObjectVersion
from forebay.services.s3.placement import CURRENT, OLDER, find_version, older_versions
from forebay.store.records import Kind, RecordReader, record_key

_BATCH = 500


@operation(readonly=True)
def list_objects_v2(call: Call, request: api.ListObjectsV2Request) -> api.ListObjectsV2Output:
    """Return a page of a bucket's current objects in key order."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    prefix, encoding = request.prefix or "", request.encoding_type
    limit = _limit(request.max_keys, "max-keys")
    after = request.start_after or ""
    if request.continuation_token is not None:
        try:
            after = decode_token(request.continuation_token)
        except ValueError:
            raise ServiceError.of("InvalidArgument", "The continuation token provided is incorrect") from None
    page = walk(
        lambda at: _objects(call.reader, bucket.name, prefix, at),
        prefix=prefix,
        delimiter=request.delimiter,
        after=after,
        limit=limit,
    )
    owner = bucket if request.fetch_owner else None
    return api.ListObjectsV2Output(
        is_truncated=page.is_truncated,
        contents=[_listed(version, encoding, owner) for _, version in page.entries] or None,
        name=bucket.name,
        prefix=encoded(prefix, encoding),
        delimiter=encoded(request.delimiter, encoding),
        max_keys=limit,
        common_prefixes=_prefixes(page.common_prefixes, encoding),
        encoding_type=encoding,
        key_count=len(page.entries) + len(page.common_prefixes),
        continuation_token=request.continuation_token,
        next_continuation_token=encode_token(page.last) if page.is_truncated else None,
        start_after=encoded(request.start_after, encoding),
    )


@operation(readonly=True)
def list_objects(call: Call, request: api.ListObjectsRequest) -> api.ListObjectsOutput:
    """Return a page of a bucket's current objects in key order, in the first version's form."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    prefix, encoding = request.prefix or "", request.encoding_type
    limit = _limit(request.max_keys, "max-keys")
    page = walk(
        lambda at: _objects(call.reader, bucket.name, prefix, at),
        prefix=prefix,
        delimiter=request.delimiter,
        after=request.marker or "",
        limit=limit,
    )
    return api.ListObjectsOutput(
        is_truncated=page.is_truncated,
        marker=encoded(request.marker or "", encoding),
        # Without a delimiter the last key serves as marker, and S3 does not repeat it.
        next_marker=encoded(page.last, encoding) if page.is_truncated and request.delimiter else None,
        contents=[_listed(version, encoding, bucket) for _, version in page.entries] or None,
        name=bucket.name,
        prefix=encoded(prefix, encoding),
        delimiter=encoded(request.delimiter, encoding),
        max_keys=limit,
        common_prefixes=_prefixes(page.common_prefixes, encoding),
        encoding_type=encoding,
    )


@operation(readonly=True)
def list_object_versions(call: Call, request: api.ListObjectVersionsRequest) -> api.ListObjectVersionsOutput:
    """Return a page of a bucket's versions and delete markers, by key and from the newest on."""
    bucket = load_bucket(call, request.bucket, request.expected_bucket_owner)
    prefix, encoding = request.prefix or "", request.encoding_type
    limit = _limit(request.max_keys, "max-keys")
    key_marker, version_marker = request.key_marker or "", request.version_id_marker
    if version_marker is not None and not key_marker:
        raise ServiceError.of("InvalidArgument", "A version-id marker cannot be specified without a key marker.")
    page = walk(
        lambda at: _versions(call.reader, bucket.name, prefix, at, (key_marker, version_marker)),
        prefix=prefix,
        delimiter=request.delimiter,
        after=key_marker,
        limit=limit,
    )
    versions = [entry for _, entry in page.entries]
    # The page goes on behind a version, or behind a common prefix if that came last.
    last = versions[-1][0] if versions and versions[-1][0].key == page.last else None
    return api.ListObjectVersionsOutput(
        is_truncated=page.is_truncated,
        key_marker=encoded(key_marker, encoding),
        version_id_marker=version_marker,
        next_key_marker=encoded(page.last, encoding) if page.is_truncated else None,
        next_version_id_marker=last.label if last is not None and page.is_truncated else None,
        versions=[_version(each, encoding, bucket) for each in versions if not each[0].is_marker] or None,
        delete_markers=[_marker(each, encoding, bucket) for each in versions if each[0].is_marker] or None,
        name=bucket.name,
        prefix=encoded(prefix, encoding),
        delimiter=encoded(request.delimiter, encoding),
        max_keys=limit,
        common_prefixes=_prefixes(page.common_prefixes, encoding),
        encoding_type=encoding,
    )


def _objects(reader: RecordReader, bucket: str, prefix: str, after: str) -> Iterator[tuple[str, ObjectVersion]]:
    for version in _scan(reader, CURRENT, bucket, prefix, record_key(bucket, after) if after else ""):
        if not version.is_marker:
            yield version.key, version


def _versions(
    reader: RecordReader, bucket: str, prefix: str, after: str, marker: tuple[str, str | None]
) -> Iterator[tuple[str, tuple[ObjectVersion, bool]]]:
    """Yield all versions behind a key, each with whether it is the current one.

    From a marker with a version on, the rest of that key's versions come first.
    """
    if marker[1] is not None and after == marker[0]:
        for version in _behind(reader, bucket, after, marker[1]):
            yield version.key, (version, False)
    start = record_key(bucket, after) if after else ""
    current = ((version, True) for version in _scan(reader, CURRENT, bucket, prefix, start))
    behind = record_key(start, LAST) if start else ""
    older = ((version, False) for version in _scan(reader, OLDER, bucket, prefix, behind))
    for version, is_current in heapq.merge(current, older, key=lambda each: (each[0].key, -each[0].sequence)):
        yield version.key, (version, is_current)


def _behind(reader: RecordReader, bucket: str, key: str, label: str) -> Iterator[ObjectVersion]:
    """Yield the versions of a key that are older than the one with a label."""
    current = find_version(reader, bucket, key, None)
    is_due = current is not None and current.label == label
    for version in older_versions(reader, bucket, key):
        if is_due:
            yield version
        is_due = is_due or version.label == label


def _scan(
    reader: RecordReader, kind: Kind[ObjectVersion], bucket: str, prefix: str, after: str
) -> Iterator[ObjectVersion]:
    """Yield versions whose key begins with a prefix, reading a batch at a time."""
    while True:
        rows = reader.list(kind, record_key(bucket, prefix), after=after, limit=_BATCH)
        for _, version in rows:
            yield version
        if len(rows) < _BATCH:
            return
        after = rows[-1][0]


def _limit(given: int | None, name: str) -> int:
    if given is not None and given < 0:
        raise ServiceError.of("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647")
    return limits.PAGE_KEYS_MAX if given is None else min(given, limits.PAGE_KEYS_MAX)


def _prefixes(prefixes: Sequence[str], encoding: str | None) -> list[api.CommonPrefix] | None:
    return [api.CommonPrefix(prefix=encoded(prefix, encoding)) for prefix in prefixes] or None


def _listed(version: ObjectVersion, encoding: str | None, owner: Bucket | None) -> api.Object:
    return api.Object(
        key=encoded(version.key, encoding),
        last_modified=version.modified_at,
        e_tag=version.etag,
        checksum_algorithm=list(version.checksums) or None,
        checksum_type=version.checksum_type,
        size=version.size,
        storage_class=version.headers.storage_class or "STANDARD",
        owner=None if owner is None else owner_of(owner.account),
    )


def _version(each: tuple[ObjectVersion, bool], encoding: str | None, bucket: Bucket) -> api.ObjectVersion:
    version, is_latest = each
    return api.ObjectVersion(
        e_tag=version.etag,
        checksum_algorithm=list(version.checksums) or None,
        checksum_type=version.checksum_type,
        size=version.size,
        storage_class=version.headers.storage_class or "STANDARD",
        key=encoded(version.key, encoding),
        version_id=version.label,
        is_latest=is_latest,
        last_modified=version.modified_at,
        owner=owner_of(bucket.account),
    )


def _marker(each: tuple[ObjectVersion, bool], encoding: str | None, bucket: Bucket) -> api.DeleteMarkerEntry:
    version, is_latest = each
    return api.DeleteMarkerEntry(
        owner=owner_of(bucket.account),
        key=encoded(version.key, encoding),
        version_id=version.label,
        is_latest=is_latest,
        last_modified=version.modified_at,
    )
