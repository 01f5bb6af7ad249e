"""Reading streams in order, with a source and a target that do as they are told, under a clock that is stepped."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery import stream_gathering
from forebay.delivery.contract import Delivery, SourceRecord
from forebay.delivery.outbox import Deliveries
from forebay.delivery.poller import Batch, Busy, Failed, Taken
from forebay.delivery.stream import (
    Discarded,
    Progress,
    Reading,
    Step,
    Streamed,
    StreamSettings,
    lane_of,
    step_after,
    too_old,
)
from forebay.delivery.stream_reader import StreamReader
from forebay.delivery.trace import Trace
from forebay.store.memory import MemoryStore

NOW = 1_000_000.0


def streamed(position: int, group: str = "g", at_ms: int = 0) -> Streamed:
    data = {"dynamodb": {"SizeBytes": 10}}
    return Streamed(position, at_ms, "shard", SourceRecord(f"r{position}", data, group))


def read(**more: Any) -> StreamSettings:
    return StreamSettings(starting_position="TRIM_HORIZON", **more)


BATCH = [streamed(3), streamed(5), streamed(6), streamed(9)]


def test_taken_batch_is_done():
    assert step_after(Progress(2, (10, 20), 3), BATCH, 10, Taken(), read()) == Step(Progress(10, (20,)))


def test_failed_batch_comes_again_as_it_was():
    step = step_after(Progress(2), BATCH, 10, Failed("E"), read())
    assert step == Step(Progress(2, (10,), 1))
    assert step_after(step.progress, BATCH, 10, Failed("E"), read()) == Step(Progress(2, (10,), 2))


def test_failed_batch_is_halved_without_counting():
    step = step_after(Progress(2, (), 1), BATCH, 10, Failed("E"), read(bisects=True, retries_max=1))
    assert step == Step(Progress(2, (5, 10), 1))
    assert step_after(Progress(2, (3, 10)), BATCH[:1], 3, Failed("E"), read(bisects=True)) == Step(
        Progress(2, (3, 10), 1)
    )


def test_partial_failure_begins_again_at_its_lowest_record():
    step = step_after(Progress(2, (), 4), BATCH, 10, Taken(frozenset({"r9", "r6"})), read())
    assert step == Step(Progress(5, (10,), 1))
    again = step_after(step.progress, BATCH[2:], 10, Taken(frozenset({"r6"})), read())
    assert again == Step(Progress(5, (10,), 2))


def test_what_has_failed_too_often_is_discarded():
    step = step_after(Progress(2, (10, 20), 2), BATCH, 10, Failed("E"), read(retries_max=2))
    assert step.progress == Progress(10, (20,))
    assert step.discarded == Discarded(tuple(BATCH), "RetryAttemptsExhausted", 3, Failed("E"))
    partial = step_after(Progress(2), BATCH, 10, Taken(frozenset({"r5"})), read(retries_max=0))
    assert partial.discarded is not None
    assert partial.discarded.records == tuple(BATCH[1:])


def test_only_the_first_records_of_a_batch_can_be_too_old():
    records = [streamed(1, at_ms=0), streamed(2, at_ms=50_000), streamed(3, at_ms=1_000)]
    assert too_old(records, 100_000, read()) == ()
    assert too_old(records, 100_000, read(age_seconds_max=60)) == records[:1]
    assert too_old(records, 200_000, read(age_seconds_max=60)) == records


class FakeStream:
    """A stream that is all there."""

    topic = ("log", "stream")

    def __init__(self, records: Sequence[Streamed]) -> None:
        self.records = records

    async def read(self, after: int, limit: int, from_ms: int) -> Sequence[Streamed]:
        return [one for one in self.records if one.position > after and one.at_ms >= from_ms][:limit]

    async def last_position(self) -> int:
        return self.records[-1].position


class PoisonedTarget:
    """Fails on some records; reports which, or not. Remembers what it has taken."""

    def __init__(self, poison: set[str], *, reports: bool, busy: int) -> None:
        self.poison = poison
        self.reports = reports
        self.busy = busy
        self.taken: list[SourceRecord] = []
        self.told: list[Discarded] = []
        self.sizes: list[int] = []

    async def find_problem(self) -> str | None:
        return None

    async def take(self, batch: Batch, window: object = None) -> Any:
        assert window is None
        self.sizes.append(len(batch.records))
        if self.busy:
            self.busy -= 1
            return Busy("TooManyRequests")
        failed = [record.record_id for record in batch.records if record.record_id in self.poison]
        if failed and not self.reports:
            return Failed("Poisoned")
        # What is behind the lowest failure comes again.
        good = [record for record in batch.records if not failed or record.record_id < failed[0]]
        self.taken += good
        return Taken(frozenset(failed))

    async def tell(self, discarded: Discarded, destination: str) -> Sequence[Delivery]:
        assert destination
        self.told.append(discarded)
        return ()


async def run_reader(
    stream: FakeStream, target: PoisonedTarget, reading: Reading, store: MemoryStore, count: int
) -> None:
    """Read until so many records are taken or told of."""
    clock = Clock(NOW)

    async def nobody(_: str) -> None:
        return None

    async def open_source() -> FakeStream:
        return stream

    async with asyncio.TaskGroup() as group:
        reader = StreamReader(
            reading,
            open_source,
            target,
            store=store,
            clock=clock,
            ids=Ids(),
            spawn=lambda step: group.create_task(step) and None,
            deliveries=Deliveries(clock, Trace(store, 60), nobody, nobody),
        )

        async def work() -> None:
            while not reader.stopping.is_set():
                await clock.sleep(min(await reader.run_once(), 60.0))

        group.create_task(work())
        steps = 0
        while len(target.taken) + sum(len(one.records) for one in target.told) < count:
            await let_time_pass(clock, 0.5)
            steps += 1
            assert steps < 3000
        # What was handed over last is settled yet.
        await let_time_pass(clock, 0.5)
        reader.stopping.set()
        for _ in range(5):
            await let_time_pass(clock, 60)


async def let_time_pass(clock: Clock, seconds: float) -> None:
    for _ in range(15):
        await asyncio.sleep(0)
    clock.advance(seconds)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=25),
    poison=st.sets(st.integers(0, 24), max_size=4),
    batch_size=st.integers(1, 8),
    lanes=st.integers(1, 4),
    reports=st.booleans(),
    bisects=st.booleans(),
    busy=st.integers(0, 3),
)
def test_every_record_is_taken_in_order_or_told_of(
    groups: list[str], poison: set[int], batch_size: int, lanes: int, *, reports: bool, bisects: bool, busy: int
):
    records = [streamed(1000 + 2 * number, group) for number, group in enumerate(groups)]
    target = PoisonedTarget({f"r{1000 + 2 * number}" for number in poison}, reports=reports, busy=busy)
    settings_ = read(lanes=lanes, bisects=bisects, retries_max=1, on_failure="arn:aws:sqs:us-east-1:000000000000:q")
    reading = Reading(id="x", source="s", target="t", stream=settings_, batch_size=batch_size)
    asyncio.run(run_reader(FakeStream(records), target, reading, MemoryStore(), len(records)))
    told = [one.record.record_id for discarded in target.told for one in discarded.records]
    taken = [record.record_id for record in target.taken]
    assert sorted(taken + told) == sorted(one.record.record_id for one in records)
    assert target.poison & {one.record.record_id for one in records} <= set(told)
    if bisects and not reports:
        assert set(told) <= target.poison
    for group in set(groups):
        of_group = [record.record_id for record in target.taken if record.group == group]
        assert of_group == sorted(of_group)


@pytest.mark.parametrize(("lanes", "others"), [(1, 1), (3, 3), (3, 2), (1, 4)])
def test_reader_goes_on_where_the_last_one_was(lanes: int, others: int):
    async def scenario() -> None:
        store = MemoryStore()
        records = [streamed(number, f"g{number}") for number in range(1, 10)]
        first, second = (PoisonedTarget(set(), reports=False, busy=0) for _ in range(2))
        reading = Reading(id="x", source="s", target="t", stream=read(lanes=lanes), batch_size=10)
        await run_reader(FakeStream(records[:7]), first, reading, store, 7)
        assert len(first.taken) == 7
        reading = Reading(id="x", source="s", target="t", stream=read(lanes=others), batch_size=2)
        await run_reader(FakeStream(records), second, reading, store, 2)
        assert sorted(record.record_id for record in second.taken) == ["r8", "r9"]

    asyncio.run(scenario())


def test_payload_is_bounded(monkeypatch: pytest.MonkeyPatch):
    size = len(json.dumps(streamed(1).record.data, separators=(",", ":"))) + 1
    monkeypatch.setattr(stream_gathering, "PAYLOAD_BYTES_MAX", 64 + 3 * size)

    async def scenario() -> None:
        target = PoisonedTarget(set(), reports=False, busy=0)
        reading = Reading(id="x", source="s", target="t", stream=read(), batch_size=100)
        records = [streamed(number) for number in range(1, 9)]
        await run_reader(FakeStream(records), target, reading, MemoryStore(), 8)
        assert target.sizes == [3, 3, 2]

    asyncio.run(scenario())


def test_a_group_has_one_lane():
    assert {lane_of("key", 1), lane_of(None, 1)} == {0}
    assert lane_of("key", 7) == lane_of("key", 7) < 7
