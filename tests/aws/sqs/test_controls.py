"""What the node's own API does with queues: peek, redrive."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest


@pytest.fixture
def control(node):
    def call(name, **query):
        request = urllib.request.Request(f"{node.url}/_forebay/sqs/{name}?{urlencode(query)}", method="POST", data=b"")
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    return call


def test_peek_shows_messages_without_receiving_them(node, sqs, make_queue, control):
    node.clock.freeze()
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="hidden")
    sqs.receive_message(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=5)
    sqs.send_message(QueueUrl=url, MessageBody="now")
    found = control("peek", queue="q")["messages"]
    assert [(message["body"], message["state"], message["receive_count"]) for message in found] == [
        ("hidden", "in flight", 1),
        ("later", "delayed", 0),
        ("now", "visible", 0),
    ]
    assert len(control("peek", queue=url, limit="1")["messages"]) == 1
    assert control("peek", queue="q")["messages"] == found


def test_peek_names_a_queue_that_is_missing(sqs, control):
    sqs.list_queues()
    with pytest.raises(urllib.error.HTTPError) as failure:
        control("peek", queue="none")
    assert "There is no queue none" in json.loads(failure.value.read())["message"]


def test_redrive_moves_dead_letters_back(sqs, make_queue, control):
    make_queue("dead")
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1})
    make_queue(RedrivePolicy=policy, VisibilityTimeout="0")
    attributes = {"a": {"DataType": "String", "StringValue": "1"}}
    for number in range(5):
        sqs.send_message(QueueUrl="q", MessageBody=str(number), MessageAttributes=attributes)
    sqs.send_message(QueueUrl="dead", MessageBody="from nowhere")
    for _ in range(2):
        sqs.receive_message(QueueUrl="q", MaxNumberOfMessages=10)
    assert control("redrive", queue="dead", limit="2") == {"moved": 2, "left": 4}
    assert control("redrive", queue="dead") == {"moved": 3, "left": 1}
    back = sqs.receive_message(QueueUrl="q", MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert sorted(message["Body"] for message in back) == list("01234")
    assert all(message["MessageAttributes"] == attributes for message in back)
    (left,) = sqs.receive_message(QueueUrl="dead", MaxNumberOfMessages=10)["Messages"]
    assert left["Body"] == "from nowhere"
