"""The HTTP server's ordinary life: framing, order, persistence, waiting handlers, drain, TLS."""

import asyncio

import pytest
from structlog.testing import capture_logs

from forebay.core.clock import Clock
from forebay.core.http import Request, Response
from forebay.wire.server import Server, ServerLimits
from tests.unit.wire.raw import Client, Gate, echo, exchange, get, post, run, serving

LAST = get("/last", "Connection: close\r\n")


def test_answer_bears_length_and_date_of_the_clock():
    async def main():
        server = Server(lambda _: Response(200, (), b"hello"), ServerLimits(), Clock(frozen_at=0.0))
        port = await server.start("127.0.0.1", 0)
        async with Client.connected(port) as client:
            await client.send(get())
            answer = await client.receive()
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.headers == {"content-length": "5", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
        await server.drain(1)

    run(main)


def test_request_value_has_every_part():
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(204)

    async def main():
        async with serving(handler) as (_, port):
            head = "X-Amz-Date: \t2026 \t\r\nX-Tag: a\r\nx-tag: b\r\nCookie: c=1\r\nCookie: d=2\r\nX-Latin: \xe9\r\n"
            await exchange(port, post(b"body", head + "Connection: close\r\n", "/p%20q/?a=b%2F&c"))

    run(main)
    (request,) = seen
    assert (request.method, request.path, request.query) == ("POST", "/p%20q/", "a=b%2F&c")
    assert (request.body, request.host, request.peer, request.secure) == (b"body", "a", "127.0.0.1", False)
    assert request.headers == {
        "host": "a",
        "content-length": "4",
        "x-amz-date": "2026",
        "x-tag": "a,b",
        "cookie": "c=1; d=2",
        "x-latin": "\xe9",
        "connection": "close",
    }
    assert isinstance(request, Request)


def test_pipelined_requests_are_answered_in_order_though_later_ones_are_ready_first():
    gate_holder: list[Gate] = []

    def handler(request: Request):
        return gate_holder[0](request) if request.path == "/slow" else echo(request)

    async def main():
        gate_holder.append(Gate())
        async with serving(handler) as (_, port), Client.connected(port) as client:
            await client.send(get("/slow") + get("/fast") + get("/slow") + get("/fast"))
            await gate_holder[0].started.acquire()
            await gate_holder[0].started.acquire()
            gate_holder[0].open.set()
            paths = [(await client.receive()).body.split()[1] for _ in range(4)]
            assert paths == [b"/slow?", b"/fast?", b"/slow?", b"/fast?"]

    run(main)


def test_pipelined_requests_in_flight_are_bounded_and_all_are_answered():
    async def main():
        gate = Gate()
        async with serving(gate, pipelined_requests_max=3) as (_, port), Client.connected(port) as client:
            await client.send(b"".join(get(f"/{number}") for number in range(2000)))
            for _ in range(3):
                await gate.started.acquire()
            gate.open.set()
            paths = [(await client.receive()).body.split()[1] for _ in range(2000)]
            assert paths == [b"/%d?" % number for number in range(2000)]
            assert gate.most_running == 3

    run(main)


@pytest.mark.parametrize(
    ("request_bytes", "connection"),
    [
        (get(), None),
        (get(headers="Connection: close\r\n"), "close"),
        (get(headers="Connection: keep-alive, Close\r\n"), "close"),
        (get(version="1.0"), "close"),
        (get(headers="Connection: keep-alive\r\n", version="1.0"), "keep-alive"),
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
    ],
)
def test_persistence_follows_version_and_connection_header(request_bytes, connection):
    async def main():
        async with serving() as (_, port), Client.connected(port) as client:
            await client.send(request_bytes)
            answer = await client.receive()
            assert answer.status == 200
            assert answer.headers.get("connection") == connection
            if connection == "close":
                assert await client.is_closed()
            else:
                await client.send(LAST)
                assert (await client.receive()).status == 200

    run(main)


def test_requests_after_the_last_are_not_served():
    calls: list[str] = []

    def handler(request: Request) -> Response:
        calls.append(request.path)
        return echo(request)

    async def main():
        async with serving(handler) as (_, port):
            answers = await exchange(port, get("/1") + LAST + get("/3") * 1000)
            assert [answer.status for answer in answers] == [200, 200]

    run(main)
    assert calls == ["/1", "/last"]


def test_requests_after_the_last_are_not_served_while_it_waits():
    async def main():
        gate = Gate()
        async with serving(gate) as (_, port), Client.connected(port) as client:
            await client.send(LAST + get("/never") * 5000)
            await gate.started.acquire()
            await client.send(get("/never"))
            gate.open.set()
            assert (await client.receive()).body == b"GET /last? a "
            assert await client.is_closed()
            assert gate.most_running == 1

    run(main)


def test_chunked_body_is_joined_and_trailers_do_not_become_headers():
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return echo(request)

    async def main():
        async with serving(handler) as (_, port):
            data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
            data += b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nHost: evil\r\nX-Late: 1\r\n\r\n"
            answers = await exchange(port, data + LAST)
            assert answers[0].body == b"POST /? a abc0123456789"
            assert answers[1].status == 200

    run(main)
    assert "x-late" not in seen[0].headers
    assert seen[0].headers["host"] == "a"


def test_head_has_the_length_but_no_body():
    def handler(request: Request) -> Response:
        told = (("Content-Length", "12345"),) if request.path == "/object" else ()
        return Response(200, told, b"" if told else b"four")

    async def main():
        async with serving(handler) as (_, port), Client.connected(port) as client:
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /object HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
            assert (await client.receive("HEAD")).headers["content-length"] == "4"
            assert (await client.receive("HEAD")).headers["content-length"] == "12345"
            assert (await client.receive()).body == b"four"

    run(main)


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_status_has_neither_body_nor_length(status):
    async def main():
        async with serving(lambda _: Response(status, (), b"ignored")) as (_, port), Client.connected(port) as client:
            await client.send(get() + LAST)
            for _ in range(2):
                answer = await client.receive()
                assert (answer.status, "content-length" in answer.headers) == (status, False)
            assert await client.is_closed()

    run(main)


def test_response_cannot_set_what_is_the_servers():
    headers = (("content-length", "99"), ("Transfer-Encoding", "chunked"), ("DATE", "x"), ("X-Own", "\tkept\xe9"))

    async def main():
        async with serving(lambda _: Response(200, headers, b"abc")) as (_, port):
            (answer,) = await exchange(port, LAST)
            assert answer.body == b"abc"
            assert answer.headers["x-own"] == "\tkept\xe9"
            assert "transfer-encoding" not in answer.headers
            assert answer.headers["date"].endswith(" GMT")

    run(main)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, (("X", "a\r\nSet-Cookie: evil"),)),
        Response(200, (("X", "a\nb"),)),
        Response(200, (("X: y\r\nZ", "a"),)),
        Response(200, (("X", "\u20ac"),)),
        Response(99),
        Response(200, (), "text"),
        None,
    ],
)
def test_unwritable_response_becomes_a_500(response):
    async def later(_):
        return response

    async def main():
        handlers = [later] if response is None else [later, lambda _: response]
        for handler in handlers:
            async with serving(handler) as (_, port):
                (answer,) = await exchange(port, LAST)
                assert (answer.status, answer.body) == (500, b"Internal Server Error\n")

    run(main)


