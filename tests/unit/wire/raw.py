"""A server in the test's own loop and a client of bare sockets, for tests of the HTTP server."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop

from forebay.core.clock import Clock
from forebay.core.http import Request, Response
from forebay.wire.server import Handler, Server, ServerLimits

# A wait that takes this long is a hang.
PATIENCE_SECONDS = 10.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*")


def run(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a test's coroutine on the loop that the node uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_with_patience(main))


async def _with_patience(main: Callable[[], Coroutine[None, None, None]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await main()


def echo(request: Request) -> Response:
    """Answer with what the server has understood of the request."""
    text = f"{request.method} {request.path}?{request.query} {request.host} "
    return Response(200, (("Content-Type", "text/plain"),), text.encode("latin-1") + request.body)


@asynccontextmanager
async def serving(
    handler: Handler = echo, tls: ssl.SSLContext | None = None, **limits: float
) -> AsyncIterator[tuple[Server, int]]:
    """Run a server; on leaving, it must drain without help, and hold nothing any more."""
    server = Server(handler, ServerLimits(**limits), Clock(), tls)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.drain(0.5)
        assert server.connection_count == 0
        assert server._shared.budget.used_bytes == 0


@dataclass
class Answer:
    """One parsed answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int, **options) -> AsyncIterator["Client"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26, **options)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, method: str = "GET") -> Answer:
        """Read one answer; `method` tells whether it has a body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        match = _STATUS.match(head)
        assert match, head
        lines = head[match.end() + 2 : -4].decode("latin-1").split("\r\n")
        answer = Answer(int(match[1]), {n.lower(): v for n, v in (line.split(": ", 1) for line in lines if line)})
        if answer.status >= 200 and answer.status not in {204, 304}:
            assert "content-length" in answer.headers, head
            if method != "HEAD":
                answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        return answer

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await self.reader.read()

    async def is_at_end(self) -> bool:
        """Wait for a byte or the end; whether it was the end."""
        if not self.reader._buffer and not self.reader.at_eof():
            await self.reader._wait_for_data("is_at_end")
        return self.reader.at_eof()

    async def is_closed(self) -> bool:
        """Wait for the end; whether nothing came before it."""
        return await self.rest() == b""


async def exchange(port: int, data: bytes) -> list[Answer]:
    """Send `data` on a new connection and return all answers until the server closes it."""
    async with Client.connected(port) as client:
        client.writer.write(data)
        answers = []
        while not await client.is_at_end():
            answers.append(await client.receive())
        return answers


def get(path: str = "/", headers: str = "", version: str = "1.1") -> bytes:
    """Return a GET request's bytes; `headers` are whole lines."""
    return f"GET {path} HTTP/{version}\r\nHost: a\r\n{headers}\r\n".encode("latin-1")


def post(body: bytes, headers: str = "", path: str = "/") -> bytes:
    """Return a POST request's bytes with its Content-Length."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


class Gate:
    """A handler that waits until it is told to answer; records what becomes of its requests."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.started = asyncio.Semaphore(0)
        self.ended = asyncio.Semaphore(0)
        self.cancelled = 0
        self.running = 0
        self.most_running = 0

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        return self._wait(request)

    async def _wait(self, request: Request) -> Response:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started.release()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self.ended.release()
        return echo(request)
