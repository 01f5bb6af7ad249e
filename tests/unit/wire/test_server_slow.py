"""The HTTP server against clients that send, read or do nothing for too long, and those that are only slow."""

import asyncio

import pytest

from forebay.core.http import Request, Response
from tests.unit.wire.raw import Client, Gate, get, post, run, serving

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "activity"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", "head"),
        (post(b"body")[:-1], "body"),
        (CHUNKED + b"3\r\na", "body"),
    ],
)
def test_request_that_stops_is_given_up(sent, activity):
    async def main():
        async with (
            serving(header_timeout_seconds=0.05, body_timeout_seconds=0.05) as (_, port),
            Client.connected(port) as client,
        ):
            await client.send(sent)
            answer = await client.receive()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert activity.encode() in answer.body
            assert await client.is_closed()

    run(main)


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"y"),
        (CHUNKED, b"1;a\r\ny\r\n"),
    ],
)
def test_request_that_trickles_is_given_up(begin, drop):
    async def main():
        limits = {"header_timeout_seconds": 0.05, "body_timeout_seconds": 0.05, "progress_bytes_min": 1000}
        async with serving(**limits) as (_, port), Client.connected(port) as client:
            await client.send(begin)
            async with asyncio.TaskGroup() as group:
                answer = group.create_task(client.receive())
                while not answer.done():
                    client.writer.write(drop)
                    await asyncio.sleep(0.005)
            assert answer.result().status == 408

    run(main)


def test_body_that_grows_slowly_but_enough_is_read():
    async def main():
        limits = {"body_timeout_seconds": 0.2, "progress_bytes_min": 100, "linger_timeout_seconds": 0.2}
        async with serving(**limits) as (_, port), Client.connected(port) as client:
            request = post(b"x" * 2000)
            started = asyncio.get_running_loop().time()
            for start in range(0, len(request), 50):
                client.writer.write(request[start : start + 50])
                await asyncio.sleep(0.01)
            assert (await client.receive()).status == 200
            assert asyncio.get_running_loop().time() - started > 0.2

    run(main)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"PO", get()])
def test_idle_connection_is_closed_without_a_word(sent):
    async def main():
        async with serving(idle_timeout_seconds=0.05) as (_, port), Client.connected(port) as client:
            await client.send(sent)
            if sent == get():
                assert (await client.receive()).status == 200
            assert await client.is_closed()

    run(main)


def test_waiting_handler_has_no_timeout_of_the_servers():
    async def main():
        gate = Gate()
        limits = {"idle_timeout_seconds": 0.02, "header_timeout_seconds": 0.02, "body_timeout_seconds": 0.02}
        async with (
            serving(gate, **limits) as (_, port),
            Client.connected(port) as other,
            Client.connected(port) as client,
        ):
            await client.send(get())
            await gate.started.acquire()
            assert await other.is_closed()  # swept over several times by then
            gate.open.set()
            assert (await client.receive()).status == 200

    run(main)


def test_client_that_does_not_read_is_not_written_to_without_bound_and_given_up():
    calls: list[str] = []
    body = b"x" * 1_000_000

    def handler(request: Request) -> Response:
        calls.append(request.path)
        return Response(200, (), body)

    async def main():
        limits = {"write_timeout_seconds": 0.05, "linger_timeout_seconds": 0.05}
        async with serving(handler, **limits) as (server, port), Client.connected(port) as client:
            client.reader._transport.pause_reading()
            client.writer.write(get() * 10_000)
            while server.connection_count == 0:
                await asyncio.sleep(0)
            while server.connection_count:
                await asyncio.sleep(0.001)
            # What the kernel takes, and one answer past the transport's high-water mark.
            assert len(calls) < 20

    run(main)


def test_client_that_reads_slowly_gets_every_answer():
    body = b"x" * 500_000

    async def main():
        async with serving(lambda _: Response(200, (), body)) as (_, port), Client.connected(port) as client:
            client.reader._transport.pause_reading()
            client.writer.write(get() * 60)
            await asyncio.sleep(0.02)
            client.reader._transport.resume_reading()
            for _ in range(60):
                assert (await client.receive()).body == body
            await client.send(get(headers="Connection: close\r\n"))
            assert (await client.receive()).status == 200
            assert await client.is_closed()

    run(main)


def test_answer_that_is_read_slowly_but_steadily_is_not_given_up():
    body = b"x" * 30_000_000

    async def main():
        limits = {"write_timeout_seconds": 0.2, "linger_timeout_seconds": 0.2}
        async with serving(lambda _: Response(200, (), body), **limits) as (_, port), Client.connected(port) as client:
            await client.send(get(headers="Connection: close\r\n"))
            started = asyncio.get_running_loop().time()
            received = 0
            while data := await client.reader.read(1_000_000):
                received += len(data)
                client.reader._transport.pause_reading()
                await asyncio.sleep(0.02)
                client.reader._transport.resume_reading()
            assert received > len(body)
            assert asyncio.get_running_loop().time() - started > 0.3

    run(main)
