"""kill -9 at any moment loses nothing that was acknowledged, and brings nothing back that was deleted."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from forebay.store.commands import CountMessages, CountTimers, PeekMessages, ReadLog, SendMessages
from forebay.store.sqlite import open_sqlite
from tests.fault.store_writer import THINGS, message

ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "4"))


class Ledger:
    """What the killed processes have reported."""

    def __init__(self):
        self.sent = set()
        self.deleting = set()
        self.deleted = set()
        self.kept = set()
        self.logged = {}
        self.position = 0
        self.number = 0

    def read(self, line):
        verb, *words = line.split()
        if verb == "sent":
            self.sent.add(words[0])
            self.position = max(self.position, int(words[1]))
        elif verb == "kept":
            self.kept.add(words[0])
            assert int(words[1]) > self.number - 4, "a number was given twice"
            self.number = max(self.number, int(words[1]))
        elif verb == "logged":
            self.logged[words[0]] = int(words[1])
        elif verb in {"deleting", "deleted"}:
            getattr(self, verb).add(words[0])


def run_and_kill(directory, name, seconds):
    script = Path(__file__).with_name("store_writer.py")
    with subprocess.Popen([sys.executable, script, directory, name], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        timer = time.monotonic() + seconds
        lines = []
        while time.monotonic() < timer:
            lines.append(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    # The last line may be cut where the process died.
    return [line.decode() for line in lines if line.endswith(b"\n")]


async def messages_of(store, queue):
    found, after = {}, 0
    while page := (await store.submit((PeekMessages(queue, after, 1000),)))[0]:
        found.update({one.message_id: one for one in page})
        after = page[-1].position
    return found


async def check(directory, ledger):
    opened = time.perf_counter()
    store = await open_sqlite(directory)
    (counted,) = await store.submit((CountMessages(1, 0),))
    assert time.perf_counter() - opened < 1.5, "recovery takes too long"
    queue = await messages_of(store, 1)
    assert ledger.sent - ledger.deleting <= queue.keys(), "acknowledged messages are gone"
    assert not ledger.deleted & queue.keys(), "deleted messages are back"
    assert all(one.body == name * 20 for name, one in queue.items())
    assert counted.visible + counted.in_flight + counted.delayed == len(queue), "counters drifted"
    records = {key for key, _ in await store.view(lambda view: view.records.list(THINGS))}
    assert ledger.kept <= records
    # A transaction is there whole: record, timer and message, or none of them.
    timers, second = await store.submit((CountTimers("k"), CountMessages(2, 0)))
    assert timers == len(records) == second.visible
    assert (await messages_of(store, 2)).keys() == records
    for stream, position in ledger.logged.items():
        (entries,) = await store.submit((ReadLog(stream, 1_000_000),))
        assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
        assert len(entries) >= position
    (sent,) = await store.submit((SendMessages(3, (message("after"),)),))
    assert sent[0].position > ledger.position, "a position was given twice"
    await store.close()


def test_kill_loses_nothing_acknowledged(tmp_path):
    ledger = Ledger()
    for number in range(ROUNDS):
        lines = run_and_kill(tmp_path, f"r{number}", random.uniform(0.05, 0.8))
        for line in lines:
            ledger.read(line)
        asyncio.run(check(tmp_path, ledger))
    assert ledger.sent
    assert ledger.deleted
    assert ledger.kept
