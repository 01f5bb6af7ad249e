"""Whether cost depends on depth: rates, memory and restart of a node with few and with many messages, queues, groups.

    .venv/bin/python -m tests.bench.bench_depth [--messages 10000 1000000] [--queues 20000] [--groups 100000]
        [--postgres]

Each folder of data is filled once, through the store engine itself; then rounds alternate between the folders: send,
receive one by one, delete, over 64 connections, and at the end `kill -9` and a restart. The first folder of each kind
(one queue, or one FIFO queue, with 10,000 messages) is what the others are compared with. Ten million messages take
about 7 GB in `FOREBAY_BENCH_DIR` (or the folder for temporary files), which is emptied afterwards. With `--postgres`
the data is in a PostgreSQL server of its own, one database for each; CPU is still the node's alone.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import asyncio
import itertools
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forebay.services.sqs.message import Envelope, encode_envelope
from forebay.services.sqs.queue import QUEUE
from forebay.store.commands import NewMessage, SendMessages
from forebay.store.postgres import open_postgres
from forebay.store.sqlite import open_sqlite
from tests.bench.bench_node import node_command, resident_mb
from tests.bench.bench_server import cpu_seconds, free_port
from tests.bench.calm import wait_calm
from tests.bench.load import Progress, Script, run_scripts
from tests.bench.sqs_requests import ACCESS_KEY, BODY, Requests, handles_of
from tests.postgres import PostgresServer

Take = Callable[[bytes], None]

CONNECTIONS = 64
BASE_MESSAGES = 10_000
_FILLED_AT_ONCE = 5_000
_RETENTION_MS = 14 * 86_400_000
_START_SECONDS = 30.0
_WANTED_RATIO, _WANTED_MB, _WANTED_SECONDS = 1.3, 250, 1.0


@dataclass(frozen=True)
class Shape:
    """What a folder holds: so many messages on so many queues; FIFO with `groups`."""

    messages: int
    queues: int = 1
    groups: int = 0

    def __str__(self) -> str:
        if self.groups:
            return f"{self.messages:,} messages in {self.groups:,} groups"
        return f"{self.messages:,} messages on {self.queues:,} queue{'s' if self.queues > 1 else ''}"

    @property
    def names(self) -> list[str]:
        """The names of the queues."""
        return ["bench.fifo"] if self.groups else [f"bench-{number}" for number in range(self.queues)]


@dataclass(frozen=True)
class Place:
    """Where a node keeps its data: a folder, or a database with a folder beside it."""

    data: Path
    url: str | None = None


@dataclass
class Measured:
    """The best rounds of a place."""

    rates: dict[str, float] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 0.0
    restart_seconds: list[float] = field(default_factory=list)

    def note(self, operation: str, rate: float, cpu_us: float) -> None:
        """Keep the better of what was known and a new round."""
        self.rates[operation] = max(rate, self.rates.get(operation, 0.0))
        self.cpu_us[operation] = min(cpu_us, self.cpu_us.get(operation, cpu_us))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--queues", type=int, nargs="*", default=[20_000])
    parser.add_argument("--groups", type=int, nargs="*", default=[100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--postgres", action="store_true", help="measure on PostgreSQL")
    parser.add_argument("--calm-seconds", type=float, default=20.0, help="how long to wait for a quiet moment")
    parser.add_argument("--nice", type=int, default=0, help="priority of node and load; below 0 needs root")
    options = parser.parse_args()
    os.setpriority(os.PRIO_PROCESS, 0, options.nice)
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, {last})
    standard = [Shape(BASE_MESSAGES), *(Shape(count) for count in options.messages)]
    standard += [Shape(count, queues=count) for count in options.queues]
    fifo = [Shape(BASE_MESSAGES, groups=100), *(Shape(count, groups=count) for count in options.groups)]
    print(f"load of the machine: {os.getloadavg()[0]:.2f}; node on core 0, load on core {last}")
    with places(is_postgres=options.postgres) as new_place:
        for shapes in (standard, fifo if options.groups else []):
            if shapes:
                compare([new_place() for _ in shapes], shapes, options)
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")


@contextmanager
def places(*, is_postgres: bool) -> Generator[Callable[[], Place]]:
    """Yield a function that makes a new place, and let go of all of them in the end."""
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR")) as folder:
        if not is_postgres:
            yield lambda: Place(Path(folder) / str(next(numbers)))
            return
        tempfile.tempdir = os.environ.get("FOREBAY_BENCH_DIR")
        server = PostgresServer(shared_buffers="512MB", max_wal_size="4GB", checkpoint_timeout="15min")
        try:
            server.start()
            yield lambda: Place(Path(folder) / "node", server.new_database(f"depth{next(numbers)}"))
        finally:
            server.remove()


def compare(where: Sequence[Place], shapes: Sequence[Shape], options: argparse.Namespace) -> None:
    """Fill a place for each shape, measure them in turns, and print."""
    measured = {shape: Measured() for shape in shapes}
    for place, shape in zip(where, shapes, strict=True):
        began = time.monotonic()
        fill(place, shape)
        print(f"  filled: {shape} in {time.monotonic() - began:.0f} s", flush=True)
    for _ in range(options.rounds):
        for place, shape in zip(where, shapes, strict=True):
            print(f"  {wait_calm(options.calm_seconds)}")
            measure(place, shape, options.operations, measured[shape])
            print(f"  {shape}: {_line(measured[shape])}", flush=True)
    base = measured[shapes[0]]
    print()
    for shape in shapes:
        result = measured[shape]
        print(f"{shape}: {_line(result)}")
        if shape is not shapes[0]:
            slower = {name: base.rates[name] / rate for name, rate in result.rates.items()}
            ratios = ", ".join(f"{name} {ratio:.2f}" for name, ratio in slower.items())
            print(f"  times slower than {shapes[0]}: {ratios} (at most {_WANTED_RATIO} is wanted)")
        print(f"  memory {result.memory_mb:.0f} MB (at most {_WANTED_MB}), restart after kill -9 {_restarts(result)}")


def _line(result: Measured) -> str:
    return ", ".join(f"{name} {rate:,.0f}/s ({result.cpu_us[name]:.0f} us)" for name, rate in result.rates.items())


def _restarts(result: Measured) -> str:
    seconds = result.restart_seconds
    return f"{min(seconds):.2f} s best, {max(seconds):.2f} s worst (at most {_WANTED_SECONDS})"


# --- filling ---


def fill(place: Place, shape: Shape) -> None:
    """Make the queues through a node, then put the messages on them through the store."""
    with node(place) as (port, _):
        make_queues(port, shape)
    with asyncio.Runner() as runner:
        runner.run(_fill(place, shape))


def make_queues(port: int, shape: Shape) -> None:
    """Create the queues, over many connections."""
    requests = Requests(port, "")
    attributes = {"FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    names = iter(shape.names)

    def create(_progress: Progress) -> Script:
        for name in names:
            members = {"QueueName": name, **({"Attributes": attributes} if shape.groups else {})}
            yield requests.operation("CreateQueue", **members)

    connections = min(CONNECTIONS, shape.queues)
    result = run_scripts("127.0.0.1", port, [create] * connections, 600.0, warm_up_seconds=0)
    assert not result.errors, f"{result.errors} queues could not be made"


async def _fill(place: Place, shape: Shape) -> None:
    store = await (open_sqlite(place.data) if place.url is None else open_postgres(place.url))
    records = await store.view(lambda view: view.records.list(QUEUE))
    numbers = [queue.number for _, queue in records]
    assert len(numbers) == shape.queues, f"{len(numbers)} queues"
    now_ms = int(time.time() * 1000)
    attributes = encode_envelope(Envelope(ACCESS_KEY))
    each = shape.messages // len(numbers)
    total = 0
    for at_once in range(0, each, _FILLED_AT_ONCE):
        for number in numbers:
            count = min(_FILLED_AT_ONCE, each - at_once)
            messages = tuple(_message(total + index, now_ms, attributes, shape.groups) for index in range(count))
            await store.submit((SendMessages(number, messages, bool(shape.groups)),))
            total += count
    await store.close()


def _message(number: int, now_ms: int, attributes: bytes, groups: int) -> NewMessage:
    identity = f"00000000-0000-4000-8000-{number:012}"
    group = _group(number % groups) if groups else None
    return NewMessage(identity, BODY, attributes, now_ms, now_ms, now_ms + _RETENTION_MS, group)


def _group(number: int) -> str:
    return f"group-{number}"


# --- measuring ---


def measure(place: Place, shape: Shape, operations: int, result: Measured) -> None:
    """Run one round on a place: rates, memory, kill, restart."""
    with node(place) as (port, process):
        for name, seconds_us in rates(port, process.pid, shape, operations).items():
            result.note(name, *seconds_us)
        result.memory_mb = max(result.memory_mb, resident_mb(process.pid))
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.perf_counter()
    with node(place):
        result.restart_seconds.append(time.perf_counter() - began)


def rates(port: int, pid: int, shape: Shape, operations: int) -> dict[str, tuple[float, float]]:
    """Send, receive and delete `operations` messages; return the rate of each, and its us of CPU."""
    base = f"http://127.0.0.1:{port}/{ACCESS_KEY}"
    clients = [Requests(port, f"{base}/{name}") for name in shape.names]
    # A prime stride visits all queues, or groups, without order.
    turns = [clients[number * 7919 % len(clients)] for number in range(operations)]
    salt = time.time_ns()

    def sends() -> Iterator[bytes]:
        for number, client in enumerate(turns):
            more = {}
            if shape.groups:
                more["MessageGroupId"] = _group(number * 7919 % shape.groups)
                more["MessageDeduplicationId"] = f"{salt}-{number}"
            yield client.operation("SendMessage", MessageBody=BODY, **more)

    # What a node has not touched since its start it reads first; that is the restart's cost, not the depth's.
    _timed(port, pid, [(client.operation("GetQueueAttributes", AttributeNames=["All"]), None) for client in clients])
    found = {"send": _timed(port, pid, [(request, None) for request in sends()])}
    # A group that has a message in flight gives no second one, so the groups bound what can be received.
    count = min(operations, shape.messages // 2, shape.groups or operations)
    received: list[bytes] = []

    def take_by(client: Requests) -> Take:
        return lambda answer: received.extend([client.delete(handle) for handle in handles_of(answer)])

    found["receive"] = _timed(port, pid, [(client.receive(), take_by(client)) for client in turns[:count]])
    assert len(received) > count * 0.9, f"{len(received)} of {count} messages were received"
    found["delete"] = _timed(port, pid, [(request, None) for request in received])
    return found


def _timed(port: int, pid: int, exchanges: Sequence[tuple[bytes, Take | None]]) -> tuple[float, float]:
    """Send requests over all connections; return how many were answered a second, and the node's us of CPU for each."""
    left = iter(exchanges)

    def script(_progress: Progress) -> Script:
        for request, take in left:
            answer = yield request
            if take is not None:
                take(answer)

    used = cpu_seconds(pid)
    result = run_scripts("127.0.0.1", port, [script] * CONNECTIONS, 600.0, warm_up_seconds=0)
    assert not result.errors, f"{result.errors} errors"
    return result.rate, (cpu_seconds(pid) - used) / result.requests * 1e6


@contextmanager
def node(place: Place) -> Generator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run a node on a place from its first answer to the end of the block; yields its port and process."""
    port = free_port()
    store = [] if place.url is None else ["--store", place.url]
    command = ["taskset", "-c", "0", *node_command(place.data, port), *store]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_answer(port)
        yield port, process
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _wait_answer(port: int) -> None:
    requests = Requests(port, "")
    whole = requests.operation("ListQueues", MaxResults=1)
    head, _, body = whole.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers)
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)


if __name__ == "__main__":
    main()
