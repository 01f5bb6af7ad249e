"""What reads say about an object version, and what they say when it is not there."""

from msgspec.structs import replace

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.services.s3.bucket import Bucket
from forebay.services.s3.checksum import as_members
from forebay.services.s3.object import ObjectVersion

_CONTENT_TYPE_DEFAULT = "binary/octet-stream"


class MarkerNoSuchKey(api.NoSuchKey):
    """The key's current version is a delete marker, which the headers say."""

    wire_headers = {"marker": "x-amz-delete-marker", "version": "x-amz-version-id"}  # noqa: RUF012 - as the base


class MarkerNotAllowed(ServiceError):
    """A delete marker itself cannot be read."""

    code = "MethodNotAllowed"
    status = 405
    fault = "Sender"
    wire_headers = {"marker": "x-amz-delete-marker", "allow": "Allow"}  # noqa: RUF012 - as the base


class NoSuchVersion(ServiceError):
    """There is no such version of the key."""

    code = "NoSuchVersion"
    status = 404
    fault = "Sender"


def check_overrides(request: api.GetObjectRequest | api.HeadObjectRequest) -> None:
    """Check the headers that a request wants its answer to have.

    Raises:
        ServiceError: InvalidArgument.
    """
    wanted = (
        request.response_content_type,
        request.response_content_encoding,
        request.response_content_language,
        request.response_content_disposition,
        request.response_cache_control,
    )
    if any(character > "\xff" for text in wanted if text is not None for character in text):
        raise ServiceError.of("InvalidArgument", "Header value cannot be represented using ISO-8859-1.")


def no_such_key(key: str) -> api.NoSuchKey:
    """Return the error for a key that is not there."""
    return api.NoSuchKey("The specified key does not exist.", Key=key)


def no_such_version(key: str, label: str) -> ServiceError:
    """Return the error for a version that is not there."""
    return NoSuchVersion("The specified version does not exist.", Key=key, VersionId=label)


def delete_marker_error(marker: ObjectVersion, *, is_named: bool) -> ServiceError:
    """Return the error for a delete marker: asked for by its version id, or met as the current version."""
    if is_named:
        text = "The specified method is not allowed against this resource."
        return MarkerNotAllowed(text, marker="true", allow="DELETE")
    return MarkerNoSuchKey("The specified key does not exist.", marker="true", version=marker.label, Key=marker.key)


def get_output(
    bucket: Bucket, version: ObjectVersion, request: api.GetObjectRequest, body: bytes, part: tuple[int, int] | None
) -> api.GetObjectOutput:
    """Return the answer to GetObject; `part` is the range that `body` is of."""
    headers = version.headers
    output = api.GetObjectOutput(
        body=body,
        content_length=len(body),
        accept_ranges="bytes",
        last_modified=version.modified_at,
        e_tag=version.etag,
        version_id=_version_id(bucket, version),
        content_type=request.response_content_type or headers.content_type or _CONTENT_TYPE_DEFAULT,
        content_encoding=request.response_content_encoding or headers.content_encoding,
        content_language=request.response_content_language or headers.content_language,
        content_disposition=request.response_content_disposition or headers.content_disposition,
        cache_control=request.response_cache_control or headers.cache_control,
        expires=request.response_expires or headers.expires,
        website_redirect_location=headers.redirect,
        storage_class=headers.storage_class,
        server_side_encryption=headers.encryption,
        ssekms_key_id=headers.kms_key,
        metadata=dict(headers.metadata) or None,
        content_range=_content_range(version, part),
        tag_count=len(version.tags) or None,
        parts_count=len(version.parts) or None if request.part_number else None,
    )
    # A checksum is of the whole, so it would mislead beside a part.
    if request.checksum_mode != "ENABLED" or part not in (None, (0, version.size)):
        return output
    return replace(output, checksum_type=version.checksum_type, **as_members(version.checksums))


def head_output(
    bucket: Bucket, version: ObjectVersion, request: api.HeadObjectRequest, part: tuple[int, int] | None
) -> api.HeadObjectOutput:
    """Return the answer to HeadObject."""
    headers = version.headers
    output = api.HeadObjectOutput(
        content_length=version.size if part is None else part[1] - part[0],
        accept_ranges="bytes",
        last_modified=version.modified_at,
        e_tag=version.etag,
        version_id=_version_id(bucket, version),
        content_type=request.response_content_type or headers.content_type or _CONTENT_TYPE_DEFAULT,
        content_encoding=request.response_content_encoding or headers.content_encoding,
        content_language=request.response_content_language or headers.content_language,
        content_disposition=request.response_content_disposition or headers.content_disposition,
        cache_control=request.response_cache_control or headers.cache_control,
        expires=request.response_expires or headers.expires,
        website_redirect_location=headers.redirect,
        storage_class=headers.storage_class,
        server_side_encryption=headers.encryption,
        ssekms_key_id=headers.kms_key,
        metadata=dict(headers.metadata) or None,
        content_range=_content_range(version, part),
        parts_count=len(version.parts) or None if request.part_number else None,
        tag_count=len(version.tags) or None,
    )
    if request.checksum_mode != "ENABLED" or part not in (None, (0, version.size)):
        return output
    return replace(output, checksum_type=version.checksum_type, **as_members(version.checksums))


def _version_id(bucket: Bucket, version: ObjectVersion) -> str | None:
    return None if bucket.versioning is None else version.label


def _content_range(version: ObjectVersion, part: tuple[int, int] | None) -> str | None:
    return None if part is None else f"bytes {part[0]}-{part[1] - 1}/{version.size}"
