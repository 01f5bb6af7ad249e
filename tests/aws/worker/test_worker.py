"""Workers on a node's queues."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from forebay.worker import Message, Worker
from tests.harness import RunningNode, wait_until


@pytest.fixture
def sqs(node: RunningNode) -> Any:
    return node.client("sqs")


class Counting:
    """A client that counts its calls, and fails those that it is told to."""

    def __init__(self, client: Any, failures: int = 0) -> None:
        self._client = client
        self.failures = failures
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def counted(**given: Any) -> Any:
            self.calls[name] += 1
            if self.calls[name] <= self.failures:
                raise EndpointConnectionError(endpoint_url="http://127.0.0.1")
            return call(**given)

        counted.__name__ = name
        return counted


@contextmanager
def working(sqs: Any, url: str, handle: Callable[[Message], object] | None = None, **settings: Any) -> Iterator[Worker]:
    """Run a worker in a thread; it is told to stop at the end."""
    worker = Worker(url, handle, client=sqs, **{"wait_seconds": 1, **settings})
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()


def queue(sqs: Any, name: str = "work", **attributes: str) -> str:
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def counts(sqs: Any, url: str) -> tuple[int, int]:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(told[names[0]]), int(told[names[1]])


def send(sqs: Any, url: str, bodies: list[str], **further: Any) -> None:
    for first in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body, **further}
            for number, body in enumerate(bodies[first : first + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


def test_queue_is_drained_by_several_at_once(sqs: Any):
    url = queue(sqs)
    send(sqs, url, [str(number) for number in range(25)])
    done: list[str] = []
    meeting = threading.Barrier(4)

    def handle(message: Message) -> None:
        if int(message.body) < 4:
            meeting.wait(30)
        done.append(message.body)

    with working(sqs, url, handle, concurrency=4) as worker:
        wait_until(lambda: worker.report.completed == 25)
    assert sorted(done, key=int) == [str(number) for number in range(25)]
    assert counts(sqs, url) == (0, 0)


def test_failed_message_rests_and_comes_again(node: RunningNode, sqs: Any):
    url = queue(sqs)
    send(sqs, url, ["bad"])
    seen: list[int] = []

    def handle(message: Message) -> None:
        seen.append(message.receive_count)
        if len(seen) == 1:
            raise RuntimeError("no luck")

    with working(sqs, url, handle) as worker:
        wait_until(lambda: worker.report.failed == 1)
        node.clock.advance(2)
        wait_until(lambda: worker.report.completed == 1)
    assert seen == [1, 2]


def test_batch_handler_names_what_failed(sqs: Any):
    url = queue(sqs)
    send(sqs, url, ["a", "b", "c"])

    def handle(messages: list[Message]) -> list[Message]:
        return [message for message in messages if message.body == "b"]

    with working(sqs, url, handle_batch=handle, batch_size=10, retry_seconds=lambda _: 600) as worker:
        wait_until(lambda: worker.report.completed + worker.report.failed == 3)
        assert (worker.report.completed, worker.report.failed) == (2, 1)
    assert counts(sqs, url) == (0, 1)


def test_groups_of_a_fifo_queue_keep_their_order_past_a_failure(node: RunningNode, sqs: Any):
    url = queue(sqs, "work.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    send(sqs, url, ["1", "2", "3"], MessageGroupId="g")
    order: list[str] = []

    def handle(message: Message) -> None:
        order.append(message.body)
        if order == ["1", "2"]:
            raise RuntimeError("no luck")

    with working(sqs, url, handle, concurrency=3, retry_seconds=lambda _: 0) as worker:
        wait_until(lambda: worker.report.completed == 3)
    assert order == ["1", "2", "2", "3"]
    assert worker.report.returned == 1


def test_lease_is_renewed_for_as_long_as_work_lasts(node: RunningNode, sqs: Any):
    url = queue(sqs)
    send(sqs, url, ["long"])
    go = threading.Event()
    begun = threading.Event()

    def handle(_message: Message) -> None:
        begun.set()
        assert go.wait(60)

    client = Counting(sqs)
    with working(client, url, handle, lease_seconds=3) as worker:
        assert begun.wait(30)
        # Each step is shorter than a lease, all of them are longer.
        node.clock.freeze()
        for _ in range(4):
            until = client.calls["change_message_visibility_batch"]
            wait_until(lambda until=until: client.calls["change_message_visibility_batch"] > until)
            node.clock.advance(2)
            assert counts(sqs, url) == (0, 1)
        node.clock.resume()
        go.set()
        wait_until(lambda: worker.report.completed == 1)
    assert worker.report.received == 1


def test_stopping_finishes_what_has_begun_and_gives_back_the_rest(sqs: Any):
    url = queue(sqs, "work.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    send(sqs, url, ["1", "2", "3"], MessageGroupId="g")
    begun, go = threading.Event(), threading.Event()

    def handle(_message: Message) -> None:
        begun.set()
        assert go.wait(60)

    with working(sqs, url, handle, concurrency=3) as worker:
        assert begun.wait(30)
        worker.stop()
        go.set()
    assert (worker.report.completed, worker.report.returned, worker.report.cut_off) == (1, 2, 0)
    assert counts(sqs, url) == (2, 0)


def test_what_is_cut_off_is_counted_and_given_back(sqs: Any):
    url = queue(sqs)
    send(sqs, url, ["endless"])
    begun, go = threading.Event(), threading.Event()

    def handle(_message: Message) -> None:
        begun.set()
        go.wait(60)

    with working(sqs, url, handle, grace_seconds=0.1) as worker:
        assert begun.wait(30)
        worker.stop()
    assert worker.report.cut_off == 1
    assert counts(sqs, url) == (1, 0)
    go.set()


def test_outage_is_waited_out(sqs: Any):
    url = queue(sqs)
    send(sqs, url, ["after"])
    with working(Counting(sqs, failures=1), url, lambda _: None) as worker:
        wait_until(lambda: worker.report.completed + worker.report.undeleted == 1)


def test_process_ends_cleanly_when_told(node: RunningNode, sqs: Any, tmp_path: Path):
    url = queue(sqs, "orders")
    (tmp_path / "app.py").write_text(
        "import pathlib\ndef handle(message):\n    pathlib.Path('done').write_text(message.body)\n"
    )
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": node.url,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "forebay.worker", "--queue", "orders", "--wait-seconds", "1", "app:handle"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    send(sqs, url, ["hello"])
    wait_until((tmp_path / "done").exists)
    wait_until(lambda: counts(sqs, url) == (0, 0))
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "stopped: 1 received, 1 completed, 0 cut off" in told
