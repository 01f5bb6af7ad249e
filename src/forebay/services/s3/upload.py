"""A multipart upload that is not finished, and its parts."""

from collections.abc import Mapping, Sequence

import msgspec

from forebay.api import s3 as api
from forebay.operations.call import Call
from forebay.services.s3.object import Headers, Segment
from forebay.store.records import Kind, RecordReader, key_prefix, record_key


class Upload(msgspec.Struct, frozen=True):
    """An upload as it is kept."""

    bucket: str
    key: str
    upload_id: str
    started_at: float
    headers: Headers = Headers()
    tags: Mapping[str, str] = {}
    checksum_algorithm: str | None = None
    checksum_type: str | None = None


class Part(msgspec.Struct, frozen=True):
    """One part of an upload as it is kept."""

    number: int
    size: int
    etag: str
    modified_at: float
    segments: tuple[Segment, ...] = ()
    checksums: Mapping[str, str] = {}


UPLOAD = Kind("s3.upload", Upload)
"""Records under bucket, key and upload id."""

PART = Kind("s3.part", Part)
"""Records under upload id and part number."""


def load_upload(reader: RecordReader, bucket: str, key: str, upload_id: str) -> Upload:
    """Return an upload.

    Raises:
        NoSuchUpload: there is none, or no longer.
    """
    return checked_upload(reader.find(UPLOAD, record_key(bucket, key, upload_id)), upload_id)


def checked_upload(upload: Upload | None, upload_id: str) -> Upload:
    """Return an upload that was found.

    Raises:
        NoSuchUpload: none was.
    """
    if upload is None:
        text = (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
            "or completed."
        )
        raise api.NoSuchUpload(text, UploadId=upload_id)
    return upload


def list_uploads(reader: RecordReader, bucket: str) -> list[Upload]:
    """Return a bucket's uploads by key and id."""
    return [upload for _, upload in reader.list(UPLOAD, key_prefix(bucket))]


def list_upload_parts(reader: RecordReader, upload_id: str) -> list[Part]:
    """Return an upload's parts by number."""
    return [part for _, part in reader.list(PART, key_prefix(upload_id))]


def part_key(upload_id: str, number: int) -> str:
    """Return the key of a part."""
    return record_key(upload_id, f"{number:05d}")


def drop_upload(call: Call, upload: Upload, keep: Sequence[Part] = ()) -> tuple[Segment, ...]:
    """Forget an upload and its parts; return the segments of those that are not in `keep`."""
    kept = {part.number for part in keep}
    left: list[Segment] = []
    for part in list_upload_parts(call.records, upload.upload_id):
        call.records.delete(PART, part_key(upload.upload_id, part.number))
        if part.number not in kept:
            left += part.segments
    call.records.delete(UPLOAD, record_key(upload.bucket, upload.key, upload.upload_id))
    return tuple(left)
