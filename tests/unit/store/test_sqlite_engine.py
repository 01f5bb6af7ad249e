"""What is the SQLite engine's own: back-pressure, bounded log, recovery, sweeping, its cache, its failing loudly."""

import asyncio
import shutil
import sqlite3
import time

import msgspec
import pytest

from forebay.core.errors import Unavailable
from forebay.store import admission
from forebay.store.cache import RecordCache
from forebay.store.commands import (
    AppendLog,
    CountMessages,
    DropLog,
    LogEntry,
    NewMessage,
    PeekMessages,
    PurgeQueue,
    SendMessages,
)
from forebay.store.items import Decision, GetItems, Item, ItemKey, ItemWrite, ReadItems, WriteItems
from forebay.store.records import Kind
from forebay.store.sqlite import open_sqlite, quick_reader
from forebay.store.sqlite.connection import DATABASE_NAME


class Thing(msgspec.Struct, frozen=True):
    name: str


THINGS = Kind("test.thing", Thing)


def send(count, *, queue=1, body="body"):
    return SendMessages(queue, tuple(NewMessage(f"m{number}", body, b"", 0, 0, 10**12) for number in range(count)))


def with_store(scenario, directory):
    async def main():
        store = await open_sqlite(directory)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(main())


def rows(directory, table):
    connection = sqlite3.connect(directory / DATABASE_NAME)
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return count


@pytest.mark.parametrize("bound", ["PENDING_COUNT_MAX", "PENDING_BYTES_MAX"])
def test_submit_waits_while_too_much_is_pending(tmp_path, monkeypatch, bound):
    monkeypatch.setattr(admission, bound, 5)

    async def scenario(store):
        seen = []

        async def one(number):
            await store.submit((send(1),))
            seen.append(store._front.admission._count)

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(one(number))
            group.create_task(store.transact(lambda transaction: transaction.apply(send(1))))
        (counted,) = await store.submit((CountMessages(1, 0),))
        assert counted.visible == 101
        assert len(seen) == 100
        assert max(seen) <= 5
        assert (store._front.admission._count, store._front.admission._bytes) == (0, 0)

    with_store(scenario, tmp_path)


