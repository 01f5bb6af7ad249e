"""The Lambda Runtime API: the small HTTP service that an instance polls for work.

Every instance has a listener of its own on a loopback port, because `AWS_LAMBDA_RUNTIME_API` can carry no secret
(it is a bare `host:port` to the runtime clients). So that no other function can take or answer an instance's events,
a connection is served only if a process of that instance opened it. Nothing here waits: a poll for the next event is
kept as a value and answered when there is one. Source: "Using the Lambda runtime API" in the developer guide.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools
import msgspec
from msgspec import Struct

_PREFIX = "/2018-06-01/runtime/"
_HEADER_BYTES_MAX = 2 * 1024 * 1024  # X-Ray's error cause may take 1 MB of headers.
_START_PAUSE_SECONDS = 0.01
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Too Large"}


class Posted(Struct, frozen=True):
    """What a runtime posted: a body within bounds, or only its size when it was too large to keep."""

    body: bytes
    body_bytes: int
    content_type: str
    error_type: str
    streamed: bool
    # Trailers of a stream that failed after it had begun.
    stream_error_type: str = ""


class Reply(Struct, frozen=True):
    """Status and error text of an answer to a post; 202 bears no text."""

    status: int = 202
    error_type: str = ""
    message: str = ""


class Poll(Protocol):
    """A runtime that waits for its next event."""

    def answer(self, headers: list[tuple[str, str]], payload: bytes) -> None:
        """Hand over an event."""
        ...


class RuntimeApiHandler(Protocol):
    """The instance behind a listener."""

    def on_next(self, poll: Poll) -> None:
        """Take a poll; it is answered now or later."""
        ...

    def on_poll_lost(self, poll: Poll) -> None:
        """Learn that a poll's connection is gone."""
        ...

    def on_response(self, request_id: str, posted: Posted) -> Reply:
        """Take a handler's response."""
        ...

    def on_error(self, request_id: str, posted: Posted) -> Reply:
        """Take a handler's error."""
        ...

    def on_init_error(self, posted: Posted) -> Reply:
        """Take an error of the init phase."""
        ...

    def body_bytes_max(self, *, streamed: bool) -> int:
        """Return how much of a body is worth keeping."""
        ...

    def owns_connection(self, local_port: int, peer_port: int) -> bool | None:
        """Return whether the instance itself opened a connection; None while its start is not yet known here."""
        ...


class Listener:
    """An instance's own port, and the connections to it."""

    def __init__(self, handler: RuntimeApiHandler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[RuntimeApiConnection] = set()
        self._when_closed: Callable[[], None] | None = None

    async def open(self) -> str:
        """Listen on a free loopback port; return its `host:port`."""
        loop = asyncio.get_running_loop()
        # In two steps: cancelled in between, `close` has a server to close.
        self._server = await loop.create_server(self._connect, "127.0.0.1", 0, backlog=8, start_serving=False)
        await self._server.start_serving()
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self, when_closed: Callable[[], None]) -> None:
        """Close the port and all connections; call `when_closed` after the last of them."""
        if self._server:
            self._server.close()
        self._when_closed = when_closed
        for connection in self._connections:
            connection.abort()
        self._tell_closed()

    def _connect(self) -> "RuntimeApiConnection":
        connection = RuntimeApiConnection(self._handler, self._forget)
        self._connections.add(connection)
        return connection

    def _forget(self, connection: "RuntimeApiConnection") -> None:
        self._connections.discard(connection)
        self._tell_closed()

    def _tell_closed(self) -> None:
        if self._when_closed and not self._connections:
            when_closed, self._when_closed = self._when_closed, None
            when_closed()