def test_failing_handler_is_a_500_and_the_connection_lives_on():
    async def fail_later(_):
        raise LookupError("secret")

    def handler(request: Request):
        if request.path == "/now":
            raise LookupError("secret")
        return fail_later(request) if request.path == "/later" else echo(request)

    async def main():
        async with serving(handler) as (_, port):
            answers = await exchange(port, get("/now") + get("/later") + get("/") + LAST)
            assert [answer.status for answer in answers] == [500, 500, 200, 200]
            assert b"secret" not in answers[0].body + answers[1].body

    with capture_logs() as events:
        run(main)
    failures = [(event["event"], event["path"], event["error"]) for event in events]
    assert failures == [("request.failed", path, "LookupError") for path in ("/now", "/later")]


def test_handler_that_cancels_itself_is_a_500():
    async def handler(_):
        raise asyncio.CancelledError

    async def main():
        async with serving(handler) as (_, port):
            assert [answer.status for answer in await exchange(port, LAST)] == [500]

    run(main)


@pytest.mark.parametrize("ending", ["close", "abort", "half-close"])
def test_waiting_handler_is_cancelled_when_the_client_goes(ending):
    async def main():
        gate = Gate()
        async with serving(gate) as (_, port), Client.connected(port) as client:
            await client.send(get())
            await gate.started.acquire()
            if ending == "close":
                client.writer.close()
            elif ending == "abort":
                client.writer.transport.abort()
            else:
                client.writer.write_eof()
            await gate.ended.acquire()
            assert gate.cancelled == 1

    with capture_logs() as events:
        run(main)
    assert not [event for event in events if event["event"] == "request.failed"]


