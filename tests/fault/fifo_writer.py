"""A process that works a FIFO queue without end and reports on its pipe what was acknowledged, until it is killed.

Every message is sent a second time under another id: deduplication must swallow that, also after a kill.
"""

import asyncio
import os
import sys
from pathlib import Path

import uvloop

from forebay.store.commands import DeleteMessages, NewMessage, Receipt, ReceiveMessages, SendMessages
from forebay.store.sqlite import open_sqlite

GROUPS = "abcd"
DAY_MS = 86_400_000


def report(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def message(name, identity):
    group = name.partition(".")[0]
    return NewMessage(identity, "x" * 50, b"", 0, 0, DAY_MS, group, name, name, DAY_MS)


async def sender(store, group, start):
    number = start
    while True:
        number += 1
        name = f"{group}.{number:09}"
        await store.submit((SendMessages(1, (message(name, name),), is_fifo=True),))
        report("sent", name)
        ((again,),) = await store.submit((SendMessages(1, (message(name, f"again.{name}"),), is_fifo=True),))
        assert (again.is_duplicate, again.message_id) == (True, name)


async def consumer(store, now):
    while True:
        (received,) = await store.submit((ReceiveMessages(1, now, now + 5, 3, is_fifo=True),))
        if not received.messages:
            await asyncio.sleep(0)
            continue
        for one in received.messages:
            report("deleting", one.message_id)
        receipts = tuple(Receipt(one.position, one.receive_count) for one in received.messages)
        (results,) = await store.submit((DeleteMessages(1, receipts, True, now),))
        assert all(results)
        for one in received.messages:
            report("deleted", one.message_id)


async def main(directory, round_number):
    store = await open_sqlite(Path(directory))
    report("open")
    async with asyncio.TaskGroup() as group:
        for name in GROUPS:
            group.create_task(sender(store, name, round_number * 100_000))
        for _ in range(3):
            # What a killed process held is visible again to the next one.
            group.create_task(consumer(store, round_number * 10))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
