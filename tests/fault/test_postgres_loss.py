"""Killing PostgreSQL and cutting connections: what was acknowledged is there once, and nobody is answered an error."""

import asyncio
import random

import psycopg
import pytest

from forebay.core.errors import Unavailable
from forebay.store.commands import (
    AppendLog,
    CountTimers,
    DeleteMessages,
    LogEntry,
    PeekMessages,
    PutTimers,
    ReadLog,
    SendMessages,
    Timer,
)
from forebay.store.postgres import open_postgres
from tests import postgres as servers
from tests.contract.store.samples import counts, message, receipt, receive, run, send
from tests.fault.postgres_proxy import Proxy
from tests.fault.store_writer import THINGS, Thing

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")


@pytest.fixture
def server():
    one = servers.PostgresServer()
    try:
        one.start()
        yield one
    finally:
        one.remove()


class Load:
    """Producers, consumers and transactions that never stop, and what was acknowledged to them."""

    def __init__(self, store):
        self.store = store
        self.is_over = False
        self.sent = []
        self.deleted = []
        self.kept = []
        self.logged = 0
        self.fifo_sent = []
        self.fifo_served = []
        # Done by whoever waits for the load to have moved on.
        self.steps = asyncio.Event()

    async def produce(self, name):
        number = 0
        while not self.is_over:
            number += 1
            (one,) = await send(self.store, 1, f"{name}.{number}")
            self.sent.append(one.message_id)
            self.steps.set()

    async def consume(self):
        while not self.is_over:
            found = (await receive(self.store, 1, limit=3)).messages
            receipts = tuple(receipt(one) for one in found)
            assert await run(self.store, DeleteMessages(1, receipts)) == (True,) * len(found)
            self.deleted += [one.message_id for one in found]

    async def keep(self, name):
        number = 0
        while not self.is_over:
            number += 1
            key = f"{name}.{number}"

            def work(transaction, key=key):
                transaction.records.put(THINGS, key, Thing(key))
                transaction.apply(PutTimers((Timer("k", key, 1, b""),), only_new=True))
                transaction.apply(SendMessages(2, (message(key),)))

            await self.store.transact(work)
            self.kept.append(key)
            await run(self.store, AppendLog("log", (LogEntry(number, key.encode()),)))
            self.logged += 1

    async def produce_fifo(self, group):
        number = 0
        while not self.is_over:
            number += 1
            name = f"{group}.{number:05}"
            new = message(name, group=group, deduplication_key=name, deduplication_until_ms=1000)
            # Everything is sent twice, and there once.
            for is_duplicate in (False, True):
                (sent,) = await run(self.store, SendMessages(3, (new,), is_fifo=True))
                assert sent.is_duplicate == is_duplicate
            self.fifo_sent.append(name)

    async def consume_fifo(self):
        while not self.is_over:
            found = (await receive(self.store, 3, limit=3, is_fifo=True)).messages
            self.fifo_served += [one.message_id for one in found]
            receipts = tuple(receipt(one) for one in found)
            assert await run(self.store, DeleteMessages(3, receipts, is_fifo=True)) == (True,) * len(found)

    async def disturb(self, disturbance, times):
        for _ in range(times):
            for _ in range(random.randrange(1, 60)):
                self.steps.clear()
                await self.steps.wait()
            await asyncio.to_thread(disturbance)
        self.is_over = True

    async def run(self, disturbance, times):
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(self.produce(f"p{number}"))
            for number in range(3):
                group.create_task(self.consume())
                group.create_task(self.keep(f"k{number}"))
                group.create_task(self.produce_fifo(f"g{number}"))
                group.create_task(self.consume_fifo())
            group.create_task(self.disturb(disturbance, times))

    async def check(self):
        left = await everything(self.store, 1)
        assert sorted(left + self.deleted) == sorted(self.sent), "lost, doubled or brought back"
        assert sum(await counts(self.store, 1)) == len(left), "counters drifted"
        records = [key for key, _ in await self.store.view(lambda view: view.records.list(THINGS))]
        assert sorted(records) == sorted(self.kept) == sorted(await everything(self.store, 2))
        assert await run(self.store, CountTimers("k")) == len(records)
        served = self.fifo_served + await everything(self.store, 3)
        # Sorted by group only: the order within each is as it was.
        assert sorted(served, key=lambda name: name.split(".")[0]) == sorted(self.fifo_sent)
        entries = await run(self.store, ReadLog("log", 1_000_000))
        assert [entry.position for entry in entries] == list(range(1, self.logged + 1))


