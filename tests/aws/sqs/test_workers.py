"""Workers that people run on SQS, unchanged, each draining a queue: only the endpoint tells them where they are.

Programs that are no part of the project's environment come from the registries once and are kept; a test is skipped
where that is not possible. KEDA's question about a queue's depth stands here too, because it decides on workers.
"""

import json
import shutil
import sys
from pathlib import Path

import boto3
import pytest

from tests.harness import ACCOUNT, REGION, wait_until
from tests.packages import node_packages, python_packages
from tests.programs import Programs, installed

MESSAGES = 25

_INSTALLED = pytest.mark.timeout(700)


@pytest.fixture
def run(node, tmp_path):
    """Run a program to its end; return what it printed."""
    return Programs(node, tmp_path).run


@pytest.fixture
def worker(node, tmp_path):
    """Run a program beside the test for the time of a `with` block."""
    return Programs(node, tmp_path).beside


def send(sqs, url, count=MESSAGES):
    """Put numbered messages on a queue; return their bodies."""
    bodies = [f"message {number}" for number in range(count)]
    for start in range(0, count, 10):
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start : start + 10])]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")
    return bodies


def left(sqs, url):
    """Return how many messages a queue has, in whatever state; what KEDA asks for."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert sorted(counts) == sorted(names)
    return [int(counts[name]) for name in names]


def lines(path):
    """Return the lines of a file that a worker writes."""
    return path.read_text().splitlines() if path.exists() else []


def test_boto3_drains_a_queue(node, sqs, make_queue):
    url = make_queue()
    bodies = send(sqs, url)
    keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "any", "region_name": REGION}
    queue = boto3.resource("sqs", endpoint_url=node.url, **keys).Queue(url)
    seen = []
    while messages := queue.receive_messages(MaxNumberOfMessages=10, WaitTimeSeconds=1):
        seen += [message.body for message in messages]
        entries = [{"Id": str(index), "ReceiptHandle": m.receipt_handle} for index, m in enumerate(messages)]
        assert len(queue.delete_messages(Entries=entries)["Successful"]) == len(messages)
    assert sorted(seen) == sorted(bodies)
    assert left(sqs, url) == [0, 0, 0]


@pytest.mark.slow
def test_cli_drains_a_queue(node, sqs, make_queue, run):
    url = make_queue()
    bodies = send(sqs, url, 6)
    # In us-east-1 the CLI must be told the endpoint, see test_clients.
    aws = (Path(sys.executable).parent / "aws", "--endpoint-url", node.url, "sqs")
    seen = []
    while text := run(*aws, "receive-message", "--queue-url", url, "--max-number-of-messages", "3"):
        for message in json.loads(text)["Messages"]:
            seen.append(message["Body"])
            run(*aws, "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    assert sorted(seen) == sorted(bodies)
    assert left(sqs, url) == [0, 0, 0]


# What the two workers of the AWS SDK for JavaScript share: they print a line for each message.
_SDK_WORKER = """
import { SQSClient, ReceiveMessageCommand, DeleteMessageBatchCommand } from "@aws-sdk/client-sqs";
const sqs = new SQSClient({}), QueueUrl = process.env.QUEUE_URL;
for (;;) {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({
    QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }));
  if (!Messages) break;
  for (const { Body } of Messages) console.log(Body);
  const Entries = Messages.map(({ ReceiptHandle }, n) => ({ Id: `${n}`, ReceiptHandle }));
  const { Failed } = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  if (Failed?.length) throw new Error(JSON.stringify(Failed));
}
"""
_CONSUMER = """
import { Consumer } from "sqs-consumer";
import { appendFileSync } from "node:fs";
const consumer = Consumer.create({
  queueUrl: process.env.QUEUE_URL, batchSize: 10, waitTimeSeconds: 1, attributeNames: ["All"],
  handleMessage: async (message) => {
    appendFileSync("seen.txt", `${message.Body} ${message.Attributes.ApproximateReceiveCount}\\n`);
    return message;
  } });
