"""How fast the SQLite engine is: operations a second and CPU per operation, on the loop and on the writer.

Run `python tests/bench/bench_store.py [--depth 10000000] [--loop-work-us 40]`. `--loop-work-us` burns that much
CPU on the loop for each operation, as serving a request would: the writer must win the interpreter's lock against it.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path

import uvloop

from forebay.store.commands import (
    CountMessages,
    DeleteMessages,
    NewMessage,
    Receipt,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.sqlite import open_sqlite

BODY = "b" * 200
ATTRIBUTES = b"a" * 20
FAR_MS = 1_000_000_000_000


def message(number):
    return NewMessage(f"00000000-0000-4000-8000-{number:012}", BODY, ATTRIBUTES, 1000, 1000, FAR_MS)


class Meter:
    """Measures wall time, CPU of the loop's and the writer's thread and of the process, between enter and exit."""

    def __init__(self, store, title):
        self.title = title
        self.writer = time.pthread_getcpuclockid(store.writer_thread_id)
        self.latencies = []

    def _read(self):
        return time.perf_counter(), time.thread_time(), time.clock_gettime(self.writer), time.process_time()

    async def run(self, submitters, operations, one):
        """Run `one(number)` `operations` times by `submitters` tasks, and print what it cost."""
        numbers = iter(range(operations))

        async def submitter():
            for number in numbers:
                start = time.perf_counter()
                await one(number)
                self.latencies.append(time.perf_counter() - start)

        before = self._read()
        async with asyncio.TaskGroup() as group:
            for _ in range(submitters):
                group.create_task(submitter())
        wall, loop, writer, process = (after - start for after, start in zip(self._read(), before, strict=True))
        self.latencies.sort()
        per_op = 1e6 / operations
        print(
            f"{self.title:<34} {submitters:>4} tasks  {operations / wall:>8.0f} ops/s  "
            f"CPU us/op: loop {loop * per_op:5.1f}  writer {writer * per_op:5.1f}  all {process * per_op:5.1f}  "
            f"latency ms: p50 {self._latency(0.5):.2f}  p99 {self._latency(0.99):.2f}  max {self._latency(1):.1f}",
            flush=True,
        )
        return operations / wall

    def _latency(self, part):
        return self.latencies[int((len(self.latencies) - 1) * part)] * 1e3


def burn(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def bench_disk(directory):
    handle = os.open(directory / "probe", os.O_CREAT | os.O_WRONLY)
    start = time.perf_counter()
    for _ in range(200):
        os.write(handle, b"x" * 4096)
        os.fdatasync(handle)
    print(f"disk: fdatasync after 4 KiB takes {(time.perf_counter() - start) / 200 * 1e3:.3f} ms")
    os.close(handle)


async def bench_sends(store, options):
    async def send(number):
        burn(options.loop_work_us / 1e6)
        await store.submit((SendMessages(number % 4 + 1, (message(number),)),))

    for submitters in (1, 16, 64, 256):
        operations = options.operations // (10 if submitters == 1 else 1)
        await Meter(store, "send").run(submitters, operations, send)


async def bench_consume(store, options, depth):
    async def consume(number):
        burn(options.loop_work_us / 1e6)
        queue = number % 4 + 1
        (received,) = await store.submit((ReceiveMessages(queue, 2000, 1_000_000, 1),))
        burn(options.loop_work_us / 1e6)
        receipts = tuple(Receipt(one.position, one.receive_count) for one in received.messages)
        assert receipts
        await store.submit((DeleteMessages(queue, receipts),))

    await Meter(store, f"receive 1 + delete 1, depth {depth}").run(64, options.operations // 4, consume)

    async def mixed(number):
        if number % 2:
            await consume(number // 2)
        else:
            burn(options.loop_work_us / 1e6)
            await store.submit((SendMessages(number // 2 % 4 + 1, (message(number),)),))

    await Meter(store, f"send | receive + delete, depth {depth}").run(64, options.operations // 2, mixed)

    async def consume_ten(number):
        queue = number % 4 + 1
        (received,) = await store.submit((ReceiveMessages(queue, 2000, 1_000_000, 10),))
        receipts = tuple(Receipt(one.position, one.receive_count) for one in received.messages)
        await store.submit((DeleteMessages(queue, receipts),))

    await Meter(store, f"receive 10 + delete 10, depth {depth}").run(16, options.operations // 40, consume_ten)

    async def count(number):
        await store.submit((CountMessages(number % 4 + 1, 2000),))

    await Meter(store, f"count, depth {depth}").run(64, options.operations // 4, count)


def _size(directory):
    return sum(file.stat().st_size for file in directory.iterdir())


async def fill(store, depth):
    (count,) = await store.submit((CountMessages(1, 2000),))
    missing = depth // 4 - count.visible
    for start in range(0, missing, 500):
        new = tuple(message(start + number) for number in range(500))
        await store.submit([SendMessages(queue, new) for queue in (1, 2, 3, 4)])


async def main(options):
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        directory = Path(folder)
        bench_disk(directory)
        store = await open_sqlite(directory)
        await bench_sends(store, options)
        for depth in (10_000, options.depth):
            await fill(store, max(depth, options.operations * 2))
            await bench_consume(store, options, depth)
        await store.close()
        start = time.perf_counter()
        store = await open_sqlite(directory)
        (count,) = await store.submit((CountMessages(1, 2000),))
        print(f"open with {count.visible * 4} messages and first answer: {(time.perf_counter() - start) * 1e3:.1f} ms")
        await store.close()
        size = _size(directory)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"files {size / 1e6:.0f} MB, peak memory {memory / 1e3:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=40_000)
    parser.add_argument("--depth", type=int, default=1_000_000)
    parser.add_argument("--loop-work-us", type=float, default=0)
    parser.add_argument("--directory", default=tempfile.gettempdir())
    uvloop.run(main(parser.parse_args()))
