"""A process that writes items without end and reports on its pipe what was acknowledged, until it is killed.

Counters count, each with an index entry and a record in a log; accounts transfer among each other, all or none; items
come and go in transactions. `python item_writer.py <folder or database URL> [schema]`.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

import uvloop

from forebay.store.commands import AppendLog, LogEntry
from forebay.store.items import Decision, IndexEntry, Item, ItemKey, ItemWrite, WriteItems

TABLE, INDEX = 1, 5
COUNTERS = 20
ACCOUNTS = 8
BALANCE = 100


def counter(number):
    return ItemKey(b"counter", b"%02d" % number)


def account(number):
    return ItemKey(b"account", b"%02d" % number)


def item(value):
    data = b"%d" % value
    return Item(data, len(data), (IndexEntry(INDEX, b"%09d" % value),))


def count(number):
    def decide(old):
        value = int(old.data) + 1 if old else 1
        entry = LogEntry(1, b"%d" % value)
        return Decision(item(value), answer=value, then=(AppendLog(f"counter{number}", (entry,)),))

    return ItemWrite(TABLE, counter(number), decide)


def move(number, amount):
    def decide(old):
        value = (int(old.data) if old else BALANCE) + amount
        return Decision(item(value), is_refused=value < 0)

    return ItemWrite(TABLE, account(number), decide)


def report(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def counting(store):
    while True:
        number = random.randrange(COUNTERS)
        (written,) = await store.submit((WriteItems((count(number),)),))
        report("counted", number, written.answers[0])


async def transferring(store):
    while True:
        source, target = random.sample(range(ACCOUNTS), 2)
        await store.submit((WriteItems((move(source, -7), move(target, 7), count(COUNTERS))),))


async def transacting(store):
    while True:
        source, target = random.sample(range(ACCOUNTS), 2)

        def work(transaction, source=source, target=target):
            if transaction.apply(WriteItems((move(source, -1),))).is_written:
                transaction.apply(WriteItems((move(target, 1),)))

        await store.transact(work)


async def open_store(place, schema):
    if schema is None:
        from forebay.store.sqlite import open_sqlite

        return await open_sqlite(Path(place))
    from forebay.store.postgres import open_postgres

    return await open_postgres(place, schema=schema)


async def main(place, schema=None):
    store = await open_store(place, schema)
    report("open")
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(counting(store))
        for _ in range(4):
            group.create_task(transferring(store))
        group.create_task(transacting(store))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
