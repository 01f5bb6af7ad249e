"""The timers that workers claim: one worker has each, until it is settled or its lease lapses."""

import asyncio

from forebay.background.due_timers import DueTimers
from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.store.commands import PutTimers, Settlement, SettleTimers, Timer
from forebay.store.memory import MemoryStore

KIND = "tests.due"


def timers(*due_at_seconds):
    return PutTimers(tuple(Timer(KIND, f"{number}", due * 1000, b"") for number, due in enumerate(due_at_seconds)))


def run(scenario):
    async def main():
        clock = Clock()
        clock.freeze(1_000.0)
        store = MemoryStore()
        due = DueTimers(store, clock, KIND, batch=2, lease_seconds=30.0, poll_seconds=60.0)
        await scenario(store, clock, due)

    asyncio.run(main())


def test_nothing_to_do_waits_for_a_wake_up():
    async def scenario(_store, _clock, due):
        assert await due.claim() == ()
        assert await due.claim_one() is None
        assert await due.seconds_until_next() == IDLE

    run(scenario)


def test_full_batch_leaves_more_that_is_due_now():
    async def scenario(store, _clock, due):
        await store.submit((timers(999, 998, 997),))
        assert [timer.key for timer in await due.claim()] == ["2", "1"]
        assert await due.seconds_until_next() == 0.0
        assert (await due.claim_one()).key == "0"

    run(scenario)


def test_claimed_timer_is_due_again_when_its_lease_lapses():
    async def scenario(store, clock, due):
        await store.submit((timers(1_000),))
        (timer,) = await due.claim()
        assert await due.claim() == ()
        assert await due.seconds_until_next() == 30.0
        clock.advance(30.0)
        (again,) = await due.claim()
        assert again.epoch > timer.epoch
        await store.submit((SettleTimers(KIND, (Settlement(again.key, again.epoch),)),))
        assert await due.seconds_until_next() == IDLE

    run(scenario)


def test_far_timer_is_looked_for_again_before_it_is_due():
    async def scenario(store, _clock, due):
        await store.submit((timers(1_010, 5_000),))
        assert await due.seconds_until_next() == 10.0
        await store.submit((timers(5_000, 5_000),))
        assert await due.seconds_until_next() == 60.0

    run(scenario)
