"""Writers that do not share a commit: items come out as if one had written after the other."""

import asyncio
import contextlib

import pytest

from forebay.store.commands import AppendLog, LogEntry, ReadLog
from forebay.store.items import (
    Decision,
    GetItems,
    IndexEntry,
    Item,
    ItemKey,
    ItemWrite,
    MeasureItems,
    ReadItems,
    WriteItems,
)
from tests.contract.store.samples import run

NAMES = [ItemKey(name.encode()) for name in "abcdef"]


def item(number):
    data = str(number).encode()
    return Item(data, len(data), (IndexEntry(5, data),))


def count(name):
    """Return a write that counts, from nothing, and logs the count."""

    def decide(old):
        number = int(old.data) + 1 if old else 1
        log = AppendLog("counts", (LogEntry(1, name.partition + b"%d" % number),))
        return Decision(item(number), answer=number, then=(log,))

    return ItemWrite(1, name, decide)


def put_if_absent(name):
    def decide(old):
        return Decision(item(1), answer=old is None, is_refused=old is not None)

    return ItemWrite(1, name, decide)


def check_absent(name):
    return ItemWrite(1, name, lambda old: Decision(is_kept=True, is_refused=old is not None))


@pytest.fixture
def nodes(request, runner, store):
    """Return stores that share their data, where the engine can do that."""
    with contextlib.ExitStack() as stack:
        stores = [store]
        if type(store).__name__ == "PostgresStore":
            opener, _ = request.getfixturevalue("postgres_opener")
            schema = store.settings.schema
            stores += [runner.run(opener(schema)) for _ in range(2)]
            for one in stores[1:]:
                stack.callback(lambda one=one: runner.run(one.close()))
        yield stores


async def write(store, *writes, in_transaction):
    command = WriteItems(writes)
    if in_transaction:
        return await store.transact(lambda transaction: transaction.apply(command))
    return await run(store, command)


async def test_counts_are_never_given_twice(nodes):
    async def work(number):
        names = [NAMES[(number + step) % 3] for step in range(1 + number % 2)]
        answers = []
        for turn in range(6):
            done = await write(nodes[number % len(nodes)], *map(count, names), in_transaction=turn % 3 == 0)
            answers += zip(names, done.answers, strict=True)
        return answers

    answers = [one for each in await asyncio.gather(*map(work, range(12))) for one in each]
    for name in NAMES[:3]:
        of_name = sorted(number for other, number in answers if other == name)
        assert of_name == list(range(1, len(of_name) + 1))
    found = await run(nodes[0], GetItems(1, tuple(NAMES[:3])))
    assert sum(int(one.data) for one in found) == len(answers) == (await _logged(nodes[0], len(answers)))
    assert (await run(nodes[0], MeasureItems(1, 5))).items == 3
    listed = await run(nodes[0], ReadItems(1, 10, 1 << 20, index=5))
    assert all(one.position.partition == one.data for one in listed.items)


async def _logged(store, limit):
    """Check that the log has the counts of each item in order, and return how many there are."""
    entries = [entry.data for entry in await run(store, ReadLog("counts", limit + 1))]
    for name in NAMES[:3]:
        numbers = [int(entry[1:]) for entry in entries if entry[:1] == name.partition]
        assert numbers == sorted(numbers)
    return len(entries)


async def test_only_one_puts_what_was_not_there(nodes):
    for turn, name in enumerate(NAMES):
        done = await asyncio.gather(
            *[
                write(nodes[one % len(nodes)], put_if_absent(name), in_transaction=(one + turn) % 2 == 0)
                for one in range(6)
            ]
        )
        assert [one.is_written for one in done].count(True) == 1


async def test_nobody_relies_on_an_absence_that_ends(nodes):
    """Two write each what the other relies on not being there: only one of them may."""
    for turn in range(8):
        left, right = ItemKey(b"left", b"%d" % turn), ItemKey(b"right", b"%d" % turn)
        done = await asyncio.gather(
            write(nodes[0], check_absent(left), put_if_absent(right), in_transaction=False),
            write(nodes[-1], check_absent(right), put_if_absent(left), in_transaction=True),
        )
        assert [one.is_written for one in done].count(True) == 1
        assert (await run(nodes[0], MeasureItems(1))).items == turn + 1
