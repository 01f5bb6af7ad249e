"""Long polling over real connections, on a clock that stands still."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from forebay.services.sqs.waiting import WaitingRoom
from tests.harness import wait_until


@pytest.fixture
def waiting_count(node):
    """Return how many receivers stand in any line."""

    def count():
        async def work(running):
            room = running.platform.table.shared("sqs", WaitingRoom)
            return sum(room.waiting_count(number) for number in range(10))

        return node.run(work)

    return count


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def poll(node, **params):
    return node.client("sqs").receive_message(QueueUrl="q", **params).get("Messages", [])


def test_a_send_wakes_a_long_poll(node, sqs, make_queue, pool, waiting_count):
    node.clock.freeze()
    make_queue()
    waiting = pool.submit(poll, node, WaitTimeSeconds=20)
    wait_until(lambda: waiting_count() == 1)
    sqs.send_message(QueueUrl="q", MessageBody="a")
    assert [message["Body"] for message in waiting.result(10)] == ["a"]


def test_the_queue_says_how_long_to_wait_unless_the_request_does(node, sqs, make_queue, pool, waiting_count):
    node.clock.freeze()
    make_queue(ReceiveMessageWaitTimeSeconds="5")
    assert poll(node, WaitTimeSeconds=0) == []
    waiting = pool.submit(poll, node)
    wait_until(lambda: waiting_count() == 1)
    node.clock.advance(5)
    assert waiting.result(10) == []


def test_a_delayed_message_wakes_a_long_poll_in_its_time(node, sqs, make_queue, pool, waiting_count):
    node.clock.freeze()
    make_queue()
    waiting = pool.submit(poll, node, WaitTimeSeconds=20)
    wait_until(lambda: waiting_count() == 1)
    sqs.send_message(QueueUrl="q", MessageBody="a", DelaySeconds=3)
    assert not waiting.done()
    node.clock.advance(3)
    assert [message["Body"] for message in waiting.result(10)] == ["a"]


def test_each_of_many_waiters_gets_its_message(node, sqs, make_queue, pool, waiting_count):
    node.clock.freeze()
    make_queue()
    waiting = [pool.submit(poll, node, WaitTimeSeconds=20) for _ in range(8)]
    wait_until(lambda: waiting_count() == 8)
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(8)]
    sqs.send_message_batch(QueueUrl="q", Entries=entries)
    bodies = [message["Body"] for future in waiting for message in future.result(10)]
    assert sorted(bodies) == [str(number) for number in range(8)]


def test_a_client_that_hangs_up_takes_no_message(node, sqs, make_queue, waiting_count):
    node.clock.freeze()
    make_queue()
    body = b'{"QueueUrl":"q","WaitTimeSeconds":20}'
    request = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
        b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    with socket.create_connection(("127.0.0.1", node.node.port)) as connection:
        connection.sendall(request)
        wait_until(lambda: waiting_count() == 1)
    wait_until(lambda: waiting_count() == 0)
    sqs.send_message(QueueUrl="q", MessageBody="a")
    assert [message["Body"] for message in poll(node)] == ["a"]


def test_a_queue_that_is_deleted_meanwhile(node, sqs, make_queue, pool, waiting_count):
    node.clock.freeze()
    make_queue()
    waiting = pool.submit(poll, node, WaitTimeSeconds=20)
    wait_until(lambda: waiting_count() == 1)
    sqs.delete_queue(QueueUrl="q")
    node.clock.advance(10)
    with pytest.raises(sqs.exceptions.ClientError, match="does not exist"):
        waiting.result(10)
