"""Forebay's queues against public peers from the registries, in one run on one machine.

    .venv/bin/python -m tests.bench.bench_peers [--seconds 3] [--rounds 3] [--connections 64] [--only NAME ...]

Single sends, batches of ten, and send-receive-delete end to end, all signed; then sends paced at 100 a second beside
the fsync of the same disk. Forebay is always on the disk (fsync) before it answers; what its peers do is printed with
each. Rounds alternate between the systems and the best of each counts, because other work on the machine only slows.
Without `--free`, a server has one core and the load generator the other.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.bench.bench_server import cpu_seconds, free_port
from tests.bench.calm import wait_calm
from tests.bench.load import LoadResult, Progress, Script, run_scripts
from tests.bench.paced import fsync_latencies, measure_paced
from tests.bench.peers import OURS, PEERS, System
from tests.bench.sqs_requests import ACCESS_KEY, BATCH, REGION, SECRET_KEY, Requests, handles_of
from tests.packages import NotInstalled

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

Scenario = Callable[[Requests, Progress], Script]

# By scenario and system: messages a second, and us of CPU a message.
Rates = dict[tuple[str, str], tuple[float, float]]


def single_sends(requests: Requests, progress: Progress) -> Script:
    """Send one message after the other."""
    request = requests.send()
    while True:
        yield request
        progress.add(1)


def batch_sends(requests: Requests, progress: Progress) -> Script:
    """Send batches of ten."""
    request = requests.send_batch()
    while True:
        yield request
        progress.add(BATCH)


def end_to_end(requests: Requests, progress: Progress) -> Script:
    """Send a message, receive one (whoever sent it), delete it: one call each."""
    send, receive = requests.send(), requests.receive()
    while True:
        yield send
        for handle in handles_of((yield receive)):
            yield requests.delete(handle)
            progress.add(1)


def end_to_end_batches(requests: Requests, progress: Progress) -> Script:
    """Send ten messages, receive up to ten, delete those: one call each."""
    send, receive = requests.send_batch(), requests.receive(BATCH)
    while True:
        yield send
        handles = handles_of((yield receive))
        if handles:
            yield requests.delete_batch(handles)
            progress.add(len(handles))


SCENARIOS: dict[str, Scenario] = {
    "single sends": single_sends,
    "sends in batches of ten": batch_sends,
    "end to end": end_to_end,
    "end to end in batches": end_to_end_batches,
}
# Scenario, whom it is compared with, and what is wanted at least.
TARGETS = (
    ("single sends", "memory", 2.0),
    ("single sends", "synced", 8.0),
    ("sends in batches of ten", "memory", 1.5),
    ("end to end", "memory", 2.0),
)
# The best peer that keeps nothing on a disk before it answers, or the best that does.
_COMPARED = {"memory": ("memory", "written"), "synced": ("synced",)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--paced-seconds", type=float, default=20.0)
    parser.add_argument("--only", nargs="*", help="parts of systems' names")
    parser.add_argument("--scenario", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--free", action="store_true", help="let servers use every core")
    parser.add_argument("--calm-seconds", type=float, default=20.0, help="how long to wait for a quiet moment")
    parser.add_argument("--nice", type=int, default=0, help="priority of servers and load; below 0 needs root")
    options = parser.parse_args()
    os.setpriority(os.PRIO_PROCESS, 0, options.nice)
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, {last})
    cores = set(range(last + 1)) if options.free else set(range(max(last, 1)))
    systems = [
        system for system in OURS + PEERS if not options.only or any(part in system.name for part in options.only)
    ]
    print(f"load of the machine: {os.getloadavg()[0]:.2f}; servers on cores {sorted(cores)}, load on core {last}")
    rates = rounds(systems, options, cores)
    for scenario in options.scenario:
        table(scenario, systems, rates)
    compare(rates)
    if options.paced_seconds > 0:
        print(f"\n{wait_calm(options.calm_seconds)}")
        paced(options.paced_seconds, cores)
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")


def rounds(systems: Sequence[System], options: argparse.Namespace, cores: set[int]) -> Rates:
    """Return the best round of each scenario and system."""
    best: Rates = {}
    missing: set[str] = set()
    for _ in range(options.rounds):
        for system in systems:
            for scenario in options.scenario if system.name not in missing else ():
                calm = wait_calm(options.calm_seconds)
                try:
                    result, cpu_us = measure(system, SCENARIOS[scenario], options, cores)
                except NotInstalled as error:
                    print(f"  {system.name} is left out: {error}")
                    missing.add(system.name)
                    break
                except (OSError, TimeoutError, ValueError) as error:
                    print(f"  {system.name}, {scenario}: failed: {error!r}")
                    continue
                rate = result.unit_rate
                print(f"  {system.name}, {scenario}: {rate:,.0f} messages/s, {cpu_us:.0f} us of CPU each, {calm}")
                print(f"    {result}", flush=True)
                rate_before, cpu_before = best.get((scenario, system.name), (0.0, cpu_us))
                best[scenario, system.name] = max(rate, rate_before), min(cpu_us, cpu_before)
    return best


def measure(
    system: System, scenario: Scenario, options: argparse.Namespace, cores: set[int]
) -> tuple[LoadResult, float]:
    """Run a scenario on a server that has just been started, with one new queue; return also us of CPU a message."""
    with started(system, cores) as (port, pid):
        requests = Requests(port, make_queue(port))
        script = [lambda progress: scenario(requests, progress)] * options.connections
        used, begun = cpu_seconds(pid), time.monotonic()
        result = run_scripts("127.0.0.1", port, script, options.seconds)
        share = (cpu_seconds(pid) - used) / (time.monotonic() - begun)
        return result, share / max(result.unit_rate, 1.0) * 1e6


@contextmanager
def started(system: System, cores: set[int]) -> Iterator[tuple[int, int]]:
    """Run a system on an empty folder; yields its port and its process's id."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR")) as folder:
        port = free_port()
        launch = system.launch(port, Path(folder))
        process = subprocess.Popen(
            launch.command,
            env={**os.environ, **launch.environment},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 no threads run here
        )
        try:
            yield port, process.pid
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(_STOP_SECONDS)


