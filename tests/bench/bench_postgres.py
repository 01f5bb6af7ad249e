"""How fast the PostgreSQL engine is beside SQLite, in one run: sends, receives with deletes, and two nodes at once.

Run `python tests/bench/bench_postgres.py [--url postgresql://...]`; without a URL it runs a server of its own.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path

import uvloop

from forebay.store.commands import DeleteMessages, NewMessage, Receipt, ReceiveMessages, SendMessages
from forebay.store.postgres import open_postgres
from forebay.store.sqlite import open_sqlite
from tests.postgres import PostgresServer

BODY = "b" * 200
ATTRIBUTES = b"a" * 20
FAR_MS = 1_000_000_000_000


def message(number):
    return NewMessage(f"00000000-0000-4000-8000-{number:012}", BODY, ATTRIBUTES, 1000, 1000, FAR_MS)


async def send(store, number):
    await store.submit((SendMessages(number % 4 + 1, (message(number),)),))


async def consume(store, number):
    queue = number % 4 + 1
    (received,) = await store.submit((ReceiveMessages(queue, 2000, 1_000_000, 1),))
    receipts = tuple(Receipt(one.position, one.receive_count) for one in received.messages)
    await store.submit((DeleteMessages(queue, receipts),))
    return len(receipts)


async def measure(store, one, operations, tasks=64):
    """Return operations a second, CPU microseconds of this process for each, and the latencies in order."""
    numbers = iter(range(operations))
    latencies = []

    async def run():
        for number in numbers:
            start = time.perf_counter()
            await one(store, number)
            latencies.append(time.perf_counter() - start)

    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(run())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    latencies.sort()
    return operations / wall, cpu / operations * 1e6, latencies


def report(title, measured):
    rate, cpu, latencies = measured
    p50, p99 = (latencies[int((len(latencies) - 1) * part)] * 1e3 for part in (0.5, 0.99))
    print(
        f"{title:<44} {rate:>8.0f} ops/s  client CPU {cpu:5.1f} us/op  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms", flush=True
    )
    return rate


async def bench(title, store, operations):
    await measure(store, send, operations // 10)
    report(f"{title}: send, 1 task", await measure(store, send, operations // 40, tasks=1))
    sends = report(f"{title}: send, 64 tasks", await measure(store, send, operations))
    pairs = report(f"{title}: receive 1 + delete 1, 64 tasks", await measure(store, consume, operations // 2))
    return sends, pairs


def node(url, operations, barrier, rates):
    """Measure in a process of its own, as a node is."""

    async def run():
        store = await open_postgres(url, schema="bench_nodes")
        await measure(store, send, 200)
        found = []
        for one, count in ((send, operations), (consume, operations // 2)):
            barrier.wait()
            found.append((await measure(store, one, count))[0])
        await store.close()
        return found

    rates.put(uvloop.run(run()))


def bench_nodes(url, operations, nodes):
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(nodes), context.Queue()
    processes = [context.Process(target=node, args=(url, operations // nodes, barrier, rates)) for _ in range(nodes)]
    for process in processes:
        process.start()
    found = [rates.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    sends, pairs = (sum(rate) for rate in zip(*found, strict=True))
    print(f"{nodes} node(s) in processes: send {sends:.0f} ops/s, receive + delete {pairs:.0f} ops/s")


async def bench_engines(url, operations):
    with tempfile.TemporaryDirectory() as folder:
        store = await open_sqlite(Path(folder))
        sqlite = await bench("SQLite", store, operations)
        await store.close()
    store = await open_postgres(url, schema="bench")
    postgres = await bench("PostgreSQL", store, operations)
    await store.close()
    print("PostgreSQL / SQLite:", ", ".join(f"{b / a:.0%}" for a, b in zip(sqlite, postgres, strict=True)))


def main(options):
    server = None
    if options.url is None:
        server = PostgresServer()
        server.start()
    url = options.url or server.url
    try:
        uvloop.run(bench_engines(url, options.operations))
        for nodes in (1, 2):
            bench_nodes(url, options.operations, nodes)
    finally:
        if server is not None:
            server.remove()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--operations", type=int, default=20_000)
    main(parser.parse_args())
