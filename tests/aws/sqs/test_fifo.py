"""FIFO queues through boto3."""

import hashlib
import json

import pytest

INVALID = "InvalidParameterValue"
NOT_THIS_TYPE = "The request include parameter that is not valid for this queue type."
EXPIRED = "The receipt handle has expired."


@pytest.fixture
def make_fifo(make_queue):
    def make(name="q.fifo", **attributes):
        return make_queue(name, FifoQueue="true", **attributes)

    return make


@pytest.fixture
def send(sqs):
    def call(url, body, group="g", **params):
        params.setdefault("MessageDeduplicationId", body)
        return sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **params)

    return call


def receive(sqs, url, limit=10, **params):
    return sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=limit, **params).get("Messages", [])


def bodies(sqs, url, limit=10, **params):
    return [message["Body"] for message in receive(sqs, url, limit, **params)]


def delete(sqs, url, message):
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def attributes(sqs, url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_a_queue_is_fifo_by_attribute_and_name(sqs, make_fifo, refused):
    url = make_fifo()
    assert url.endswith("/q.fifo")
    shown = attributes(sqs, url)
    assert (shown["FifoQueue"], shown["ContentBasedDeduplication"]) == ("true", "false")
    assert (shown["DeduplicationScope"], shown["FifoThroughputLimit"]) == ("queue", "perQueue")
    assert make_fifo() == url
    assert refused(sqs.create_queue, QueueName="q.fifo") == (
        INVALID,
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    )
    code, text = refused(sqs.create_queue, QueueName="q", Attributes={"FifoQueue": "true"})
    assert (code, text[:42]) == (INVALID, "The name of a FIFO queue can only include ")
    assert refused(sqs.create_queue, QueueName="q", Attributes={"FifoQueue": "false"}) == (
        "InvalidAttributeName",
        "Unknown Attribute FifoQueue.",
    )


def test_what_a_message_must_have(sqs, make_fifo, refused):
    url = make_fifo()
    base = {"QueueUrl": url, "MessageBody": "x"}
    assert refused(sqs.send_message, **base) == (
        "MissingParameter",
        "The request must contain the parameter MessageGroupId.",
    )
    assert refused(sqs.send_message, **base, MessageGroupId="g") == (
        INVALID,
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )
    assert refused(sqs.send_message, **base, MessageGroupId="g", MessageDeduplicationId="a b") == (
        INVALID,
        (
            "Value a b for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only "
            "include alphanumeric and punctuation characters. 1 to 128 in length."
        ),
    )
    assert refused(sqs.send_message, **base, MessageGroupId="g g", MessageDeduplicationId="a") == (
        INVALID,
        (
            "Value g g for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include "
            "alphanumeric and punctuation characters. 1 to 128 in length."
        ),
    )
    assert refused(sqs.send_message, **base, MessageGroupId="g", MessageDeduplicationId="a", DelaySeconds=1) == (
        INVALID,
        f"Value 1 for parameter DelaySeconds is invalid. Reason: {NOT_THIS_TYPE}",
    )
    sqs.send_message(**base, MessageGroupId="g", MessageDeduplicationId="a", DelaySeconds=0)


def test_standard_queues_refuse_what_is_fifos(sqs, make_queue, refused):
    url = make_queue()
    assert refused(sqs.send_message, QueueUrl=url, MessageBody="x", MessageDeduplicationId="a") == (
        INVALID,
        f"Value a for parameter MessageDeduplicationId is invalid. Reason: {NOT_THIS_TYPE}",
    )
    assert refused(sqs.receive_message, QueueUrl=url, ReceiveRequestAttemptId="a") == (
        INVALID,
        f"Value a for parameter ReceiveRequestAttemptId is invalid. Reason: {NOT_THIS_TYPE}",
    )


def test_a_batch_without_group_fails_as_a_whole(sqs, make_fifo, refused):
    entries = [
        {"Id": "1", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "1"},
        {"Id": "2", "MessageBody": "x", "MessageDeduplicationId": "2"},
    ]
    url = make_fifo()
    assert refused(sqs.send_message_batch, QueueUrl=url, Entries=entries) == (
        INVALID,
        "The request must contain the parameter MessageGroupId.",
    )
    assert attributes(sqs, url)["ApproximateNumberOfMessages"] == "0"


def test_a_batch_without_deduplication_fails_as_a_whole(sqs, make_fifo, refused):
    entries = [
        {"Id": "1", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "1"},
        {"Id": "2", "MessageBody": "x", "MessageGroupId": "g"},
    ]
    url = make_fifo()
    # UNVERIFIED that it is the whole batch; so it is for the group.
    assert refused(sqs.send_message_batch, QueueUrl=url, Entries=entries) == (
        INVALID,
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )
    assert attributes(sqs, url)["ApproximateNumberOfMessages"] == "0"


def test_messages_show_group_id_and_sequence(sqs, make_fifo, send):
    url = make_fifo()
    sent = [send(url, body) for body in "ab"]
    entries = [{"Id": "c", "MessageBody": "c", "MessageGroupId": "g", "MessageDeduplicationId": "c"}]
    sent += sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    sequence = [one["SequenceNumber"] for one in sent]
    assert sequence == sorted(set(sequence))
    assert {len(number) for number in sequence} == {20}
    messages = receive(sqs, url, AttributeNames=["All"])
    assert [message["Attributes"]["SequenceNumber"] for message in messages] == sequence
    assert messages[0]["Attributes"]["MessageDeduplicationId"] == "a"
    assert messages[0]["Attributes"]["MessageGroupId"] == "g"


def test_one_groups_messages_come_before_the_next_groups(sqs, make_fifo, send):
    url = make_fifo()
    for body in ("g1", "h1", "g2", "h2"):
        send(url, body, body[0])
    assert bodies(sqs, url, 3) == ["g1", "g2", "h1"]
    assert bodies(sqs, url) == []


def test_a_closed_group_opens_by_delete_change_and_time(node, sqs, make_fifo, send):
    node.clock.freeze()
    url = make_fifo(VisibilityTimeout="10")
    for body in "abc":
        send(url, body)
    (a,) = receive(sqs, url, 1)
    assert bodies(sqs, url) == []
    delete(sqs, url, a)
    (b,) = receive(sqs, url, 1)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=b["ReceiptHandle"], VisibilityTimeout=0)
    assert bodies(sqs, url, 1) == ["b"]
    node.clock.advance(10)
    assert bodies(sqs, url) == ["b", "c"]


