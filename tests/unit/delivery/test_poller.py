"""Pollers with a source and a target that do as they are told, under a clock that stands."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.api import sqs as sqs_api
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import SourceRecord
from forebay.delivery.pace import CONCURRENCY_FIRST, CONCURRENCY_MAX, CONCURRENCY_QUIET, Pace
from forebay.delivery.poller import (
    PAYLOAD_BYTES_MAX,
    Batch,
    Busy,
    Failed,
    Poller,
    PollerSettings,
    Taken,
    cut,
    is_wanted,
    parse_failures,
)
from forebay.delivery.trace import Trace
from forebay.languages.event_pattern import LAMBDA, parse_pattern
from forebay.store.memory import MemoryStore

NOW = 1_000.0


def record(number: int, body: str = "x") -> SourceRecord:
    data = {"messageId": f"m{number}", "body": body, "attributes": {"ApproximateReceiveCount": "2"}}
    return SourceRecord(f"m{number}", data, None, number)


class FakeSource:
    """Gives what is put in; waits as long as it is told to for more."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting: list[SourceRecord] = []
        self.arrived = asyncio.Event()
        self.asked: list[tuple[int, float]] = []
        self.succeeded: list[str] = []
        self.failed: list[str] = []
        self.settled = asyncio.Event()
        self.error: Exception | None = None

    def put(self, *records: SourceRecord) -> None:
        self.waiting += records
        self.arrived.set()

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[SourceRecord]:
        self.asked.append((limit, wait_seconds))
        if self.error is not None:
            raise self.error
        if not self.waiting:
            self.arrived.clear()
            await self.clock.wait(self.arrived, wait_seconds)
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    async def settle(self, succeeded: Sequence[SourceRecord], failed: Sequence[SourceRecord]) -> None:
        self.succeeded += [done.record_id for done in succeeded]
        self.failed += [lost.record_id for lost in failed]
        self.settled.set()


class FakeTarget:
    """Answers in turn; the last answer repeats. Batches wait at the gate while it is shut."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes or [Taken()])
        self.batches: list[Batch] = []
        self.problem: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def find_problem(self) -> str | None:
        return self.problem

    async def take(self, batch: Batch) -> Any:
        self.batches.append(batch)
        self.entered.set()
        await self.gate.wait()
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


class Bench:
    def __init__(self, group: asyncio.TaskGroup, *outcomes: Any, **settings: Any) -> None:
        self.group = group
        self.clock = Clock(frozen_at=NOW)
        self.source = FakeSource(self.clock)
        self.target = FakeTarget(*outcomes)
        self.store = MemoryStore()
        self.trace = Trace(self.store, 3600)
        self.is_there = True
        self.poller = Poller(
            PollerSettings(name="p", source="arn:queue", target="arn:function", **settings),
            self.open,
            self.target,
            store=self.store,
            clock=self.clock,
            ids=Ids(1),
            spawn=self.spawn,
            trace=self.trace,
        )

    async def open(self) -> FakeSource | None:
        return self.source if self.is_there else None

    def spawn(self, step: Any) -> None:
        self.group.create_task(step)

    async def idle(self) -> None:
        """Let every step that can go on do so."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def whats(self, message_id: str) -> list[tuple[str, str, int]]:
        return [(step.what, step.code, step.attempt) for step in await self.trace.path(message_id)]


def run(test: Callable[[Bench], Awaitable[None]], *outcomes: Any, **settings: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            await test(Bench(group, *outcomes, **settings))

    asyncio.run(main())


def test_batch_is_handed_over_and_settled():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1), record(2))
        assert await bench.poller.run_once() == 0.0
        await bench.idle()
        (batch,) = bench.target.batches
        assert json.loads(bytes(batch.texts[0]))["messageId"] == "m1"
        assert bench.source.succeeded == ["m1", "m2"]
        assert await bench.whats("m1") == [("delivered", "", 2)]

    run(test)


def test_failed_batch_is_given_back_whole():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1), record(2))
        await bench.poller.run_once()
        await bench.idle()
        assert (bench.source.succeeded, bench.source.failed) == ([], ["m1", "m2"])
        assert await bench.whats("m1") == [("rejected", "Boom", 2)]

    run(test, Failed("Boom"))


def test_partly_failed_batch_is_given_back_in_part():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1), record(2))
        await bench.poller.run_once()
        await bench.idle()
        assert (bench.source.succeeded, bench.source.failed) == (["m1"], ["m2"])
        assert await bench.whats("m2") == [("rejected", "BatchItemFailure", 2)]

    run(test, Taken(frozenset({"m2"})))


