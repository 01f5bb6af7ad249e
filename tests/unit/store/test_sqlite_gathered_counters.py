"""Counters of queues that are gathered instead of written one by one: they stay exact, whatever happens in between."""

import asyncio
import sqlite3

import pytest

from forebay.store.commands import (
    CountMessages,
    DeleteMessages,
    NewMessage,
    PurgeQueue,
    Receipt,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.sqlite import open_sqlite, session
from forebay.store.sqlite.connection import DATABASE_NAME

QUEUES = range(1, 41)
LATE = 10**12


@pytest.fixture(params=[(4096, 256), (10, 256), (4096, 3)], ids=["never spread", "by queues", "by rows"])
def _bounds(request, monkeypatch):
    queues_max, rows_max = request.param
    monkeypatch.setattr(session, "_GATHERED_QUEUES_MAX", queues_max)
    monkeypatch.setattr(session, "_GATHERED_ROWS_MAX", rows_max)


def send(queue, count=1):
    new = [NewMessage(f"{queue}-{number}", "body", b"", 0, 0, LATE) for number in range(count)]
    return SendMessages(queue, tuple(new))


async def numbers(store):
    counts = await store.submit([CountMessages(queue, 1) for queue in QUEUES])
    return {queue: (one.visible, one.in_flight) for queue, one in zip(QUEUES, counts, strict=True)}


def waiting(data):
    """How many queues wait for their own row, as a process that starts now would find it."""
    with sqlite3.connect(data / DATABASE_NAME) as connection:
        rows = connection.execute("SELECT counters FROM queue_change").fetchall()
    connection.close()
    return sum(len(counters) for (counters,) in rows) // 32


async def work(store, expected):
    """Change many queues at once, few, and some with their flags; keep `expected` in step."""
    await store.submit([send(queue, 3) for queue in QUEUES])
    # The first time each queue gets its row; from now on the counters alone change.
    received = await store.submit([ReceiveMessages(queue, 1, LATE, 2) for queue in QUEUES])
    positions = {queue: [one.position for one in got.messages] for queue, got in zip(QUEUES, received, strict=True)}
    await store.submit([DeleteMessages(queue, (Receipt(positions[queue][0], 1),)) for queue in QUEUES if queue % 2])
    await store.submit([send(7)])
    await store.submit([PurgeQueue(5)])
    await store.submit([PurgeQueue(queue) for queue in range(20, 31)])
    await store.submit([send(queue) for queue in QUEUES if queue > 10])
    for queue in QUEUES:
        ready, in_flight = 1 + (queue == 7), 2 - queue % 2
        if queue == 5 or 20 <= queue <= 30:
            ready = in_flight = 0
        before = expected.get(queue, (0, 0))
        if queue == 5 or 20 <= queue <= 30:
            before = (0, 0)
        expected[queue] = (before[0] + ready + (queue > 10), before[1] + in_flight)


@pytest.mark.usefixtures("_bounds")
def test_counters_are_exact_after_each_kind_of_change_and_each_start(tmp_path):
    async def main():
        expected = {}
        for _ in range(3):
            store = await open_sqlite(tmp_path)
            assert await numbers(store) == {queue: expected.get(queue, (0, 0)) for queue in QUEUES}
            # Positions grow, so a receive finds what was sent before first.
            await drain(store, expected)
            await work(store, expected)
            assert await numbers(store) == expected
            await store.close()

    asyncio.run(main())


async def drain(store, expected):
    """Purge what an earlier round has left, so that each round begins alike."""
    if expected:
        await store.submit([PurgeQueue(queue) for queue in QUEUES])
        expected.clear()


def test_a_rollback_takes_gathered_counters_back(tmp_path):
    async def main():
        store = await open_sqlite(tmp_path)
        await store.submit([send(queue) for queue in QUEUES])
        await store.submit([send(queue) for queue in QUEUES])

        def fail(transaction):
            for queue in QUEUES:
                transaction.apply(send(queue, 5))
            # What is only in memory is written here, and with it gathered.
            transaction.apply(CountMessages(1, 1))
            raise ValueError

        with pytest.raises(ValueError):
            await store.transact(fail)
        assert await numbers(store) == dict.fromkeys(QUEUES, (2, 0))
        await store.submit([send(queue) for queue in QUEUES])
        await store.close()
        store = await open_sqlite(tmp_path)
        assert await numbers(store) == dict.fromkeys(QUEUES, (3, 0))
        await store.close()

    asyncio.run(main())


def test_few_queues_are_written_to_their_own_rows(tmp_path):
    async def main():
        store = await open_sqlite(tmp_path)
        for _ in range(3):
            await store.submit([send(1), send(2)])
        assert waiting(tmp_path) == 0
        await store.submit([send(queue) for queue in QUEUES])
        await store.submit([send(queue) for queue in QUEUES])
        assert waiting(tmp_path) > len(QUEUES)
        # One that is gathered already stays so: an older row would count for more than its own.
        before = waiting(tmp_path)
        await store.submit([send(1)])
        assert waiting(tmp_path) == before + 1
        await store.wipe()
        assert waiting(tmp_path) == 0
        assert await numbers(store) == dict.fromkeys(QUEUES, (0, 0))
        await store.close()

    asyncio.run(main())
