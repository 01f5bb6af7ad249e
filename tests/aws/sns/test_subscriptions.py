import json
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
INVALID = "InvalidParameter"


def test_subscription_shows_its_attributes(sns: Any, topic: str) -> None:
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE)["SubscriptionArn"]
    assert arn.startswith(topic + ":")
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"] == {
        "SubscriptionArn": arn,
        "TopicArn": topic,
        "Protocol": "sqs",
        "Endpoint": QUEUE,
        "Owner": ACCOUNT,
        "SubscriptionPrincipal": f"arn:aws:iam::{ACCOUNT}:root",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "RawMessageDelivery": "false",
    }
    listed = {"SubscriptionArn": arn, "Owner": ACCOUNT, "Protocol": "sqs", "Endpoint": QUEUE, "TopicArn": topic}
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == [listed]
    assert sns.list_subscriptions()["Subscriptions"] == [listed]


def test_same_endpoint_is_the_same_subscription(sns: Any, topic: str) -> None:
    given = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE}
    raw = {"RawMessageDelivery": "true"}
    arn = sns.subscribe(**given, Attributes=raw)["SubscriptionArn"]
    assert sns.subscribe(**given, Attributes=raw)["SubscriptionArn"] == arn
    assert sns.subscribe(**given)["SubscriptionArn"] == arn
    assert refusal(lambda: sns.subscribe(**given, Attributes={"RawMessageDelivery": "false"})) == (
        INVALID,
        "Invalid parameter: Attributes Reason: Subscription already exists with different attributes",
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Protocol": "pigeon"}, "Invalid parameter: Amazon SNS does not support this protocol string: pigeon"),
        ({"Endpoint": "q"}, "Invalid parameter: SQS endpoint ARN"),
        ({"Protocol": "lambda"}, "Invalid parameter: Lambda endpoint ARN"),
        ({"Protocol": "email", "Endpoint": "me"}, "Invalid parameter: Email address"),
        ({"Protocol": "sms", "Endpoint": "me"}, "Invalid SMS endpoint: me"),
        (
            {"Endpoint": QUEUE + ".fifo"},
            (
                "Invalid parameter: Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to "
                "standard SNS topics"
            ),
        ),
        ({"TopicArn": "t"}, "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1"),
        ({"Attributes": {"Nope": "1"}}, "Invalid parameter: Attributes Reason: Unknown attribute: Nope"),
        (
            {"Attributes": {"RawMessageDelivery": "yes"}},
            "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [yes]. Must be true or false.",
        ),
        (
            {"Protocol": "lambda", "Endpoint": FUNCTION, "Attributes": {"RawMessageDelivery": "true"}},
            ("Invalid parameter: Attributes Reason: Delivery protocol [lambda] does not support raw message delivery."),
        ),
        (
            {"Attributes": {"RedrivePolicy": '{"deadLetterTargetArn": "q"}'}},
            "Invalid parameter: Attributes Reason: RedrivePolicy: deadLetterTargetArn is an invalid arn",
        ),
    ],
)
def test_subscription_that_cannot_be_is_refused(sns: Any, topic: str, given: Any, text: str) -> None:
    request = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": QUEUE, **given}
    assert refusal(lambda: sns.subscribe(**request)) == (INVALID, text)
    assert sns.list_subscriptions()["Subscriptions"] == []


@pytest.mark.parametrize(
    ("policy", "scope", "text"),
    [
        ({"a": {"b": ["c"]}}, "MessageAttributes",
         "Filter policy scope MessageAttributes does not support nested filter policy"),
        ({letter: ["1"] for letter in "abcdef"}, "MessageBody", "Filter policy can not have more than 5 keys"),
        ({"a": list("1234567890123"), "b": list("123456789012")}, "MessageBody", "Filter policy is too complex"),
        ({"a": "b"}, "MessageBody", '"a" must be an object or an array\n at '),
        ({"a": [{"like": "b"}]}, "MessageBody", "Unrecognized match type like\n at "),
        ({"a": [{"numeric": [">", 2_000_000_000]}]}, "MessageBody", "Value must be between -1.0E9 and 1.0E9"),
        ("{", "MessageBody", "failed to parse JSON."),
    ],
)  # fmt: skip
def test_filter_policy_that_cannot_be_is_refused(sns: Any, topic: str, policy: Any, scope: str, text: str) -> None:
    written = policy if isinstance(policy, str) else json.dumps(policy)
    attributes = {"FilterPolicyScope": scope, "FilterPolicy": written}
    code, message = refusal(
        lambda: sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE, Attributes=attributes)
    )
    assert code == INVALID
    assert message.startswith(f"Invalid parameter: Attributes Reason: FilterPolicy: {text}")


