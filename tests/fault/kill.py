"""A harness that kills a node (SIGKILL) under load, again and again, and knows everything that was acknowledged.

    .venv/bin/python -m tests.fault.kill --rounds 50

Several clients send messages, put events, receive and delete, and create resources, each noting what the node has
acknowledged. After each kill the node starts again on the same data, and everything is held against the notes: every
acknowledged message (sent, or posted through an HTTP API) is in its queue unless its delete was acknowledged, every
event has reached its queue or has been run by its function, every resource is there, and nothing that was deleted
comes back.
"""

import argparse
import http.client
import io
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ACCOUNT = "000000000000"
_AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature="
    + "0" * 64
)
_START_SECONDS = 20.0
_RUN_SECONDS = 60.0
_CREATED_WITH_RULES_MAX = 400

QUEUES = ("messages", "events", "ran")

# Says on a queue that it has run, with nothing but the standard library, so that it starts fast.
_FUNCTION = """
import json, os, urllib.request

def handler(event, context):
    body = json.dumps({"QueueUrl": "ran", "MessageBody": event["detail"]["name"]}).encode()
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, headers), timeout=10).read()
"""


class NotAcknowledged(Exception):
    """The node went away before it answered: the request may have been done or not."""


class Client:
    """A connection that speaks AWS JSON; made anew after each failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def call(self, target: str, **members: Any) -> dict[str, Any]:
        """Run an operation and return its acknowledged answer."""
        headers = {
            "X-Amz-Target": target,
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": _AUTHORIZATION,
        }
        text = self.post("/", json.dumps(members), headers)
        return json.loads(text) if text else {}

    def post(self, path: str, body: str, headers: dict[str, str]) -> bytes:
        """Post a body and return the acknowledged answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NotAcknowledged(str(error)) from None
        assert answer.status == 200, f"{path} {headers} was answered {answer.status}: {text!r}"
        return text

    def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Notes:
    """What the node has acknowledged since the beginning, and what may have happened besides."""

    sent: set[str] = field(default_factory=set)
    put: set[str] = field(default_factory=set)
    # Events whose target is a function.
    put_to_function: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    # Deletes under way when the node died: done or not, either is right.
    maybe_deleted: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    api_path: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, where: set[str], what: str) -> None:
        """Note one thing."""
        with self.lock:
            where.add(what)


class Node:
    """A node in a process of its own, on a fixed port and data folder, and on a shared `store` if one is given."""

    def __init__(self, data: Path, store: str | None = None) -> None:
        self.data = data
        self.store = store
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the process and return the seconds until it answered."""
        command = [sys.executable, "-m", "forebay", "serve", "--log-level", "warning"]
        command += [] if self.store is None else ["--store", self.store]
        began = time.monotonic()
        self._process = subprocess.Popen([*command, "--data", str(self.data), "--port", str(self.port)])
        while True:
            try:
                with closing(Client(self.port)) as client:
                    client.call("AmazonSQS.ListQueues")
                return time.monotonic() - began
            except NotAcknowledged:
                assert self._process.poll() is None, "the node ended by itself"
                assert time.monotonic() - began < _START_SECONDS, "the node did not answer"
                time.sleep(0.01)

    def advance(self, seconds: float) -> None:
        """Move the node's clock forward."""
        with closing(Client(self.port)) as client:
            client.post("/_forebay/clock", json.dumps({"advance": seconds}), {})

    def kill(self) -> None:
        """End the process without warning."""
        assert self._process is not None
        assert self._process.poll() is None, "the node had ended by itself"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End the process in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)