def test_busy_target_is_offered_the_same_batch_again():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1))
        await bench.poller.run_once()
        await bench.idle()
        assert len(bench.target.batches) == 1
        bench.clock.advance(1.1)
        await bench.idle()
        assert len(bench.target.batches) == 2
        assert bench.source.succeeded == ["m1"]

    run(test, Busy("Throttled"), Taken())


def test_batch_goes_back_when_the_target_stays_busy():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1))
        await bench.poller.run_once()
        for _ in range(10):
            await bench.idle()
            bench.clock.advance(5)
        await bench.idle()
        assert bench.source.failed == ["m1"]
        assert await bench.whats("m1") == [("retried", "Throttled", 2)]
        assert bench.poller.in_flight == 0

    run(test, Busy("Throttled"), hold_seconds=30.0)


def test_filtered_records_are_finished_without_the_target():
    async def test(bench: Bench) -> None:
        bench.source.put(record(1, '{"n":1}'), record(2, '{"n":2}'), record(3, "plain"))
        await bench.poller.run_once()
        await bench.idle()
        assert [record.record_id for record in bench.target.batches[0].records] == ["m2"]
        assert sorted(bench.source.succeeded) == ["m1", "m2", "m3"]
        assert await bench.whats("m1") == [("filtered", "", 2)]

    run(test, patterns=(parse_pattern('{"body":{"n":[2]}}', LAMBDA),))


def test_window_collects_until_it_ends():
    async def test(bench: Bench) -> None:
        step = bench.group.create_task(bench.poller.run_once())
        await bench.idle()
        bench.source.put(record(1))
        await bench.idle()
        bench.clock.advance(9)
        bench.source.put(record(2))
        await bench.idle()
        assert bench.target.batches == []
        bench.clock.advance(1)
        await step
        await bench.idle()
        assert [len(batch.records) for batch in bench.target.batches] == [2]

    run(test, batch_size=100, window_seconds=10)


def test_stop_ends_the_wait_for_records():
    async def test(bench: Bench) -> None:
        step = bench.group.create_task(bench.poller.run_once())
        await bench.idle()
        bench.poller.stopping.set()
        assert await step == 0.0
        assert await bench.poller.run_once() == float("inf")
        assert bench.target.batches == []

    run(test)


def test_stop_in_a_window_hands_over_what_has_come():
    async def test(bench: Bench) -> None:
        step = bench.group.create_task(bench.poller.run_once())
        await bench.idle()
        bench.source.put(record(1))
        await bench.idle()
        bench.poller.stopping.set()
        await step
        assert bench.source.succeeded == ["m1"]

    run(test, batch_size=100, window_seconds=300)


def test_nothing_is_read_while_the_target_has_a_problem():
    async def test(bench: Bench) -> None:
        bench.target.problem = "Function not found"
        bench.source.put(record(1))
        assert await bench.poller.run_once() > 0
        assert bench.poller.problem == "Function not found"
        assert bench.source.asked == []
        bench.target.problem = None
        await bench.poller.run_once()
        await bench.idle()
        assert bench.poller.problem == ""
        assert bench.source.succeeded == ["m1"]

    run(test)


def test_source_that_goes_is_told_and_opened_anew():
    async def test(bench: Bench) -> None:
        bench.source.error = sqs_api.QueueDoesNotExist("The specified queue does not exist.")
        assert await bench.poller.run_once() > 0
        assert bench.poller.problem == "The specified queue does not exist."
        bench.is_there = False
        assert await bench.poller.run_once() > 0
        assert bench.poller.problem == "arn:queue does not exist."
        bench.is_there, bench.source.error = True, None
        bench.source.put(record(1))
        await bench.poller.run_once()
        await bench.idle()
        assert bench.source.succeeded == ["m1"]

    run(test)


def test_only_so_many_batches_run_at_once():
    async def test(bench: Bench) -> None:
        bench.target.gate.clear()
        bench.source.put(*[record(n) for n in range(10)])
        for _ in range(2):
            await bench.poller.run_once()
        step = bench.group.create_task(bench.poller.run_once())
        await bench.idle()
        assert bench.poller.in_flight == 2
        assert not step.done()
        bench.target.gate.set()
        await step
        assert len(bench.target.batches) == 2

    run(test, batch_size=1, concurrency_max=2)


