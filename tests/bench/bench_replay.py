"""A million events archived and replayed, and how much memory the node takes meanwhile.

    .venv/bin/python -m tests.bench.bench_replay [--events 1000000]

A node in a process of its own, on SQLite. Events come by PutEvents, ten at a time from several clients; half of the
replayed ones match a rule whose target is a queue. Traces are off, as nobody traces a million events.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.fault.kill import ACCOUNT, Client, free_port

_CLIENTS = 4
_BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/bus"


class Process:
    """A node, and the most memory that it has been seen to take."""

    def __init__(self, data: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "forebay", "serve", "--data", str(data), "--port", str(self.port)]
        self._process = subprocess.Popen([*command, "--trace-seconds", "0", "--log-level", "error"])
        self.wait_for_start()

    def wait_for_start(self) -> None:
        """Wait until the node answers."""
        until = time.monotonic() + 30
        while True:
            try:
                with closing(Client(self.port)) as client:
                    client.call("AmazonSQS.ListQueues")
                return
            except Exception:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def memory_mb(self, name: str = "VmRSS") -> float:
        """Return the resident memory now (`VmRSS`), or the most there has been (`VmHWM`)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        """End the node in order."""
        self._process.terminate()
        self._process.wait(60)


def put(port: int, first: int, count: int) -> None:
    """Put events, numbered from `first`."""
    with closing(Client(port)) as client:
        for start in range(first, first + count, 10):
            entries = [
                {
                    "Source": "bench",
                    "DetailType": "t",
                    "Detail": json.dumps({"n": n, "half": n % 2, "text": "x" * 100}),
                    "EventBusName": "bus",
                }
                for n in range(start, start + 10)
            ]
            assert client.call("AWSEvents.PutEvents", Entries=entries)["FailedEntryCount"] == 0


def run(events: int) -> None:
    """Archive, replay and tell."""
    with tempfile.TemporaryDirectory() as folder:
        node = Process(Path(folder))
        try:
            _run(node, events)
        finally:
            node.stop()


def _run(node: Process, events: int) -> None:
    with closing(Client(node.port)) as client:
        client.call("AmazonSQS.CreateQueue", QueueName="q")
        client.call("AWSEvents.CreateEventBus", Name="bus")
        client.call("AWSEvents.CreateArchive", ArchiveName="a", EventSourceArn=_BUS)
        _say(node, "at the start")
        began = time.monotonic()
        share = events // _CLIENTS // 10 * 10
        threads = [threading.Thread(target=put, args=(node.port, i * share, share)) for i in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        _say(node, f"{share * _CLIENTS} archived in {seconds:.0f} s ({share * _CLIENTS / seconds:.0f} a second)")
        # The node ends connections that nobody uses for long.
        client.close()
        pattern = '{"source":["bench"],"detail":{"half":[1]},"replay-name":[{"exists":true}]}'
        client.call("AWSEvents.PutRule", Name="half", EventBusName="bus", EventPattern=pattern)
        target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}
        client.call("AWSEvents.PutTargets", Rule="half", EventBusName="bus", Targets=[target])
        now = time.time()
        began = time.monotonic()
        client.call(
            "AWSEvents.StartReplay",
            ReplayName="r",
            EventSourceArn=f"arn:aws:events:us-east-1:{ACCOUNT}:archive/a",
            EventStartTime=0,
            EventEndTime=now + 60,
            Destination={"Arn": _BUS},
        )
        while client.call("AWSEvents.DescribeReplay", ReplayName="r")["State"] != "COMPLETED":
            time.sleep(0.5)
        seconds = time.monotonic() - began
        names = ["ApproximateNumberOfMessages"]
        found = client.call("AmazonSQS.GetQueueAttributes", QueueUrl="q", AttributeNames=names)["Attributes"]
        assert int(found[names[0]]) == share * _CLIENTS // 2, found
        _say(node, f"replayed in {seconds:.0f} s ({share * _CLIENTS / seconds:.0f} a second), half of them delivered")


def _say(node: Process, what: str) -> None:
    now, most = node.memory_mb(), node.memory_mb("VmHWM")
    sys.stdout.write(f"{now:7.0f} MB now, {most:7.0f} MB at most: {what}\n")
    sys.stdout.flush()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    run(parser.parse_args().events)


if __name__ == "__main__":
    main()