def test_cancelled_waiter_takes_nobodys_place(tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "PENDING_COUNT_MAX", 1)

    async def scenario(store):
        tasks = [asyncio.ensure_future(store.submit((send(1),))) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[5:10]:
            task.cancel()
        await asyncio.wait(tasks)
        assert sum(task.cancelled() for task in tasks) == 5
        (counted,) = await store.submit((CountMessages(1, 0),))
        assert counted.visible == 15

    with_store(scenario, tmp_path)


def test_log_file_stays_bounded(tmp_path):
    async def scenario(store):
        for _ in range(40):
            await store.submit((send(100, body="b" * 10_000),))
        return (tmp_path / f"{DATABASE_NAME}-wal").stat().st_size

    assert with_store(scenario, tmp_path) < 32 * 1024 * 1024


def test_log_file_starts_anew_though_readers_never_pause(tmp_path, monkeypatch):
    monkeypatch.setattr("forebay.store.sqlite.writer._LOG_PAGES_MAX", 1500)

    async def scenario(store):
        done = asyncio.Event()

        async def keep_reading():
            while not done.is_set():
                await store.view(lambda view: time.sleep(0.01) or view.ask(PeekMessages(1, 0, 1)))

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(keep_reading())
            for _ in range(60):
                await store.submit((send(100, body="b" * 10_000),))
            done.set()
        return (tmp_path / f"{DATABASE_NAME}-wal").stat().st_size

    # 60 MB were written.
    assert with_store(scenario, tmp_path) < 40 * 1024 * 1024


def test_copy_of_files_made_while_running_recovers_quickly(tmp_path):
    async def scenario(store):
        for _ in range(50):
            await store.submit((send(1000), send(200, queue=2, body="b" * 1000)))
        # What a crash leaves: the files as they are, the log not copied back.
        shutil.copytree(tmp_path / "live", tmp_path / "crashed")

    async def recovered(store):
        return await store.submit((CountMessages(1, 0), CountMessages(2, 0)))

    with_store(scenario, tmp_path / "live")
    started = time.perf_counter()
    first, second = with_store(recovered, tmp_path / "crashed")
    elapsed = time.perf_counter() - started
    assert (first.visible, second.visible) == (50_000, 10_000)
    # 0.3 s is promised; tests share the machine with others.
    assert elapsed < 1


def test_purged_and_dropped_rows_are_swept(tmp_path):
    async def scenario(store):
        await store.submit((send(3000), send(10, queue=2), AppendLog("s", (LogEntry(1, b"x"),) * 3000)))
        assert await store.submit((PurgeQueue(1), DropLog("s"))) == [3000, 3000]
        while rows(tmp_path, "message") > 10 or rows(tmp_path, "entry"):
            await asyncio.sleep(0.01)

    with_store(scenario, tmp_path)
    assert rows(tmp_path, "stream") == 0


def test_sweeping_goes_on_after_a_restart(tmp_path):
    async def purge(store):
        await store.submit((send(3000),))
        await store.submit((PurgeQueue(1),))

    async def wait(store):
        (counted,) = await store.submit((CountMessages(1, 0),))
        assert counted.visible == 0
        while rows(tmp_path, "message"):
            await asyncio.sleep(0.01)

    with_store(purge, tmp_path)
    with_store(wait, tmp_path)


def test_find_does_not_read_again_what_it_knows(tmp_path, monkeypatch):
    async def scenario(store):
        await store.transact(lambda transaction: transaction.records.put(THINGS, "a", Thing("x")))
        assert await store.find(THINGS, "none") is None
        monkeypatch.setattr(store, "view", None)
        assert await store.find(THINGS, "a") == Thing("x")
        assert await store.find(THINGS, "none") is None
        await store.transact(lambda transaction: transaction.records.put(THINGS, "none", Thing("y")))
        assert await store.find(THINGS, "none") == Thing("y")

    with_store(scenario, tmp_path)


def test_cache_forgets_the_least_recently_used():
    cache = RecordCache(2)
    cache.update([("k", "a", 1), ("k", "b", 2)])
    assert cache.get(("k", "a"), "unknown") == 1
    cache.update([("k", "c", 3)])
    assert [cache.get(("k", key), "unknown") for key in "abc"] == [1, "unknown", 3]


def test_cache_does_not_keep_a_read_that_a_commit_has_overtaken():
    cache = RecordCache(1)
    name = ("k", "a")
    stale, failed = cache.begin(name), cache.begin(name)
    cache.update([("k", "a", "new"), ("k", "b", "evicts it")])
    cache.end(name, stale, "old")
    cache.abandon(name, failed)
    assert cache.get(name, "unknown") == "unknown"
    cache.end(name, cache.begin(name), "new")
    assert cache.get(name, "unknown") == "new"


def test_bug_in_the_writer_is_an_error_and_not_a_silence(tmp_path, monkeypatch):
    async def scenario(store):
        def fail():
            raise ZeroDivisionError

        monkeypatch.setattr(store._writer, "_sweep", fail)
        await store.submit((send(1), PurgeQueue(1)))
        for _ in range(3):
            with pytest.raises(Unavailable, match="writer has failed"):
                await store.submit((send(1),))

    with_store(scenario, tmp_path)


def test_surrogate_fails_its_own_submit_only(tmp_path):
    async def scenario(store):
        async def fail():
            with pytest.raises(UnicodeEncodeError):
                await store.submit((send(1, body="\ud800"),))

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(_submit(store))
            group.create_task(fail())
        (counted,) = await store.submit((CountMessages(1, 0),))
        assert counted.visible == 10

    with_store(scenario, tmp_path)


async def _submit(store):
    await store.submit((send(1),))


def test_queue_number_out_of_range_fails_clearly(tmp_path):
    async def scenario(store):
        for number in (-1, 1 << 21):
            with pytest.raises(OverflowError, match="queue number"):
                await store.submit((send(1, queue=number),))

    with_store(scenario, tmp_path)


def test_queries_leave_the_loop_while_they_are_slow(tmp_path, monkeypatch):
    moment = [1000.0]
    reads = [0]
    monkeypatch.setattr(quick_reader, "monotonic", lambda: moment.append(moment[-1] + 0.1) or moment[-1])
    monkeypatch.setattr(quick_reader, "disk_reads", lambda: reads[0])

    async def scenario(store):
        query = GetItems(1, (ItemKey(b"a"),))
        # Slow for another reason than a disk, to which other threads would be no better.
        assert [store._quick_reader.ask(query) for _ in range(3)] == [(None,)] * 3
        reads[0] += 1
        assert store._quick_reader.ask(query) == (None,)
        assert store._quick_reader.ask(query) is None
        assert await store.ask(query) == (None,)
        moment.append(moment[-1] + 60)
        assert store._quick_reader.ask(query) == (None,)

    with_store(scenario, tmp_path)


def test_large_pages_are_read_off_the_loop(tmp_path):
    async def scenario(store):
        assert store._quick_reader.ask(ReadItems(1, 1000, 1 << 20)) is None
        assert store._quick_reader.ask(ReadItems(1, 1000, 1 << 20, partition=b"p")).is_last
        data = bytes(1000)
        writes = [ItemWrite(1, ItemKey(b"p", b"%d" % n), lambda _: Decision(Item(data, 1000))) for n in range(70)]
        await store.submit((WriteItems(tuple(writes)),))
        assert store._quick_reader.ask(ReadItems(1, 1000, 1 << 20, partition=b"p")) is None
        assert len((await store.ask(ReadItems(1, 1000, 1 << 20, partition=b"p"))).items) == 70
        assert len(store._quick_reader.ask(ReadItems(1, 1000, 9000, partition=b"p")).items) == 9

    with_store(scenario, tmp_path)
