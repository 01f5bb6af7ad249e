"""What the contract promises of logs."""

import pytest

from forebay.store.commands import AppendLog, DropLog, ExpireLog, LogEntry, LogSize, MeasureLog, ReadLog, ReadLogByTime
from tests.contract.store.samples import run


async def append(store, stream, *times, expires_at=None):
    entries = tuple(LogEntry(at, f"{stream}@{at}".encode(), expires_at) for at in times)
    return await run(store, AppendLog(stream, entries))


async def positions(store, stream, limit=100, **options):
    return [entry.position for entry in await run(store, ReadLog(stream, limit, **options))]


async def test_append_counts_positions_from_one_in_each_stream(store):
    assert await append(store, "a", 10, 11) == 2
    assert await append(store, "b", 12) == 1
    assert await append(store, "a", 13) == 3
    entries = await run(store, ReadLog("a", 10))
    assert [(entry.position, entry.at_ms, entry.data) for entry in entries] == [
        (1, 10, b"a@10"),
        (2, 11, b"a@11"),
        (3, 13, b"a@13"),
    ]


async def test_unknown_stream_is_empty(store):
    assert await positions(store, "none") == []
    assert await run(store, DropLog("none")) == 0


async def test_read_is_bounded_by_position_and_limit(store):
    await append(store, "a", *range(10))
    assert await positions(store, "a", limit=3) == [1, 2, 3]
    assert await positions(store, "a", limit=3, after=4) == [5, 6, 7]
    assert await positions(store, "a", after=4, before=7) == [5, 6]
    assert await positions(store, "a", limit=2, newest_first=True) == [10, 9]
    assert await positions(store, "a", limit=2, before=9, newest_first=True) == [8, 7]


@pytest.mark.parametrize("times", [(10, 20, 20, 30), (30, 10, 20, 20)], ids=["ordered", "unordered"])
async def test_read_is_bounded_by_time(store, times):
    await append(store, "a", *times)
    await append(store, "b", 20)
    twenties = [position for position, at in enumerate(times, 1) if at == 20]
    assert await positions(store, "a", from_ms=20, until_ms=30) == twenties
    assert await positions(store, "a", from_ms=11, until_ms=21, newest_first=True) == twenties[::-1]
    assert await positions(store, "a", from_ms=11, until_ms=21, limit=1) == twenties[:1]
    assert await positions(store, "a", from_ms=31) == []
    assert await positions(store, "a", until_ms=10) == []
    assert await positions(store, "a", from_ms=20, after=twenties[0], until_ms=21) == twenties[1:]


async def test_read_by_time_goes_on_behind_an_entry(store):
    await append(store, "a", 30, 10, 20, 20, 5, 40)
    await append(store, "b", 15)

    async def read(limit=10, **options):
        query = ReadLogByTime("a", limit, **{"from_ms": 10, "until_ms": 40, **options})
        return [(entry.at_ms, entry.position) for entry in await run(store, query)]

    assert await read() == [(10, 2), (20, 3), (20, 4), (30, 1)]
    assert await read(limit=2) == [(10, 2), (20, 3)]
    assert await read(after=(20, 3)) == [(20, 4), (30, 1)]
    assert await read(after=(5, 5)) == await read()
    assert await read(until_ms=30, after=(20, 4)) == []
    assert await read(from_ms=0, until_ms=11) == [(5, 5), (10, 2)]


async def test_stream_is_measured(store):
    assert await run(store, MeasureLog("a")) == LogSize(0, 0)
    await append(store, "a", 1, 22, expires_at=50)
    await append(store, "a", 333)
    await append(store, "b", 1)
    assert await run(store, MeasureLog("a")) == LogSize(3, len(b"a@1a@22a@333"))
    await run(store, ExpireLog(50, 10))
    assert await run(store, MeasureLog("a")) == LogSize(1, len(b"a@333"))
    await run(store, DropLog("a"))
    assert await run(store, MeasureLog("a")) == LogSize(0, 0)


async def test_dropped_stream_is_gone_and_begins_anew(store):
    await append(store, "a", *range(1200))
    await append(store, "b", 1)
    assert await run(store, DropLog("a")) == 1200
    assert await positions(store, "a") == []
    assert await append(store, "a", 7) == 1
    assert await positions(store, "a") == [1]
    assert await positions(store, "b") == [1]


async def test_expired_entries_go_and_positions_go_on(store):
    await append(store, "a", 1, 2, expires_at=100)
    await append(store, "a", 3)
    await append(store, "b", 4, expires_at=101)
    assert await run(store, ExpireLog(99, 10)) == 0
    assert await run(store, ExpireLog(100, 1)) == 1
    assert await run(store, ExpireLog(100, 10)) == 1
    assert await positions(store, "a") == [3]
    assert await append(store, "a", 5) == 4
    assert await run(store, DropLog("a")) == 2
    assert await run(store, ExpireLog(101, 10)) == 1


async def test_large_entries_and_large_appends_come_back_whole(store):
    big = bytes(range(256)) * 4096
    await run(store, AppendLog("a", (LogEntry(1, big), *[LogEntry(2, b"")] * 300)))
    entries = await run(store, ReadLog("a", 1000))
    assert entries[0].data == big
    assert len(entries) == 301
