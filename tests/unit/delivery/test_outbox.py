"""Deliveries from acceptance to their end: in the sender's commit, by the outbox, to a dead letter."""

import asyncio

import msgspec

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import (
    Accepted,
    Deferred,
    Delivered,
    Delivery,
    Exhausted,
    Rejected,
    Retry,
    RetryPolicy,
)
from forebay.delivery.outbox import KIND, Deliveries, Dispatcher, DispatcherLimits
from forebay.delivery.trace import Step, Trace
from forebay.store.commands import AppendLog, ClaimTimers, CountTimers, LogEntry, ReadLog
from forebay.store.memory import MemoryStore

RULE = "arn:aws:events:eu-west-1:111122223333:rule/r"


class Box:
    """A target inside the store: accepts by appending to a log."""

    async def accept(self, delivery):
        return Accepted([AppendLog(f"box/{delivery.target}", (LogEntry(0, delivery.payload.encode()),))])

    async def deliver(self, delivery):
        raise AssertionError("accepted at once")


class Outside:
    """A target outside the store, with outcomes to give in turn; the last one repeats."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.seen = []
        self.entered = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def accept(self, _delivery):
        return Deferred()

    async def deliver(self, delivery):
        self.seen.append(delivery)
        self.entered.set()
        await self.may_finish.wait()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Rules:
    """A sender that dead-letters into a box."""

    def __init__(self):
        self.settled = []

    async def follow_up(self, delivery, settled):
        self.settled.append(settled)
        if isinstance(settled, Delivered) or delivery.dead_letter is None:
            return []
        letter = msgspec.structs.replace(
            delivery, delivery_id=f"{delivery.delivery_id}-dead", target=delivery.dead_letter, dead_letter=None
        )
        return [letter]


class Bench:
    """What a node gives to deliveries, with the store's oracle and a clock that stands."""

    def __init__(self, **targets):
        self.clock = Clock(frozen_at=1_000.0)
        self.ids = Ids(seed=1)
        self.store = MemoryStore()
        self.rules = Rules()
        self.trace = Trace(self.store, retention_seconds=3_600)
        self.targets = {"box": Box(), **targets}
        self.deliveries = Deliveries(self.clock, self.trace, self.find_target, self.find_sender)
        self.tasks = set()
        self.dispatcher = self.new_dispatcher()

    def new_dispatcher(self, **limits):
        return Dispatcher(
            self.store, self.clock, self.ids, self.deliveries, self.spawn, limits=DispatcherLimits(**limits)
        )

    def spawn(self, step):
        task = asyncio.get_running_loop().create_task(step)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def find_target(self, service):
        return self.targets.get(service)

    async def find_sender(self, service):
        return self.rules if service == "events" else None

    async def send(self, target, **changes):
        delivery = Delivery(
            changes.pop("delivery_id", "d1"),
            RULE,
            f"arn:aws:{target}:eu-west-1:111122223333:t",
            '{"a":1}',
            self.clock.now(),
            changes.pop("retry", RetryPolicy(2, 3_600.0)),
            event_id="e1",
            **changes,
        )
        await self.store.submit(await self.deliveries.commands_for([delivery]))
        return delivery

    async def dispatch(self):
        """Run the dispatcher once and everything that it starts."""
        pause_seconds = await self.dispatcher.run_once()
        while self.tasks:
            await asyncio.wait(self.tasks)
        return pause_seconds

    async def box(self, target):
        query = ReadLog(f"box/arn:aws:box:eu-west-1:111122223333:{target}", limit=10)
        return [entry.data for entry in await self.store.view(lambda view: view.ask(query))]

    async def pending(self):
        return await self.store.view(lambda view: view.ask(CountTimers(KIND)))

    async def path(self):
        return [step.what for step in await self.trace.path("e1")]


def run(test):
    async def bounded():
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


def test_target_in_the_store_has_it_with_the_senders_commit():
    async def test():
        bench = Bench()
        await bench.send("box")
        assert await bench.box("t") == [b'{"a":1}']
        assert await bench.pending() == 0
        assert await bench.path() == ["delivered"]

    run(test)


def test_target_outside_gets_it_from_the_outbox():
    async def test():
        outside = Outside(Delivered())
        bench = Bench(web=outside)
        await bench.send("web")
        assert await bench.pending() == 1
        await bench.dispatch()
        assert [delivery.payload for delivery in outside.seen] == ['{"a":1}']
        assert await bench.pending() == 0
        assert await bench.path() == ["deferred", "delivered"]
        assert bench.rules.settled == [Delivered()]

    run(test)


def test_failed_delivery_comes_again_after_its_back_off():
    async def test():
        outside = Outside(Retry("BUSY", "not now"), Delivered())
        bench = Bench(web=outside)
        await bench.send("web")
        await bench.dispatch()
        await bench.dispatch()
        assert len(outside.seen) == 1
        bench.clock.advance(1.0)
        await bench.dispatch()
        assert [(delivery.attempts, delivery.last_code) for delivery in outside.seen] == [(1, ""), (2, "BUSY")]
        assert await bench.path() == ["deferred", "retried", "delivered"]

    run(test)