def test_filter_policy_with_150_combinations_is_taken(sns: Any, topic: str) -> None:
    policy = json.dumps({"a": list("123456789012345"), "b": list("1234567890")})
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE, Attributes={"FilterPolicy": policy})
    shown = sns.get_subscription_attributes(SubscriptionArn=arn["SubscriptionArn"])["Attributes"]
    assert (shown["FilterPolicy"], shown["FilterPolicyScope"]) == (policy, "MessageAttributes")


def test_scope_that_the_policy_does_not_fit_is_refused(sns: Any, topic: str) -> None:
    attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"a": {"b": ["c"]}}'}
    arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE, Attributes=attributes)["SubscriptionArn"]

    def scope(value: str) -> None:
        sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicyScope", AttributeValue=value)

    assert refusal(lambda: scope("MessageAttributes"))[0] == INVALID
    assert refusal(lambda: scope("Everything")) == (
        INVALID,
        (
            "Invalid parameter: FilterPolicyScope: Invalid value [Everything]. Please use "
            "either MessageBody or MessageAttributes"
        ),
    )


def test_subscription_that_is_not_there_is_told(sns: Any, topic: str) -> None:
    arn = f"{topic}:00000000-0000-4000-8000-000000000000"
    found = refusal(lambda: sns.get_subscription_attributes(SubscriptionArn=arn))
    assert found == ("NotFound", "Subscription does not exist")
    sns.unsubscribe(SubscriptionArn=arn)
    assert refusal(lambda: sns.unsubscribe(SubscriptionArn="a")) == (
        INVALID,
        "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not 1",
    )
    no_topic = refusal(lambda: sns.subscribe(TopicArn=topic + "s", Protocol="sqs", Endpoint=QUEUE))
    assert no_topic == ("NotFound", "Topic does not exist")


def test_queue_of_another_account_confirms_by_token(node: RunningNode, sns: Any, topic: str) -> None:
    other = node.client("sqs", account="111111111111")
    url = other.create_queue(QueueName="theirs")["QueueUrl"]
    endpoint = "arn:aws:sqs:us-east-1:111111111111:theirs"
    told = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)["SubscriptionArn"]
    assert told == "pending confirmation"
    (pending,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert pending["SubscriptionArn"] == "PendingConfirmation"
    sns.publish(TopicArn=topic, Message="too early")
    (message,) = other.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    asked = json.loads(message["Body"])
    assert (asked["Type"], asked["TopicArn"]) == ("SubscriptionConfirmation", topic)
    assert refusal(lambda: sns.confirm_subscription(TopicArn=topic, Token="no")) == (
        INVALID,
        "Invalid parameter: Token",
    )
    arn = sns.confirm_subscription(TopicArn=topic, Token=asked["Token"])["SubscriptionArn"]
    assert sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]["PendingConfirmation"] == "false"
    counts = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (counts["SubscriptionsConfirmed"], counts["SubscriptionsPending"]) == ("1", "0")
    sns.publish(TopicArn=topic, Message="now")
    assert "now" in other.receive_message(QueueUrl=url)["Messages"][0]["Body"]


def test_subscriptions_are_listed_by_pages(sns: Any, topic: str) -> None:
    for number in range(101):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{QUEUE}{number}")
    first = sns.list_subscriptions_by_topic(TopicArn=topic)
    second = sns.list_subscriptions_by_topic(TopicArn=topic, NextToken=first["NextToken"])
    assert (len(first["Subscriptions"]), len(second["Subscriptions"])) == (100, 1)


def test_what_is_not_there_yet_says_so(sns: Any, topic: str) -> None:
    for protocol in ("application", "firehose"):
        code, text = refusal(lambda protocol=protocol: sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint="e"))
        assert (code, text) == (
            "NotImplemented",
            f"Subscriptions with protocol {protocol} are not implemented by Forebay.",
        )
    assert refusal(lambda: sns.publish(PhoneNumber="+15550100", Message="m"))[0] == "NotImplemented"
