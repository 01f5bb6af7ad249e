"""Clients that behave badly towards a node in a process of its own: it goes on answering others, in bounded memory.

What each of them meets is the server's own tests' business (tests/unit/wire); here it is the whole node that must not
notice: a normal call is answered during each siege, and within a second after it, and the process has not grown.
"""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.unit.cli.processes import Served
from tests.unit.wire.raw import Client

CALL_SECONDS_MAX = 1.0
GROWTH_MB_MAX = 100
MEMORY_MB_MAX = 500
LARGE = 50 * 1024 * 1024
SCOPE = "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=00"
AFTER_WAIT = 0.05


def request(method: str, path: str, body: bytes = b"", service: str = "s3", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: {SCOPE.format(service)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


CALL = request(
    "POST", "/", b"{}", "sqs", X_Amz_Target="AmazonSQS.ListQueues", Content_Type="application/x-amz-json-1.0"
)


@asynccontextmanager
async def reaching(port: int, **options: Any) -> AsyncIterator[Client]:
    """Connect, and be gone at the end, whatever has not been read or written."""
    async with Client.connected(port, **options) as client:
        try:
            yield client
        finally:
            client.writer.transport.abort()
            # The transport closes its socket in the loop's next turn.
            await asyncio.sleep(0)


class Target:
    """The node under siege."""

    def __init__(self, served: Served, tls: ssl.SSLContext | None = None) -> None:
        self.served = served
        self.port = urlsplit(served.url).port or 0
        self.tls = tls

    @property
    def memory_mb(self) -> float:
        """Resident memory of the node's process."""
        text = Path(f"/proc/{self.served.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    async def call(self, data: bytes = CALL, method: str = "POST") -> float:
        """Make a normal call on a new connection; return the seconds it took. It must be answered 2xx."""
        started = time.monotonic()
        options = {"ssl": self.tls} if self.tls else {}
        async with asyncio.timeout(10), reaching(self.port, **options) as client:
            await client.send(data)
            answer = await client.receive(method)
        assert 200 <= answer.status < 300, answer
        return time.monotonic() - started

    @asynccontextmanager
    async def besieged(self) -> AsyncIterator[None]:
        """Check that the node has stood what happens inside: it answers in time and has not grown."""
        before = self.memory_mb
        yield
        # The first call may come behind what the siege left in the backlog, and others use this machine.
        seconds = min([await self.call() for _ in range(4)])
        assert seconds < CALL_SECONDS_MAX, f"a call took {seconds:.2f} s"
        assert self.served.process.poll() is None
        assert self.memory_mb - before < GROWTH_MB_MAX, f"grew from {before:.0f} to {self.memory_mb:.0f} MB"


def besiege(target: Target, siege: Callable[[Target], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), target.besieged():
            await siege(target)

    asyncio.run(main())


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    with Served(folder / "data", "--connections-max", "3000", "--log-level", "error") as served:
        target = Target(served)

        async def furnish() -> None:
            await target.call(request("PUT", "/bucket"))
            await target.call(request("PUT", "/bucket/large", b"x" * LARGE))
            async with reaching(target.port) as client:
                for at in range(1000):
                    await client.send(request("PUT", f"/bucket/{at:04}-{'k' * 800}"))
                    assert (await client.receive()).status == 200

        asyncio.run(furnish())
        yield target


def test_large_answers_that_nobody_reads_are_not_kept_in_memory_for_ever(target):
    async def siege(target: Target) -> None:
        async with AsyncExitStack() as stack:
            for path in ("/bucket?list-type=2", "/bucket?list-type=2", "/bucket/large"):
                client = await stack.enter_async_context(reaching(target.port))
                client.writer.transport.pause_reading()
                await client.send(request("GET", path))
            for _ in range(5):
                await target.call()
                await asyncio.sleep(AFTER_WAIT)
            for _ in range(10):
                client = await stack.enter_async_context(reaching(target.port))
                client.writer.transport.pause_reading()
                # Pipelined: each of them would be answered with another megabyte.
                client.writer.write(request("GET", "/bucket?list-type=2") * 400)
            await asyncio.sleep(1)
            # Each connection holds the answers that were under way when it no longer took any, and no more.
            assert target.memory_mb < MEMORY_MB_MAX, target.memory_mb

    besiege(target, siege)


def test_large_object_goes_whole_to_a_client_that_reads_slowly(target):
    async def siege(target: Target) -> None:
        async with reaching(target.port) as client:
            await client.send(request("GET", "/bucket/large"))
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            left = LARGE
            while left:
                left -= len(await client.reader.read(256 * 1024))
                if left % 5 == 0:
                    await asyncio.sleep(0)
            await target.call()

    besiege(target, siege)


def test_byte_by_byte_client_is_answered_and_holds_nobody_up(target):
    async def siege(target: Target) -> None:
        async with reaching(target.port) as client:
            for at in range(len(CALL)):
                client.writer.write(CALL[at : at + 1])
                await client.writer.drain()
                await asyncio.sleep(0.001)
                if at % 100 == 0:
                    await target.call()
            assert (await client.receive()).status == 200

    besiege(target, siege)


def test_two_thousand_idle_connections_cost_little(target):
    async def siege(target: Target) -> None:
        async with AsyncExitStack() as stack:
            for at in range(2000):
                client = await stack.enter_async_context(reaching(target.port))
                if at % 4 == 0:
                    # A head that never ends.
                    client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nX: ")
            await target.call()

    besiege(target, siege)


def test_flood_beyond_the_connection_limit_is_turned_away_and_passes(target):
    async def siege(target: Target) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(reaching(target.port)) for _ in range(3000)]
            turned_away = {503: 0, "closed": 0}
            for _ in range(500):
                late = await stack.enter_async_context(reaching(target.port))
                async with asyncio.timeout(10):
                    try:
                        turned_away[(await late.receive()).status] += 1
                    except (ConnectionError, asyncio.IncompleteReadError):
                        # Those that have read why they are turned away are still lingering.
                        turned_away["closed"] += 1
            assert turned_away[503] > 100, turned_away
            # Whoever had come before is served.
            await clients[-1].send(CALL)
            assert (await clients[-1].receive()).status == 200
        deadline = time.monotonic() + 5
        while not await _is_served(target):
            assert time.monotonic() < deadline, "turned away after the flood has gone"
            await asyncio.sleep(AFTER_WAIT)

    besiege(target, siege)


async def _is_served(target: Target) -> bool:
    try:
        await target.call()
    except (AssertionError, ConnectionError, asyncio.IncompleteReadError):
        return False
    return True


GARBAGE = {
    "header bomb": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 60_000 + b"\r\n" * 1) * 20,
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % at for at in range(5000)) + b"\r\n",
    "chunks of one byte": b"PUT /bucket/chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n" * 200_000
    + b"0\r\n\r\n",
    "trailers": b"PUT /bucket/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    + b"X-Amz-Checksum-Crc32: AAAA\r\n" * 5000
    + b"\r\n",
    "endless chunk extension": b"PUT /b/c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    + b"x" * 1_000_000,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x12\4\0\0\0\0\0" * 1000,
    "HTTP/2 upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 5000,
    "length that never comes": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n" + b"x" * 100_000,
    "noise": bytes(range(256)) * 4000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_on_many_connections_changes_nothing(target, name):
    async def siege(target: Target) -> None:
        async def once() -> None:
            async with reaching(target.port) as client:
                client.writer.write(GARBAGE[name])
                async with asyncio.timeout(2):
                    try:
                        head = await client.reader.read(12)
                    except ConnectionError:
                        return
                # Answered or closed; never with a failure of the node.
                assert b" 500" not in head

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(_patient(once()))
            for _ in range(3):
                await target.call()
        await target.call()

    besiege(target, siege)


async def _patient(work: Awaitable[None]) -> None:
    """Wait for no answer where none is due: a body that has not come."""
    try:
        await work
    except TimeoutError:
        return


def test_calls_that_go_away_before_their_answer_leave_nothing(target):
    async def siege(target: Target) -> None:
        wait = request(
            "POST", "/", json.dumps({"QueueUrl": "waiting", "WaitTimeSeconds": 20}).encode(), "sqs",
            X_Amz_Target="AmazonSQS.ReceiveMessage", Content_Type="application/x-amz-json-1.0",
        )  # fmt: skip
        make = request(
            "POST", "/", b'{"QueueName":"waiting"}', "sqs",
            X_Amz_Target="AmazonSQS.CreateQueue", Content_Type="application/x-amz-json-1.0",
        )  # fmt: skip
        await target.call(make)
        for _ in range(300):
            async with reaching(target.port) as client:
                await client.send(wait)
                client.writer.transport.abort()

    besiege(target, siege)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the throw-away certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost")
    subprocess.run(
        [*command, "-keyout", "key.pem", "-out", "certificate.pem"], cwd=folder, check=True, capture_output=True
    )
    return folder


def test_plain_text_and_noise_on_a_tls_port_change_nothing(certificate, tmp_path):
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    options = ("--tls-certificate", str(certificate / "certificate.pem"), "--tls-key", str(certificate / "key.pem"))

    async def siege(target: Target) -> None:
        noise = [CALL, os.urandom(5000), GARBAGE["TLS to a plain port"], b"", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000]
        for data in noise * 10:
            async with reaching(target.port) as client:
                client.writer.write(data)
        async with AsyncExitStack() as stack:
            # Handshakes that never go on.
            for _ in range(200):
                await stack.enter_async_context(reaching(target.port))
            await target.call()

    with Served(tmp_path / "data", *options, "--log-level", "error") as served:
        besiege(Target(served, trusting), siege)
