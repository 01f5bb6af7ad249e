"""Topics and subscriptions as resources of stacks."""

import json
from typing import Any

from tests.aws.cloudformation.stacks import create, delete, outputs, update
from tests.harness import ACCOUNT, RunningNode

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:orders"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"


def resources(kinds: list[str], scope: str = "MessageAttributes", **topic: Any) -> dict[str, Any]:
    return {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "orders", **topic}},
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                "RawMessageDelivery": True,
                "FilterPolicyScope": scope,
                "FilterPolicy": {"kind": kinds},
            },
        },
        "Policy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [{"Ref": "Topic"}],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Sid": "own", "Effect": "Allow", "Principal": "*", "Action": "sns:Publish"}],
                },
            },
        },
    }


def test_topic_with_its_subscription(node: RunningNode) -> None:
    client, sns = node.client("cloudformation"), node.client("sns")
    sections = {
        "Outputs": {"Ref": {"Value": {"Ref": "Topic"}}, "Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}}}
    }
    stack = create(client, "one", resources(["a"], DisplayName="d", Tags=[{"Key": "k", "Value": "v"}]), **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs(stack) == {"Ref": TOPIC, "Name": "orders"}
    attributes = sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]
    assert (attributes["DisplayName"], attributes["SubscriptionsConfirmed"]) == ("d", "1")
    assert json.loads(attributes["Policy"])["Statement"][0]["Sid"] == "own"
    assert {"Key": "k", "Value": "v"} in sns.list_tags_for_resource(ResourceArn=TOPIC)["Tags"]
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]

    changed = resources(["b"], "MessageBody", Subscription=[{"Protocol": "sqs", "Endpoint": QUEUE + "2"}])
    assert update(client, "one", changed, **sections)["StackStatus"] == "UPDATE_COMPLETE"
    arn = subscription["SubscriptionArn"]
    shown = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (shown["FilterPolicy"], shown["FilterPolicyScope"]) == ('{"kind":["b"]}', "MessageBody")
    assert sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]["DisplayName"] == ""
    endpoints = {one["Endpoint"] for one in sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]}
    assert endpoints == {QUEUE, QUEUE + "2"}

    assert update(client, "one", resources(["b"], "MessageBody"), **sections)["StackStatus"] == "UPDATE_COMPLETE"
    assert len(sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]) == 1
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert sns.list_topics()["Topics"] == []
    assert sns.list_subscriptions()["Subscriptions"] == []


def test_fifo_topic_without_a_name_gets_one_that_fits(node: RunningNode) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"FifoTopic": True, "ContentBasedDeduplication": True}}
    stack = create(node.client("cloudformation"), "one", {"Topic": topic})
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    (found,) = node.client("sns").list_topics()["Topics"]
    assert found["TopicArn"].endswith(".fifo")


def test_archive_replay_and_status_log_of_a_stack(node: RunningNode) -> None:
    client, sns = node.client("cloudformation"), node.client("sns")
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    log = {"Protocol": "sqs", "SuccessFeedbackRoleArn": role, "SuccessFeedbackSampleRate": "100"}
    replay = {"PointType": "Timestamp", "StartingPoint": "2024-01-31T12:00:00.000Z"}
    stack = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"FifoQueue": True}},
        "Topic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {
                "TopicName": "kept.fifo",
                "FifoTopic": True,
                "ArchivePolicy": {"MessageRetentionPeriod": "30"},
                "DeliveryStatusLogging": [log],
            },
        },
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "sqs",
                "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                "ReplayPolicy": replay,
            },
        },
    }
    assert create(client, "one", stack)["StackStatus"] == "CREATE_COMPLETE"
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:kept.fifo"
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert json.loads(attributes["ArchivePolicy"]) == {"MessageRetentionPeriod": "30"}
    assert (attributes["SQSSuccessFeedbackRoleArn"], attributes["SQSSuccessFeedbackSampleRate"]) == (role, "100")
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    assert json.loads(shown["ReplayPolicy"]) == replay
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert sns.list_topics()["Topics"] == []
