"""A whole node: durable SendMessage against a constant answer, start-up to the first answered call, idle memory.

    .venv/bin/python -m tests.bench.bench_node [--seconds 3] [--rounds 3] [--connections 64]

The node and the constant answer run through the same server code, each in a process of its own pinned to one core, in
alternating rounds; the load generator has the other core. Every send is on disk (fsync) before its answer.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from tests.bench.bench_server import REQUEST, commands, cpu_seconds, free_port, running
from tests.bench.load import LoadResult, run_load

BODY_BYTES = 200
STARTS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR")) as folder:
        data = Path(folder) / "data"
        send_rates(data, arguments)
        start_up(data)


def send_rates(data: Path, arguments: argparse.Namespace) -> None:
    """Compare durable sends with a constant answer."""
    constant: list[LoadResult] = []
    sends: list[LoadResult] = []
    for _ in range(arguments.rounds):
        port = free_port()
        with running(commands(port)["forebay"], port, 0):
            constant.append(run_load("127.0.0.1", port, REQUEST, arguments.connections, arguments.seconds))
        with running(node_command(data, port := free_port()), port, 0) as pid:
            request = send_request(port)
            before = cpu_seconds(pid)
            sends.append(run_load("127.0.0.1", port, request, arguments.connections, arguments.seconds))
            used = cpu_seconds(pid) - before
            print(f"  node: {used / sends[-1].requests * 1e6:.0f} us of CPU a send (warm-up included)")
    best_constant = max(constant, key=lambda result: result.rate)
    best_send = max(sends, key=lambda result: result.rate)
    print(f"constant answer      {best_constant}")
    print(f"durable SendMessage  {best_send}")
    print(f"ratio                {best_send.rate / best_constant.rate:.2f} (at least 0.25 is wanted)")


def start_up(data: Path) -> None:
    """Time the first successful call after the process starts on an existing folder, and the idle memory."""
    seconds: list[float] = []
    memory_mb: list[float] = []
    for _ in range(STARTS):
        port = free_port()
        begun = time.perf_counter()
        with process_of(node_command(data, port)) as pid:
            first_call(port)
            seconds.append(time.perf_counter() - begun)
            time.sleep(2.0)
            memory_mb.append(resident_mb(pid))
    spread = f"{min(seconds):.2f} s best, {max(seconds):.2f} s worst of {STARTS}"
    print(f"first call           {spread} (at most 0.6 is wanted)")
    print(f"idle memory          {max(memory_mb):.0f} MB (at most 80 is wanted)")


def node_command(data: Path, port: int) -> list[str]:
    """Return the command line of a node."""
    return [
        sys.executable,
        "-m",
        "forebay",
        "serve",
        "--data",
        str(data),
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]


def send_request(port: int) -> bytes:
    """Create the queue and return the bytes of a SendMessage to it."""
    client = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="bench",
    )
    url = client.create_queue(QueueName="bench")["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "MessageBody": "x" * BODY_BYTES}).encode()
    head, _, _ = REQUEST.partition(b"Content-Length")
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def first_call(port: int) -> None:
    """Call until the node answers."""
    body = json.dumps({"QueueName": "bench"}).encode()
    headers = {"X-Amz-Target": "AmazonSQS.GetQueueUrl", "Content-Type": "application/x-amz-json-1.0"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers)
    for _ in range(2_000):
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                assert b"QueueUrl" in answer.read()
                return
        except OSError:
            time.sleep(0.005)
    raise TimeoutError("the node did not answer")


@contextmanager
def process_of(command: list[str]) -> Iterator[int]:
    """Run a process for the time of a `with` block; yields its id."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


if __name__ == "__main__":
    main()