async def everything(store, queue):
    found, after = [], 0
    while page := await run(store, PeekMessages(queue, after, 1000)):
        found += [one.message_id for one in page]
        after = page[-1].position
    return found


def under_load(server, disturbance, times):
    async def main():
        store = await open_postgres(server.url, wait_seconds=60)
        load = Load(store)
        await load.run(disturbance, times)
        await load.check()
        await store.close()

    asyncio.run(main())


def test_killed_server_loses_and_doubles_nothing(server):
    def kill():
        server.kill()
        server.start()

    under_load(server, kill, 4)


def test_restarted_server_loses_and_doubles_nothing(server):
    def restart():
        server.stop("fast")
        server.start()

    under_load(server, restart, 2)


def test_terminated_connections_lose_and_double_nothing(server):
    def terminate():
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'forebay' AND pid <> pg_backend_pid()"
            )

    under_load(server, terminate, 25)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_commit_whose_answer_is_lost_is_done_once(server, tmp_path, cut):
    async def main():
        proxy = Proxy(server, tmp_path)
        store = await open_postgres(proxy.url)
        await send(store, 1, "first")

        async def cutting(awaitable):
            proxy.cut_at_commit = cut
            return await awaitable

        (sent,) = await cutting(send(store, 1, "second"))
        (first, second) = (await cutting(receive(store, 1))).messages
        assert (first.message_id, second.message_id, second.position) == ("first", "second", sent.position)
        assert await cutting(run(store, DeleteMessages(1, (receipt(first),)))) == (True,)
        assert await cutting(run(store, AppendLog("s", (LogEntry(1, b"x"),)))) == 1

        def work(transaction):
            transaction.records.put(THINGS, "a", Thing("a"))
            return transaction.records.next_number("n")

        assert await cutting(store.transact(work)) == 1
        assert proxy.cuts == 5
        assert await everything(store, 1) == ["second"]
        assert await counts(store, 1) == (0, 1, 0)
        assert await store.transact(lambda transaction: transaction.records.next_number("n")) == 2
        assert await run(store, AppendLog("s", (LogEntry(2, b"y"),))) == 2
        await store.close()
        proxy.close()

    asyncio.run(main())


def test_requests_wait_a_bounded_time_for_a_server_that_is_away(server):
    async def main():
        store = await open_postgres(server.url, wait_seconds=0.3)
        await send(store, 1, "before")
        await asyncio.to_thread(server.stop, "immediate")
        for attempt in (
            lambda: send(store, 1, "lost"),
            lambda: store.transact(lambda transaction: transaction.records.put(THINGS, "lost", Thing("lost"))),
            lambda: store.view(lambda view: view.records.list(THINGS)),
            lambda: store.blobs.put(b"lost"),
        ):
            with pytest.raises(Unavailable):
                await attempt()
        await asyncio.to_thread(server.start)
        await send(store, 1, "after")
        assert await everything(store, 1) == ["before", "after"]
        assert await store.view(lambda view: view.records.list(THINGS)) == []
        await store.close()

    asyncio.run(main())


def test_barred_connection_begins_anew(server):
    async def main():
        store = await open_postgres(server.url)
        await send(store, 1, "a")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("DELETE FROM forebay.mark")
        await send(store, 1, "b")
        assert await everything(store, 1) == ["a", "b"]
        await store.close()

    asyncio.run(main())