def test_large_batches_are_received_in_parts():
    async def test(bench: Bench) -> None:
        bench.source.put(*[record(n) for n in range(250)])
        await bench.poller.run_once()
        await bench.idle()
        assert [limit for limit, _ in bench.source.asked] == [100, 100, 50]
        assert len(bench.target.batches[0].records) == 250

    run(test, batch_size=250, window_seconds=5)


# --- the pace ---


def test_pace_starts_at_five_and_grows_by_300_a_minute():
    pace = Pace(None)
    assert pace.allowed == CONCURRENCY_FIRST
    for second in range(61):
        pace.more_is_waiting(NOW + second)
    assert pace.allowed == CONCURRENCY_FIRST + 300
    for second in range(61, 1000):
        pace.more_is_waiting(NOW + second)
    assert pace.allowed == CONCURRENCY_MAX


def test_pace_shrinks_when_it_is_quiet_or_failing():
    pace = Pace(100)
    for second in range(60):
        pace.more_is_waiting(NOW + second)
    before = pace.allowed
    pace.has_failed()
    assert pace.allowed < before
    pace.is_throttled()
    assert pace.allowed <= before // 2
    pace.is_quiet()
    assert pace.allowed == CONCURRENCY_FIRST


@given(
    st.integers(1, 1000) | st.none(),
    st.lists(st.sampled_from(["full", "quiet", "failed", "throttled"]), max_size=200),
)
def test_pace_stays_within_its_bounds(most: int | None, steps: list[str]):
    pace = Pace(most)
    for second, step in enumerate(steps):
        match step:
            case "full":
                pace.more_is_waiting(NOW + second)
            case "quiet":
                pace.is_quiet()
            case "failed":
                pace.has_failed()
            case _:
                pace.is_throttled()
        assert 1 <= pace.allowed <= (most or CONCURRENCY_MAX)


def test_quiet_pace_goes_down_to_two():
    pace = Pace(None)
    for _ in range(100):
        pace.is_throttled()
    pace.is_quiet()
    assert pace.allowed == CONCURRENCY_QUIET


# --- partial batch responses ---

RESPONSES = [
    (b"", set()),
    (b"null", set()),
    (b"{}", set()),
    (b'{"other":1}', set()),
    (b'{"batchItemFailures":[]}', set()),
    (b'{"batchItemFailures":null}', set()),
    (b'{"batchItemFailures":[{"itemIdentifier":"a"}]}', {"a"}),
    (b'{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b"}]}', {"a", "b"}),
    (b'{"batchItemFailures":[{"itemIdentifier":""}]}', None),
    (b'{"batchItemFailures":[{"itemIdentifier":null}]}', None),
    (b'{"batchItemFailures":[{"itemIdentifier":"c"}]}', None),
    (b'{"batchItemFailures":[{"identifier":"a"}]}', None),
    (b'{"batchItemFailures":["a"]}', None),
    (b'{"batchItemFailures":"a"}', None),
    (b'"done"', None),
    (b"{nonsense", None),
]


@pytest.mark.parametrize(("answer", "failed"), RESPONSES)
def test_partial_batch_response_says_what_failed(answer: bytes, failed: set[str] | None):
    assert parse_failures(answer, {"a", "b"}) == failed


# --- filters and cuts ---

FILTERS = [
    ('{"n":2}', {"body": {"n": [2]}}, True),
    ('{"n":3}', {"body": {"n": [2]}}, False),
    ("plain", {"body": {"n": [2]}}, False),
    ("plain", {"body": ["plain"]}, True),
    ('{"n":2}', {"body": ["plain"]}, False),
    ("{broken", {"body": [{"prefix": "{"}]}, True),
    ("anything", {"attributes": {"ApproximateReceiveCount": ["2"]}}, True),
]


@pytest.mark.parametrize(("body", "pattern", "expected"), FILTERS)
def test_filters_see_json_bodies_as_json(body: str, pattern: dict[str, Any], expected: bool):
    parsed = parse_pattern(json.dumps(pattern), LAMBDA)
    assert is_wanted(record(1, body), (parsed,), ("body",)) is expected


@given(st.lists(st.integers(0, 2_000_000), max_size=20), st.integers(1, 10))
def test_cut_keeps_order_and_limits(sizes: list[int], batch_size: int):
    records = [record(number, "x" * size) for number, size in enumerate(sizes)]
    batches = cut(records, batch_size)
    assert [entry for batch in batches for entry in batch.records] == records
    for batch in batches:
        assert 1 <= len(batch.records) <= batch_size
        assert sum(len(bytes(text)) + 1 for text in batch.texts) <= PAYLOAD_BYTES_MAX
