"""Long polling: first come first served, woken by commits and by the clock, and nothing taken by who has gone."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from forebay.core.clock import Clock
from forebay.services.sqs import limits
from forebay.services.sqs.waiting import WaitingRoom
from forebay.store.commands import (
    CountMessages,
    MessageCounts,
    NewMessage,
    PeekMessages,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.memory import MemoryStore

QUEUE = 7
NOW = 1_000_000.0


class HeldStore:
    """The memory store, but commits wait until they are let through: so a test sees what happens meanwhile."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.gate = asyncio.Event()
        self.gate.set()
        self.receives = 0

    async def submit(self, commands: Any) -> Any:
        await self.gate.wait()
        self.receives += isinstance(commands[0], ReceiveMessages)
        return await self._store.submit(commands)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Bench:
    def __init__(self) -> None:
        self.clock = Clock(frozen_at=NOW)
        self.store = HeldStore(MemoryStore())
        self.room = WaitingRoom(self.store, self.clock)  # pyright: ignore[reportArgumentType]
        self.sent = 0

    def receive(
        self, wait_seconds: float = 20.0, limit: int = 1, hidden_seconds: int = 30
    ) -> "asyncio.Task[list[str]]":
        async def prepare() -> ReceiveMessages:
            now_ms = int(self.clock.now() * 1000)
            return ReceiveMessages(QUEUE, now_ms, now_ms + hidden_seconds * 1000, limit, None, limits.IN_FLIGHT_MAX)

        async def run() -> list[str]:
            received = await self.room.receive(QUEUE, prepare, wait_seconds)
            return [message.body for message in received.messages]

        return asyncio.get_running_loop().create_task(run())

    async def send(self, *bodies: str, delay_seconds: int = 0) -> None:
        now_ms = int(self.clock.now() * 1000)
        messages = tuple(
            NewMessage(body, body, b"", now_ms, now_ms + delay_seconds * 1000, now_ms + 10**9) for body in bodies
        )
        await self.store._store.submit((SendMessages(QUEUE, messages),))

    async def count(self) -> MessageCounts:
        (counts,) = await self.store._store.submit((CountMessages(QUEUE, int(self.clock.now() * 1000)),))
        return counts


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


def scenario(body: Callable[[Bench], Any]) -> Callable[[], None]:
    def test() -> None:
        async def run() -> None:
            await asyncio.wait_for(body(Bench()), 10)

        asyncio.run(run())

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    return test


@scenario
async def test_a_message_that_is_there_is_returned_at_once(bench):
    await bench.send("a")
    assert await bench.receive() == ["a"]
    assert bench.room.waiting_count(QUEUE) == 0


@scenario
async def test_a_short_poll_of_an_empty_queue_does_not_wait(bench):
    assert await bench.receive(wait_seconds=0) == []


@scenario
async def test_a_commit_wakes_the_one_who_waits(bench):
    waiting = bench.receive()
    await settle()
    assert not waiting.done()
    await bench.send("a")
    assert await waiting == ["a"]


@scenario
async def test_the_wait_ends_with_its_time_and_not_before(bench):
    waiting = bench.receive(wait_seconds=20)
    await settle()
    bench.clock.advance(19.9)
    await settle()
    assert not waiting.done()
    bench.clock.advance(0.1)
    assert await waiting == []
    assert bench.room.waiting_count(QUEUE) == 0


@scenario
async def test_first_come_first_served(bench):
    waiting = [bench.receive() for _ in range(5)]
    await settle()
    for number in range(5):
        await bench.send(str(number))
        await settle()
        assert [task.done() for task in waiting] == [True] * (number + 1) + [False] * (4 - number)
    assert [await task for task in waiting] == [["0"], ["1"], ["2"], ["3"], ["4"]]


@scenario
async def test_a_newcomer_stands_behind_those_who_wait(bench):
    first = bench.receive()
    await settle()
    bench.store.gate.clear()
    await bench.send("a")
    newcomer = bench.receive()
    await settle()
    bench.store.gate.set()
    assert await first == ["a"]
    await settle()
    assert not newcomer.done()
    newcomer.cancel()


@scenario
async def test_one_commit_of_many_messages_serves_everyone(bench):
    waiting = [bench.receive(limit=2) for _ in range(20)]
    await settle()
    await bench.send(*(str(number) for number in range(40)))
    got = [await task for task in waiting]
    assert all(len(bodies) == 2 for bodies in got)
    assert sorted(int(body) for bodies in got for body in bodies) == list(range(40))


