"""The Runtime API's port by itself: whose requests it answers."""

import asyncio

import pytest

from forebay.runtimes.runtime_api import Listener


class Instance:
    """A handler that learns only after some questions whose connection it is."""

    def __init__(self, answers: list[bool | None]) -> None:
        self.answers = answers

    def body_bytes_max(self, *, streamed: bool) -> int:
        return 1024

    def owns_connection(self, local_port: int, peer_port: int) -> bool | None:
        return self.answers.pop(0)

    def on_next(self, poll) -> None:
        poll.answer([("Lambda-Runtime-Aws-Request-Id", "one")], b"{}")

    def on_poll_lost(self, poll) -> None:
        pass


async def ask(handler: Instance) -> bytes:
    listener = Listener(handler)
    host, _, port = (await listener.open()).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    closed = asyncio.Event()
    listener.close(closed.set)
    await asyncio.wait_for(closed.wait(), 10)
    return head.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([True], b"HTTP/1.1 200 OK"),
        ([False], b"HTTP/1.1 403 Forbidden"),
        # The runtime was quicker than the call that has started it.
        ([None, None, True], b"HTTP/1.1 200 OK"),
        ([None, False], b"HTTP/1.1 403 Forbidden"),
    ],
)
def test_only_the_instance_itself_is_answered(answers: list[bool | None], status: bytes):
    assert asyncio.run(ask(Instance(answers))) == status


def test_port_that_closes_before_it_knows_lets_go(caplog: pytest.LogCaptureFixture):
    async def main() -> None:
        handler = Instance([None] * 100)
        listener = Listener(handler)
        host, _, port = (await listener.open()).partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n")
        while len(handler.answers) == 100:
            await asyncio.sleep(0)
        closed = asyncio.Event()
        listener.close(closed.set)
        await asyncio.wait_for(closed.wait(), 10)
        left = len(handler.answers)
        await asyncio.sleep(0.05)
        assert len(handler.answers) == left
        writer.close()
        assert await reader.read() == b""

    asyncio.run(main())
    assert not caplog.records
