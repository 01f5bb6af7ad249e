"""An object version: its bytes by name, its headers, tags and checksums. Pure rules on keys, metadata and tags."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import msgspec

from forebay.api import s3 as api
from forebay.core.errors import ServiceError
from forebay.services.s3 import limits

NULL_VERSION = "null"
# Classes whose objects must be restored before they can be read.
_ARCHIVE_CLASSES = ("GLACIER", "DEEP_ARCHIVE")
_STORAGE_CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")


class Segment(msgspec.Struct, frozen=True):
    """A run of an object's bytes: the blob that holds it and how many bytes it is."""

    blob: str
    size: int


class Headers(msgspec.Struct, frozen=True):
    """What was said about an object when it was written and is said again when it is read.

    `encryption` and `kms_key` are repeated, not acted upon: bytes are kept as they are.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    expires: float | None = None
    redirect: str | None = None
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    metadata: Mapping[str, str] = {}


class ObjectVersion(msgspec.Struct, frozen=True):
    """One version of one key, or a delete marker. `version_id` None is S3's `null` version.

    `sequence` grows with every write to the store, so that versions of a key have an order. `parts` are the sizes of
    the parts of a multipart object.
    """

    key: str
    modified_at: float
    sequence: int = 0
    version_id: str | None = None
    is_marker: bool = False
    size: int = 0
    etag: str = ""
    segments: tuple[Segment, ...] = ()
    headers: Headers = Headers()
    tags: Mapping[str, str] = {}
    checksums: Mapping[str, str] = {}
    checksum_type: str | None = None
    parts: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The version id as requests and lists name it."""
        return self.version_id or NULL_VERSION


def headers_of(request: api.PutObjectRequest | api.CreateMultipartUploadRequest | api.CopyObjectRequest) -> Headers:
    """Return what a request says about the object that it writes.

    Raises:
        ServiceError: something is not implemented or too large; the text names it.
    """
    check_unsupported(request)
    metadata = request.metadata or {}
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size_bytes > limits.METADATA_BYTES_MAX:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        raise ServiceError.of("MetadataTooLarge", text)
    return Headers(
        content_type=request.content_type,
        content_encoding=request.content_encoding,
        content_language=request.content_language,
        content_disposition=request.content_disposition,
        cache_control=request.cache_control,
        expires=request.expires,
        redirect=request.website_redirect_location,
        storage_class=_storage_class(request.storage_class),
        encryption=request.server_side_encryption,
        kms_key=request.ssekms_key_id,
        metadata=metadata,
    )


def check_unsupported(request: api.PutObjectRequest | api.CreateMultipartUploadRequest | api.CopyObjectRequest) -> None:
    """Refuse what Forebay does not do with an object rather than pretend.

    Raises:
        ServiceError: NotImplemented, or AccessControlListNotSupported as S3 answers for buckets without ACLs.
    """
    check_no_customer_key(request.sse_customer_algorithm)
    if request.object_lock_mode or request.object_lock_legal_hold_status or request.object_lock_retain_until_date:
        raise ServiceError.of("NotImplemented", "Object Lock is not implemented by Forebay.", 501)
    if request.acl not in (None, "private", "bucket-owner-full-control"):
        raise ServiceError.of("AccessControlListNotSupported", "The bucket does not allow ACLs")
    if request.grant_read or request.grant_read_acp or request.grant_write_acp:
        raise ServiceError.of("AccessControlListNotSupported", "The bucket does not allow ACLs")


def check_no_customer_key(algorithm: str | None) -> None:
    """Refuse encryption with a customer's key.

    Raises:
        ServiceError: NotImplemented.
    """
    if algorithm is not None:
        text = "Server-side encryption with customer-provided keys (SSE-C) is not implemented by Forebay."
        raise ServiceError.of("NotImplemented", text, 501)


def check_key(key: str) -> None:
    """Check a new object's key.

    Raises:
        ServiceError: KeyTooLongError.
    """
    if len(key.encode()) > limits.KEY_BYTES_MAX:
        raise ServiceError.of("KeyTooLongError", "Your key is too long")


def parse_tagging(text: str | None) -> Mapping[str, str]:
    """Return the tags of an `x-amz-tagging` header.

    Raises:
        ServiceError: InvalidArgument or InvalidTag.
    """
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=1000)
    except ValueError:
        raise ServiceError.of(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
        ) from None
    return checked_tags([api.Tag(key=key, value=value) for key, value in pairs], limits.OBJECT_TAGS_MAX)


def checked_tags(tags: Sequence[api.Tag], tags_max: int) -> Mapping[str, str]:
    """Return tags by key.

    Raises:
        ServiceError: BadRequest or InvalidTag.
    """
    found = {tag.key: tag.value for tag in tags}
    if len(found) != len(tags):
        raise ServiceError.of("InvalidTag", "Cannot provide multiple Tags with the same key")
    if len(tags) > tags_max:
        kind = "Object" if tags_max == limits.OBJECT_TAGS_MAX else "Bucket"
        raise ServiceError.of("BadRequest", f"{kind} tags cannot be greater than {tags_max}")
    for key, value in found.items():
        if not 0 < len(key) <= limits.TAG_KEY_CHARACTERS_MAX:
            raise ServiceError.of("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX:
            raise ServiceError.of("InvalidTag", "The TagValue you have provided is invalid")
    return found


def tag_list(tags: Mapping[str, str]) -> list[api.Tag]:
    """Return tags in AWS's form."""
    return [api.Tag(key=key, value=value) for key, value in tags.items()]


def _storage_class(name: str | None) -> str | None:
    if name in _ARCHIVE_CLASSES:
        raise ServiceError.of("NotImplemented", f"Storage class {name} is not implemented by Forebay.", 501)
    if name is not None and name not in _STORAGE_CLASSES:
        raise ServiceError.of("InvalidStorageClass", "The storage class you specified is not valid")
    # The standard class goes unsaid.
    return None if name == "STANDARD" else name