@scenario
async def test_one_message_calls_one_receiver_only(bench):
    waiting = [bench.receive() for _ in range(50)]
    await settle()
    before = bench.store.receives
    await bench.send("a")
    await settle()
    # The one who got it asked for one and got all of it, so two more look in vain.
    assert bench.store.receives - before <= 3
    assert sum(task.done() for task in waiting) == 1
    for task in waiting:
        task.cancel()


@scenario
async def test_a_delayed_message_wakes_when_its_delay_ends(bench):
    waiting = bench.receive()
    await settle()
    await bench.send("a", delay_seconds=5)
    await settle()
    bench.clock.advance(4.999)
    await settle()
    assert not waiting.done()
    bench.clock.advance(0.001)
    assert await waiting == ["a"]


@scenario
async def test_a_hidden_message_wakes_when_its_timeout_ends(bench):
    await bench.send("a")
    assert await bench.receive(hidden_seconds=7) == ["a"]
    waiting = bench.receive()
    await settle()
    bench.clock.advance(6.5)
    await settle()
    assert not waiting.done()
    bench.clock.advance(0.5)
    assert await waiting == ["a"]


@scenario
async def test_the_next_in_line_watches_the_clock_when_the_first_leaves(bench):
    first, second = bench.receive(wait_seconds=3), bench.receive(wait_seconds=20)
    await settle()
    await bench.send("a", delay_seconds=4)
    await settle()
    bench.clock.advance(3)
    assert await first == []
    await settle()
    bench.clock.advance(1)
    assert await second == ["a"]


@scenario
async def test_who_has_gone_takes_nothing(bench):
    gone, waiting = bench.receive(), bench.receive()
    await settle()
    gone.cancel()
    await settle()
    await bench.send("a")
    assert await waiting == ["a"]
    assert gone.cancelled()


@scenario
async def test_a_call_to_one_who_goes_is_passed_on(bench):
    gone, waiting = bench.receive(), bench.receive()
    await settle()
    await bench.send("a")
    # It has been called by the commit and has not run since.
    gone.cancel()
    assert await waiting == ["a"]


@scenario
async def test_what_was_received_for_one_who_went_meanwhile_is_visible_again(bench):
    await bench.send("a")
    bench.store.gate.clear()
    gone = bench.receive()
    await settle()
    gone.cancel()
    await settle()
    bench.store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await bench.count() == MessageCounts(visible=1, in_flight=0, delayed=0)
    assert await bench.receive(wait_seconds=0) == ["a"]


@scenario
async def test_the_first_in_line_looks_even_if_nobody_calls(bench):
    waiting = bench.receive()
    await settle()
    # A wake-up that is lost, as between nodes of a cluster: the message is there, and nobody was told.
    line = bench.room._lines[QUEUE]
    line.unlisten()
    await bench.send("a")
    await settle()
    assert not waiting.done()
    bench.clock.advance(limits.LOOK_SECONDS)
    assert await waiting == ["a"]


@scenario
async def test_an_empty_line_is_forgotten(bench):
    waiting = bench.receive()
    await settle()
    assert bench.room.waiting_count(QUEUE) == 1
    waiting.cancel()
    await settle()
    assert bench.room._lines == {}
    assert bench.store._store._hub._listeners == {}


@scenario
async def test_nothing_spins_while_everyone_waits(bench):
    tasks = [bench.receive() for _ in range(3)]
    await bench.send("x", delay_seconds=10)
    await settle()
    before = bench.store.receives
    await settle()
    await settle()
    assert bench.store.receives == before
    for task in tasks:
        task.cancel()


@scenario
async def test_messages_are_neither_lost_nor_given_twice_under_cancellation(bench):
    got: list[str] = []
    for round_number in range(40):
        tasks = [bench.receive(limit=2, hidden_seconds=40_000) for _ in range(6)]
        await asyncio.sleep(0)
        await bench.send(*(f"{round_number}-{number}" for number in range(5)))
        for task in tasks[round_number % 3 :: 3]:
            task.cancel()
        await settle()
        for task in tasks:
            task.cancel()
        await settle()
        got += [body for task in tasks if not task.cancelled() for body in task.result()]
    while bodies := await bench.receive(wait_seconds=0, limit=10):
        got += bodies
    expected = [f"{round_number}-{number}" for round_number in range(40) for number in range(5)]
    assert sorted(got) == sorted(expected)
    left = await bench.store._store.view(lambda view: view.ask(PeekMessages(QUEUE, 0, 1000)))
    assert len(left) == len(expected)
