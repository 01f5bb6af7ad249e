"""The links in messages work without a signature, also on a node that asks for one."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import RunningNode

OWN, OTHER = ("AKIAEXAMPLE00000000A", "111122223333"), ("AKIAEXAMPLE00000000B", "444455556666")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{key} secret {account}\n" for key, account in (OWN, OTHER)))
    running = RunningNode(tmp_path / "data", credentials=keys).start()
    yield running
    running.stop()


def client(node: RunningNode, service: str, key: str) -> Any:
    return cast("Any", boto3).client(
        service,
        endpoint_url=node.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="secret",
    )


def get(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


@pytest.fixture
def asked(node: RunningNode) -> tuple[Any, str, Any]:
    """Subscribe a queue of another account; return the owner's client, the topic and what the queue was sent."""
    sns, sqs = client(node, "sns", OWN[0]), client(node, "sqs", OTHER[0])
    url = sqs.create_queue(QueueName="theirs")["QueueUrl"]
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{OTHER[1]}:theirs")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    return sns, topic, json.loads(message["Body"])


def test_links_confirm_and_end_a_subscription(node: RunningNode, asked: tuple[Any, str, Any]) -> None:
    sns, topic, message = asked
    get(message["SubscribeURL"])
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    arn = subscription["SubscriptionArn"]
    assert arn.startswith(topic)
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["ConfirmationWasAuthenticated"] == "false"
    get(f"{node.url}/?Action=Unsubscribe&SubscriptionArn={arn}&Version=2010-03-31")
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_link_cannot_end_what_wants_authentication(node: RunningNode, asked: tuple[Any, str, Any]) -> None:
    sns, topic, message = asked
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(message["SubscribeURL"] + "&AuthenticateOnUnsubscribe=true")
    assert caught.value.code == 403
    caught.value.close()
    arn = sns.confirm_subscription(TopicArn=topic, Token=message["Token"], AuthenticateOnUnsubscribe="true")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{node.url}/?Action=Unsubscribe&SubscriptionArn={arn['SubscriptionArn']}&Version=2010-03-31")
    assert caught.value.code == 403
    caught.value.close()
    assert len(sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1


def test_everything_else_must_be_signed(node: RunningNode) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{node.url}/?Action=ListTopics&Version=2010-03-31")
    assert caught.value.code == 403
    caught.value.close()


def test_topic_of_another_region_is_refused(node: RunningNode) -> None:
    sns = client(node, "sns", OWN[0])
    found = refusal(lambda: sns.publish(TopicArn=f"arn:aws:sns:eu-west-1:{OWN[1]}:t", Message="m"))
    assert found == ("InvalidParameter", "Invalid parameter: TopicArn")
