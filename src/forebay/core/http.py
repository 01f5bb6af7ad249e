"""HTTP as values: what the server hands on and what it is given back. No I/O."""

from collections.abc import Mapping
from typing import NamedTuple


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