class Load:
    """Clients at work until told to stop or until the node is gone."""

    def __init__(self, port: int, notes: Notes, round_number: int) -> None:
        self.failures: list[BaseException] = []
        self._port = port
        self._notes = notes
        self._round = round_number
        self._stopping = threading.Event()
        works: list[Callable[[Client, int], None]] = [self._send, self._send_batch, self._put, self._put, self._drain]
        works += [self._create, self._post, self._put_to_function]
        self._threads = [
            threading.Thread(target=self._run, args=(work, number), daemon=True) for number, work in enumerate(works)
        ]

    def start(self) -> None:
        """Set the clients to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the clients end; raise the first thing that should not have happened."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(40)
        if self.failures:
            raise self.failures[0]

    def _run(self, work: Callable[[Client, int], None], number: int) -> None:
        step = 0
        try:
            with closing(Client(self._port)) as client:
                while not self._stopping.is_set():
                    work(client, number * 1_000_000 + step)
                    step += 1
        except NotAcknowledged:
            return
        except BaseException as failure:
            self.failures.append(failure)

    def _send(self, client: Client, step: int) -> None:
        body = f"message {self._round} {step}"
        client.call("AmazonSQS.SendMessage", QueueUrl="messages", MessageBody=body)
        self._notes.note(self._notes.sent, body)

    def _send_batch(self, client: Client, step: int) -> None:
        bodies = [f"batch {self._round} {step} {index}" for index in range(10)]
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
        answer = client.call("AmazonSQS.SendMessageBatch", QueueUrl="messages", Entries=entries)
        for entry in answer["Successful"]:
            self._notes.note(self._notes.sent, bodies[int(entry["Id"])])

    def _put(self, client: Client, step: int) -> None:
        name = f"event {self._round} {step}"
        entry = {"Source": "kill", "DetailType": "t", "Detail": json.dumps({"name": name}), "EventBusName": "bus"}
        answer = client.call("AWSEvents.PutEvents", Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        self._notes.note(self._notes.put, name)

    def _put_to_function(self, client: Client, step: int) -> None:
        name = f"function event {self._round} {step}"
        entry = {"Source": "run", "DetailType": "t", "Detail": json.dumps({"name": name}), "EventBusName": "bus"}
        answer = client.call("AWSEvents.PutEvents", Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer
        self._notes.note(self._notes.put_to_function, name)
        # Functions run slower than events arrive; each round has to see them all run.
        self._stopping.wait(0.02)

    def _post(self, client: Client, step: int) -> None:
        body = f"posted {self._round} {step}"
        client.post(self._notes.api_path, body, {"Content-Type": "text/plain"})
        self._notes.note(self._notes.sent, body)

    def _drain(self, client: Client, step: int) -> None:
        drain_once(client, QUEUES[step % 3], self._notes)

    def _create(self, client: Client, step: int) -> None:
        name = f"made-{self._round}-{step}"
        client.call("AmazonSQS.CreateQueue", QueueName=name)
        self._notes.note(self._notes.created, name)
        if len(self._notes.created) > _CREATED_WITH_RULES_MAX:
            # A bus holds 300 rules.
            return
        client.call("AWSEvents.PutRule", Name=name, EventBusName="bus", EventPattern='{"source":["nothing"]}')
        self._notes.note(self._notes.created, f"rule {name}")
        self._stopping.wait(0.02)


def drain_once(client: Client, queue: str, notes: Notes, wait_seconds: int = 0) -> int:
    """Receive and delete up to ten messages; return how many came."""
    answer = client.call(
        "AmazonSQS.ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds
    )
    found = answer.get("Messages", [])
    for message in found:
        name = name_of(message["Body"])
        # A function may run an event twice, and so says so twice.
        assert queue == "ran" or name not in notes.deleted, f"came back after its delete was acknowledged: {name}"
        notes.note(notes.received, name)
        notes.note(notes.maybe_deleted, name)
        client.call("AmazonSQS.DeleteMessage", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        notes.note(notes.deleted, name)
    return len(found)


def name_of(body: str) -> str:
    """Return what a message was noted as: its body, or the name in the event that it carries."""
    return json.loads(body)["detail"]["name"] if body.startswith("{") else body


def set_up(node: Node, notes: Notes) -> None:
    """Create the queues, the bus, the rules, the function and the API that the load uses."""

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "kill"}
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{node.port}", region_name="us-east-1", **keys)

    sqs, events = client("sqs"), client("events")
    for queue in QUEUES:
        sqs.create_queue(QueueName=queue, Attributes={"VisibilityTimeout": "1"})
    role = client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
    function = client("lambda").create_function(
        FunctionName="function", Runtime="python3.11", Handler="index.handler", Role=role, Code={"ZipFile": _archive()}
    )["FunctionArn"]
    events.create_event_bus(Name="bus")
    for source, target in (("kill", f"arn:aws:sqs:us-east-1:{ACCOUNT}:events"), ("run", function)):
        events.put_rule(Name=source, EventBusName="bus", EventPattern=json.dumps({"source": [source]}))
        events.put_targets(Rule=source, EventBusName="bus", Targets=[{"Id": "target", "Arn": target}])
    apis = client("apigatewayv2")
    api = apis.create_api(Name="api", ProtocolType="HTTP")["ApiId"]
    integration = apis.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype="SQS-SendMessage",
        PayloadFormatVersion="1.0",
        CredentialsArn=role,
        RequestParameters={
            "QueueUrl": sqs.get_queue_url(QueueName="messages")["QueueUrl"],
            "MessageBody": "$request.body",
        },
    )["IntegrationId"]
    apis.create_route(ApiId=api, RouteKey="POST /messages", Target=f"integrations/{integration}")
    apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    notes.api_path = f"/_aws/execute-api/{api}/messages"


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", _FUNCTION)
    return buffer.getvalue()


def check(node: Node, notes: Notes) -> None:
    """Hold everything that is there against the notes, draining the queues."""
    with closing(Client(node.port)) as client:
        _check(client, notes)


def _check(client: Client, notes: Notes) -> None:
    for queue in ("messages", "events"):
        # Messages in flight when the node died become visible again within a second.
        while drain_once(client, queue, notes, wait_seconds=2):
            pass
    lost = (notes.sent | notes.put) - notes.deleted - notes.maybe_deleted
    assert not lost, f"{len(lost)} acknowledged but lost, such as {sorted(lost)[:3]}"
    _check_runs(client, notes)
    missing = notes.created - existing(client)
    assert not missing, f"{len(missing)} resources are missing, such as {sorted(missing)[:3]}"


def _check_runs(client: Client, notes: Notes) -> None:
    """Wait until every event for the function has been run, once at least."""
    deadline = time.monotonic() + _RUN_SECONDS
    while waiting := notes.put_to_function - notes.received:
        assert time.monotonic() < deadline, f"{len(waiting)} events were never run, such as {sorted(waiting)[:3]}"
        drain_once(client, "ran", notes, wait_seconds=1)


def existing(client: Client) -> set[str]:
    """Return the names of all queues and rules."""
    names: set[str] = set()
    token: dict[str, str] = {}
    while True:
        page = client.call("AmazonSQS.ListQueues", MaxResults=1000, **token)
        names.update(url.rsplit("/", 1)[1] for url in page.get("QueueUrls", []))
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    token = {}
    while True:
        page = client.call("AWSEvents.ListRules", EventBusName="bus", Limit=100, **token)
        names.update(f"rule {rule['Name']}" for rule in page["Rules"])
        if "NextToken" not in page:
            return names
        token = {"NextToken": page["NextToken"]}


def run_rounds(data: Path, rounds: int, seed: int, report: Callable[[str], None]) -> Notes:
    """Kill a node `rounds` times under load and check it after each start."""
    chance = random.Random(seed)
    node, notes = Node(data), Notes()
    node.start()
    set_up(node, notes)
    try:
        for number in range(1, rounds + 1):
            load = Load(node.port, notes, number)
            load.start()
            time.sleep(chance.uniform(0.05, 1.5))
            node.kill()
            load.stop()
            seconds = node.start()
            # An invocation that died with the node is leased for a minute, which nobody need wait for. A node starts
            # with real time, and time that has once been left behind stays so.
            node.advance(61.0 * number)
            check(node, notes)
            report(
                f"round {number}: {len(notes.sent)} sent, {len(notes.put)} events, "
                f"{len(notes.put_to_function)} run, {len(notes.deleted)} deleted, {len(notes.created)} created; "
                f"up again in {seconds:.2f} s; nothing lost"
            )
    finally:
        node.stop()
    return notes


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Run from the command line."""
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_rounds(Path(folder) / "data", arguments.rounds, arguments.seed, _print)


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