class RuntimeApiConnection(asyncio.Protocol):
    """One connection of a runtime: requests one after the other, kept alive."""

    def __init__(self, handler: RuntimeApiHandler, when_lost: Callable[["RuntimeApiConnection"], None]) -> None:
        self._handler = handler
        self._when_lost = when_lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._trusted: bool | None = None
        self._polling = False
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; whose connection it is gets checked with its first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the instance that a waiting poll is gone."""
        self._transport = None
        if self._polling:
            self._polling = False
            self._handler.on_poll_lost(self)
        self._when_lost(self)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what came in; a runtime that does not speak HTTP is cut off."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._close()

    def answer(self, headers: list[tuple[str, str]], payload: bytes) -> None:
        """Answer the waiting poll with an event."""
        self._polling = False
        self._write(200, headers, payload)

    # What httptools calls, in the order of a request's parts.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._reset()

    def on_url(self, url: bytes) -> None:
        """Take (a piece of) the request target."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or after the body a trailer."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES_MAX:
            self._close()
            return
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Decide how much of the body is kept."""
        self._streamed = self._headers.get("lambda-runtime-function-response-mode", "").lower() == "streaming"
        self._keep_bytes = self._handler.body_bytes_max(streamed=self._streamed)
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, up to the bound; past it only count."""
        self._body_bytes += len(data)
        if self._body_bytes <= self._keep_bytes:
            self._body.append(data)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        """Act on the whole request."""
        is_trusted = self._is_trusted()
        if is_trusted is None:
            # A runtime may ask before the call that has started it comes back, where the node has much to do.
            asyncio.get_running_loop().call_later(_START_PAUSE_SECONDS, self.on_message_complete)
            return
        if not is_trusted:
            self._write_error(Reply(403, "Forbidden", "This port belongs to another execution environment."))
            self._close()
            return
        method = self._parser.get_method()
        path = self._path.decode("latin-1")
        if not path.startswith(_PREFIX):
            self._write_error(_not_found(path))
        elif method == b"GET":
            self._get(path.removeprefix(_PREFIX))
        elif method == b"POST":
            self._post(path.removeprefix(_PREFIX))
        else:
            self._write_error(_not_found(path))

    def _get(self, path: str) -> None:
        if path == "invocation/next":
            self._polling = True
            self._handler.on_next(self)
        else:
            self._write_error(_not_found(path))

    def _post(self, path: str) -> None:
        match path.split("/"):
            case ["invocation", request_id, "response"]:
                reply = self._handler.on_response(request_id, self._posted())
            case ["invocation", request_id, "error"]:
                reply = self._handler.on_error(request_id, self._posted())
            case ["init", "error"]:
                reply = self._handler.on_init_error(self._posted())
            case _:
                # SnapStart's restore phase never happens here, so its paths are unknown too.
                reply = _not_found(path)
        if reply.status == 202:
            self._write(202, [("Content-Type", "application/json")], b'{"status":"OK"}\n')
        else:
            self._write_error(reply)

    def _posted(self) -> Posted:
        return Posted(
            body=b"".join(self._body),
            body_bytes=self._body_bytes,
            content_type=self._headers.get("content-type", "application/json"),
            error_type=self._headers.get("lambda-runtime-function-error-type", "") if not self._streamed else "",
            streamed=self._streamed,
            stream_error_type=self._headers.get("lambda-runtime-function-error-type", "") if self._streamed else "",
        )

    def _is_trusted(self) -> bool | None:
        if self._transport is None:
            return False
        if self._trusted is None:
            local = self._transport.get_extra_info("sockname")
            peer = self._transport.get_extra_info("peername")
            self._trusted = self._handler.owns_connection(local[1], peer[1])
        return self._trusted

    def _write_error(self, reply: Reply) -> None:
        body = msgspec.json.encode({"errorMessage": reply.message, "errorType": reply.error_type})
        self._write(reply.status, [("Content-Type", "application/json")], body)

    def _write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if self._transport is None:
            return
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        self._transport.writelines([head.encode("latin-1", errors="replace"), body])

    def _close(self) -> None:
        if self._transport:
            self._transport.close()

    def _reset(self) -> None:
        self._path = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._keep_bytes = 0
        self._streamed = False


def _not_found(path: str) -> Reply:
    return Reply(404, "NotFound", f"The Runtime API of this platform has no {path}.")


def header_text(text: str) -> str:
    """Return `text` as it may stand in a header: JSON from a caller must not add lines of its own."""
    return text.replace("\r", " ").replace("\n", " ").replace("\0", " ")
