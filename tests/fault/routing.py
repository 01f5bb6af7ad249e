"""A node that is killed (SIGKILL) while it fans out, retries, replays and fires schedules, and what it owes afterwards.

    .venv/bin/python -m tests.fault.routing --rounds 100 --engine postgres

After each kill the node starts again on the same data. Then every acknowledged message and event must be in each queue
that wanted it, exactly once; at each HTTP endpoint (which fails now and then) at least once; each FIFO group in order;
each event of the round before in its replay once; and each schedule must have fired once. What was not acknowledged may
be there or not, but nowhere twice.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tests import postgres
from tests.fault.kill import ACCOUNT, Client, Node, NotAcknowledged

_PATIENCE_SECONDS = 60.0
# Longer than any lease that a dead node leaves behind, and than the pauses before most retries.
_STEP_SECONDS = 90.0
_SCHEDULES = 10
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
_BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/bus"
_QUEUES = ("fan-a", "fan-b", "fan-all", "events", "again", "ticks")
_KINDS = ("a", "b", "c")


class Endpoint:
    """An HTTP server that notes what it has taken, and refuses one request in five."""

    def __init__(self, seed: int) -> None:
        self.taken: dict[str, set[str]] = {"/hook": set(), "/api": set()}
        self.confirmations: list[str] = []
        chance, endpoint, lock = random.Random(seed), self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    status = endpoint.take(self.path, body, fails=chance.random() < 0.2)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def take(self, path: str, body: dict[str, Any], *, fails: bool) -> int:
        """Take a request, or say that it is to come again."""
        if body.get("Type") == "SubscriptionConfirmation":
            self.confirmations.append(body["Token"])
            return 200
        if fails:
            return 503
        name = json.loads(body["Message"])["name"] if path == "/hook" else body["detail"]["name"]
        self.taken[path].add(name)
        return 200

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Notes:
    """What was acknowledged, and what has arrived so far, by queue."""

    published: dict[str, str] = field(default_factory=dict)
    ordered: dict[str, list[int]] = field(default_factory=dict)
    put: set[str] = field(default_factory=set)
    scheduled: set[str] = field(default_factory=set)
    arrived: dict[str, Counter[str]] = field(default_factory=lambda: {queue: Counter() for queue in _QUEUES})
    in_order: dict[str, list[int]] = field(default_factory=dict)


class World:
    """One node, its endpoint, and everything that is known of them."""

    def __init__(self, node: Node, seed: int) -> None:
        self.node = node
        self.endpoint = Endpoint(seed)
        self.notes = Notes()
        self.topics = {name: f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}" for name in ("fan", "ordered.fifo")}
        # How far the node's clock is ahead.
        self.ahead = 0.0

    def client(self, service: str) -> Any:
        """Return a client that does not try again."""
        keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "kill"}
        url = f"http://127.0.0.1:{self.node.port}"
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)

    def set_up(self) -> None:
        """Make topics, queues, subscriptions, the bus with its rules, the archive and the API destination."""
        sqs, sns, events = self.client("sqs"), self.client("sns"), self.client("events")
        for queue in _QUEUES:
            sqs.create_queue(QueueName=queue)
        sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})
        fan = sns.create_topic(Name="fan")["TopicArn"]
        for queue, policy in (("fan-a", {"kind": ["a"]}), ("fan-b", {"kind": ["b"]}), ("fan-all", None)):
            attributes = {"RawMessageDelivery": "true", "FilterPolicyScope": "MessageBody"}
            if policy is not None:
                attributes["FilterPolicy"] = json.dumps(policy)
            sns.subscribe(TopicArn=fan, Protocol="sqs", Endpoint=_queue(queue), Attributes=attributes)
        healthy = {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 100}
        policy = json.dumps({"healthyRetryPolicy": healthy})
        hook = f"{self.endpoint.url}/hook"
        sns.subscribe(TopicArn=fan, Protocol="http", Endpoint=hook, Attributes={"DeliveryPolicy": policy})
        _wait(lambda: bool(self.endpoint.confirmations), "no confirmation was asked for")
        sns.confirm_subscription(TopicArn=fan, Token=self.endpoint.confirmations[0])
        ordered = sns.create_topic(Name="ordered.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=ordered, Protocol="sqs", Endpoint=_queue("ordered.fifo"), Attributes=raw)
        self._set_up_bus(events)

    def _set_up_bus(self, events: Any) -> None:
        events.create_event_bus(Name="bus")
        events.create_archive(ArchiveName="kept", EventSourceArn=_BUS)
        parameters = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"}}
        connection = events.create_connection(Name="c", AuthorizationType="API_KEY", AuthParameters=parameters)
        destination = events.create_api_destination(
            Name="d",
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=f"{self.endpoint.url}/api",
            HttpMethod="POST",
        )["ApiDestinationArn"]
        first = {"source": ["kill"], "replay-name": [{"exists": False}]}
        again = {"source": ["kill"], "replay-name": [{"exists": True}]}
        for name, pattern, target in (
            ("events", first, {"Arn": _queue("events")}),
            ("api", first, {"Arn": destination, "RoleArn": _ROLE}),
            ("again", again, {"Arn": _queue("again")}),
        ):
            events.put_rule(Name=name, EventBusName="bus", EventPattern=json.dumps(pattern))
            events.put_targets(Rule=name, EventBusName="bus", Targets=[{"Id": "t", **target}])

    # --- one round ---

    def round(self, number: int, chance: random.Random) -> None:
        """Load the node, kill it, start it again, and hold everything against the notes."""
        known = set(self.notes.arrived["events"])
        replay = self._start_replay(number) if known else None
        failures: list[BaseException] = []
        works = [self._publish, self._publish, self._put, self._put, self._schedule]
        works += [self._publish_in_order, self._publish_in_order]
        threads = [
            threading.Thread(target=self._run, args=(work, number * 100 + index, failures), daemon=True)
            for index, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        had = len(self.notes.put) + len(self.notes.published)
        at_work = lambda: bool(failures) or len(self.notes.put) + len(self.notes.published) > had + 30  # noqa: E731
        _wait(at_work, "the clients get nowhere")
        time.sleep(chance.uniform(0.0, 1.0))
        self.node.kill()
        for thread in threads:
            thread.join(40)
        assert not failures, failures[0]
        self.node.start()
        self.ahead += _STEP_SECONDS
        self.node.advance(self.ahead)
        self.check(replay)

    def _run(self, work: Callable[[Client, int], None], thread: int, failures: list[BaseException]) -> None:
        try:
            with closing(Client(self.node.port)) as client:
                work(client, thread)
        except NotAcknowledged:
            return
        except BaseException as failure:
            failures.append(failure)

    def _start_replay(self, number: int) -> str:
        """Start to replay everything that has been archived; the next events come a second later."""
        name = f"replay-{number}"
        now = time.time() + self.ahead
        self.client("events").start_replay(
            ReplayName=name,
            EventSourceArn=f"arn:aws:events:us-east-1:{ACCOUNT}:archive/kept",
            EventStartTime=0,
            EventEndTime=int(now) + 1,
            Destination={"Arn": _BUS},
        )
        time.sleep(1.0 - time.time() % 1.0 + 0.05)
        return name

    def _publish(self, client: Client, thread: int) -> None:
        sns = self.client("sns")
        step = 0
        while True:
            name, kind = f"m{thread}-{step}", _KINDS[step % 3]
            with _acknowledging():
                sns.publish(TopicArn=self.topics["fan"], Message=json.dumps({"name": name, "kind": kind}))
            self.notes.published[name] = kind
            step += 1

    def _publish_in_order(self, client: Client, thread: int) -> None:
        sns, group = self.client("sns"), f"g{thread}"
        self.notes.ordered[group] = []
        step = 0
        while True:
            with _acknowledging():
                sns.publish(
                    TopicArn=self.topics["ordered.fifo"],
                    Message=json.dumps({"group": group, "n": step}),
                    MessageGroupId=group,
                    MessageDeduplicationId=f"{group}-{step}",
                )
            self.notes.ordered[group].append(step)
            step += 1

    def _put(self, client: Client, thread: int) -> None:
        step = 0
        while True:
            names = [f"e{thread}-{step}-{index}" for index in range(3)]
            entries = [
                {"Source": "kill", "DetailType": "t", "Detail": json.dumps({"name": name}), "EventBusName": "bus"}
                for name in names
            ]
            assert client.call("AWSEvents.PutEvents", Entries=entries)["FailedEntryCount"] == 0
            self.notes.put.update(names)
            step += 1

    def _schedule(self, client: Client, thread: int) -> None:
        scheduler = self.client("scheduler")
        for index in range(_SCHEDULES):
            name = f"s{thread}-{index}"
            due_at = time.gmtime(time.time() + self.ahead + 10)
            with _acknowledging():
                scheduler.create_schedule(
                    Name=name,
                    ScheduleExpression=time.strftime("at(%Y-%m-%dT%H:%M:%S)", due_at),
                    FlexibleTimeWindow={"Mode": "OFF"},
                    ActionAfterCompletion="DELETE",
                    Target={"Arn": _queue("ticks"), "RoleArn": _ROLE, "Input": json.dumps({"name": name})},
                )
            self.notes.scheduled.add(name)

    # --- what the node owes ---

    def check(self, replay: str | None) -> None:
        """Drain everything and compare; what retries wait for comes as the clock moves on."""
        notes = self.notes
        with closing(Client(self.node.port)) as client:
            _wait(lambda: self._has_all(client), "something acknowledged has not arrived", self._tell)
            if replay is not None:
                ended = lambda: client.call("AWSEvents.DescribeReplay", ReplayName=replay)["State"] == "COMPLETED"  # noqa: E731
                _wait(ended, "the replay did not end")
            self._drain_all(client)
        for queue in ("fan-a", "fan-b", "fan-all", "events", "ticks"):
            twice = [name for name, count in notes.arrived[queue].items() if count > 1]
            assert not twice, f"{queue} got twice: {twice[:3]}"
        for group, numbers in notes.in_order.items():
            assert numbers == sorted(set(numbers)), f"group {group} is out of order: {numbers}"
        self._check_replay(replay)

    def _check_replay(self, replay: str | None) -> None:
        again = self.notes.arrived["again"]
        if replay is not None:
            twice = [name for name, count in again.items() if count > 1]
            assert not twice, f"{replay} sent twice: {twice[:3]}"
            assert again, f"{replay} sent nothing"
        again.clear()

    def _has_all(self, client: Client) -> bool:
        self._drain_all(client)
        return not self._missing()

    def _missing(self) -> dict[str, set[str]]:
        notes, taken = self.notes, self.endpoint.taken
        published = set(notes.published)
        wanted = {
            "fan-a": {name for name, kind in notes.published.items() if kind == "a"},
            "fan-b": {name for name, kind in notes.published.items() if kind == "b"},
            "fan-all": published,
            "events": notes.put,
            "ticks": notes.scheduled,
        }
        missing = {queue: names - notes.arrived[queue].keys() for queue, names in wanted.items()}
        missing["hook"] = published - taken["/hook"]
        missing["api"] = notes.put - taken["/api"]
        for group, numbers in notes.ordered.items():
            missing[group] = {str(n) for n in numbers} - {str(n) for n in notes.in_order.get(group, [])}
        return {where: names for where, names in missing.items() if names}

    def _tell(self) -> str:
        return str({where: sorted(names)[:3] for where, names in self._missing().items()})

    def _drain_all(self, client: Client) -> None:
        for queue in _QUEUES:
            for body in _drain(client, queue):
                document = json.loads(body)
                name = document["detail"]["name"] if "detail" in document else document["name"]
                self.notes.arrived[queue][name] += 1
        for body in _drain(client, "ordered.fifo"):
            document = json.loads(body)
            self.notes.in_order.setdefault(document["group"], []).append(document["n"])


@contextmanager
def _acknowledging() -> Iterator[None]:
    """Turn the end of the node into `NotAcknowledged`."""
    try:
        yield
    except BotoCoreError as error:
        raise NotAcknowledged(str(error)) from None


def _queue(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"


def _drain(client: Client, queue: str) -> Iterator[str]:
    while found := client.call("AmazonSQS.ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(found)]
        client.call("AmazonSQS.DeleteMessageBatch", QueueUrl=queue, Entries=entries)
        yield from (message["Body"] for message in found)


def _wait(holds: Callable[[], bool], failure: str, tell: Callable[[], str] = str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, f"{failure} {tell()}"
        time.sleep(0.1)


def run_rounds(node: Node, rounds: int, seed: int, report: Callable[[str], None]) -> Notes:
    """Kill a node `rounds` times and check it after each start."""
    world = World(node, seed)
    node.start()
    try:
        world.set_up()
        chance = random.Random(seed)
        for number in range(1, rounds + 1):
            world.round(number, chance)
            notes = world.notes
            ordered = sum(map(len, notes.ordered.values()))
            report(
                f"round {number}: {len(notes.published)} published, {ordered} in order, {len(notes.put)} events, "
                f"{len(notes.scheduled)} schedules; nothing lost, nothing twice, everything in order"
            )
    finally:
        node.stop()
        world.endpoint.close()
    return world.notes


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = None
        if arguments.engine == "postgres":
            server = postgres.PostgresServer()
            stack.callback(server.remove)
            server.start()
            store = server.url
        run_rounds(Node(folder / "data", store), arguments.rounds, arguments.seed, _print)


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
