"""The clock: frozen, stepped, resumed; whoever waits is woken when time arrives."""

import asyncio

import pytest

from forebay.core.clock import Clock


def test_frozen_clock_stands_until_advanced():
    clock = Clock(frozen_at=100.0)
    assert clock.now() == 100.0
    clock.advance(14 * 86_400)
    assert clock.now() == 100.0 + 14 * 86_400


def test_resumed_clock_runs_on_from_where_it_stood():
    clock = Clock(frozen_at=100.0)
    clock.resume()
    assert 100.0 <= clock.now() < 101.0
    assert not clock.is_frozen


def test_advancing_a_running_clock_shifts_it():
    clock = Clock()
    before = clock.now()
    clock.advance(3_600)
    assert clock.now() - before >= 3_600


@pytest.mark.parametrize("waits", [1, 3])
def test_sleepers_wake_in_order_of_their_time(waits):
    async def main():
        clock = Clock(frozen_at=0.0)
        woken = []

        async def sleep(seconds):
            await clock.sleep(seconds)
            woken.append(seconds)

        async with asyncio.TaskGroup() as group:
            for seconds in range(waits, 0, -1):
                group.create_task(sleep(seconds))
            for step in range(1, waits + 1):
                await asyncio.sleep(0)
                assert clock.next_due_at() == step
                clock.advance(1.0)
                while len(woken) < step:
                    await asyncio.sleep(0)
        assert woken == list(range(1, waits + 1))

    asyncio.run(main())


def test_wait_ends_when_the_event_is_set():
    async def main():
        clock, event = Clock(frozen_at=0.0), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(clock.wait(event, 60.0))
            await asyncio.sleep(0)
            event.set()
        assert waiting.result() is True
        assert clock.next_due_at() is None

    asyncio.run(main())


def test_wait_ends_when_the_time_is_up():
    async def main():
        clock, event = Clock(frozen_at=0.0), asyncio.Event()
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            waiting = group.create_task(clock.wait(event, 60.0))
            while clock.next_due_at() is None:
                await asyncio.sleep(0)
            clock.advance(60.0)
        assert waiting.result() is False

    asyncio.run(main())


def test_wait_can_be_cancelled():
    async def main():
        clock = Clock(frozen_at=0.0)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(clock.wait(asyncio.Event(), 60.0))
            await asyncio.sleep(0)
            waiting.cancel()
        assert waiting.cancelled()

    asyncio.run(main())
