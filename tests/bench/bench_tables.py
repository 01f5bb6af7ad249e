"""What a node does with a table: put, get and conditional update, batches and transactions of 25, a query, a scan.

Run: `python -m tests.bench.bench_tables [--seconds 4] [--only Query ...]`. Signed requests over 64 connections to a
node of its own on a fresh data folder, durable. Prints rates, latencies and the node's CPU time a request.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.bench_server import cpu_seconds
from tests.bench.load import LoadResult, Progress, Script, run_load, run_scripts
from tests.bench.table_requests import TABLE, Requests, fill, scenarios
from tests.fault.kill import Client, Node

CONNECTIONS = 64
_FILL_SECONDS = 120.0


@contextmanager
def node_with_table() -> Iterator[tuple[int, int]]:
    """Run a node that has the table; yields its port and its process's id."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR", Path.cwd())) as folder:
        node = Node(Path(folder) / "data")
        node.start()
        make_table(node.port)
        try:
            yield node.port, node._process.pid
        finally:
            node.kill()


def make_table(port: int, *items: Any) -> None:
    """Make the table, with items."""
    with closing(Client(port)) as client:
        client.call(
            "DynamoDB_20120810.CreateTable",
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"))],
            KeySchema=[{"AttributeName": n, "KeyType": t} for n, t in (("pk", "HASH"), ("sk", "RANGE"))],
            BillingMode="PAY_PER_REQUEST",
        )
        for item in items:
            client.call("DynamoDB_20120810.PutItem", TableName=TABLE, Item=item)


def send_once(port: int, ready: list[bytes]) -> LoadResult:
    """Send each request once."""
    following = iter(ready)

    def script(progress: Progress) -> Script:
        for request in following:
            yield request
            progress.add(1)

    return run_scripts("127.0.0.1", port, [script] * CONNECTIONS, _FILL_SECONDS, warm_up_seconds=0.0)


def measure(port: int, pid: int, ready: list[bytes], seconds: float) -> tuple[LoadResult, float]:
    """Send requests in turn; return also the server's us of CPU for each."""
    following = itertools.cycle(ready)
    before = cpu_seconds(pid)
    result = run_load("127.0.0.1", port, lambda: next(following), CONNECTIONS, seconds)
    used = cpu_seconds(pid) - before
    # The warm-up's requests are not counted, its CPU time is.
    return result, used / (result.requests * (result.seconds + 0.5) / result.seconds) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", help="parts of scenarios' names")
    options = parser.parse_args()
    with node_with_table() as (port, pid):
        requests = Requests(port)
        send_once(port, fill(requests))
        for name, ready in scenarios(requests):
            if options.only and not any(part in name for part in options.only):
                continue
            result, cpu_us = measure(port, pid, ready, options.seconds)
            print(f"{name:22} {result}, CPU us {cpu_us:.0f}", flush=True)


if __name__ == "__main__":
    main()
