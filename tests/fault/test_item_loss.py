"""Killing PostgreSQL and cutting connections under writers of items: each write that was acknowledged is done once."""

import asyncio
import random

import psycopg
import pytest

from forebay.store.commands import ReadLog
from forebay.store.items import GetItems, MeasureItems, ReadItems, WriteItems
from forebay.store.postgres import open_postgres
from tests import postgres as servers
from tests.fault.item_writer import ACCOUNTS, BALANCE, COUNTERS, INDEX, TABLE, count, counter, move

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")

WHOLE = 1 << 30


@pytest.fixture(scope="module")
def server():
    one = servers.PostgresServer()
    try:
        one.start()
        yield one
    finally:
        one.remove()


class Load:
    """Two nodes that count, transfer and read until they are told to stop."""

    def __init__(self, stores):
        self.stores = stores
        self.is_over = False
        self.counted = [0] * COUNTERS
        self.steps = asyncio.Event()

    async def counting(self, store):
        while not self.is_over:
            number = random.randrange(COUNTERS)
            await store.submit((WriteItems((count(number),)),))
            self.counted[number] += 1
            self.steps.set()

    async def transferring(self, store):
        while not self.is_over:
            source, target = random.sample(range(ACCOUNTS), 2)
            command = WriteItems((move(source, -7), move(target, 7)))
            if random.random() < 0.2:
                await store.transact(lambda transaction, command=command: transaction.apply(command))
            else:
                await store.submit((command,))

    async def reading(self, store):
        while not self.is_over:
            await store.ask(GetItems(TABLE, tuple(counter(number) for number in range(COUNTERS))))
            await asyncio.sleep(0)

    async def disturbing(self, disturbance, times):
        for _ in range(times):
            for _ in range(random.randrange(5, 40)):
                self.steps.clear()
                await self.steps.wait()
            await asyncio.to_thread(disturbance)
        self.is_over = True

    async def run(self, disturbance, times):
        async with asyncio.TaskGroup() as group:
            for store in self.stores:
                for _ in range(8):
                    group.create_task(self.counting(store))
                group.create_task(self.transferring(store))
                group.create_task(self.reading(store))
            group.create_task(self.disturbing(disturbance, times))

    async def check(self):
        store = self.stores[0]
        page = await store.ask(ReadItems(TABLE, WHOLE, WHOLE))
        values = {(one.key.partition, int(one.key.sort)): int(one.data) for one in page.items}
        assert [values.get((b"counter", number), 0) for number in range(COUNTERS)] == self.counted
        for number, value in enumerate(self.counted):
            entries = await store.ask(ReadLog(f"counter{number}", WHOLE))
            assert [int(entry.data) for entry in entries] == list(range(1, value + 1))
        assert sum(values.get((b"account", number), BALANCE) for number in range(ACCOUNTS)) == ACCOUNTS * BALANCE
        listed = await store.ask(ReadItems(TABLE, WHOLE, WHOLE, index=INDEX))
        assert [one.position.partition for one in listed.items] == [
            b"%09d" % value for value in sorted(values.values())
        ]
        assert (await store.ask(MeasureItems(TABLE, INDEX))).items == len(values)


def under_load(server, schema, disturbance, times):
    async def main():
        stores = [await open_postgres(server.url, schema=schema, wait_seconds=60) for _ in range(2)]
        load = Load(stores)
        await load.run(disturbance, times)
        await load.check()
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_killed_server_loses_and_doubles_no_item(server):
    def kill():
        server.kill()
        server.start()

    under_load(server, "killed", kill, 3)


def test_terminated_connections_lose_and_double_no_item(server):
    def terminate():
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'forebay' AND pid <> pg_backend_pid()"
            )

    under_load(server, "terminated", terminate, 20)
