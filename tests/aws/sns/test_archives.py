"""Archives of FIFO topics, and replays to their subscriptions. AWS's texts of these refusals are not known."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import RunningNode, wait_until

START = 1_700_000_000.0


@pytest.fixture
def fifo(sns: Any) -> str:
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    attributes["ArchivePolicy"] = json.dumps({"MessageRetentionPeriod": "30"})
    return sns.create_topic(Name="orders.fifo", Attributes=attributes)["TopicArn"]


def point(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def policy(start: float, end: float | None = None) -> str:
    members = {"PointType": "Timestamp", "StartingPoint": point(start)}
    return json.dumps(members if end is None else {**members, "EndingPoint": point(end)})


def subscribe(sns: Any, topic: str, inbox: Inbox, **attributes: str) -> str:
    answer = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn, Attributes=attributes)
    return answer["SubscriptionArn"]


def status(sns: Any, subscription: str) -> str | None:
    return sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"].get("ReplayStatus")


def wait_for_completion(sns: Any, subscription: str) -> None:
    wait_until(lambda: status(sns, subscription) == "Completed")


def test_new_subscription_gets_what_was_archived_and_then_what_is_new(sns: Any, sqs: Any, fifo: str) -> None:
    ids = [sns.publish(TopicArn=fifo, Message=str(n), MessageGroupId="g")["MessageId"] for n in range(5)]
    inbox = Inbox(sqs, "late.fifo", FifoQueue="true")
    subscription = subscribe(sns, fifo, inbox, ReplayPolicy=policy(0))
    wait_for_completion(sns, subscription)
    sns.publish(TopicArn=fifo, Message="new", MessageGroupId="g")
    envelopes = inbox.events()
    assert [one["Message"] for one in envelopes] == ["0", "1", "2", "3", "4", "new"]
    assert [one["MessageId"] for one in envelopes[:5]] == ids
    assert [one.get("Replayed") for one in envelopes] == [True] * 5 + [None]


def test_replay_is_bounded_by_its_points_and_filtered(node: RunningNode, sns: Any, sqs: Any, fifo: str) -> None:
    node.clock.freeze(START)
    for n in range(6):
        kind = {"kind": {"DataType": "String", "StringValue": "odd" if n % 2 else "even"}}
        sns.publish(TopicArn=fifo, Message=str(n), MessageGroupId="g", MessageAttributes=kind)
        node.clock.advance(60)
    inbox = Inbox(sqs, "part.fifo", FifoQueue="true")
    attributes = {"ReplayPolicy": policy(START + 60, START + 240), "FilterPolicy": '{"kind":["even"]}'}
    subscription = subscribe(sns, fifo, inbox, **attributes)
    wait_for_completion(sns, subscription)
    sns.publish(TopicArn=fifo, Message="new", MessageGroupId="g")
    assert [one["Message"] for one in inbox.events()] == ["2", "4"]
    sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName="ReplayPolicy", AttributeValue="")
    assert status(sns, subscription) is None
    kind = {"kind": {"DataType": "String", "StringValue": "even"}}
    sns.publish(TopicArn=fifo, Message="newer", MessageGroupId="g", MessageAttributes=kind)
    assert [one["Message"] for one in inbox.events()] == ["newer"]


def test_existing_subscription_is_replayed_again(sns: Any, sqs: Any, fifo: str) -> None:
    inbox = Inbox(sqs, "q.fifo", FifoQueue="true")
    subscription = subscribe(sns, fifo, inbox)
    for n in range(150):
        sns.publish(TopicArn=fifo, Message=str(n), MessageGroupId=f"g{n % 3}")
    assert len(inbox.events()) == 150
    sns.set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="ReplayPolicy", AttributeValue=policy(0)
    )
    wait_for_completion(sns, subscription)
    assert sorted(int(one["Message"]) for one in inbox.events()) == list(range(150))


def test_replay_goes_on_after_a_restart(node: RunningNode, sns: Any, sqs: Any, fifo: str) -> None:
    for n in range(250):
        sns.publish(TopicArn=fifo, Message=str(n), MessageGroupId="g")
    Inbox(sqs, "q.fifo", FifoQueue="true")
    inbox_arn = f"{fifo.rsplit(':', 1)[0].replace(':sns:', ':sqs:')}:q.fifo"
    answer = sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=inbox_arn, Attributes={"ReplayPolicy": policy(0)})
    node.restart()
    sns = node.client("sns")
    wait_for_completion(sns, answer["SubscriptionArn"])
    inbox = Inbox(node.client("sqs"), "q.fifo", FifoQueue="true")
    assert [int(one["Message"]) for one in inbox.events()] == list(range(250))


def test_archive_shows_and_goes(node: RunningNode, sns: Any, sqs: Any, fifo: str) -> None:
    attributes = sns.get_topic_attributes(TopicArn=fifo)["Attributes"]
    assert json.loads(attributes["ArchivePolicy"]) == {"MessageRetentionPeriod": "30"}
    began = datetime.fromisoformat(attributes["BeginningArchiveTime"]).timestamp()
    assert abs(began - node.clock.now()) < 60
    assert refusal(lambda: sns.delete_topic(TopicArn=fifo))[0] == "InvalidState"
    sns.set_topic_attributes(TopicArn=fifo, AttributeName="ArchivePolicy", AttributeValue="{}")
    assert "ArchivePolicy" not in sns.get_topic_attributes(TopicArn=fifo)["Attributes"]
    inbox = Inbox(sqs, "q.fifo", FifoQueue="true")
    assert refusal(lambda: subscribe(sns, fifo, inbox, ReplayPolicy=policy(0)))[0] == "InvalidParameter"
    sns.delete_topic(TopicArn=fifo)


@pytest.mark.parametrize("given", ["[]", "{", '{"MessageRetentionPeriod":"0"}', '{"MessageRetentionPeriod":366}'])
def test_archive_policy_that_cannot_be_is_refused(sns: Any, fifo: str, given: str) -> None:
    code, _ = refusal(
        lambda: sns.set_topic_attributes(TopicArn=fifo, AttributeName="ArchivePolicy", AttributeValue=given)
    )
    assert code == "InvalidParameter"


def test_policies_are_for_fifo_topics(sns: Any, sqs: Any, topic: str) -> None:
    archive = json.dumps({"MessageRetentionPeriod": "30"})
    change = {"TopicArn": topic, "AttributeName": "ArchivePolicy", "AttributeValue": archive}
    assert refusal(lambda: sns.set_topic_attributes(**change))[0] == "InvalidParameter"
    inbox = Inbox(sqs, "q")
    assert refusal(lambda: subscribe(sns, topic, inbox, ReplayPolicy=policy(0)))[0] == "InvalidParameter"
