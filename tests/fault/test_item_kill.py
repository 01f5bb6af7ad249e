"""kill -9 at any moment loses no acknowledged item, halves no transaction, and leaves no index or log that differs."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from forebay.store.commands import ReadLog
from forebay.store.items import MeasureItems, ReadItems
from tests import postgres as server
from tests.fault.item_writer import ACCOUNTS, BALANCE, COUNTERS, INDEX, TABLE, open_store

ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "4"))
WHOLE = 1 << 30


def run_and_kill(seconds, *arguments):
    """Return the highest count of each counter that was acknowledged."""
    script = Path(__file__).with_name("item_writer.py")
    with subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        end = time.monotonic() + seconds
        lines = []
        while time.monotonic() < end:
            lines.append(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    known = Counter()
    for line in lines:
        if line.endswith(b"\n"):
            _, number, value = line.split()
            known[int(number)] = max(known[int(number)], int(value))
    return known


async def check(place, schema, known):
    store = await open_store(place, schema)
    page = await store.ask(ReadItems(TABLE, WHOLE, WHOLE))
    values = {(one.key.partition, int(one.key.sort)): int(one.data) for one in page.items}
    for number, value in known.items():
        assert values[b"counter", number] >= value, "an acknowledged count is gone"
    balances = [values.get((b"account", number), BALANCE) for number in range(ACCOUNTS)]
    assert sum(balances) == ACCOUNTS * BALANCE, "a transfer was half done"
    for number in range(COUNTERS + 1):
        entries = await store.ask(ReadLog(f"counter{number}", WHOLE))
        expected = list(range(1, values.get((b"counter", number), 0) + 1))
        assert [int(entry.data) for entry in entries] == expected, "the log disagrees with its item"
    listed = await store.ask(ReadItems(TABLE, WHOLE, WHOLE, index=INDEX))
    assert [one.position.partition for one in listed.items] == [b"%09d" % value for value in sorted(values.values())]
    for index in (None, INDEX):
        size = await store.ask(MeasureItems(TABLE, index))
        assert (size.items, size.size) == (len(values), sum(one.size for one in page.items)), "counters drifted"
    await store.close()


def check_rounds(place, schema=None):
    known = Counter()
    arguments = [str(place)] if schema is None else [str(place), schema]
    for _ in range(ROUNDS):
        known |= run_and_kill(random.uniform(0.1, 0.8), *arguments)
        asyncio.run(check(place, schema, known))
    assert known


def test_kill_keeps_items_on_sqlite(tmp_path):
    check_rounds(tmp_path / "data")


@pytest.mark.skipif(server.binaries() is None, reason="no PostgreSQL server on this machine")
def test_kill_keeps_items_on_postgres():
    one = server.PostgresServer()
    try:
        one.start()
        check_rounds(one.url, "killed")
    finally:
        one.remove()
