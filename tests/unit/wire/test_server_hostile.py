"""The HTTP server against requests that are malformed, oversized, or meant to smuggle."""

import asyncio

import pytest

from forebay.core.http import Request, Response
from tests.unit.wire.raw import Client, Gate, echo, exchange, get, post, run, serving

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "both framings": (
        400,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "both framings, other order": (
        400,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    "two lengths": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "a list of lengths": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
    "signed length": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
    "negative length": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
    "hexadecimal length": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
    "empty length": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc"),
    "overflowing length": (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na"),
    "length past the limit": (413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\na"),
    "expected length past the limit": (
        413,
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n",
    ),
    "unknown expectation": (417, get(headers="Expect: 200-ok\r\n")),
    "unknown transfer coding": (501, CHUNKED.replace(b"chunked", b"gzip") + b"0\r\n\r\n"),
    "coding before chunked": (501, CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n"),
    "coding after chunked": (400, CHUNKED.replace(b"chunked", b"chunked, gzip") + b"0\r\n\r\n"),
    "chunked twice": (400, CHUNKED.replace(b"chunked", b"chunked\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n"),
    "disguised chunked": (501, CHUNKED.replace(b"chunked", b"xchunked") + b"0\r\n\r\n"),
    "vertical tab before chunked": (400, CHUNKED.replace(b" chunked", b"\x0bchunked") + b"0\r\n\r\n"),
    "chunked in 1.0": (400, CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n"),
    "chunk size 0x": (400, CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk size with a sign": (400, CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n"),
    "chunk size with a space": (400, CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n"),
    "chunk size empty": (400, CHUNKED + b"\r\nabc\r\n0\r\n\r\n"),
    "chunk size overflowing": (400, CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    "chunk longer than its size": (400, CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    "chunk ended by LF": (400, CHUNKED + b"3\nabc\n0\n\n"),
    "LF in a chunk extension": (400, CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    "folded header": (400, get(headers="X: a\r\n b\r\n")),
    "folded first header": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "space before the colon": (400, get(headers="Content-Length : 3\r\n")),
    "NUL in a value": (400, get(headers="X: a\0b\r\n")),
    "control character in a value": (400, get(headers="X: a\x01b\r\n")),
    "bare CR in a value": (400, get(headers="X: a\rY: b\r\n")),
    "bare LF between headers": (400, get(headers="X: a\nY: b\r\n")),
    "bare LF throughout": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bad character in a name": (400, get(headers="X(: b\r\n")),
    "empty name": (400, get(headers=": b\r\n")),
    "no colon": (400, get(headers="X\r\n")),
    "no host": (400, b"GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    "two hosts": (400, get(headers="Host: a\r\n")),
    "host that is none": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "host with credentials": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "NUL in the target": (400, get("/a\0b")),
    "raw bytes in the target": (400, get("/\xe9")),
    "space in the target": (400, get("/a b")),
    "fragment in the target": (400, get("/a#b")),
    "relative target": (400, get("a")),
    "other scheme": (400, get("ftp://a/b")),
    "absolute target without a host": (400, get("http:///b")),
    "absolute target with credentials": (400, get("http://u@b/")),
    "unknown method": (400, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "lower-case method": (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "method of no service": (501, b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tunnel": (501, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "tunnel that upgrades": (501, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (505, get(version="2.0")),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
    "unknown version": (400, get(version="1.2")),
    "TLS to a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 500),
    "garbage": (400, b"\xff\xfe\0\0 nonsense\r\n\r\n"),
}


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", REFUSED)
def test_bad_request_is_refused_and_the_connection_closed(name, pieces):
    status, data = REFUSED[name]
    calls: list[Request] = []

    def handler(request: Request) -> Response:
        calls.append(request)
        return echo(request)

    async def main():
        async with serving(handler) as (_, port), Client.connected(port) as client:
            if pieces == "whole":
                await client.send(get("/before") + data + get("/after"))
            else:
                for byte in get("/before") + data:
                    client.writer.write(bytes([byte]))
                    await asyncio.sleep(0)
            assert (await client.receive()).status == 200
            answer = await client.receive()
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            assert answer.headers["content-type"] == "text/plain"
            assert 0 < len(answer.body) < 200
            assert await client.is_closed()
            assert [request.path for request in calls] == ["/before"]
            assert [answer.status for answer in await exchange(port, get(headers="Connection: close\r\n"))] == [200]

    run(main)


def test_refusal_comes_after_the_answers_before_it():
    async def main():
        gate = Gate()
        async with serving(gate, pipelined_requests_max=2) as (_, port), Client.connected(port) as client:
            await client.send(get("/1") + get("/2") + get("/3") + get("/4") + b"garbage\r\n\r\n")
            await gate.started.acquire()
            gate.open.set()
            assert [(await client.receive()).status for _ in range(5)] == [200] * 4 + [400]
            assert await client.is_closed()

    run(main)


SIZES = {
    "long target": (414, get("/" + "x" * 200)),
    "long value": (431, get(headers="X: " + "y" * 500 + "\r\n")),
    "long name": (431, get(headers="y" * 500 + ": x\r\n")),
    "many bytes of headers": (431, get(headers="".join(f"X-{number}: {number}\r\n" for number in range(40)))),
    "many repeated headers": (431, get(headers="X: yyyyyyyyyy\r\n" * 40)),
    "many headers": (431, get(headers="".join(f"{number}:\r\n" for number in range(20)))),
    "long body": (413, post(b"x" * 1001)),
    "long chunked body": (413, CHUNKED + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"),
    "long chunk extension": (400, CHUNKED + b"3;" + b"x" * 2000 + b"\r\nabc\r\n0\r\n\r\n"),
    "long trailer": (400, CHUNKED + b"3\r\nabc\r\n0\r\nX: " + b"y" * 2000),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_size_limits_hold_however_the_bytes_arrive(name, step):
    status, data = SIZES[name]
    limits = {"target_bytes_max": 100, "header_bytes_max": 300, "header_count_max": 15, "body_bytes_max": 1000}

    async def main():
        async with serving(**limits) as (_, port), Client.connected(port) as client:
            for start in range(0, len(data), step):
                client.writer.write(data[start : start + step])
                await asyncio.sleep(0)
            answer = await client.receive()
            assert (answer.status, await client.rest()) == (status, b"")
            within = post(b"x" * 1000, "X: " + "y" * 200 + "\r\nConnection: close\r\n", "/" + "x" * 99)
            assert [answer.status for answer in await exchange(port, within)] == [200]

    run(main)


@pytest.mark.parametrize("before", [b"", get("/1"), get("/1") * 40])
def test_head_without_end_is_cut_off(before):
    async def main():
        async with serving(header_bytes_max=1000) as (_, port), Client.connected(port) as client:
            await client.send(before + b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 5000)
            for _ in range(before.count(b"GET")):
                assert (await client.receive()).status == 200
            assert (await client.receive()).status == 431
            assert await client.is_closed()

    run(main)


def test_long_head_behind_another_request_is_cut_off():
    async def main():
        async with serving(header_bytes_max=300) as (_, port):
            answers = await exchange(port, get("/1") + get(headers="X: " + "y" * 350 + "\r\n"))
            assert [answer.status for answer in answers] == [200, 431]

    run(main)


def test_client_that_sends_more_than_is_worked_on_is_not_read():
    async def main():
        gate = Gate()
        async with serving(gate, pipelined_requests_max=2) as (server, port), Client.connected(port) as client:
            client.writer.write(post(b"x" * 100) * 200_000)
            await gate.started.acquire()
            await gate.started.acquire()
            # Refusals pass by the gate; each takes turns of the loop in which the server could read on.
            for _ in range(50):
                assert (await exchange(port, b"garbage\r\n\r\n"))[0].status == 400
            (connection,) = (c for c in server._shared.connections if c._running)
            assert len(connection._unparsed) <= 512 * 1024
            assert len(connection._parsed) < 200
            assert client.writer.transport.get_write_buffer_size() > 1_000_000
            client.writer.transport.abort()

    run(main)


def test_client_that_still_sends_reads_why_it_was_refused():
    async def main():
        async with serving(body_bytes_max=1000) as (_, port), Client.connected(port) as client:
            # Far more than the socket buffers hold: a reset in place of the answer would show.
            client.writer.write(post(b"x" * 20_000_000))
            answer = await client.receive()
            assert (answer.status, await client.rest()) == (413, b"")

    run(main)


def test_bodies_of_all_connections_together_are_bounded():
    async def main():
        gate = Gate()
        async with (
            serving(gate, buffered_body_bytes_max=1000) as (_, port),
            Client.connected(port) as first,
            Client.connected(port) as second,
        ):
            await first.send(post(b"x" * 800))
            await gate.started.acquire()
            await second.send(post(b"x" * 800))
            assert (await second.receive()).status == 503
            assert await second.is_closed()
            gate.open.set()
            assert (await first.receive()).status == 200
            answers = await exchange(port, post(b"x" * 800, "Connection: close\r\n"))
            assert [answer.status for answer in answers] == [200]

    run(main)


def test_connections_past_the_limit_are_turned_away_until_others_end():
    async def main():
        async with serving(connections_max=2, linger_timeout_seconds=0.05) as (server, port):
            async with Client.connected(port) as first, Client.connected(port) as second:
                for client in (first, second):
                    await client.send(get())
                    assert (await client.receive()).status == 200
                async with Client.connected(port) as third:
                    assert (await third.receive()).status == 503
                    assert await third.is_closed()
                while server.connection_count > 2:
                    await asyncio.sleep(0.001)
                await second.send(get(headers="Connection: close\r\n"))
                assert (await second.receive()).status == 200
                assert await second.is_closed()
            answers = await exchange(port, get(headers="Connection: close\r\n"))
            assert [answer.status for answer in answers] == [200]

    run(main)


def test_invented_header_names_do_not_fill_the_memory():
    async def main():
        async with serving() as (server, port), Client.connected(port) as client:
            for start in range(0, 3000, 50):
                names = "".join(f"X-{number}: 1\r\n" for number in range(start, start + 50))
                await client.send(get(headers=names))
                assert (await client.receive()).status == 200
            assert len(server._shared.names) <= 1024

    run(main)