def test_used_up_retries_end_in_a_dead_letter():
    async def test():
        outside = Outside(Retry("BUSY", "not now"))
        bench = Bench(web=outside)
        await bench.send("web", dead_letter="arn:aws:box:eu-west-1:111122223333:dead")
        for _ in range(5):
            await bench.dispatch()
            bench.clock.advance(10.0)
        assert len(outside.seen) == 3
        assert bench.rules.settled[0] == Exhausted("MaximumRetryAttempts", "BUSY", "not now")
        assert await bench.box("dead") == [b'{"a":1}']
        assert await bench.pending() == 0
        assert await bench.path() == ["deferred", "retried", "retried", "exhausted", "delivered"]

    run(test)


def test_rejection_is_dead_lettered_at_once():
    async def test():
        outside = Outside(Rejected("GONE", "no such thing"))
        bench = Bench(web=outside)
        await bench.send("web", dead_letter="arn:aws:box:eu-west-1:111122223333:dead")
        await bench.dispatch()
        assert len(outside.seen) == 1
        assert await bench.box("dead") == [b'{"a":1}']

    run(test)


def test_target_of_an_unknown_service_is_rejected_in_the_senders_commit():
    async def test():
        bench = Bench()
        await bench.send("nothing", dead_letter="arn:aws:box:eu-west-1:111122223333:dead")
        assert bench.rules.settled[0].code == "NO_SUCH_TARGET"
        assert await bench.box("dead") == [b'{"a":1}']

    run(test)


def test_bug_in_a_target_is_a_retry():
    async def test():
        bench = Bench(web=Outside(ValueError("a bug"), Delivered()))
        await bench.send("web")
        await bench.dispatch()
        assert await bench.pending() == 1
        bench.clock.advance(1.0)
        await bench.dispatch()
        assert await bench.pending() == 0

    run(test)


def test_delivery_of_a_dead_dispatcher_is_found_by_another():
    async def test():
        outside = Outside(Delivered())
        bench = Bench(web=outside)
        await bench.send("web")
        # It claims, and is never heard of again.
        now_ms = int(bench.clock.now() * 1000)
        await bench.store.submit([ClaimTimers(KIND, now_ms, now_ms + 60_000, 10)])
        await bench.dispatch()
        assert outside.seen == []
        bench.clock.advance(61.0)
        await bench.dispatch()
        assert len(outside.seen) == 1
        assert await bench.pending() == 0

    run(test)


def test_stopped_dispatcher_gives_its_deliveries_back_at_once():
    async def test():
        outside = Outside(Delivered())
        outside.may_finish.clear()
        bench = Bench(web=outside)
        await bench.send("web")
        await bench.dispatcher.run_once()
        await outside.entered.wait()
        for task in list(bench.tasks):
            task.cancel()
        await asyncio.wait(bench.tasks)
        outside.may_finish.set()
        bench.dispatcher = bench.new_dispatcher()
        await bench.dispatch()
        assert [delivery.attempts for delivery in outside.seen] == [1, 1]
        assert await bench.pending() == 0

    run(test)


def test_lost_lease_leaves_the_dead_letter_to_the_new_holder():
    async def test():
        outside = Outside(Rejected("GONE", "no such thing"))
        outside.may_finish.clear()
        bench = Bench(web=outside)
        await bench.send("web", dead_letter="arn:aws:box:eu-west-1:111122223333:dead")
        await bench.dispatcher.run_once()
        await outside.entered.wait()
        # The clock jumps past the lease before it could be extended, and another dispatcher claims.
        later_ms = int(bench.clock.now() * 1000) + 61_000
        await bench.store.submit([ClaimTimers(KIND, later_ms, later_ms + 60_000, 10)])
        outside.may_finish.set()
        await asyncio.wait(bench.tasks)
        assert await bench.box("dead") == []
        assert await bench.pending() == 1

    run(test)


def test_lease_of_a_slow_delivery_is_extended():
    async def test():
        outside = Outside(Delivered())
        outside.may_finish.clear()
        bench = Bench(web=outside)
        await bench.send("web")
        await bench.dispatcher.run_once()
        await outside.entered.wait()
        other = bench.new_dispatcher()
        for _ in range(10):
            bench.clock.advance(20.0)
            for _ in range(5):
                await asyncio.sleep(0)
        await other.run_once()
        assert len(outside.seen) == 1
        outside.may_finish.set()
        await asyncio.wait(bench.tasks)
        assert await bench.pending() == 0

    run(test)


def test_dispatcher_takes_no_more_than_it_has_room_for():
    async def test():
        outside = Outside(Delivered())
        outside.may_finish.clear()
        bench = Bench(web=outside)
        bench.dispatcher = bench.new_dispatcher(in_flight_max=3)
        for number in range(5):
            await bench.send("web", delivery_id=f"d{number}")
        assert await bench.dispatcher.run_once() == 0.0
        waiting = asyncio.get_running_loop().create_task(bench.dispatcher.run_once())
        while len(outside.seen) < 3:
            await asyncio.sleep(0)
        assert not waiting.done()
        outside.may_finish.set()
        await waiting
        while await bench.pending():
            await bench.dispatch()
        assert len(outside.seen) == 5

    run(test)


def test_steps_are_forgotten_where_tracing_is_off():
    async def test():
        trace = Trace(MemoryStore(), retention_seconds=0)
        assert trace.record("e1", [Step(0.0, "received")]) == []

    run(test)
