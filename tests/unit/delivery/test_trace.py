"""Paths of events are written together and read apart."""

import asyncio

from forebay.core.ids import Ids
from forebay.delivery.trace import Paths, Step, Trace
from forebay.store.memory import MemoryStore

BUS, RULE = "arn:aws:events:us-east-1:1:event-bus/b", "arn:aws:events:us-east-1:1:rule/b/r"


def run(scenario):
    return asyncio.run(scenario())


def test_paths_of_events_that_come_together_are_one_entry_and_are_read_apart():
    async def scenario():
        store = MemoryStore()
        source = Ids(1)
        trace, ids = Trace(store, 60.0), [source.event_id() for _ in range(3)]
        paths = Paths(trace)
        for number, event_id in enumerate(ids):
            paths.add(event_id, Step(1.0, "received", BUS))
            paths.add(event_id, Step(1.0, "unmatched", RULE, message=f"n: expected 9, found {number}"))
        (command,) = paths.commands()
        assert len(command.entries) == 1
        await store.submit([command])
        for number, event_id in enumerate(ids):
            assert await trace.path(event_id) == [
                Step(1.0, "received", BUS),
                Step(1.0, "unmatched", RULE, message=f"n: expected 9, found {number}"),
            ]
        assert paths.commands() == []

    run(scenario)


def test_later_steps_come_behind_earlier_ones():
    async def scenario():
        store = MemoryStore()
        trace, event_id = Trace(store, 60.0), Ids(1).uuid()
        for step in (Step(1.0, "received"), Step(2.0, "deferred"), Step(3.0, "retried"), Step(3.0, "retried")):
            await store.submit(trace.record(event_id, [step]))
        assert [step.what for step in await trace.path(event_id)] == ["received", "deferred", "retried", "retried"]

    run(scenario)


def test_path_of_an_event_with_any_id_is_found_and_no_other():
    async def scenario():
        store = MemoryStore()
        trace = Trace(store, 60.0)
        for event_id in ("", "x", "-1", "mine", "not-mine", "é"):
            await store.submit(trace.record(event_id, [Step(1.0, "received", event_id)]))
        assert await trace.path("mine") == [Step(1.0, "received", "mine")]
        assert await trace.path("-1") == [Step(1.0, "received", "-1")]
        assert await trace.path("é") == [Step(1.0, "received", "é")]
        assert await trace.path("ne") == []

    run(scenario)


def test_nothing_is_recorded_of_what_has_no_id_or_where_nothing_is_kept():
    store = MemoryStore
    assert Trace(store(), 60.0).record(None, [Step(0.0, "received")]) == []
    assert Trace(store(), 0.0).record("e", [Step(0.0, "received")]) == []
    assert Trace(store(), 60.0).record("e", []) == []
