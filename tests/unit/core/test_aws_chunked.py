import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.core.aws_chunked import decode_chunks, is_aws_chunked, undo_aws_chunked
from forebay.core.http import Request


def framed(chunks: list[bytes], trailers: dict[str, str], signature: str = "") -> bytes:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), signature.encode(), chunk) for chunk in chunks)
    lines = "".join(f"{name}:{value}\r\n" for name, value in trailers.items())
    return body + b"0" + signature.encode() + b"\r\n" + lines.encode() + b"\r\n"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_chunks_are_joined(chunks: list[bytes]) -> None:
    body, trailers = decode_chunks(framed(chunks, {"x-amz-checksum-crc32": "AAAAAA=="}, ";chunk-signature=00ff"))
    assert body == b"".join(chunks)
    assert trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_value_errors(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_chunks(data)


@pytest.mark.parametrize("broken", [b"", b"5\r\nabc", b"zz\r\n", b"-1\r\n", b"3\r\nabcXX0\r\n\r\n", b"1_0\r\n"])
def test_broken_framing_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError):
        decode_chunks(broken)


def request(body: bytes, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("PUT", "/b/k", "", named, body, "localhost", "127.0.0.1", secure=False)


def test_framing_leaves_no_trace() -> None:
    given = request(
        framed([b"hello"], {"x-amz-checksum-crc32": "AAAAAA=="}),
        content_encoding="aws-chunked,gzip",
        x_amz_decoded_content_length="5",
    )
    assert is_aws_chunked(given)
    bare = undo_aws_chunked(given)
    assert bare.body == b"hello"
    assert bare.headers == {"content-encoding": "gzip", "content-length": "5", "x-amz-checksum-crc32": "AAAAAA=="}


def test_other_length_than_announced_is_refused() -> None:
    with pytest.raises(ValueError, match="announced"):
        undo_aws_chunked(
            request(framed([b"hello"], {}), content_encoding="aws-chunked", x_amz_decoded_content_length="6")
        )
