"""Draining the HTTP server: what is under way is finished, what takes too long is cut off."""

import asyncio

import pytest

from forebay.core.http import Response
from tests.unit.wire.raw import Client, Gate, get, post, run, serving


def test_drain_answers_requests_under_way_and_closes_idle_connections():
    async def main():
        gate = Gate()
        async with (
            serving(gate, linger_timeout_seconds=0.05) as (server, port),
            Client.connected(port) as idle,
            Client.connected(port) as waiting,
            Client.connected(port) as sending,
        ):
            await waiting.send(get("/waiting"))
            await gate.started.acquire()
            await sending.send(get("/sent"))
            await gate.started.acquire()
            await sending.send(post(b"body")[:-2])
            async with asyncio.TaskGroup() as group:
                drained = group.create_task(server.drain(5))
                assert await idle.is_closed()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", port)
                await sending.send(b"dy" + get("/too-late"))
                await gate.started.acquire()
                assert not drained.done()
                gate.open.set()
                answer = await waiting.receive()
                assert (answer.body, answer.headers["connection"]) == (b"GET /waiting? a ", "close")
                assert await waiting.is_closed()
                assert "connection" not in (await sending.receive()).headers
                last = await sending.receive()
                assert (last.body, last.headers["connection"]) == (b"POST /? a body", "close")
                assert await sending.is_closed()
                assert gate.most_running == 3

    run(main)


def test_drain_answers_requests_that_were_read_and_not_yet_handed_out():
    async def main():
        gate = Gate()
        async with serving(gate, pipelined_requests_max=1) as (server, port), Client.connected(port) as client:
            await client.send(get("/1") + get("/2") + get("/3"))
            await gate.started.acquire()
            async with asyncio.TaskGroup() as group:
                group.create_task(server.drain(5))
                await asyncio.sleep(0)
                gate.open.set()
                connections = [(await client.receive()).headers.get("connection") for _ in range(3)]
                assert connections == [None, None, "close"]
                assert await client.is_closed()

    run(main)


def test_drain_cancels_what_takes_too_long():
    async def main():
        gate = Gate()
        async with serving(gate) as (server, port), Client.connected(port) as client:
            await client.send(get())
            await gate.started.acquire()
            await server.drain(0.01)
            assert (gate.cancelled, server.connection_count) == (1, 0)

    run(main)


def test_unread_answer_does_not_hold_up_the_drain():
    async def main():
        limits = {"write_timeout_seconds": 0.05, "linger_timeout_seconds": 0.05}
        async with (
            serving(lambda _: Response(200, (), b"x" * 30_000_000), **limits) as (server, port),
            Client.connected(port) as client,
        ):
            client.reader._transport.pause_reading()
            await client.send(get(headers="Connection: close\r\n"))
            while server.connection_count == 0:
                await asyncio.sleep(0)
            await server.drain(5)
            assert server.connection_count == 0

    run(main)