def test_client_that_sends_and_goes_at_once_leaves_nothing_behind():
    async def main():
        gate = Gate()
        async with serving(gate) as (server, port):
            for _ in range(20):
                async with Client.connected(port) as client:
                    await client.send(post(b"x" * 1000) * 3)
                    client.writer.transport.abort()
            async with Client.connected(port) as client:
                await client.send(LAST)
                await gate.started.acquire()
            await server.drain(1)
            assert gate.running == 0

    run(main)


def test_expecting_client_is_told_to_continue():
    async def main():
        async with serving() as (_, port), Client.connected(port) as client:
            await client.send(get("/first"))
            await client.send(post(b"body", "Expect: 100-continue\r\n")[:-4])
            assert (await client.receive()).body.startswith(b"GET /first")
            assert await client.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"body")
            assert (await client.receive()).body == b"POST /? a body"

    run(main)


def test_continue_waits_for_the_answers_before_it():
    async def main():
        gate = Gate()
        async with serving(gate) as (_, port), Client.connected(port) as client:
            await client.send(get("/first") + post(b"body", "Expect: 100-continue\r\n")[:-4])
            await gate.started.acquire()
            gate.open.set()
            assert (await client.receive()).body.startswith(b"GET /first")
            assert (await client.receive()).status == 100
            await client.send(b"body")
            assert (await client.receive()).body == b"POST /? a body"

    run(main)


def test_no_continue_when_the_body_came_along_or_the_client_speaks_1_0():
    async def main():
        async with serving() as (_, port):
            old = post(b"body", "Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")
            answers = await exchange(port, post(b"body", "Expect: 100-continue\r\n") + old)
            assert [(answer.status, answer.body[-4:]) for answer in answers] == [(200, b"body"), (200, b"body")]

    run(main)


@pytest.mark.parametrize(
    ("target", "understood"),
    [
        ("http://b.test:80/p?q", b"GET /p?q b.test:80 "),
        ("HTTP://b.test", b"GET /? b.test "),
        ("https://b.test?q", b"GET /?q b.test "),
        ("//p", b"GET //p? a "),
    ],
)
def test_absolute_target_names_the_host(target, understood):
    async def main():
        async with serving() as (_, port):
            answers = await exchange(port, get(target) + get(target, "Connection: close\r\n"))
            assert [answer.body for answer in answers] == [understood] * 2

    run(main)


def test_asterisk_is_a_target_of_options_only():
    async def main():
        async with serving() as (_, port):
            answers = await exchange(port, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + get("*"))
            assert [answer.status for answer in answers] == [200, 400]

    run(main)


@pytest.mark.parametrize("chunked", [False, True])
def test_upgrade_is_ignored_and_the_body_still_read(chunked):
    async def main():
        upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        request = post(b"body", upgrade)
        if chunked:
            request = request.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked")
            request = request[:-4] + b"4\r\nbody\r\n0\r\n\r\n"
        async with serving() as (_, port):
            answers = await exchange(port, request + get("/2", upgrade) + request + LAST)
            assert [answer.body for answer in answers] == [
                b"POST /? a body",
                b"GET /2? a ",
                b"POST /? a body",
                b"GET /last? a ",
            ]

    run(main)


def test_large_bodies_go_both_ways():
    async def main():
        body = bytes(range(256)) * 40_000
        async with serving() as (_, port), Client.connected(port) as client:
            await client.send(post(body))
            answer = await client.receive()
            assert answer.body == b"POST /? a " + body
            await client.send(LAST)
            assert (await client.receive()).status == 200

    run(main)


def test_serves_several_addresses():
    async def main():
        async with serving() as (server, port):
            try:
                other = await server.start("::1", 0)
            except OSError:
                pytest.skip("no IPv6 loopback on this machine")
            reader, writer = await asyncio.open_connection("::1", other)
            writer.write(LAST)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
            assert [answer.status for answer in await exchange(port, LAST)] == [200]

    run(main)
