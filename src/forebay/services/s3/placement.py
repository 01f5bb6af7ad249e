"""Where versions stand in the store, and what writing and deleting does to them under the bucket's versioning.

The current version of a key (an object or a delete marker) stands under the key itself, so that reads and lists need
one look; the others stand behind it, the newest first. Source: "How S3 Versioning works" (S3 user guide).
"""

from collections.abc import Iterator

from msgspec.structs import replace

from forebay.operations.call import Call
from forebay.services.s3.bucket import Bucket
from forebay.services.s3.object import NULL_VERSION, ObjectVersion, Segment
from forebay.store.commands import PutTimers, Timer
from forebay.store.records import Kind, RecordReader, key_prefix, record_key

CURRENT = Kind("s3.current", ObjectVersion)
"""Records under bucket and key."""

OLDER = Kind("s3.older", ObjectVersion)
"""Records under bucket, key and a number that falls from version to version."""

GARBAGE = "s3.garbage"
"""The kind of the timers that delete blobs: one under each blob's name."""

# Reads that began before a delete may finish.
_GARBAGE_AFTER_MS = 60_000
_SEQUENCE_MAX = 10**18
_VERSION_ID_CHARACTERS = 32
_VERSION_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"


def older_key(bucket: str, version: ObjectVersion) -> str:
    """Return the key of a version that is not the current one."""
    return record_key(bucket, version.key, f"{_SEQUENCE_MAX - version.sequence:018d}")


def older_versions(reader: RecordReader, bucket: str, key: str) -> Iterator[ObjectVersion]:
    """Yield a key's versions that are not the current one, the newest first."""
    for _, version in reader.list(OLDER, key_prefix(bucket, key)):
        # Another key can contain the separator.
        if version.key == key:
            yield version


def find_version(reader: RecordReader, bucket: str, key: str, label: str | None) -> ObjectVersion | None:
    """Return the version with a label, by default the current one, or None."""
    current = reader.find(CURRENT, record_key(bucket, key))
    if label is None or (current is not None and current.label == label):
        return current
    return next((version for version in older_versions(reader, bucket, key) if version.label == label), None)


def add_version(call: Call, bucket: Bucket, version: ObjectVersion) -> ObjectVersion:
    """Make a version the current one of its key; return it with its id."""
    sequence = call.records.next_number("s3.version")
    at = record_key(bucket.name, version.key)
    current = call.records.find(CURRENT, at)
    if bucket.versioning == "Enabled":
        version_id = call.ids.token(_VERSION_ID_CHARACTERS, _VERSION_ID_ALPHABET)
        placed = replace(version, sequence=sequence, version_id=version_id)
    else:
        placed = replace(version, sequence=sequence, version_id=None)
        if current is not None and current.version_id is None:
            discard(call, current.segments)
            current = None
        elif bucket.versioning is not None:
            _remove_older(call, bucket.name, version.key, NULL_VERSION)
    if current is not None:
        call.records.put(OLDER, older_key(bucket.name, current), current)
    call.records.put(CURRENT, at, placed)
    return placed


def put_version(call: Call, bucket: str, version: ObjectVersion) -> None:
    """Replace a version in its place (its tags have changed)."""
    current = call.records.find(CURRENT, record_key(bucket, version.key))
    if current is not None and current.sequence == version.sequence:
        call.records.put(CURRENT, record_key(bucket, version.key), version)
    else:
        call.records.put(OLDER, older_key(bucket, version), version)


def delete_current(call: Call, bucket: Bucket, key: str) -> ObjectVersion | None:
    """Delete a key: for good, or under versioning by a delete marker, which is returned."""
    if bucket.versioning is not None:
        return add_version(call, bucket, ObjectVersion(key=key, modified_at=call.now, is_marker=True))
    at = record_key(bucket.name, key)
    current = call.records.find(CURRENT, at)
    if current is not None:
        discard(call, current.segments)
        call.records.delete(CURRENT, at)
    return None


def delete_version(call: Call, bucket: Bucket, key: str, label: str) -> ObjectVersion | None:
    """Delete one version for good and return it; None where there is none with that label.

    Where it was the current one, the newest of the others becomes current.
    """
    at = record_key(bucket.name, key)
    current = call.records.find(CURRENT, at)
    if current is None or current.label != label:
        return _remove_older(call, bucket.name, key, label)
    discard(call, current.segments)
    heir = next(older_versions(call.records, bucket.name, key), None)
    if heir is None:
        call.records.delete(CURRENT, at)
    else:
        call.records.delete(OLDER, older_key(bucket.name, heir))
        call.records.put(CURRENT, at, heir)
    return current


def discard(call: Call, segments: tuple[Segment, ...]) -> None:
    """Have blobs deleted once nobody reads them."""
    due_at_ms = call.now_ms + _GARBAGE_AFTER_MS
    timers = tuple(Timer(GARBAGE, segment.blob, due_at_ms, b"") for segment in segments)
    if timers:
        call.apply(PutTimers(timers))


def _remove_older(call: Call, bucket: str, key: str, label: str) -> ObjectVersion | None:
    for version in older_versions(call.records, bucket, key):
        if version.label == label:
            discard(call, version.segments)
            call.records.delete(OLDER, older_key(bucket, version))
            return version
    return None
