"""A process that sends, receives, deletes and settles without end, and reports on its pipe what was acknowledged.

It is killed by the test. Each line is written only after its acknowledgement, so what was reported must be there.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import uvloop

from forebay.store.commands import (
    AppendLog,
    DeleteMessages,
    LogEntry,
    NewMessage,
    PutTimers,
    Receipt,
    ReceiveMessages,
    SendMessages,
    Timer,
)
from forebay.store.records import Kind
from forebay.store.sqlite import open_sqlite

DAY_MS = 86_400_000


class Thing(msgspec.Struct, frozen=True):
    name: str


THINGS = Kind("test.thing", Thing)


def report(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def message(name):
    return NewMessage(name, name * 20, b"attributes", 0, 0, DAY_MS)


async def sender(store, name):
    number = 0
    while True:
        number += 1
        one = f"{name}.{number}"
        (sent,) = await store.submit((SendMessages(1, (message(one),)),))
        report("sent", one, sent[0].position)


async def consumer(store, name):
    while True:
        (received,) = await store.submit((ReceiveMessages(1, 0, 1, 3),))
        if not received.messages:
            await asyncio.sleep(0)
            continue
        # What is about to be deleted may be gone already when the process dies before the acknowledgement.
        for one in received.messages:
            report("deleting", one.message_id)
        receipts = tuple(Receipt(one.position, one.receive_count) for one in received.messages)
        await store.submit((DeleteMessages(1, receipts),))
        for one in received.messages:
            report("deleted", one.message_id)


async def keeper(store, name):
    number = 0
    while True:
        number += 1
        one = f"{name}.{number}"

        def work(transaction, one=one):
            transaction.records.put(THINGS, one, Thing(one))
            transaction.apply(PutTimers((Timer("k", one, 1, one.encode()),)))
            transaction.apply(SendMessages(2, (message(one),)))
            return transaction.records.next_number("n")

        taken = await store.transact(work)
        report("kept", one, taken)
        (position,) = await store.submit((AppendLog(name, (LogEntry(number, one.encode()),)),))
        report("logged", name, position)


async def main():
    store = await open_sqlite(Path(sys.argv[1]))
    round_name = sys.argv[2]
    report("open")
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(sender(store, f"{round_name}.s{number}"))
        for number in range(4):
            group.create_task(consumer(store, f"{round_name}.c{number}"))
            group.create_task(keeper(store, f"{round_name}.k{number}"))


if __name__ == "__main__":
    uvloop.run(main())
