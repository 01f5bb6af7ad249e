"""Firing and group deletion on the store in memory, with other nodes getting in between."""

import asyncio

import msgspec
import pytest

from forebay.api import scheduler as api
from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Accepted
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Trace
from forebay.services.scheduler.firing import KIND, timer_of
from forebay.services.scheduler.group import GROUP, GroupAddress, ScheduleGroup
from forebay.services.scheduler.schedule import SCHEDULE, Schedule, first_due_at
from forebay.services.scheduler.workers import DELETE_KIND, Firings, GroupDeletion
from forebay.store.commands import AppendLog, CountTimers, DeleteTimers, LogEntry, PutTimers, ReadLog, Timer
from forebay.store.memory import MemoryStore

NOW = 1_800_057_600.0
ADDRESS = GroupAddress("000000000000", "us-east-1", "g")
ROLE = "arn:aws:iam::000000000000:role/r"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


class Book:
    """A target that notes what it is given, in the commit that gives it."""

    async def accept(self, delivery):
        return Accepted([AppendLog("book", (LogEntry(0, delivery.payload.encode()),))])

    async def deliver(self, _delivery):
        raise AssertionError("nothing is deferred here")


class Interrupted:
    """The store as a slow node sees it: something happens between its claim and its commit."""

    def __init__(self, store, meanwhile):
        self._store = store
        self._meanwhile = meanwhile

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def view(self, work):
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await self._store.view(work)


class Bench:
    """A store, and workers of several nodes on it."""

    def __init__(self):
        self.store, self.clock, self.ids = MemoryStore(), Clock(NOW), Ids(1)

    def worker(self, meanwhile=None):
        store = self.store if meanwhile is None else Interrupted(self.store, meanwhile)
        trace = Trace(self.store, 0)
        deliveries = Deliveries(self.clock, trace, self._target, self._sender)
        return Firings(store, self.clock, self.ids, deliveries, trace)

    async def put(self, expression, name="s", **members):
        target = api.Target(arn=QUEUE, role_arn=ROLE, input="<aws.scheduler.scheduled-time>")
        window = api.FlexibleTimeWindow(mode="OFF")
        given = {"expression": expression, "target": target, "window": window, "counted_from": NOW, **members}
        schedule = Schedule(group=ADDRESS, name=name, **given)
        timer = timer_of(schedule, first_due_at(schedule), self.ids)

        def put(transaction):
            transaction.records.put(SCHEDULE, schedule.key(), schedule)
            transaction.apply(PutTimers((timer,)))

        await self.store.transact(put)
        return schedule

    async def sent(self):
        entries = await self.store.view(lambda view: view.ask(ReadLog("book", 1_000)))
        return [entry.data.decode() for entry in entries]

    async def _target(self, _service):
        return Book()

    async def _sender(self, _service):
        return None


def run(test):
    return asyncio.run(test(Bench()))


def test_firing_says_when_it_is_due_again():
    async def test(bench):
        await bench.put("at(2027-01-16T00:00:30)")
        assert await bench.worker().run_once() == 5.0
        bench.clock.advance(30)
        assert await bench.worker().run_once() == IDLE
        assert await bench.sent() == ["2027-01-16T00:00:30Z"]

    run(test)


def test_occurrence_that_another_node_fired_meanwhile_is_not_fired_again():
    async def test(bench):
        await bench.put("rate(1 hour)")

        async def fired_elsewhere():
            bench.clock.advance(61)
            await bench.worker().run_once()

        await bench.worker(fired_elsewhere).run_once()
        assert await bench.sent() == ["2027-01-16T00:00:00Z"]

    run(test)


def test_two_nodes_at_once_fire_each_occurrence_once():
    async def test(bench):
        for number in range(150):
            await bench.put("rate(1 hour)", f"s{number}")
        first, second = bench.worker(), bench.worker()
        for _ in range(3):
            await asyncio.gather(first.run_once(), second.run_once(), first.run_once())
            bench.clock.advance(3_600)
        assert len(await bench.sent()) == 450

    run(test)


def test_node_that_died_holding_a_claim_is_stood_in_for():
    async def test(bench):
        await bench.put("rate(1 hour)")

        async def dies():
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await bench.worker(dies).run_once()
        await bench.worker().run_once()
        assert await bench.sent() == []
        bench.clock.advance(61)
        await bench.worker().run_once()
        assert await bench.sent() == ["2027-01-16T00:00:00Z"]

    run(test)


@pytest.mark.parametrize("what", ["deleted", "changed"])
def test_schedule_that_is_deleted_or_changed_meanwhile_is_not_fired(what):
    async def test(bench):
        schedule = await bench.put("rate(1 hour)")

        async def delete():
            def delete(transaction):
                transaction.records.delete(SCHEDULE, schedule.key())
                transaction.apply(DeleteTimers(KIND, (schedule.key(),)))

            await bench.store.transact(delete)

        async def change():
            await bench.put("at(2027-02-01T00:00:00)")

        await bench.worker(delete if what == "deleted" else change).run_once()
        assert await bench.sent() == []
        left = await bench.store.view(lambda view: view.ask(CountTimers(KIND)))
        assert left == (what == "changed")

    run(test)


def test_completed_schedule_is_deleted_only_where_that_is_asked():
    async def test(bench):
        stays = await bench.put("at(2027-01-16T00:01:00)", "stays")
        goes = await bench.put("at(2027-01-16T00:01:00)", "goes", after_completion="DELETE")
        bench.clock.advance(60)
        assert await bench.worker().run_once() == IDLE
        assert len(await bench.sent()) == 2
        assert await bench.store.find(SCHEDULE, stays.key()) == stays
        assert await bench.store.find(SCHEDULE, goes.key()) is None

    run(test)


def test_large_group_is_deleted_in_steps_that_survive_a_crash(monkeypatch):
    monkeypatch.setattr("forebay.services.scheduler.limits.DELETE_BATCH", 4)

    async def test(bench):
        for number in range(10):
            await bench.put("rate(1 hour)", f"s{number}")
        group = ScheduleGroup(address=ADDRESS, created_at=NOW, modified_at=NOW, state="DELETING")

        def begin(transaction):
            transaction.records.put(GROUP, ADDRESS.key(), group)
            transaction.apply(PutTimers((Timer(DELETE_KIND, ADDRESS.key(), int(NOW * 1000), b""),)))

        await bench.store.transact(begin)
        steps = 1
        # Each step by a worker that knows nothing of the one before.
        while await GroupDeletion(bench.store, bench.clock).run_once() == 0.0:
            steps += 1
        assert steps == 3
        assert await bench.store.find(GROUP, ADDRESS.key()) is None
        assert await bench.store.view(lambda view: view.records.list(SCHEDULE)) == []
        assert await bench.store.view(lambda view: view.ask(CountTimers(KIND))) == 0

    run(test)


def test_window_is_chosen_anew_for_each_occurrence():
    window = api.FlexibleTimeWindow(mode="FLEXIBLE", maximum_window_in_minutes=10)
    target = api.Target(arn=QUEUE, role_arn=ROLE)
    schedule = Schedule(group=ADDRESS, name="s", expression="rate(1 hour)", target=target, window=window)
    ids = Ids(1)
    puts_off = {timer_of(schedule, NOW, ids).due_at_ms - int(NOW * 1000) for _ in range(50)}
    assert len(puts_off) > 40
    assert all(0 <= late_ms <= 600_000 for late_ms in puts_off)
    fixed = msgspec.structs.replace(schedule, window=api.FlexibleTimeWindow(mode="OFF"))
    assert timer_of(fixed, NOW, ids).due_at_ms == int(NOW * 1000)
