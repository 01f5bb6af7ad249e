"""Where code comes from: the request itself, or an object of S3."""

from typing import Protocol

from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.lambda_ import limits
from forebay.services.lambda_.errors import invalid, not_implemented


class CodeRequest(Protocol):
    """The members that say where an archive is, as they stand in several requests."""

    @property
    def zip_file(self) -> bytes | None:
        """The archive itself."""
        ...

    @property
    def s3_bucket(self) -> str | None:
        """The bucket of the object that is the archive."""
        ...

    @property
    def s3_key(self) -> str | None:
        """The object's key."""
        ...

    @property
    def s3_object_version(self) -> str | None:
        """The object's version."""
        ...


async def read_archive(call: Call, request: CodeRequest, operation: str) -> bytes:
    """Return the archive that a request gives or names.

    Raises:
        InvalidParameterValueException: it names none, or S3 does not give it.
        RequestTooLargeException: the archive in the request is above 50 MB.
        NotImplemented: it names a container image.
    """
    if getattr(request, "image_uri", None):
        raise not_implemented("Functions from container images (ImageUri) are not implemented by Forebay.")
    if request.zip_file is not None:
        if request.s3_bucket or request.s3_key:
            raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
        if len(request.zip_file) > limits.ZIP_BYTES_MAX:
            size = limits.ZIP_REQUEST_BYTES_MAX
            text = f"Request must be smaller than {size} bytes for the {operation} operation"
            raise ServiceError.of("RequestEntityTooLargeException", text, 413)
        return request.zip_file
    if not request.s3_bucket or not request.s3_key:
        raise invalid("Please provide a source for function code.")
    from forebay.api import s3 as s3_api  # noqa: PLC0415 - large, and most nodes start without needing it

    wanted = s3_api.GetObjectRequest(bucket=request.s3_bucket, key=request.s3_key, version_id=request.s3_object_version)
    try:
        answer = await call.invoke("s3", "GetObject", wanted)
    except ServiceError as error:
        text = f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: {error.message}"
        raise invalid(text) from error
    return answer.body or b""
