"""Stopping: whoever waits is answered at once, and the node ends in order."""

import json
import threading
import time
import urllib.request

from forebay.services.sqs.waiting import WaitingRoom
from tests.harness import wait_until


def test_long_polls_end_when_the_node_stops(node):
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="empty")["QueueUrl"]
    node.client("lambda").list_functions()
    answers = {}

    def receive():
        answers["receive"] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)

    def follow(name):
        with urllib.request.urlopen(f"{node.url}/_forebay/{name}?after=0&wait=20", timeout=30) as answer:
            answers[name] = json.load(answer)

    threads = [threading.Thread(target=receive)]
    threads += [threading.Thread(target=follow, args=(name,)) for name in ("events", "lambda/tail")]
    for thread in threads:
        thread.start()
    room = node.node.platform.table.shared("sqs", WaitingRoom)
    wait_until(lambda: room.waiting_count(1) == 1)
    began = time.monotonic()
    node.stop()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 10.0
    assert "Messages" not in answers["receive"]
    assert answers["events"]["events"] == []
    assert answers["lambda/tail"]["lines"] == []
    node.start()
