"""How fast items of tables are, on SQLite and on PostgreSQL: operations a second and CPU per operation.

Run `python -m tests.bench.bench_items [--items 10000000] [--bytes 250] [--engine sqlite]`. With `--items` the table is
filled first, in random order of keys, so that runs with few and with many items compare.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import asyncio
import hashlib
import os
import random
import resource
import tempfile
import time
from pathlib import Path

import uvloop

from forebay.store.commands import AppendLog, LogEntry
from forebay.store.items import (
    Decision,
    GetItems,
    IndexEntry,
    Item,
    ItemKey,
    ItemWrite,
    JoinItems,
    MeasureItems,
    ReadItems,
    WriteItems,
)
from forebay.store.sqlite import open_sqlite

TASKS = 64
ITEMS_PER_PARTITION = 100


def key(number):
    customer, order = divmod(number, ITEMS_PER_PARTITION)
    name = b"customer#%08d" % customer
    return ItemKey(hashlib.md5(name).digest()[:8] + name, b"order#%06d" % order)


def put(number, data, *, is_indexed=False, is_logged=False):
    entries = (IndexEntry(1, b"status#%d" % (number % 50), b"%012d" % number),) if is_indexed else ()
    item = Item(data, len(data), entries)
    then = (AppendLog(f"stream#{number % 4}", (LogEntry(1, data),)),) if is_logged else ()
    return WriteItems((ItemWrite(1, key(number), lambda _: Decision(item, then=then)),))


def update(number):
    def decide(old):
        if old is None:
            return Decision(is_refused=True)
        data = (int(old.data[:8]) + 1).to_bytes(8, "big").hex().encode()[:8] if old.data[:8].isdigit() else b"0" * 8
        return Decision(Item(data + old.data[8:], old.size), answer=True)

    return WriteItems((ItemWrite(1, key(number), decide),))


class Bench:
    """A store with a table, and how it is measured."""

    def __init__(self, store, items, size):
        self.store = store
        self.items = items
        self.data = b"00000000" + os.urandom(max(size - 8, 0))
        self.random = random.Random(7)

    async def fill(self):
        numbers = list(range(self.items))
        self.random.shuffle(numbers)
        for start in range(0, self.items, 2000):
            commands = [put(number, self.data) for number in numbers[start : start + 2000]]
            await self.store.submit(commands)

    def any_number(self):
        return self.random.randrange(self.items)

    async def measure(self, title, operations, one, *, units=1):
        numbers = iter(range(operations))

        async def task():
            for _ in numbers:
                await one()

        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(task())
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        per = 1e6 / operations / units
        print(f"  {title:<44}{operations * units / wall:>9.0f}/s{cpu * per:>9.1f} us CPU each", flush=True)

    async def run(self, operations):
        store, fresh = self.store, iter(range(self.items, 1 << 40))
        await self.measure("put new", operations, lambda: store.submit((put(next(fresh), self.data),)))
        await self.measure("put over", operations, lambda: store.submit((put(self.any_number(), self.data),)))
        await self.measure(
            "put new, an index entry",
            operations,
            lambda: store.submit((put(next(fresh), self.data, is_indexed=True),)),
        )
        await self.measure(
            "put new, a stream record",
            operations,
            lambda: store.submit((put(next(fresh), self.data, is_logged=True),)),
        )
        await self.measure("conditional update", operations, lambda: store.submit((update(self.any_number()),)))
        await self.measure("conditional update of one item", operations, lambda: store.submit((update(1),)))
        await self.measure(
            "25 puts, all or none",
            operations // 20,
            lambda: store.submit((WriteItems(tuple(put(next(fresh), self.data).writes[0] for _ in range(25))),)),
            units=25,
        )
        await self.measure("get", operations, lambda: self.ask(GetItems(1, (key(self.any_number()),))))
        await self.measure(
            "query of 100",
            operations // 20,
            lambda: self.ask(JoinItems(ReadItems(1, 100, 1 << 20, partition=key(self.any_number()).partition))),
        )
        await self.measure(
            "scan of 1 MB",
            max(operations // 400, 20),
            lambda: self.ask(JoinItems(ReadItems(1, 1 << 30, 1 << 20, after=key(self.any_number())))),
        )
        await self.measure("count", operations // 4, lambda: self.ask(MeasureItems(1)))

    def ask(self, query):
        return self.store.ask(query)


async def bench(title, store, options):
    one = Bench(store, options.items, options.bytes)
    await one.fill()
    print(f"{title}, {options.items} items of {options.bytes} bytes, {TASKS} tasks")
    await one.run(options.operations)
    await store.close()
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


async def main(options):
    if options.engine in {"sqlite", "both"}:
        with tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
            await bench("SQLite", await open_sqlite(Path(folder)), options)
    if options.engine in {"postgres", "both"}:
        from forebay.store.postgres import open_postgres
        from tests import postgres

        server = postgres.PostgresServer()
        try:
            server.start()
            await bench("PostgreSQL", await open_postgres(server.url), options)
        finally:
            server.remove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=250)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--engine", choices=["sqlite", "postgres", "both"], default="both")
    uvloop.run(main(parser.parse_args()))
