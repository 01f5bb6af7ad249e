"""Reads templates and snippets from S3, by the URLs in which callers name them."""

from urllib.parse import unquote, urlsplit

from forebay.api import s3
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.cloudformation.template.errors import invalid


def parse_location(url: str) -> tuple[str, str]:
    """Return the bucket and key of an S3 URL: `s3://`, path style, or with the bucket in the host name.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    host = parts.hostname or ""
    if parts.scheme == "s3":
        bucket, key = parts.netloc, path
    elif parts.scheme not in {"http", "https"} or not host:
        raise ValueError(url)
    elif ".s3." in host or ".s3-" in host:
        separator = ".s3." if ".s3." in host else ".s3-"
        bucket, key = host.split(separator, 1)[0], path
    elif host.endswith(".amazonaws.com") and not host.startswith(("s3.", "s3-")):
        raise ValueError(url)
    else:
        bucket, _, key = path.partition("/")
    if not bucket or not key:
        raise ValueError(url)
    return bucket, key


async def read_document(call: Call, bucket: str, key: str) -> str:
    """Return an object's content as text.

    Raises:
        ServiceError: S3's own where there is none; `ValidationError` where it is not text.
    """
    output = await call.invoke("s3", "GetObject", s3.GetObjectRequest(bucket=bucket, key=key))
    try:
        return bytes(output.body or b"").decode()
    except UnicodeDecodeError:
        raise invalid(f"The object {key} of bucket {bucket} is not a text.") from None


async def read_template_url(call: Call, url: str) -> str:
    """Return the template at a `TemplateURL`.

    Raises:
        ServiceError: `ValidationError`: it is no S3 URL, or there is no such object.
    """
    try:
        bucket, key = parse_location(url)
    except ValueError:
        raise invalid("TemplateURL must be a supported URL.") from None
    try:
        return await read_document(call, bucket, key)
    except ServiceError as error:
        raise invalid(
            f"S3 error: {error.message}\nFor more information check "
            "http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
        ) from None
