"""The `aws-chunked` framing, in which SDKs send an object's bytes together with a checksum that they learn on the way.

Source: "Signature calculations for the Authorization header: transferring payload in multiple chunks" and "...with
trailers" (S3 API reference). Chunk signatures are not verified; the trailer's checksum is, by who reads the object.
"""

from forebay.core.http import Request

_ENCODING = "aws-chunked"
_SIZE_CHARACTERS_MAX = 16
_TRAILERS_MAX = 16


def is_aws_chunked(request: Request) -> bool:
    """Return whether the body is framed."""
    headers = request.headers
    return headers.get("x-amz-content-sha256", "").startswith("STREAMING-") or _ENCODING in headers.get(
        "content-encoding", ""
    )


def undo_aws_chunked(request: Request) -> Request:
    """Return the request as it would be without framing: the bare body, and trailers among the headers.

    Raises:
        ValueError: the framing is broken, or the body has another length than announced.
    """
    body, trailers = decode_chunks(request.body)
    headers = {**request.headers, **trailers}
    announced = headers.pop("x-amz-decoded-content-length", None)
    if announced is not None and announced != str(len(body)):
        raise ValueError(f"{len(body)} bytes came where {announced} were announced")
    encodings = [part.strip() for part in headers.pop("content-encoding", "").split(",")]
    remaining = ",".join(part for part in encodings if part and part != _ENCODING)
    if remaining:
        headers["content-encoding"] = remaining
    headers["content-length"] = str(len(body))
    return request._replace(body=body, headers=headers)


def decode_chunks(framed: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the bytes inside chunks and the trailers behind them, with lower-case names.

    Raises:
        ValueError: the framing is broken.
    """
    view = memoryview(framed)
    chunks: list[memoryview] = []
    at = 0
    while True:
        end = framed.find(b"\r\n", at)
        if end < 0:
            raise ValueError("a chunk's head does not end")
        size_bytes = _size(framed[at:end])
        at = end + 2
        if size_bytes == 0:
            return b"".join(chunks), _trailers(framed[at:])
        if framed[at + size_bytes : at + size_bytes + 2] != b"\r\n":
            raise ValueError("a chunk does not end where its head says")
        chunks.append(view[at : at + size_bytes])
        at += size_bytes + 2


def _size(head: bytes) -> int:
    digits = head.split(b";", 1)[0].strip()
    if not digits or len(digits) > _SIZE_CHARACTERS_MAX or digits.strip(b"0123456789abcdefABCDEF"):
        raise ValueError("a chunk's size is not a hexadecimal number")
    return int(digits, 16)


def _trailers(text: bytes) -> dict[str, str]:
    lines = [line for line in text.decode("latin-1").split("\r\n") if line]
    if len(lines) > _TRAILERS_MAX:
        raise ValueError("too many trailers")
    trailers: dict[str, str] = {}
    for line in lines:
        # Some SDKs end a trailer with a bare line feed.
        name, colon, value = line.strip("\n").partition(":")
        if not colon:
            raise ValueError("a trailer has no name")
        trailers[name.strip().lower()] = value.strip()
    return trailers
