"""Messages through boto3: send, receive, delete, visibility, delays, retention, redrive."""

import hashlib
import json

import pytest

INVALID = "InvalidParameterValue"
DIGEST = "235c5c510d26fb653d073faed50ae77c"
TIMESTAMP = {"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}}
ILLEGAL = "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]."


def receive(sqs, url, **params):
    return sqs.receive_message(QueueUrl=url, **params).get("Messages", [])


def counts(sqs, url):
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return tuple(int(found[f"ApproximateNumberOfMessages{state}"]) for state in ("", "NotVisible", "Delayed"))


@pytest.mark.parametrize("body", ["hello", "a\r\nb\tc", "<&>\"'", "é\u4e2d\U0001f600", " x ", "\x7f"])
def test_a_body_arrives_as_it_was_sent(sqs, make_queue, body):
    url = make_queue()
    sent = sqs.send_message(QueueUrl=url, MessageBody=body)
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert "MD5OfMessageAttributes" not in sent
    (message,) = receive(sqs, url)
    assert message["Body"] == body
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MessageId"] == sent["MessageId"]
    assert message.keys() == {"Body", "MD5OfBody", "MessageId", "ReceiptHandle"}


def test_attributes_arrive_as_far_as_they_are_asked_for(sqs, make_queue):
    url = make_queue(VisibilityTimeout="0")
    attributes = TIMESTAMP | {"foo.bar": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
    (everything,) = receive(sqs, url, MessageAttributeNames=["All"])
    assert everything["MessageAttributes"] == attributes
    assert everything["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    (one,) = receive(sqs, url, MessageAttributeNames=["timestamp"])
    assert one["MessageAttributes"] == TIMESTAMP
    assert one["MD5OfMessageAttributes"] == DIGEST
    (prefixed,) = receive(sqs, url, MessageAttributeNames=["foo.*"])
    assert prefixed["MessageAttributes"].keys() == {"foo.bar"}
    (nothing,) = receive(sqs, url)
    assert "MessageAttributes" not in nothing
    assert "MD5OfMessageAttributes" not in nothing


def test_system_attributes(node, sqs, make_queue):
    node.clock.freeze(1_700_000_000)
    url = make_queue(VisibilityTimeout="5")
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="x", MessageSystemAttributes=trace, MessageGroupId="tenant")
    assert len(sent["MD5OfMessageSystemAttributes"]) == 32
    node.clock.advance(1)
    receive(sqs, url)
    node.clock.advance(5)
    (message,) = receive(sqs, url, MessageSystemAttributeNames=["All"])
    assert message["Attributes"] == {
        "SenderId": "000000000000",
        "SentTimestamp": "1700000000000",
        "ApproximateReceiveCount": "2",
        "ApproximateFirstReceiveTimestamp": "1700000001000",
        "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "MessageGroupId": "tenant",
    }
    node.clock.advance(5)
    (message,) = receive(sqs, url, AttributeNames=["SentTimestamp"])
    assert message["Attributes"] == {"SentTimestamp": "1700000000000"}


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"MessageBody": ""}, "MissingParameter", "The request must contain the parameter MessageBody."),
        (
            {"MessageBody": "a\x07"},
            "InvalidMessageContents",
            f"Invalid binary character '#x7' was found in the message body, {ILLEGAL}",
        ),
        (
            {"DelaySeconds": 901},
            INVALID,
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
        (
            {"MessageGroupId": "a b"},
            INVALID,
            (
                "Value a b for parameter MessageGroupId is invalid. "
                "Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
            ),
        ),
        (
            {"MessageDeduplicationId": "d"},
            INVALID,
            (
                "Value d for parameter MessageDeduplicationId is invalid. "
                "Reason: The request include parameter that is not valid for this queue type."
            ),
        ),
        (
            {"MessageBody": "x" * 1_048_577},
            INVALID,
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        ),
        (
            {"MessageBody": "x" * 1_048_576, "MessageAttributes": TIMESTAMP},
            INVALID,
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}},
            INVALID,
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        ),
    ],
)
def test_send_message_refuses_in_aws_words(sqs, make_queue, refused, params, code, text):
    url = make_queue()
    assert refused(sqs.send_message, **({"QueueUrl": url, "MessageBody": "x"} | params)) == (code, text)
    assert counts(sqs, url) == (0, 0, 0)


def test_the_largest_message_fits(sqs, make_queue):
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="é" * 524_288)
    (message,) = receive(sqs, url)
    assert len(message["Body"]) == 524_288


