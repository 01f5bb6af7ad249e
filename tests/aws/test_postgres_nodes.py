"""Two whole nodes on one PostgreSQL database, through real clients."""

import threading
import time

import pytest
from botocore.exceptions import ClientError

from tests import postgres as servers
from tests.harness import RunningNode

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")


@pytest.fixture
def server():
    one = servers.PostgresServer()
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture
def nodes(server, tmp_path):
    started = []
    try:
        for name in ("a", "b"):
            running = RunningNode(tmp_path / name, store=server.url, store_wait_seconds=0.5).start()
            started.append(running)
        yield started
    finally:
        for node in started:
            node.stop()


def test_queue_of_one_node_serves_the_other(nodes):
    a, b = (node.client("sqs") for node in nodes)
    url = a.create_queue(QueueName="jobs")["QueueUrl"]
    a.send_message(QueueUrl=url, MessageBody="hello")
    url = b.get_queue_url(QueueName="jobs")["QueueUrl"]
    (received,) = b.receive_message(QueueUrl=url)["Messages"]
    assert received["Body"] == "hello"
    a.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])
    numbers = b.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert {value for name, value in numbers.items() if name.startswith("ApproximateNumber")} == {"0"}


def test_long_poll_on_one_node_is_woken_by_the_other(nodes):
    a, b = (node.client("sqs") for node in nodes)
    url = a.create_queue(QueueName="jobs")["QueueUrl"]
    found = []

    def wait():
        start = time.monotonic()
        found.extend(b.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"])
        found.append(time.monotonic() - start)

    waiter = threading.Thread(target=wait)
    waiter.start()
    a.send_message(QueueUrl=url, MessageBody="hello")
    waiter.join(25)
    assert found[0]["Body"] == "hello"
    assert found[1] < 5


def test_fifo_group_taken_on_one_node_is_closed_on_the_other(nodes):
    a, b = (node.client("sqs") for node in nodes)
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = a.create_queue(QueueName="jobs.fifo", Attributes=attributes)["QueueUrl"]
    for body in ("1", "2"):
        (a if body == "1" else b).send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    (first,) = a.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert first["Body"] == "1"
    assert "Messages" not in b.receive_message(QueueUrl=url, MaxNumberOfMessages=1)
    a.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    (second,) = b.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert second["Body"] == "2"


def test_database_that_is_away_is_answered_503_and_comes_back(nodes, server):
    sqs = nodes[0].client("sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="before")
    server.stop("immediate")
    with pytest.raises(ClientError) as caught:
        sqs.send_message(QueueUrl=url, MessageBody="lost")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    server.start()
    sqs.send_message(QueueUrl=url, MessageBody="after")
    bodies = [one["Body"] for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert sorted(bodies) == ["after", "before"]


def test_event_put_on_one_node_is_delivered_whoever_delivers(nodes):
    a, b = nodes
    sqs, events = a.client("sqs"), b.client("events")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventPattern='{"source": ["test"]}')
    events.put_targets(Rule="all", Targets=[{"Id": "q", "Arn": arn}])
    a.client("events").put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": "{}"}])
    (received,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert '"source":"test"' in received["Body"].replace(" ", "")