def test_an_old_handle_has_expired(node, sqs, make_fifo, send, refused):
    node.clock.freeze()
    url = make_fifo(VisibilityTimeout="10")
    send(url, "a")
    (old,) = receive(sqs, url)
    node.clock.advance(10)
    handle = old["ReceiptHandle"]
    text = f"Value {handle} for parameter ReceiptHandle is invalid. Reason: {EXPIRED}"
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == (INVALID, text)
    (new,) = receive(sqs, url)
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == (INVALID, text)
    change = {"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 5}
    assert refused(sqs.change_message_visibility, **change) == (INVALID, text)
    batch = sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": handle}])
    assert [(one["Id"], one["Code"], one["Message"]) for one in batch["Failed"]] == [("1", INVALID, text)]
    delete(sqs, url, new)
    # It is gone, and so nothing is wrong.
    delete(sqs, url, new)
    delete(sqs, url, old)


def test_duplicates_are_found_for_five_minutes_past_deletion_and_purge(node, sqs, make_fifo, send):
    node.clock.freeze()
    url = make_fifo()
    first = send(url, "a", MessageDeduplicationId="d")
    again = send(url, "other", MessageDeduplicationId="d")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    assert again["MD5OfMessageBody"] == hashlib.md5(b"other").hexdigest()
    (message,) = receive(sqs, url)
    delete(sqs, url, message)
    sqs.purge_queue(QueueUrl=url)
    node.clock.advance(299)
    send(url, "a", MessageDeduplicationId="d")
    assert bodies(sqs, url) == []
    node.clock.advance(1)
    later = send(url, "a", MessageDeduplicationId="d")
    assert later["MessageId"] != first["MessageId"]
    assert bodies(sqs, url) == ["a"]


def test_content_makes_the_id_once_that_is_switched_on(sqs, make_fifo, refused):
    url = make_fifo()
    message = {"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g"}
    assert refused(sqs.send_message, **message)[0] == INVALID
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"ContentBasedDeduplication": "true"})
    kinds = {"a": {"DataType": "String", "StringValue": "attributes do not count"}}
    first = sqs.send_message(**message)
    assert sqs.send_message(**message, MessageAttributes=kinds)["MessageId"] == first["MessageId"]
    (received,) = receive(sqs, url, AttributeNames=["All"])
    assert received["Attributes"]["MessageDeduplicationId"] == hashlib.sha256(b"x").hexdigest()


