"""Responses to bytes: the status line, the headers that are the server's to write, and the body or none.

A response with a line break in a header, which would let its author write a second response, is an error.
"""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from forebay.core.http import Response, StreamedResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# What a response may not set: it describes this connection and this message, which only the server knows.
_OWN_HEADERS: Final = frozenset(
    {"content-length", "date", "connection", "transfer-encoding", "keep-alive", "upgrade", "trailer"}
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PREFIXES_MAX: Final = 1024
# RFC 9110, 8.6 and 15.4.5: 204 has no length, and 304 would have the one of a 200.
_BODILESS: Final = frozenset({204, 304})
# Past this, joining head and body costs more than handing the transport two pieces.
_JOINED_BYTES_MAX: Final = 64 * 1024
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


LAST_CHUNK: Final = b"0\r\n\r\n"


class UnwritableResponse(Exception):
    """A response whose status or headers HTTP cannot carry."""


class AnswerRenderer:
    """Renders responses; keeps the parts that repeat (the start per status for one date, names of headers)."""

    __slots__ = ("_date", "_prefixes", "_starts")

    def __init__(self) -> None:
        self._date = ""
        self._starts: dict[int, str] = {}
        # `Name: `, or nothing when the header is the server's own.
        self._prefixes: dict[str, str] = {}

    def set_date(self, now: float) -> None:
        """Write `now`, in seconds since the epoch, into the answers from here on."""
        date = formatdate(now, usegmt=True)
        if date != self._date:
            self._date = date
            self._starts.clear()

    def render(self, response: Response, method: str, persistence: str) -> tuple[bytes, bytes]:
        """Return the bytes to write: head and body joined, and a large body apart.

        `persistence` is the line about the connection, or nothing. Raises `UnwritableResponse`.
        """
        status, headers, body = response
        head = self._starts.get(status) or self._start(status)
        prefixes = self._prefixes
        for name, value in headers:
            prefix = prefixes.get(name)
            if prefix is None:
                prefix = self._learn_prefix(name)
            if not value.isprintable():
                _check_value(value)
            if prefix:
                head += prefix + value + "\r\n"
        head += persistence
        if method == "HEAD" or status in _BODILESS:
            head += _render_length_without_body(response, method)
            body = b""
        else:
            head += f"Content-Length: {len(body)}\r\n\r\n"
        try:
            encoded = head.encode("latin-1")
        except UnicodeEncodeError:
            raise UnwritableResponse("a header's value has characters past Latin-1") from None
        if len(body) > _JOINED_BYTES_MAX:
            return encoded, body
        return encoded + body, b""

    def render_streamed(self, response: StreamedResponse, persistence: str) -> bytes:
        """Return the head of an answer whose body follows in chunks. Raises `UnwritableResponse`."""
        head = self._starts.get(response.status) or self._start(response.status)
        for name, value in response.headers:
            prefix = self._prefixes.get(name) or self._learn_prefix(name)
            _check_value(value)
            if prefix:
                head += prefix + value + "\r\n"
        return (head + persistence + "Transfer-Encoding: chunked\r\n\r\n").encode("latin-1")

    def _start(self, status: int) -> str:
        if not 200 <= status <= 599:
            raise UnwritableResponse(f"status {status}")
        start = f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\nDate: {self._date}\r\n"
        self._starts[status] = start
        return start

    def _learn_prefix(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise UnwritableResponse("a header's name is not a token")
        prefix = "" if name.lower() in _OWN_HEADERS else f"{name}: "
        if len(self._prefixes) < _PREFIXES_MAX:
            self._prefixes[name] = prefix
        return prefix


def render_chunk(data: bytes) -> bytes:
    """Return one piece of a body in chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _check_value(value: str) -> None:
    # Tabs and some Latin-1 characters are harmless, too.
    if any(character in value for character in "\r\n\0"):
        raise UnwritableResponse("a header's value has a line break or NUL")


def _render_length_without_body(response: Response, method: str) -> str:
    if method != "HEAD":
        return "\r\n"
    # The answer to HEAD may tell the length of what GET would send without having it at hand.
    for name, value in response.headers:
        if name.lower() == "content-length" and value.isascii() and value.isdecimal():
            return f"Content-Length: {value}\r\n\r\n"
    return f"Content-Length: {len(response.body)}\r\n\r\n"
