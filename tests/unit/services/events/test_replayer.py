"""Replays step by step, on the store in memory, with a bus, an archive and a queue that takes deliveries later."""

import asyncio
import json

import msgspec

from forebay.background.worker import IDLE
from forebay.services.events import limits
from forebay.services.events.archive import ARCHIVE, Archive
from forebay.services.events.replay import REPLAY, TIMERS, Replay
from forebay.services.events.replayer import Replayer
from forebay.store.commands import ClaimTimers, CountTimers, DropLog, MeasureLog, PutTimers, Timer
from tests.unit.services.events.test_router import ACCOUNT, CLAIMS, REGION, Bench, event_of

KEPT = Archive(account=ACCOUNT, region=REGION, name="kept", bus="claims", log="log-1", created_at=900.0)
BATCH = 4


class ReplayBench(Bench):
    """A bench with a bus, a rule for everything, an archive with events, and a replay of them that is due."""

    async def prepare(self, count=10, archive=KEPT):
        self.replayer = Replayer(self.store, self.clock, self.router)
        await self.put_bus()
        await self.put(ARCHIVE, archive)
        for number in range(count):
            await self.store.submit(await self.router.route(event_of({"n": number}), CLAIMS))
        # From here on the rule gets replayed events only.
        await self.put_rule("all", {"source": ["shop"]})
        self.replay = Replay(
            account=ACCOUNT, region=REGION, name="again", archive="kept", log="log-1", bus="claims",
            from_at=0.0, until_at=9e9, started_at=1_000.0, batch=BATCH,
        )  # fmt: skip
        await self.put(REPLAY, self.replay)
        await self.store.submit([PutTimers((Timer(TIMERS, self.replay.key(), 1_000_000, b""),))])

    async def put(self, kind, record):
        await self.store.transact(lambda transaction: transaction.records.put(kind, record.key(), record))

    async def state(self):
        found = await self.store.view(lambda view: view.records.find(REPLAY, self.replay.key()))
        assert found is not None
        return found

    async def replayed(self):
        return sorted(json.loads(row["payload"])["detail"]["n"] for row in await self.outbox())

    async def cancel(self):
        await self.put(REPLAY, msgspec.structs.replace(await self.state(), state="CANCELLING"))


def run(test):
    return asyncio.run(test)


def test_each_step_takes_a_batch_and_notes_how_far_it_is():
    async def scenario():
        bench = ReplayBench()
        await bench.prepare()
        assert await bench.replayer.run_once() == 0.0
        assert await bench.replayed() == [0, 1, 2, 3]
        state = await bench.state()
        assert (state.state, state.position, state.replayed_until) == ("RUNNING", 4, 1_000.0)
        # A batch grows while events are small; the next is the last, being short.
        assert await bench.replayer.run_once() == IDLE
        assert await bench.replayed() == list(range(10))
        assert (await bench.state()).state == "COMPLETED"

    run(scenario())


def test_cancelled_replay_does_nothing_more():
    async def scenario():
        bench = ReplayBench()
        await bench.prepare()
        await bench.replayer.run_once()
        await bench.cancel()
        await bench.replayer.run_once()
        assert await bench.replayed() == [0, 1, 2, 3]
        state = await bench.state()
        assert (state.state, state.ended_at) == ("CANCELLED", 1_000.0)
        assert await bench.store.view(lambda view: view.ask(CountTimers(TIMERS))) == 0

    run(scenario())


def test_replay_whose_archive_is_gone_fails_and_says_so():
    async def scenario():
        bench = ReplayBench()
        await bench.prepare()
        await bench.replayer.run_once()
        # Another archive of that name does not count.
        await bench.put(ARCHIVE, msgspec.structs.replace(KEPT, log="log-2"))
        await bench.store.submit([DropLog(KEPT.stream())])
        await bench.replayer.run_once()
        state = await bench.state()
        assert (state.state, state.reason) == ("FAILED", "Archive kept does not exist.")
        assert await bench.replayed() == [0, 1, 2, 3]

    run(scenario())


def test_step_that_lost_its_lease_leaves_no_trace():
    async def scenario():
        bench = ReplayBench()
        await bench.prepare()
        find = bench.index.find

        async def slow_find(address):
            # Another node takes the replay over while this one is at work.
            bench.clock.advance(limits.REPLAY_LEASE_SECONDS + 1)
            bench.index.find = find
            now_ms = int(bench.clock.now() * 1000)
            (taken,) = await bench.store.submit([ClaimTimers(TIMERS, now_ms, now_ms + 60_000, 1)])
            assert len(taken) == 1
            return await find(address)

        bench.index.find = slow_find
        await bench.replayer.run_once()
        assert await bench.replayed() == []
        assert await bench.state() == bench.replay
        # Its lease lapses in turn, and the replay goes on where it was.
        bench.clock.advance(61)
        await bench.replayer.run_once()
        assert await bench.replayed() == [0, 1, 2, 3]

    run(scenario())


def test_large_events_make_small_batches():
    async def scenario():
        bench = ReplayBench(trace_seconds=0.0)
        await bench.prepare(0)
        text = "x" * (limits.REPLAY_BATCH_BYTES // 3)
        for _ in range(6):
            await bench.store.submit(await bench.router.route(event_of({"n": 0, "text": text}), CLAIMS))
        await bench.replayer.run_once()
        assert (await bench.state()).batch == 2

    run(scenario())


def test_bus_without_archives_appends_nothing():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        assert await bench.router.route(event_of({}), CLAIMS) == []

    run(scenario())


def test_archive_that_is_added_and_removed_counts_at_once():
    async def scenario():
        bench = Bench(trace_seconds=0.0)
        await bench.put_bus()
        await bench.index.find(CLAIMS)
        pattern = json.dumps({"detail": {"kind": ["car"]}})
        archive = msgspec.structs.replace(KEPT, pattern=pattern)
        await bench.store.transact(lambda transaction: transaction.records.put(ARCHIVE, archive.key(), archive))
        assert await bench.router.route(event_of({"kind": "boat"}), CLAIMS) == []
        await bench.store.submit(await bench.router.route(event_of({"kind": "car"}), CLAIMS))
        size = await bench.store.view(lambda view: view.ask(MeasureLog(archive.stream())))
        assert size.entries == 1
        await bench.store.transact(lambda transaction: transaction.records.delete(ARCHIVE, archive.key()))
        assert await bench.router.route(event_of({"kind": "car"}), CLAIMS) == []

    run(scenario())
