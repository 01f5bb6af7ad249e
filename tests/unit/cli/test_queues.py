"""`forebay queues list|peek|redrive|move|purge` against a node."""

import json

import pytest


@pytest.fixture
def dead(node):
    """A queue `work` whose one message has gone to its dead-letter queue `dead`, and one that waits."""
    sqs = node.client("sqs")
    dead_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "0"}
    url = sqs.create_queue(QueueName="work", Attributes=attributes)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="failed\ntwice")
    sqs.receive_message(QueueUrl=url)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.send_message(QueueUrl=url, MessageBody="waiting")
    return url


def test_list_shows_depths(forebay, as_json, dead):
    rows = {row["name"]: row for row in as_json("queues", "list")}
    assert rows["work"]["visible"] == 1
    assert rows["work"]["dead_letters_to"] == "dead"
    assert rows["dead"]["visible"] == 1
    text = forebay("queues", "list", "--prefix", "wo").stdout
    assert "work" in text
    assert text.count("\n") == 2


def test_list_of_nothing_says_so(forebay, as_json):
    assert "There are no queues." in forebay("queues", "list").output
    assert as_json("queues", "list") == []


def test_peek_receives_nothing(forebay, as_json, dead):
    assert "failed twice" in forebay("queues", "peek", "dead").stdout
    (message,) = as_json("queues", "peek", "dead")
    assert message["body"] == "failed\ntwice"
    assert as_json("queues", "peek", "dead")[0]["receive_count"] == message["receive_count"]


def test_peek_into_an_empty_or_missing_queue(forebay, dead, node):
    node.client("sqs").purge_queue(QueueUrl=dead)
    assert "work is empty." in forebay("queues", "peek", "work").output
    assert "none" in forebay("queues", "peek", "none", code=1).output


def test_redrive_moves_back_after_asking(forebay, as_json, dead):
    assert forebay("queues", "redrive", "dead", input="n\n", code=1)
    assert as_json("queues", "list", "--prefix", "dead")[0]["visible"] == 1
    assert "Moved 1 messages; 0 are left in dead." in forebay("queues", "redrive", "dead", input="y\n").output
    bodies = [message["body"] for message in as_json("queues", "peek", "work")]
    assert sorted(bodies) == ["failed\ntwice", "waiting"]
    assert as_json("queues", "redrive", "dead", "--yes") == {"moved": 0, "left": 0}


def test_other_account_and_region_are_empty(as_json, dead):
    assert as_json("queues", "list", "--account", "111122223333") == []
    assert as_json("queues", "list", "--region", "eu-west-1") == []


def test_move_picks_messages_by_their_text(forebay, as_json, node):
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName="from")["QueueUrl"]
    sqs.create_queue(QueueName="there")
    for body in ("red 1", "blue 1", "red 2"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    moved = as_json("queues", "move", "from", "--to", "there", "--containing", "red", "--rate", "100", "--yes")
    assert moved == {"status": "COMPLETED", "moved": 2, "reason": ""}
    assert [message["body"] for message in as_json("queues", "peek", "there")] == ["red 1", "red 2"]
    assert [message["body"] for message in as_json("queues", "peek", "from")] == ["blue 1"]


def test_move_brings_dead_letters_back_after_asking(forebay, as_json, dead):
    assert forebay("queues", "move", "dead", input="n\n", code=1)
    assert "COMPLETED: moved 1 messages of dead." in forebay("queues", "move", "dead", input="y\n").output
    assert len(as_json("queues", "peek", "work")) == 2


def test_move_that_fails_says_why(forebay, dead):
    forebay("queues", "move", "dead", "--to", "work", "--yes")
    output = forebay("queues", "move", "work", "--yes", code=1).output
    assert "FAILED: moved 0 messages of work. CouldNotDetermineMessageSource" in output
    assert "The two queues must differ" in forebay("queues", "move", "work", "--to", "work", "--yes", code=1).output


def test_purge_asks_and_deletes(forebay, as_json, dead):
    assert forebay("queues", "purge", "work", input="n\n", code=1)
    assert len(as_json("queues", "peek", "work")) == 1
    assert "Deleted 1 messages of work." in forebay("queues", "purge", "work", "--yes").output
    assert as_json("queues", "peek", "work") == []
