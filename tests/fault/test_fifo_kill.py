"""kill -9 at any moment breaks neither the order of a FIFO queue's groups nor its deduplication."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from forebay.store.commands import (
    CountMessages,
    DeleteMessages,
    PeekMessages,
    Receipt,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.sqlite import open_sqlite
from tests.fault.fifo_writer import GROUPS, message

ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "4"))


def run_and_kill(directory, round_number, seconds):
    script = Path(__file__).with_name("fifo_writer.py")
    command = [sys.executable, script, directory, str(round_number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        end = time.monotonic() + seconds
        lines = []
        while time.monotonic() < end:
            lines.append(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


async def check(directory, known):
    store = await open_sqlite(directory)
    names, after = [], 0
    while page := (await store.submit((PeekMessages(1, after, 1000),)))[0]:
        names += [one.message_id for one in page]
        after = page[-1].position
    assert not [name for name in names if name.startswith("again.")], "a duplicate got in"
    assert known["sent"] - known["deleting"] <= set(names), "acknowledged messages are gone"
    assert not known["deleted"] & set(names), "deleted messages are back"
    for group in GROUPS:
        of_group = [name for name in names if name[0] == group]
        assert of_group == sorted(of_group)
        deleted = [name for name in known["deleted"] if name[0] == group]
        assert not deleted or not of_group or max(deleted) < of_group[0], "a message overtook another of its group"
    (counted,) = await store.submit((CountMessages(1, 0),))
    assert counted.visible + counted.in_flight == len(names), "counters drifted"
    if known["sent"]:
        name = max(known["sent"])
        ((again,),) = await store.submit((SendMessages(1, (message(name, "again.x"),), is_fifo=True),))
        assert again.is_duplicate, "a duplicate was forgotten"
    await store.close()


async def drain(directory, known, now):
    """Receive everything: each group must come whole and in order."""
    store = await open_sqlite(directory)
    served = []
    while found := (await store.submit((ReceiveMessages(1, now, now + 5, 10, is_fifo=True),)))[0].messages:
        receipts = tuple(Receipt(one.position, one.receive_count) for one in found)
        await store.submit((DeleteMessages(1, receipts, True, now),))
        served += [one.message_id for one in found]
    for group in GROUPS:
        of_group = [name for name in served if name[0] == group]
        assert of_group == sorted(of_group)
    assert known["sent"] - known["deleting"] <= set(served)
    (counted,) = await store.submit((CountMessages(1, now),))
    assert (counted.visible, counted.in_flight) == (0, 0)
    await store.close()


def test_kill_keeps_order_and_deduplication(tmp_path):
    known = {"sent": set(), "deleting": set(), "deleted": set()}
    for round_number in range(ROUNDS):
        for verb, name in run_and_kill(tmp_path, round_number, random.uniform(0.05, 0.8)):
            known[verb].add(name)
        asyncio.run(check(tmp_path, known))
    asyncio.run(drain(tmp_path, known, ROUNDS * 10))
    assert known["deleted"]
