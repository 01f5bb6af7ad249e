"""HTTP as values: what the server hands on and what it is given back. No I/O."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

# RFC 9110, 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Request(NamedTuple):
    """One request, whole: the body has been read and its transfer coding undone.

    `path` and `query` are as they stood on the request line (still percent-encoded, query without `?`).
    `headers` has lower-case names; a repeated header's values are joined with `,` (`cookie` with `; `).
    `host` is the `Host` header or the request target's authority, port included;
    `peer` the client's address without its port. `secure`: it came over TLS.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    host: str
    peer: str
    secure: bool


class Response(NamedTuple):
    """One answer, whole. `Content-Length`, `Date` and `Connection` are the server's to write.

    Except for the answer to HEAD, which may tell the `Content-Length` that a GET would have.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class StreamedResponse(NamedTuple):
    """An answer whose body comes bit by bit, as long as it takes: a watch, a log that is followed.

    Each piece is sent as it comes. The iterator is closed when it ends or when the client goes away.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: AsyncIterator[bytes]


Answer = Response | StreamedResponse


def is_header_name(text: str) -> bool:
    """Return whether a text can be the name of a header."""
    return _TOKEN.fullmatch(text) is not None


def header_text(text: str) -> str:
    """Return a text as a header can carry it: without control characters, and in UTF-8 what is past Latin-1."""
    if text.isascii() and text.isprintable():
        return text
    kept = "".join(character for character in text if character >= " " or character == "\t")
    return kept if _is_latin(kept) else kept.encode("utf-8", "replace").decode("latin-1")


def header_texts(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return headers with values as they can be carried."""
    return tuple((name, header_text(value)) for name, value in headers)


def _is_latin(text: str) -> bool:
    return all(character <= "\xff" for character in text)
