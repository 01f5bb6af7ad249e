"""Forebay's routing against public peers from the registries, in one run on one machine.

    .venv/bin/python -m tests.bench.bench_routing [--seconds 3] [--rounds 2] [--connections 32] [--only NAME ...]

PutEvents with ten entries, half of which match the rule of a queue; and Publish to a topic with three queues, each with
a filter on the payload that takes two messages of three. What counts are messages that have arrived in the queues,
looked up after the load: a second of load and whatever the system then needs to finish. Forebay is always on the disk
(fsync) before it answers.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.bench.bench_peers import started
from tests.bench.bench_server import cpu_seconds
from tests.bench.load import Progress, Script, run_scripts
from tests.bench.peers import OURS, PEERS, System
from tests.bench.sqs_requests import ACCESS_KEY, REGION, SECRET_KEY
from tests.packages import NotInstalled

_START_SECONDS = 30.0
_FINISH_SECONDS = 20.0
_KINDS = ("a", "b", "c")
_TARGETS = {"PutEvents to a queue": 5.0, "Publish to three queues": 4.0}


class Systems:
    """Clients of one system that has just been started."""

    def __init__(self, port: int) -> None:
        self.port = port

    def client(self, service: str) -> Any:
        """Return a client that waits for the system to start."""
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def queues(self, *names: str) -> dict[str, str]:
        """Make queues as soon as the system answers; return their URLs by ARN."""
        sqs = self.client("sqs")
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]
                break
            except (BotoCoreError, ClientError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        names_of = ["QueueArn"]
        return {
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names_of)["Attributes"]["QueueArn"]: url
            for url in urls
        }

    def depth(self, urls: list[str]) -> int:
        """Return how many messages are in queues."""
        sqs, name = self.client("sqs"), "ApproximateNumberOfMessages"
        return sum(int(sqs.get_queue_attributes(QueueUrl=u, AttributeNames=[name])["Attributes"][name]) for u in urls)


def signed(port: int, service: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a request with a signature as SDKs make it."""
    now = datetime.now(UTC)
    stamp, scope = now.strftime("%Y%m%dT%H%M%SZ"), f"{now:%Y%m%d}/{REGION}/{service}/aws4_request"
    every = {**headers, "host": f"127.0.0.1:{port}", "x-amz-date": stamp}
    names = ";".join(sorted(every))
    lines = "".join(f"{name}:{every[name]}\n" for name in sorted(every))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    every["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    every["content-length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body


def prepare_events(systems: Systems) -> tuple[list[bytes], list[str], float]:
    """Return requests, the queues' URLs, and how many messages each request makes."""
    events, queues = systems.client("events"), systems.queues("matched")
    events.put_rule(Name="half", EventPattern=json.dumps({"source": ["bench"], "detail": {"half": [1]}}))
    events.put_targets(Rule="half", Targets=[{"Id": "q", "Arn": next(iter(queues))}])
    entries = [
        {"Source": "bench", "DetailType": "t", "Detail": json.dumps({"half": n % 2, "n": n, "text": "x" * 100})}
        for n in range(10)
    ]
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSEvents.PutEvents"}
    return [signed(systems.port, "events", headers, json.dumps({"Entries": entries}).encode())], [*queues.values()], 5.0


def prepare_topic(systems: Systems) -> tuple[list[bytes], list[str], float]:
    """Return requests, the queues' URLs, and how many messages each request makes on average."""
    sns, queues = systems.client("sns"), systems.queues(*_KINDS)
    topic = sns.create_topic(Name="fan")["TopicArn"]
    for kind, arn in zip(_KINDS, queues, strict=True):
        policy = json.dumps({"kind": [other for other in _KINDS if other != kind]})
        attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": policy, "RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    requests: list[bytes] = []
    for kind in _KINDS:
        message = json.dumps({"kind": kind, "text": "x" * 200})
        form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic, "Message": message}
        requests.append(signed(systems.port, "sns", headers, urlencode(form).encode()))
    return requests, [*queues.values()], 2.0


SCENARIOS: dict[str, Callable[[Systems], tuple[list[bytes], list[str], float]]] = {
    "PutEvents to a queue": prepare_events,
    "Publish to three queues": prepare_topic,
}


def measure(system: System, scenario: str, options: argparse.Namespace, cores: set[int]) -> tuple[float, float]:
    """Return delivered messages a second, and us of CPU of each."""
    with started(system, cores) as (port, pid):
        systems = Systems(port)
        requests, urls, each = SCENARIOS[scenario](systems)

        def script(progress: Progress) -> Script:
            number = 0
            while True:
                yield requests[number % len(requests)]
                progress.add(1)
                number += 1

        used, began = cpu_seconds(pid), time.monotonic()
        result = run_scripts("127.0.0.1", port, [script] * options.connections, options.seconds)
        expected = result.units * each
        until = time.monotonic() + _FINISH_SECONDS
        while (found := systems.depth(urls)) < expected and time.monotonic() < until:
            time.sleep(0.2)
        seconds = result.seconds if found >= expected else time.monotonic() - began
        arrived = min(float(found), expected) if found < expected else expected
        cpu_us = (cpu_seconds(pid) - used) / max(found, 1) * 1e6
        if found < expected:
            print(f"    {system.name}: only {found} of {expected:.0f} have arrived")
        return arrived / seconds, cpu_us


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", nargs="*", help="parts of systems' names")
    options = parser.parse_args()
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, {last})
    cores = set(range(max(last, 1)))
    chosen = [one for one in (OURS[0], *PEERS) if not options.only or any(part in one.name for part in options.only)]
    print(f"load of the machine: {os.getloadavg()[0]:.2f}")
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(options.rounds):
        for scenario in SCENARIOS:
            for system in chosen:
                try:
                    rate, cpu_us = measure(system, scenario, options, cores)
                except (NotInstalled, OSError, TimeoutError, ValueError, BotoCoreError, ClientError) as error:
                    print(f"  {system.name}, {scenario}: {error}")
                    continue
                before, cpu_before = best.get((scenario, system.name), (0.0, cpu_us))
                best[scenario, system.name] = max(rate, before), min(cpu_us, cpu_before)
                print(f"  {system.name}, {scenario}: {rate:,.0f} delivered a second, {cpu_us:.0f} us of CPU each")
    for scenario, wanted in _TARGETS.items():
        ours, our_cpu = best.get((scenario, OURS[0].name), (0.0, 0.0))
        others = {peer.name: best[scenario, peer.name] for peer in PEERS if (scenario, peer.name) in best}
        if ours and others:
            name, (rate, cpu_us) = max(others.items(), key=lambda item: item[1][0])
            verdict = f"{ours / rate:.2f} x {name} (at least {wanted} is wanted)"
            print(f"{scenario}: {verdict}, CPU {our_cpu:.0f}:{cpu_us:.0f} us")


if __name__ == "__main__":
    main()