def test_a_queue_may_allow_less(sqs, make_queue, refused):
    url = make_queue(MaximumMessageSize="1024")
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1024)
    assert refused(sqs.send_message, QueueUrl=url, MessageBody="x" * 1025)[1].endswith("shorter than 1024 bytes.")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"MaxNumberOfMessages": 11},
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            {"WaitTimeSeconds": 21},
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            {"VisibilityTimeout": 43_201},
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided.",
        ),
    ],
)
def test_receive_message_refuses_in_aws_words(sqs, make_queue, refused, params, text):
    assert refused(sqs.receive_message, QueueUrl=make_queue(), **params) == (INVALID, text)


def test_receive_message_refuses_unknown_system_attributes(sqs, make_queue, refused):
    found = refused(sqs.receive_message, QueueUrl=make_queue(), MessageSystemAttributeNames=["Nope"])
    assert found == ("InvalidAttributeName", "Unknown Attribute Nope.")


def test_receive_hides_messages_until_their_timeout(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue()
    for body in ("a", "b", "c"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=2)] == ["a", "b"]
    assert [message["Body"] for message in receive(sqs, url, VisibilityTimeout=60, MaxNumberOfMessages=10)] == ["c"]
    assert counts(sqs, url) == (0, 3, 0)
    node.clock.advance(30)
    assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=10)] == ["a", "b"]
    node.clock.advance(30)
    assert len(receive(sqs, url, MaxNumberOfMessages=10)) == 3


def test_delete_takes_any_handle_of_the_message(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    (old,) = receive(sqs, url)
    node.clock.advance(30)
    (new,) = receive(sqs, url)
    assert old["ReceiptHandle"] != new["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=old["ReceiptHandle"])
    assert counts(sqs, url) == (0, 0, 0)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=new["ReceiptHandle"])


def test_handles_of_nothing_and_of_other_queues(sqs, make_queue, refused):
    url, other = make_queue(), make_queue("other")
    sqs.send_message(QueueUrl=other, MessageBody="a")
    handle = receive(sqs, other)[0]["ReceiptHandle"]
    foreign = ("ReceiptHandleIsInvalid", f'The receipt handle "{handle}" is not valid for this queue.')
    garbage = ("ReceiptHandleIsInvalid", 'The input receipt handle "garbage" is not a valid receipt handle.')
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle=handle) == foreign
    assert refused(sqs.delete_message, QueueUrl=url, ReceiptHandle="garbage") == garbage
    change = sqs.change_message_visibility
    assert refused(change, QueueUrl=url, ReceiptHandle="garbage", VisibilityTimeout=1) == garbage
    assert refused(change, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1) == foreign
    assert counts(sqs, other) == (0, 1, 0)


def test_change_visibility(node, sqs, make_queue, refused):
    node.clock.freeze()
    url = make_queue()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    handle = receive(sqs, url)[0]["ReceiptHandle"]
    change = {"QueueUrl": url, "ReceiptHandle": handle}
    sqs.change_message_visibility(**change, VisibilityTimeout=100)
    node.clock.advance(99)
    assert receive(sqs, url) == []
    code, text = refused(sqs.change_message_visibility, **change, VisibilityTimeout=43_200)
    assert code == INVALID
    assert text == (
        "Value 43200 for parameter VisibilityTimeout is invalid. "
        "Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    )
    assert refused(sqs.change_message_visibility, **change, VisibilityTimeout=43_201)[0] == INVALID
    sqs.change_message_visibility(**change, VisibilityTimeout=0)
    (again,) = receive(sqs, url)
    node.clock.advance(30)
    # It is visible again: nothing to change, and nobody is told.
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"], VisibilityTimeout=100)
    (last,) = receive(sqs, url)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=last["ReceiptHandle"])
    gone = last["ReceiptHandle"]
    assert refused(sqs.change_message_visibility, QueueUrl=url, ReceiptHandle=gone, VisibilityTimeout=1) == (
        INVALID,
        (
            f"Value {gone} for parameter ReceiptHandle is invalid. "
            "Reason: Message does not exist or is not available for visibility timeout change."
        ),
    )


def test_delays_of_queue_and_message(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue(DelaySeconds="10")
    sqs.send_message(QueueUrl=url, MessageBody="queue's")
    sqs.send_message(QueueUrl=url, MessageBody="own", DelaySeconds=20)
    sqs.send_message(QueueUrl=url, MessageBody="none", DelaySeconds=0)
    assert counts(sqs, url) == (1, 0, 2)
    assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=10)] == ["none"]
    node.clock.advance(10)
    assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=10)] == ["queue's"]
    node.clock.advance(10)
    assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=10)] == ["own"]