def make_queue(port: int) -> str:
    """Create the queue as soon as the server answers, and return its URL."""
    client = boto3.client(
        "sqs",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            return client.create_queue(QueueName="bench")["QueueUrl"]
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > until:
                raise TimeoutError(f"no queue could be made: {error}") from error
            time.sleep(0.05)


def table(scenario: str, systems: Sequence[System], rates: Rates) -> None:
    """Print a scenario's rates."""
    print(f"\n{scenario} (best of the rounds){'messages/s':>24}{'us of CPU':>12}")
    for system in systems:
        if (scenario, system.name) in rates:
            rate, cpu_us = rates[scenario, system.name]
            print(f"  {system.name:30} {system.keeps:8} {rate:12,.0f}{cpu_us:12.0f}")


def compare(rates: Rates) -> None:
    """Print Forebay's rates as multiples of the best peers'."""
    print()
    for scenario, kind, wanted in TARGETS:
        ours, _ = rates.get((scenario, OURS[0].name), (0.0, 0.0))
        others = [rates.get((scenario, peer.name), (0.0, 0.0))[0] for peer in PEERS if peer.keeps in _COMPARED[kind]]
        if ours and any(others):
            word = "reached" if ours >= wanted * max(others) else "NOT REACHED"
            whom = "best peer that syncs nothing" if kind == "memory" else "best durable peer"
            print(f"{scenario}: {ours / max(others):.2f} x the {whom} (at least {wanted} is wanted): {word}")


def paced(seconds: float, cores: set[int]) -> None:
    """Print latencies at 100 messages a second beside the disk's own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR")) as folder:
        syncs = fsync_latencies(Path(folder), seconds / 2)
    with started(OURS[0], cores) as (port, _):
        requests = Requests(port, make_queue(port))
        sent, received, deleted = measure_paced(port, requests, seconds)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOREBAY_BENCH_DIR")) as folder:
        syncs += fsync_latencies(Path(folder), seconds / 2)
    print(f"\nat 100 messages a second, in ms   {'p50':>8}{'p99':>8}   above one fsync")
    base = _p50_p99(syncs)
    print(f"  one fsync of the same disk     {base[0]:8.2f}{base[1]:8.2f}")
    for what, latencies in (("sent", sent), ("sent to received", received), ("sent to deleted", deleted)):
        p50, p99 = _p50_p99(latencies)
        more = f"   {p50 - base[0]:+.2f} {p99 - base[1]:+.2f}"
        print(f"  {what:30} {p50:8.2f}{p99:8.2f}{more} (at most +2 and +10 are wanted)")


def _p50_p99(latencies: Sequence[float]) -> tuple[float, float]:
    from tests.bench.load import quantile

    ordered = sorted(latencies)
    return quantile(ordered, 0.5) * 1e3, quantile(ordered, 0.99) * 1e3


if __name__ == "__main__":
    main()
