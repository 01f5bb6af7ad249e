"""Forebay's tables against public peers from the registries, in one run on one machine.

    .venv/bin/python -m tests.bench.bench_tables_peers [--seconds 3] [--rounds 2] [--only NAME ...]

The same signed requests over 64 connections to each. Forebay is on the disk (fsync) before it answers; what its peers
do is printed with each. Rounds alternate between the systems, and the best of each counts. A server has one core and
the load generator the other.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import os
import time
from collections.abc import Sequence

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.bench.bench_peers import started
from tests.bench.bench_tables import measure, send_once
from tests.bench.calm import wait_calm
from tests.bench.peers import OURS, TABLE_PEERS, System
from tests.bench.sqs_requests import ACCESS_KEY, REGION, SECRET_KEY
from tests.bench.table_requests import TABLE, Requests, fill, scenarios
from tests.packages import NotInstalled

_START_SECONDS = 30.0

# At least how many times the best peer's rate is wanted.
WANTED = {
    "PutItem": 2.0,
    "GetItem": 2.0,
    "UpdateItem if": 2.0,
    "BatchWriteItem 25": 3.0,
    "TransactWriteItems 25": 3.0,
    "Query 100": 3.0,
    "Scan 1 MB": 3.0,
}

# By scenario and system: requests a second, and us of CPU a request.
Rates = dict[tuple[str, str], tuple[float, float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="parts of systems' names")
    parser.add_argument("--calm-seconds", type=float, default=20.0, help="how long to wait for a quiet moment")
    options = parser.parse_args()
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, {last})
    cores = set(range(max(last, 1)))
    systems = [
        system for system in OURS + TABLE_PEERS if not options.only or any(part in system.name for part in options.only)
    ]
    print(f"load of the machine: {os.getloadavg()[0]:.2f}; servers on cores {sorted(cores)}, load on core {last}")
    best: Rates = {}
    for _ in range(options.rounds):
        for system in systems:
            try:
                run(system, options, cores, best)
            except NotInstalled as error:
                print(f"  {system.name} is left out: {error}")
    compare(systems, best)
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")


def run(system: System, options: argparse.Namespace, cores: set[int], best: Rates) -> None:
    """Measure all scenarios on a server that has just been started and filled."""
    with started(system, cores) as (port, pid):
        make_table(port)
        requests = Requests(port)
        filled = send_once(port, fill(requests))
        print(f"{system.name}: filled with {filled}")
        for scenario, ready in scenarios(requests):
            calm = wait_calm(options.calm_seconds)
            try:
                result, cpu_us = measure(port, pid, ready, options.seconds)
            except (OSError, TimeoutError) as error:
                print(f"  {scenario}: failed: {error!r}")
                continue
            print(f"  {scenario:22} {result}, CPU us {cpu_us:.0f}, {calm}", flush=True)
            # What a system refuses is not a rate of what was asked of it.
            if not result.errors:
                rate_before, cpu_before = best.get((scenario, system.name), (0.0, cpu_us))
                best[scenario, system.name] = max(result.rate, rate_before), min(cpu_us, cpu_before)


def make_table(port: int) -> None:
    """Create the table as soon as the server answers, and wait until it can be used."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.create_table(
                TableName=TABLE,
                AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"))],
                KeySchema=[{"AttributeName": n, "KeyType": t} for n, t in (("pk", "HASH"), ("sk", "RANGE"))],
                BillingMode="PAY_PER_REQUEST",
            )
            break
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > until:
                raise TimeoutError(f"no table could be made: {error}") from error
            time.sleep(0.05)
    client.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})


def compare(systems: Sequence[System], best: Rates) -> None:
    """Print rates, CPU and Forebay's rates as multiples of each peer's."""
    for scenario, wanted in WANTED.items():
        print(f"\n{scenario} (best of the rounds){'requests/s':>20}{'us of CPU':>12}{'ours is':>10}")
        ours, _ = best.get((scenario, OURS[0].name), (0.0, 0.0))
        ratios: list[float] = []
        for system in systems:
            if (scenario, system.name) not in best:
                print(f"  {system.name:30} {system.keeps:8} does not do it")
                continue
            rate, cpu_us = best[scenario, system.name]
            ratio = "" if system in OURS else f"{ours / rate:9.2f}x"
            if system not in OURS:
                ratios.append(ours / rate)
            print(f"  {system.name:30} {system.keeps:8} {rate:12,.0f}{cpu_us:12.0f}{ratio:>10}")
        if ours and ratios:
            word = "reached" if min(ratios) >= wanted else "NOT REACHED"
            print(f"  {min(ratios):.2f} x the best peer (at least {wanted} is wanted): {word}")


if __name__ == "__main__":
    main()