def test_messages_expire_with_their_retention(node, sqs, make_queue):
    node.clock.freeze()
    long, short = make_queue("long", MessageRetentionPeriod="1209600"), make_queue("short", MessageRetentionPeriod="60")
    for url in (long, short):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    node.clock.advance(60)
    assert receive(sqs, short) == []
    node.clock.advance(1_209_600 - 61)
    assert len(receive(sqs, long, VisibilityTimeout=0)) == 1
    node.clock.advance(1)
    assert receive(sqs, long) == []


def test_dead_letters(node, sqs, make_queue, refused):
    node.clock.freeze(1_700_000_000)
    dead = make_queue("dead", MessageRetentionPeriod="1209600")
    dead_arn = "arn:aws:sqs:us-east-1:000000000000:dead"
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url = make_queue(RedrivePolicy=policy, VisibilityTimeout="1")
    sent = sqs.send_message(QueueUrl=url, MessageBody="poison", MessageAttributes=TIMESTAMP)
    for _ in range(2):
        assert len(receive(sqs, url)) == 1
        node.clock.advance(1)
    assert receive(sqs, url) == []
    assert counts(sqs, url) == (0, 0, 0)
    (letter,) = receive(sqs, dead, AttributeNames=["All"], MessageAttributeNames=["All"])
    assert (letter["MessageId"], letter["Body"]) == (sent["MessageId"], "poison")
    assert letter["MessageAttributes"] == TIMESTAMP
    assert letter["Attributes"]["SentTimestamp"] == "1700000000000"
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == "arn:aws:sqs:us-east-1:000000000000:q"
    sources = sqs.list_dead_letter_source_queues(QueueUrl=dead)
    assert sources["queueUrls"] == [url]
    assert sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"] == []


def test_without_its_dead_letter_queue_a_message_stays(node, sqs, make_queue):
    node.clock.freeze()
    dead = make_queue("dead")
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1})
    url = make_queue(RedrivePolicy=policy, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.delete_queue(QueueUrl=dead)
    for _ in range(3):
        assert len(receive(sqs, url)) == 1


def test_redrive_policies_name_a_queue_that_exists_and_allows_it(sqs, make_queue, refused):
    url, dead = make_queue(), make_queue("dead", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    for name, reason in (
        ("none", "Dead letter target does not exist."),
        ("dead", "The dead-letter queue's RedriveAllowPolicy does not allow this source queue."),
    ):
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
        found = refused(sqs.set_queue_attributes, QueueUrl=url, Attributes={"RedrivePolicy": policy})
        assert found == (INVALID, f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}")
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == []


def test_too_many_in_flight(node, sqs, make_queue, refused, monkeypatch):
    from forebay.services.sqs import limits

    monkeypatch.setattr(limits, "IN_FLIGHT_MAX", 2)
    url = make_queue()
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert len(receive(sqs, url, MaxNumberOfMessages=10)) == 2
    assert refused(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20) == (
        "OverLimit",
        (
            "Too many messages have been received without being deleted. "
            "Please delete your received messages or let them timeout before receiving more."
        ),
    )


def test_a_noisy_tenant_lets_quiet_ones_go_first(sqs, make_queue):
    url = make_queue(VisibilityTimeout="600")

    def send(tenant, count):
        for start in range(0, count, 10):
            entries = [
                {"Id": str(i), "MessageBody": tenant, "MessageGroupId": tenant} for i in range(start, start + 10)
            ]
            sqs.send_message_batch(QueueUrl=url, Entries=entries[: count - start])

    send("noisy", 60)
    for _ in range(4):
        assert len(receive(sqs, url, MaxNumberOfMessages=10)) == 10
    send("quiet", 3)
    sqs.send_message(QueueUrl=url, MessageBody="alone")
    bodies = [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=10)]
    assert bodies == ["quiet"] * 3 + ["alone"] + ["noisy"] * 6


def test_a_slow_tenant_is_passed_over_for_its_share_of_time(node, sqs, make_queue):
    node.clock.freeze()
    url = make_queue(VisibilityTimeout="600")

    def send(group, count):
        entries = [{"Id": str(n), "MessageBody": f"{group}{n}", "MessageGroupId": group} for n in range(count)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)

    def receive():
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        return message

    send("slow", 5)
    message = receive()
    # One message in flight, which is far from thirty; but it takes the consumers' time.
    node.clock.advance(60)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    send("quick", 2)
    assert [receive()["Body"] for _ in range(4)] == ["quick0", "quick1", "slow1", "slow2"]
