"""Preconditions and byte ranges of reads, and preconditions of writes (RFC 9110, sections 13 and 14). Pure."""

import re

from forebay.core.errors import ServiceError
from forebay.services.s3.object import ObjectVersion

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class PreconditionFailed(ServiceError):
    """A condition of the request does not hold."""

    code = "PreconditionFailed"
    status = 412
    fault = "Sender"


class NotModified(ServiceError):
    """The caller has this version already; the answer has no body."""

    code = "NotModified"
    status = 304
    fault = "Sender"
    wire_headers = {"etag": "ETag"}  # noqa: RUF012 - the base declares it a class variable


class InvalidRange(ServiceError):
    """No byte of the object is in the range."""

    code = "InvalidRange"
    status = 416
    fault = "Sender"
    wire_names = {"requested": "RangeRequested", "size": "ActualObjectSize"}  # noqa: RUF012 - as above


def precondition_failed(condition: str) -> PreconditionFailed:
    """Return the error that names the header that does not hold."""
    return PreconditionFailed("At least one of the pre-conditions you specified did not hold", Condition=condition)


def check_read_conditions(
    version: ObjectVersion,
    *,
    match: str | None,
    none_match: str | None,
    modified_since: float | None,
    unmodified_since: float | None,
) -> None:
    """Check whether a version shall be answered.

    Raises:
        PreconditionFailed: it is not the one that was asked for.
        NotModified: the caller has it already.
    """
    # Last-Modified has whole seconds.
    modified_at = int(version.modified_at)
    if match is not None:
        if not _names(match, version.etag):
            raise precondition_failed("If-Match")
    elif unmodified_since is not None and modified_at > unmodified_since:
        raise precondition_failed("If-Unmodified-Since")
    if none_match is not None:
        if _names(none_match, version.etag):
            raise NotModified("Not Modified", etag=version.etag)
    elif modified_since is not None and modified_at <= modified_since:
        raise NotModified("Not Modified", etag=version.etag)


def check_write_conditions(current: ObjectVersion | None, match: str | None, none_match: str | None) -> None:
    """Check whether a key may be written.

    Raises:
        PreconditionFailed: it may not.
        ServiceError: NoSuchKey, If-Match is given and there is nothing to match; NotImplemented as S3 answers for
            If-None-Match with anything but `*`.
    """
    exists = current is not None and not current.is_marker
    if none_match is not None:
        if none_match != "*":
            text = "A header you provided implies functionality that is not implemented"
            raise ServiceError.of("NotImplemented", text, 501)
        if exists:
            raise precondition_failed("If-None-Match")
    if match is not None:
        if current is None or not exists:
            raise ServiceError.of("NoSuchKey", "The specified key does not exist.", 404)
        if not _names(match, current.etag):
            raise precondition_failed("If-Match")


def byte_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one behind the last of a Range header; None where all is to be answered.

    Raises:
        InvalidRange: it begins behind the end.
    """
    found = None if text is None else _RANGE.fullmatch(text.strip())
    if found is None or (not found[1] and not found[2]):
        # What is no single range of bytes is ignored (RFC 9110, 14.2).
        return None
    if not found[1]:
        suffix = int(found[2])
        if suffix == 0 or size == 0:
            raise InvalidRange("The requested range is not satisfiable", requested=text, size=size)
        return max(0, size - suffix), size
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else None
    if end is not None and end <= start:
        return None
    if start >= size:
        raise InvalidRange("The requested range is not satisfiable", requested=text, size=size)
    return start, size if end is None else min(end, size)


def part_range(version: ObjectVersion, number: int) -> tuple[int, int]:
    """Return the range of one part of an object; one that was not uploaded in parts has a single one.

    Raises:
        ServiceError: InvalidPartNumber, there is no such part.
    """
    sizes = version.parts or (version.size,)
    if not 1 <= number <= len(sizes):
        raise ServiceError.of("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    start = sum(sizes[: number - 1])
    return start, start + sizes[number - 1]


def _names(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag.strip('"') in tags
