"""Properties of the HTTP server: how bytes are split does not matter, and no bytes bring it down."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.core.http import Request, Response
from tests.unit.wire.raw import Answer, Client, echo, exchange, get, post, run, serving

LAST = get("/last", "Connection: close\r\n")

paths = st.text("abc/%20?=&.-", max_size=12).map(lambda text: "/" + text)
header_lines = st.lists(
    st.tuples(
        st.text("ABCxyz-_", min_size=1, max_size=8),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20),
    ),
    max_size=4,
).map(lambda lines: "".join(f"X-{name}: {value}\r\n" for name, value in lines))


@st.composite
def chunked_posts(draw):
    chunks = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
    trailer = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
    head = f"PUT {draw(paths)} HTTP/1.1\r\nHost: b.test:1\r\nTransfer-Encoding: chunked\r\n{draw(header_lines)}\r\n"
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return head.encode("latin-1") + body + b"0\r\n" + trailer + b"\r\n"


upgrade_lines = st.just("Connection: Upgrade\r\nUpgrade: h2c\r\n")
requests = st.one_of(
    st.builds(get, paths, st.one_of(header_lines, upgrade_lines)),
    st.builds(post, st.binary(max_size=80), header_lines, paths),
    st.builds(post, st.binary(max_size=80), upgrade_lines),
    chunked_posts(),
)


async def waits_sometimes(request: Request) -> Response:
    for _ in range(len(request.path) % 3):
        await asyncio.sleep(0)
    return echo(request)


def maybe_waiting(request: Request):
    return waits_sometimes(request) if len(request.body) % 2 else echo(request)


def comparable(answers: list[Answer]) -> list[tuple[int, bytes]]:
    return [(answer.status, answer.body) for answer in answers]


@settings(max_examples=150, deadline=None)
@given(st.lists(requests, min_size=1, max_size=6), st.data())
def test_any_split_of_pipelined_requests_yields_the_same_answers(requests, data):
    stream = b"".join(requests) + LAST
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=25).map(sorted))
    small = data.draw(st.booleans())

    async def main():
        limits = {"pipelined_requests_max": 2, "header_bytes_max": 400} if small else {}
        async with serving(maybe_waiting, **limits) as (_, port):
            alone = [(await exchange(port, request + LAST))[0] for request in requests]
            async with Client.connected(port) as client:
                for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                    client.writer.write(stream[start:end])
                    await asyncio.sleep(0)
                split = [await client.receive() for _ in range(len(requests) + 1)]
                assert await client.is_closed()
            assert comparable(split[:-1]) == comparable(alone)
            assert all(answer.status == 200 for answer in split)

    run(main)


@st.composite
def mutations(draw):
    """Valid bytes with a few of them replaced, dropped or inserted."""
    stream = bytearray(b"".join(draw(st.lists(requests, min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(stream)))
        length = draw(st.integers(0, 3))
        stream[at : at + length] = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b":", b"Content-Length: 5\r\n", b"chunked", b"fffff"]),
            )
        )
    return bytes(stream)


async def assert_survives(streams: list[bytes]) -> None:
    calls: list[Request] = []

    def handler(request: Request):
        calls.append(request)
        return maybe_waiting(request)

    limits = {"header_timeout_seconds": 0.02, "body_timeout_seconds": 0.02, "idle_timeout_seconds": 0.02}
    async with serving(handler, linger_timeout_seconds=0.02, **limits) as (_, port):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(exchange(port, stream)) for stream in streams]
        for task in tasks:
            # Read until the server closed: no hang; and whatever it answered, it was not a 500.
            assert all(answer.status != 500 for answer in task.result())
        assert comparable(await exchange(port, LAST)) == [(200, b"GET /last? a ")]
    for request in calls:
        assert isinstance(request.body, bytes)
        assert not any(character in value for value in request.headers.values() for character in "\r\n\0")


@settings(max_examples=40, deadline=None)
@given(st.lists(mutations(), min_size=10, max_size=25))
def test_mutated_requests_never_hang_crash_or_fail_the_server(streams):
    run(lambda: assert_survives(streams))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=10, max_size=25))
def test_garbage_never_hangs_crashes_or_fails_the_server(streams):
    run(lambda: assert_survives(streams))