consumer.on("error", (error) => console.error(error));
consumer.on("processing_error", (error) => console.error(error));
process.on("SIGTERM", () => { consumer.on("stopped", () => process.exit(0)); consumer.stop(); });
consumer.start();
"""


@pytest.mark.node
@pytest.mark.slow
@_INSTALLED
def test_javascript_sdk_drains_a_queue(sqs, make_queue, run):
    folder = installed(node_packages, "@aws-sdk/client-sqs", "sqs-consumer")
    url = make_queue()
    bodies = send(sqs, url)
    script = folder / "sdk.mjs"
    script.write_text(_SDK_WORKER)
    assert sorted(run(shutil.which("node"), script, QUEUE_URL=url).splitlines()) == sorted(bodies)
    assert left(sqs, url) == [0, 0, 0]


@pytest.mark.node
@pytest.mark.slow
@_INSTALLED
def test_sqs_consumer_drains_a_queue(sqs, make_queue, worker, tmp_path):
    folder = installed(node_packages, "@aws-sdk/client-sqs", "sqs-consumer")
    url = make_queue()
    bodies = send(sqs, url)
    script = folder / "consumer.mjs"
    script.write_text(_CONSUMER)
    with worker(shutil.which("node"), script, QUEUE_URL=url):
        wait_until(lambda: left(sqs, url) == [0, 0, 0], 30)
        more = send(sqs, url, 3)
        wait_until(lambda: left(sqs, url) == [0, 0, 0], 30)
    assert sorted(lines(tmp_path / "seen.txt")) == sorted(f"{body} 1" for body in bodies + more)


_CELERY = """
import os
from celery import Celery

app = Celery("work", broker=os.environ["BROKER"])
app.conf.update(
    task_default_queue="celery-work",
    broker_connection_retry_on_startup=True,
    broker_transport_options={"region": "us-east-1", "wait_time_seconds": 1, "polling_interval": 0.1},
    worker_enable_remote_control=False,
)

@app.task(bind=True, default_retry_delay=0)
def note(self, number):
    if number == 7 and not self.request.retries:
        raise self.retry()
    with open("seen.txt", "a") as file:
        file.write(f"{number}\\n")

@app.task
def nap(number):
    note.apply_async((number,), countdown=1)

if __name__ == "__main__":
    for number in range(25):
        note.delay(number)
    nap.delay(100)
"""


@pytest.mark.slow
@_INSTALLED
def test_celery_drains_a_queue(node, sqs, run, worker, tmp_path):
    scripts = installed(python_packages, "celery[sqs]")
    (tmp_path / "work.py").write_text(_CELERY)
    broker = f"sqs://{ACCOUNT}:any@{node.url.removeprefix('http://')}"
    run(scripts / "python", "work.py", BROKER=broker)
    url = sqs.get_queue_url(QueueName="celery-work")["QueueUrl"]
    assert left(sqs, url) == [26, 0, 0]
    command = (
        "-A",
        "work",
        "worker",
        "--loglevel",
        "info",
        "--concurrency",
        "2",
        "--without-mingle",
        "--without-gossip",
    )
    seen = tmp_path / "seen.txt"
    with worker(scripts / "celery", *command, BROKER=broker):
        wait_until(lambda: len(lines(seen)) == 26 and left(sqs, url) == [0, 0, 0], 60)
    assert sorted(map(int, lines(seen))) == [*range(25), 100]


_DRAMATIQ = """
import dramatiq
from dramatiq_sqs import SQSBroker

broker = SQSBroker(namespace="work", dead_letter=True)
dramatiq.set_broker(broker)

@dramatiq.actor(max_retries=3, min_backoff=10, max_backoff=10)
def note(number):
    with open("tried.txt", "a") as file:
        file.write(f"{number}\\n")
    if number == 7 and open("tried.txt").read().splitlines().count("7") == 1:
        raise RuntimeError("once more")
    with open("seen.txt", "a") as file:
        file.write(f"{number}\\n")

if __name__ == "__main__":
    for number in range(25):
        note.send(number)
    note.send_with_options(args=(100,), delay=1000)
"""


@pytest.mark.slow
@_INSTALLED
def test_dramatiq_drains_a_queue(sqs, run, worker, tmp_path):
    scripts = installed(python_packages, "dramatiq-sqs")
    (tmp_path / "work.py").write_text(_DRAMATIQ)
    run(scripts / "python", "work.py")
    url = sqs.get_queue_url(QueueName="work_default")["QueueUrl"]
    seen = tmp_path / "seen.txt"
    with worker(scripts / "dramatiq", "work", "--processes", "1", "--threads", "2", "--path", tmp_path):
        wait_until(lambda: len(lines(seen)) == 26 and left(sqs, url) == [0, 0, 0], 60)
    assert sorted(map(int, lines(seen))) == [*range(25), 100]
    assert lines(tmp_path / "tried.txt").count("7") == 2


@pytest.mark.parametrize("form", ["url", "other host", "name"])
def test_keda_reads_a_queue_s_depth(node, sqs, make_queue, form):
    # KEDA's aws-sqs-queue scaler: queueURL may be a bare name; it asks for exactly these three counters.
    url = make_queue("depth")
    sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=900)
    send(sqs, url, 4)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    forms = {"url": url, "other host": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/depth", "name": "depth"}
    assert left(node.client("sqs"), forms[form]) == [3, 1, 1]
