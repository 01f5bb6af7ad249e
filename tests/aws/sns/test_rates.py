"""Preset rates of subscriptions, and logs of delivery status."""

import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import RunningNode, wait_until


def test_queue_gets_no_more_a_second_than_was_preset(node: RunningNode, sns: Any, sqs: Any, topic: str) -> None:
    node.clock.freeze()
    slow, free = Inbox(sqs, "slow"), Inbox(sqs, "free")
    preset = {"ForebayMaxPerSecond": "0.5"}
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=slow.arn, Attributes=preset)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=free.arn)
    for n in range(3):
        sns.publish(TopicArn=topic, Message=str(n))
    assert len(free.bodies()) == 3
    assert len(wait_until(slow.bodies)) == 1
    node.clock.advance(2)
    assert len(wait_until(slow.bodies)) == 1
    node.clock.advance(2)
    assert len(wait_until(slow.bodies)) == 1
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    assert shown["ForebayMaxPerSecond"] == "0.5"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ForebayMaxPerSecond", "x"),
        ("ForebayMaxPerSecond", "0"),
        ("ForebayMaxConcurrency", "1.5"),
        ("ForebayMaxConcurrency", "-1"),
    ],
)
def test_rate_that_cannot_be_is_refused(sns: Any, sqs: Any, topic: str, name: str, value: str) -> None:
    inbox = Inbox(sqs, "q")
    given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": inbox.arn, "Attributes": {name: value}}
    assert refusal(lambda: sns.subscribe(**given))[0] == "InvalidParameter"


def entries(node: RunningNode, group: str) -> list[Any]:
    logs = node.client("logs")
    try:
        found = logs.filter_log_events(logGroupName=group)["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [json.loads(event["message"]) for event in found]


def test_deliveries_are_logged_where_the_topic_says_so(node: RunningNode, sns: Any, sqs: Any, topic: str) -> None:
    for name, value in (
        ("SQSSuccessFeedbackRoleArn", "arn:aws:iam::000000000000:role/r"),
        ("SQSSuccessFeedbackSampleRate", "100"),
        ("SQSFailureFeedbackRoleArn", "arn:aws:iam::000000000000:role/r"),
    ):
        sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)
    there, gone = Inbox(sqs, "there"), Inbox(sqs, "gone")
    for inbox in (there, gone):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    sqs.delete_queue(QueueUrl=gone.url)
    message_id = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    assert len(there.bodies()) == 1
    group = "sns/us-east-1/000000000000/orders"
    (failure,) = wait_until(lambda: entries(node, f"{group}/Failure"))
    assert (failure["status"], failure["delivery"]["destination"]) == ("FAILURE", gone.arn)
    successes = wait_until(lambda: entries(node, group))
    success = next(one for one in successes if one["delivery"]["destination"] == there.arn)
    assert (success["status"], success["notification"]["messageId"]) == ("SUCCESS", message_id)
    assert success["delivery"]["statusCode"] == 200