def test_duplicates_can_be_per_group(sqs, make_fifo, send):
    scope = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    url = make_fifo(**scope)
    send(url, "a", "g", MessageDeduplicationId="d")
    send(url, "b", "h", MessageDeduplicationId="d")
    send(url, "c", "h", MessageDeduplicationId="d")
    assert bodies(sqs, url) == ["a", "b"]


def test_the_same_attempt_gets_the_same_answer(node, sqs, make_fifo, send):
    node.clock.freeze()
    url = make_fifo(VisibilityTimeout="30")
    for body in ("g1", "g2", "h1"):
        send(url, body, body[0])
    first = receive(sqs, url, 2, ReceiveRequestAttemptId="a")
    node.clock.advance(5)
    assert receive(sqs, url, 2, ReceiveRequestAttemptId="a") == first
    node.clock.advance(29)
    # The repeat has hidden them anew.
    assert bodies(sqs, url) == ["h1"]
    for message in first:
        delete(sqs, url, message)
    assert receive(sqs, url, 2, ReceiveRequestAttemptId="a") == []


def test_attempt_ids_have_a_form(sqs, make_fifo, refused):
    code, text = refused(sqs.receive_message, QueueUrl=make_fifo(), ReceiveRequestAttemptId="a b")
    assert (code, text[:56]) == (INVALID, "Value a b for parameter ReceiveRequestAttemptId is inval")


def test_the_dead_letter_queue_is_fifo_too(node, sqs, make_fifo, make_queue, send, refused):
    node.clock.freeze()
    standard = attributes(sqs, make_queue("dlq"))["QueueArn"]
    graves = make_fifo("dlq.fifo")

    def policy(arn):
        return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})

    wrong = {"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true", "RedrivePolicy": policy(standard)}}
    code, text = refused(sqs.create_queue, **wrong)
    assert code == INVALID
    assert text.endswith("Reason: Dead-letter queue must be same type of queue as the source.")
    arn = attributes(sqs, graves)["QueueArn"]
    url = make_fifo("q.fifo", VisibilityTimeout="5", RedrivePolicy=policy(arn))
    for body in ("g1", "h1", "g2"):
        send(url, body, body[0])
    assert len(receive(sqs, url)) == 3
    node.clock.advance(5)
    assert receive(sqs, url) == []
    dead = receive(sqs, graves, AttributeNames=["All"])
    assert [message["Body"] for message in dead] == ["g1", "g2", "h1"]
    assert dead[0]["Attributes"]["DeadLetterQueueSourceArn"].endswith(":q.fifo")
    # As documented: two messages of one deduplication id can both be dead letters.
    assert [one["Attributes"]["MessageDeduplicationId"] for one in dead] == [one["MessageId"] for one in dead]


def test_everything_survives_a_restart(node, make_fifo, send):
    url = make_fifo(VisibilityTimeout="600")
    for body in ("g1", "g2", "h1"):
        send(url, body, body[0])
    (g1,) = receive(node.client("sqs"), url, 1)
    node.restart()
    sqs = node.client("sqs")
    url = sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"]
    again = {"MessageBody": "g1", "MessageGroupId": "g", "MessageDeduplicationId": "g1"}
    assert sqs.send_message(QueueUrl=url, **again)["MessageId"] == g1["MessageId"]
    assert bodies(sqs, url) == ["h1"]
    delete(sqs, url, g1)
    assert bodies(sqs, url) == ["g2"]


def test_a_batch_with_an_old_and_a_new_handle_of_one_message(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue("q.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="10")

    def handles():
        sqs.send_message(QueueUrl=url, MessageBody=str(node.clock.now()), MessageGroupId="g")
        (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
        node.clock.advance(11)
        (second,) = sqs.receive_message(QueueUrl=url)["Messages"]
        return first["ReceiptHandle"], second["ReceiptHandle"]

    old, new = handles()
    entries = [{"Id": "old", "ReceiptHandle": old}, {"Id": "new", "ReceiptHandle": new}]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["new"]
    ((failed),) = answer["Failed"]
    assert (failed["Id"], failed["Code"]) == ("old", "InvalidParameterValue")
    assert failed["Message"].endswith("Reason: The receipt handle has expired.")
    # The other way round the message is gone when the old handle's turn comes.
    old, new = handles()
    entries = [{"Id": "new", "ReceiptHandle": new}, {"Id": "old", "ReceiptHandle": old}]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert {entry["Id"] for entry in answer["Successful"]} == {"old", "new"}
