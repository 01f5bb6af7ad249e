import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode

ARN = f"arn:aws:sns:us-east-1:{ACCOUNT}:orders"
INVALID = "InvalidParameter"


def test_topic_has_awss_defaults(sns: Any, topic: str) -> None:
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    policy = json.loads(attributes.pop("Policy"))
    delivery = json.loads(attributes.pop("EffectiveDeliveryPolicy"))
    assert attributes == {
        "TopicArn": ARN,
        "Owner": ACCOUNT,
        "DisplayName": "",
        "SubscriptionsConfirmed": "0",
        "SubscriptionsDeleted": "0",
        "SubscriptionsPending": "0",
    }
    assert policy["Id"] == "__default_policy_ID"
    assert policy["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": ACCOUNT}}
    assert delivery["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 3
    assert delivery["http"]["disableSubscriptionOverrides"] is False


def test_topic_that_is_created_again_is_the_same(sns: Any) -> None:
    given = {"Name": "orders", "Attributes": {"DisplayName": "o"}, "Tags": [{"Key": "a", "Value": "1"}]}
    assert sns.create_topic(**given) | {"ResponseMetadata": 0} == sns.create_topic(**given) | {"ResponseMetadata": 0}
    assert sns.create_topic(Name="orders")["TopicArn"] == ARN
    assert refusal(lambda: sns.create_topic(Name="orders", Attributes={"DisplayName": "p"})) == (
        INVALID,
        "Invalid parameter: Attributes Reason: Topic already exists with different attributes",
    )
    assert refusal(lambda: sns.create_topic(Name="orders", Tags=[{"Key": "a", "Value": "2"}])) == (
        INVALID,
        "Invalid parameter: Tags Reason: Topic already exists with different tags",
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Name": "a b"}, "Invalid parameter: Topic Name"),
        ({"Name": "a.fifo"}, "Invalid parameter: Topic Name"),
        ({"Name": "a" * 257}, "Invalid parameter: Topic Name"),
        (
            {"Name": "a", "Attributes": {"FifoTopic": "true"}},
            (
                "Invalid parameter: Fifo Topic names must end with .fifo and must be made up of only uppercase and "
                "lowercase ASCII letters, numbers, underscores, and hyphens, and must be between 1 and 256 characters "
                "long."
            ),
        ),
        ({"Name": "a", "Attributes": {"Nope": "1"}}, "Invalid parameter: Attributes Reason: Unknown attribute Nope"),
        (
            {"Name": "a", "Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]},
            "Invalid parameter: Duplicated keys are not allowed.",
        ),
    ],
)
def test_topic_that_cannot_be_is_refused(sns: Any, given: Any, text: str) -> None:
    assert refusal(lambda: sns.create_topic(**given)) == (INVALID, text)


def test_attributes_are_set_and_taken_back(sns: Any, topic: str) -> None:
    def change(name: str, value: str) -> Any:
        sns.set_topic_attributes(TopicArn=topic, AttributeName=name, AttributeValue=value)
        return sns.get_topic_attributes(TopicArn=topic)["Attributes"].get(name)

    assert change("DisplayName", "Orders") == "Orders"
    assert change("KmsMasterKeyId", "alias/k") == "alias/k"
    assert change("KmsMasterKeyId", "") is None
    assert change("DeliveryPolicy", '{"http":{"defaultHealthyRetryPolicy":{"numRetries":5}}}') is not None
    effective = json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["EffectiveDeliveryPolicy"])
    assert effective["http"]["defaultHealthyRetryPolicy"]["numRetries"] == 5
    assert refusal(lambda: change("Nope", "1")) == (INVALID, "Invalid parameter: AttributeName")
    assert refusal(lambda: change("SignatureVersion", "3"))[0] == INVALID
    assert refusal(lambda: change("ArchivePolicy", "{}")) == (INVALID, "Invalid parameter: AttributeName")


def test_topics_are_listed_by_pages_and_only_in_their_region(node: RunningNode, sns: Any) -> None:
    for number in range(101):
        sns.create_topic(Name=f"t{number:03}")
    first = sns.list_topics()
    second = sns.list_topics(NextToken=first["NextToken"])
    assert (len(first["Topics"]), len(second["Topics"]), "NextToken" in second) == (100, 1, False)
    assert node.client("sns", region="eu-west-1").list_topics()["Topics"] == []
    assert refusal(lambda: sns.list_topics(NextToken="§"))[0] == INVALID


def test_deleted_topic_is_gone_with_its_subscriptions(sns: Any, topic: str, subscribed: Any) -> None:
    subscribed()
    sns.delete_topic(TopicArn=topic)
    sns.delete_topic(TopicArn=topic)
    assert refusal(lambda: sns.get_topic_attributes(TopicArn=topic)) == ("NotFound", "Topic does not exist")
    assert sns.list_subscriptions()["Subscriptions"] == []


def test_tags_are_set_and_taken(sns: Any, topic: str) -> None:
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["a", "none"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "b", "Value": "2"}]
    found = refusal(lambda: sns.list_tags_for_resource(ResourceArn=topic + "s"))
    assert found == ("ResourceNotFound", "Resource does not exist")


def test_permissions_are_statements_of_the_policy(sns: Any, topic: str) -> None:
    given = {"TopicArn": topic, "Label": "l", "AWSAccountId": ["111111111111"], "ActionName": ["Publish"]}
    sns.add_permission(**given)

    def statements() -> list[Any]:
        return json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])["Statement"]

    assert statements()[1] == {
        "Sid": "l",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "SNS:Publish",
        "Resource": topic,
    }
    assert refusal(lambda: sns.add_permission(**given)) == (INVALID, "Invalid parameter: Statement already exists")
    sns.remove_permission(TopicArn=topic, Label="l")
    assert len(statements()) == 1


def test_data_protection_policy_is_kept(sns: Any, topic: str) -> None:
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == ""
    sns.put_data_protection_policy(ResourceArn=topic, DataProtectionPolicy='{"Name": "p"}')
    assert sns.get_data_protection_policy(ResourceArn=topic)["DataProtectionPolicy"] == '{"Name": "p"}'


def test_topic_with_large_messages_has_only_subscriptions_that_take_them(sns: Any, sqs: Any, topic: str) -> None:
    """What such a topic takes is AWS's (SetTopicAttributes); the text of the refusal is not known."""
    inbox = Inbox(sqs, "q", MaximumMessageSize="1048576")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn, Attributes={"RawMessageDelivery": "true"})
    large = {"TopicArn": topic, "AttributeName": "MaximumMessageSize", "AttributeValue": "1048576"}
    sns.set_topic_attributes(**large)
    sns.publish(TopicArn=topic, Message="x" * 1_000_000)
    assert [len(body) for body in inbox.bodies()] == [1_000_000]
    mail = {"Protocol": "email", "Endpoint": "ann@example.com"}
    assert refusal(lambda: sns.subscribe(TopicArn=topic, **mail))[0] == INVALID
    other = sns.create_topic(Name="mails")["TopicArn"]
    sns.subscribe(TopicArn=other, **mail)
    assert refusal(lambda: sns.set_topic_attributes(**{**large, "TopicArn": other}))[0] == INVALID
