import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import RunningNode


@pytest.fixture
def fifo(sns: Any) -> str:
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    return sns.create_topic(Name="orders.fifo", Attributes=attributes)["TopicArn"]


def queue(sqs: Any, name: str) -> Inbox:
    return Inbox(sqs, name, FifoQueue="true")


def subscribe(sns: Any, topic: str, inbox: Inbox, **attributes: str) -> Inbox:
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn, Attributes=attributes)
    return inbox


def test_messages_keep_their_order_and_have_numbers(sns: Any, sqs: Any, fifo: str) -> None:
    inbox = subscribe(sns, fifo, queue(sqs, "q.fifo"))
    sent = [sns.publish(TopicArn=fifo, Message=str(n), MessageGroupId="g") for n in range(5)]
    numbers = [one["SequenceNumber"] for one in sent]
    messages = inbox.messages()
    envelopes = [json.loads(message["Body"]) for message in messages]
    assert [envelope["Message"] for envelope in envelopes] == ["0", "1", "2", "3", "4"]
    assert [envelope["SequenceNumber"] for envelope in envelopes] == numbers == sorted(set(numbers))
    assert all(len(number) == 20 for number in numbers)
    assert "Signature" not in envelopes[0]
    assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"g"}


def test_duplicate_is_taken_once_within_five_minutes(node: RunningNode, sns: Any, sqs: Any, fifo: str) -> None:
    node.clock.freeze()
    inbox = subscribe(sns, fifo, queue(sqs, "q.fifo"), RawMessageDelivery="true")
    first = sns.publish(TopicArn=fifo, Message="m", MessageGroupId="g")
    again = sns.publish(TopicArn=fifo, Message="m", MessageGroupId="other")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    sns.publish(TopicArn=fifo, Message="m", MessageGroupId="g", MessageDeduplicationId="its-own")
    node.clock.advance(301)
    later = sns.publish(TopicArn=fifo, Message="m", MessageGroupId="g")
    assert later["MessageId"] != first["MessageId"]
    assert inbox.bodies() == ["m", "m", "m"]


def test_duplicate_in_a_batch_is_answered_as_the_first(sns: Any, sqs: Any, fifo: str) -> None:
    inbox = subscribe(sns, fifo, queue(sqs, "q.fifo"), RawMessageDelivery="true")
    entries = [{"Id": str(n), "Message": body, "MessageGroupId": "g"} for n, body in enumerate("aab")]
    answer = sns.publish_batch(TopicArn=fifo, PublishBatchRequestEntries=entries)["Successful"]
    assert answer[0]["SequenceNumber"] == answer[1]["SequenceNumber"] < answer[2]["SequenceNumber"]
    assert inbox.bodies() == ["a", "b"]


def test_groups_are_apart_where_the_topic_says_so(sns: Any, sqs: Any, fifo: str) -> None:
    sns.set_topic_attributes(TopicArn=fifo, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    standard = Inbox(sqs, "standard")
    subscribe(sns, fifo, standard, RawMessageDelivery="true")
    for group in "ab":
        sns.publish(TopicArn=fifo, Message="m", MessageGroupId=group)
    messages = standard.messages()
    assert len(messages) == 2
    # What orders the topic means nothing to a standard queue.
    assert not {"MessageGroupId", "MessageDeduplicationId"} & messages[0]["Attributes"].keys()


def test_fifo_topic_wants_a_group_and_an_id(sns: Any) -> None:
    topic = sns.create_topic(Name="plain.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    assert refusal(lambda: sns.publish(TopicArn=topic, Message="m", MessageDeduplicationId="d")) == (
        "InvalidParameter",
        "Invalid parameter: The MessageGroupId parameter is required for FIFO topics",
    )
    assert refusal(lambda: sns.publish(TopicArn=topic, Message="m", MessageGroupId="g")) == (
        "InvalidParameter",
        (
            "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        ),
    )


def test_numbers_grow_over_a_restart(node: RunningNode, sns: Any, fifo: str) -> None:
    before = sns.publish(TopicArn=fifo, Message="1", MessageGroupId="g")["SequenceNumber"]
    node.restart()
    sns = node.client("sns")
    assert sns.publish(TopicArn=fifo, Message="1", MessageGroupId="g")["SequenceNumber"] == before
    assert sns.publish(TopicArn=fifo, Message="2", MessageGroupId="g")["SequenceNumber"] > before


def test_entry_of_a_batch_without_group_fails_alone(sns: Any, sqs: Any, fifo: str) -> None:
    """AWS's page on PublishBatch: "the result of publishing each message is reported individually"."""
    inbox = subscribe(sns, fifo, queue(sqs, "q.fifo"), RawMessageDelivery="true")
    entries = [{"Id": "1", "Message": "a", "MessageGroupId": "g"}, {"Id": "2", "Message": "b"}]
    answer = sns.publish_batch(TopicArn=fifo, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["1"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("2", "InvalidParameter")]
    assert inbox.bodies() == ["a"]
