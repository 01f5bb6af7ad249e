"""A harness that kills pods and the node (SIGKILL) while a queue is drained, and knows every message.

    .venv/bin/python -m tests.fault.cluster --rounds 20

Messages of mixed lengths arrive in a burst, the cluster scales workers from zero, and in the middle of it the processes
of some pods or the node itself are killed. In the end every message must have been worked on to its end (what was cut
off by the kill comes again after its lease), the workload must be back at zero, and no process of the node's former
life may be left. With `--gentle` nothing is killed: then no work may be cut off either, and no message worked on twice.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from tests.fault.kill import Node

_ROUND_SECONDS = 120.0
_LEASE_SECONDS = 5

HANDLER = """
import json, os, time

def handle(message):
    work = json.loads(message.body)
    note("began", work["id"])
    time.sleep(work["seconds"])
    note("ended", work["id"])

def note(what, name):
    descriptor = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{what} {name}\\n".encode())
    os.close(descriptor)
"""


class Cluster:
    """A node in a process of its own, and the workload on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = Node(folder / "data")
        self.notes = folder / "notes"
        (folder / "app.py").write_text(HANDLER)
        os.environ["FOREBAY_HPA_SYNC_SECONDS"] = "1"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.port}"

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def sqs(self) -> Any:
        config = ClientConfig(retries={"total_max_attempts": 5, "mode": "standard"})
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="x",
            config=config,
        )

    def deploy(self) -> None:
        self.sqs().create_queue(QueueName="work", Attributes={"VisibilityTimeout": str(_LEASE_SECONDS)})
        words = ["-m", "forebay.worker", "--queue", "work", "--lease-seconds", str(_LEASE_SECONDS)]
        container = {
            "name": "main",
            "image": "worker",
            "command": [sys.executable, *words, "--wait-seconds", "1", "app:handle"],
            "workingDir": str(self.folder),
            "env": [{"name": "NOTES", "value": str(self.notes)}],
        }
        template = {
            "metadata": {"labels": {"app": "work"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 30},
        }
        spec = {"replicas": 0, "selector": {"matchLabels": {"app": "work"}}, "template": template}
        self.call("POST", "/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "work"}, "spec": spec})
        metadata = {"queueURL": "work", "awsRegion": "us-east-1", "queueLength": "10", "identityOwner": "operator"}
        scaled = {
            "scaleTargetRef": {"name": "work"},
            "pollingInterval": 1,
            "cooldownPeriod": 2,
            "maxReplicaCount": 8,
            "triggers": [{"type": "aws-sqs-queue", "metadata": metadata}],
        }
        path = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects"
        self.call("POST", path, {"metadata": {"name": "work"}, "spec": scaled})

    def send(self, names: list[str]) -> None:
        client = self.sqs()
        for start in range(0, len(names), 10):
            entries = [
                {
                    "Id": str(i),
                    "MessageBody": json.dumps({"id": name, "seconds": random.choice((0.0, 0.01, 0.05, 0.3))}),
                }
                for i, name in enumerate(names[start : start + 10])
            ]
            answer = client.send_message_batch(QueueUrl="work", Entries=entries)
            assert not answer.get("Failed"), answer

    def noted(self, what: str) -> Counter[str]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(what))

    def replicas(self) -> int:
        return self.call("GET", "/apis/apps/v1/namespaces/default/deployments/work")["spec"]["replicas"]

    def pods(self) -> int:
        return len(self.call("GET", "/api/v1/namespaces/default/pods")["items"])

    def processes(self) -> list[int]:
        """Return the workers' processes, whoever started them."""
        mark = f"FOREBAY_CONTAINER={self.folder}".encode()
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if any(part.startswith(mark) for part in environment.split(b"\0")):
                    found.append(int(entry.name))
        return found


def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + _ROUND_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not in {_ROUND_SECONDS:.0f} s: {what}"
        time.sleep(0.1)


def run_round(cluster: Cluster, number: int, messages: int, *, gentle: bool) -> dict[str, Any]:
    """Send a burst, kill in the middle of it, and check the end."""
    names = [f"{number}-{index}" for index in range(messages)]
    began = time.monotonic()
    cluster.send(names)
    until(lambda: cluster.noted("ended").total() > 0 and cluster.replicas() > 1, "workers work")
    victims: list[str] = []
    if not gentle:
        for _ in range(random.randint(1, 3)):
            time.sleep(random.uniform(0.1, 1.0))
            processes = cluster.processes()
            if processes and random.random() < 0.5:
                victims.append("pod")
                try:
                    os.kill(random.choice(processes), signal.SIGKILL)
                except ProcessLookupError:
                    victims.pop()
            else:
                victims.append("node")
                cluster.node.kill()
                until(lambda: not cluster.processes(), "the processes of a killed node end with it")
                cluster.node.start()
    until(lambda: set(names) <= set(cluster.noted("ended")), "every message is worked on")
    until(lambda: cluster.replicas() == 0 and cluster.pods() == 0, "the workload is back at zero")
    until(lambda: not cluster.processes(), "no process is left")
    started, ended = cluster.noted("began"), cluster.noted("ended")
    cut_off = sum(started[name] - ended[name] for name in names)
    repeated = sum(ended[name] - 1 for name in names)
    if gentle:
        assert cut_off == 0, f"{cut_off} pieces of work were cut off"
        assert repeated == 0, f"{repeated} messages were worked on twice"
    return {
        "round": number,
        "killed": victims,
        "cut_off": cut_off,
        "repeated": repeated,
        "seconds": round(time.monotonic() - began, 1),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--gentle", action="store_true")
    given = parser.parse_args(arguments)
    random.seed(given.seed)
    with tempfile.TemporaryDirectory(prefix="forebay-cluster-") as folder:
        cluster = Cluster(Path(folder).resolve())
        cluster.node.start()
        try:
            cluster.deploy()
            for number in range(given.rounds):
                print(json.dumps(run_round(cluster, number, given.messages, gentle=given.gentle)), flush=True)  # noqa: T201
        finally:
            cluster.node.kill()


if __name__ == "__main__":
    main()
