"""What SNS refuses, in AWS's very words; `UNVERIFIED` marks texts that no recording of AWS was found for.

All cases share one node and change nothing that another sees.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:exact"
FIFO = f"{TOPIC}.fifo"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
INVALID = "InvalidParameter"


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    node = RunningNode(tmp_path_factory.mktemp("data")).start()
    client = node.client("sns")
    client.create_topic(Name="exact")
    client.create_topic(Name="exact.fifo", Attributes={"FifoTopic": "true"})
    for topic, protocol, endpoint in ((TOPIC, "sqs", QUEUE), (TOPIC, "lambda", FUNCTION), (FIFO, "sqs", QUEUE)):
        client.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    yield client
    node.stop()


def subscription(sns: Any, topic: str, protocol: str) -> str:
    found = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return next(one["SubscriptionArn"] for one in found if one["Protocol"] == protocol)


def policy(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement] if statement else []})


UNKNOWN_MEMBER = json.dumps({"deadLetterTargetArn": QUEUE, "maxReceiveCount": 3})
NO_DELAY = json.dumps({"healthyRetryPolicy": {"numRetries": 5}})
ATTRIBUTES = [
    # Name, value, protocol of the subscription, text behind "Invalid parameter: ".
    ("RawMessageDelivery", "yes", "sqs", "RawMessageDelivery: Invalid value [yes]. Must be true or false."),
    ("RawMessageDelivery", "true", "lambda", "Delivery protocol [lambda] does not support raw message delivery."),
    (
        "FilterPolicyScope",
        "All",
        "sqs",
        "FilterPolicyScope: Invalid value [All]. Please use either MessageBody or MessageAttributes",
    ),
    ("RedrivePolicy", UNKNOWN_MEMBER, "sqs", "RedrivePolicy: invalid JSON. Attribute maxReceiveCount is unknown."),
    ("RedrivePolicy", "{}", "sqs", "RedrivePolicy: deadLetterTargetArn is an invalid arn"),
    ("DeliveryPolicy", NO_DELAY, "sqs", "DeliveryPolicy: healthyRetryPolicy.minDelayTarget must be specified"),
    # UNVERIFIED, after RedrivePolicy's.
    ("DeliveryPolicy", '{"foo": 1}', "sqs", "DeliveryPolicy: invalid JSON. Attribute foo is unknown."),
    (
        "FilterPolicy",
        '{"Amount":[]}',
        "sqs",
        'FilterPolicy: Empty arrays are not allowed\n at [Source: (String)"{"Amount":[]}"; line: 1, column: 13]',
    ),
]


@pytest.mark.parametrize(("name", "value", "protocol", "text"), ATTRIBUTES)
def test_attribute_of_a_subscription(sns: Any, name: str, value: str, protocol: str, text: str) -> None:
    """Subscribe names the parameter that the attribute came in, SetSubscriptionAttributes does not."""
    arn = subscription(sns, TOPIC, protocol)
    found = refusal(
        lambda: sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName=name, AttributeValue=value)
    )
    assert found == (INVALID, f"Invalid parameter: {text}")
    given = {"Protocol": protocol, "Endpoint": f"{QUEUE if protocol == 'sqs' else FUNCTION}2"}
    found = refusal(lambda: sns.subscribe(TopicArn=TOPIC, **given, Attributes={name: value}))
    assert found == (INVALID, f"Invalid parameter: Attributes Reason: {text}")


def test_dead_letters_of_a_fifo_topic_go_to_a_fifo_queue(sns: Any) -> None:
    arn, given = subscription(sns, FIFO, "sqs"), json.dumps({"deadLetterTargetArn": QUEUE})
    found = refusal(
        lambda: sns.set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="RedrivePolicy", AttributeValue=given
        )
    )
    # UNVERIFIED text; the rule is documented.
    assert found[0] == INVALID


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Protocol": "sms", "Endpoint": "x"}, "Invalid SMS endpoint: x"),
        (
            {"TopicArn": FIFO, "Protocol": "lambda", "Endpoint": FUNCTION},
            "Invalid parameter: Invalid protocol type: lambda",
        ),
        (
            {"TopicArn": FIFO, "Protocol": "sms", "Endpoint": "+15550100123"},
            "Invalid parameter: Invalid protocol type: sms",
        ),
    ],
)
def test_endpoint(sns: Any, given: Any, text: str) -> None:
    assert refusal(lambda: sns.subscribe(**{"TopicArn": TOPIC, **given})) == (INVALID, text)


@pytest.mark.parametrize(
    "given",
    [
        "{}",
        policy(),
        policy(Effect="Allow", Action="sns:Publish", Resource=TOPIC),
        policy(Effect="Maybe", Principal="*", Action="sns:Publish", Resource=TOPIC),
    ],
)
def test_policy_that_says_too_little(sns: Any, given: str) -> None:
    found = refusal(lambda: sns.set_topic_attributes(TopicArn=TOPIC, AttributeName="Policy", AttributeValue=given))
    assert found == (INVALID, "Invalid parameter: Policy Error: null")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"ActionName": ["CreateTopic"]}, "Policy statement action out of service scope!"),
        # UNVERIFIED from here on.
        ({"AWSAccountId": ["me"]}, "Policy Error: PrincipalNotFound"),
        ({"AWSAccountId": []}, "AWSAccountId"),
        ({"ActionName": []}, "ActionName"),
        ({"Label": ""}, "Label"),
    ],
)
def test_permission(sns: Any, given: Any, text: str) -> None:
    request = {"TopicArn": TOPIC, "Label": "l", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"], **given}
    assert refusal(lambda: sns.add_permission(**request)) == (INVALID, f"Invalid parameter: {text}")


def test_permission_to_receive_for_everyone(sns: Any) -> None:
    sns.add_permission(TopicArn=FIFO, Label="all", AWSAccountId=["*"], ActionName=["Receive", "Subscribe"])
    shown = json.loads(sns.get_topic_attributes(TopicArn=FIFO)["Attributes"]["Policy"])["Statement"][-1]
    assert (shown["Principal"], shown["Action"]) == ({"AWS": "*"}, ["SNS:Receive", "SNS:Subscribe"])


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ({"Key": "", "Value": ""}, "'' at 'tags.1.member.key' {}: Member must have length greater than or equal to 1"),
        (
            {"Key": "k", "Value": "v" * 257},
            f"'{'v' * 257}' at 'tags.1.member.value' {{}}: Member must have length less than or equal to 256",
        ),
    ],
)
def test_tag(sns: Any, tag: Any, text: str) -> None:
    # The words of absent members, which are recorded; UNVERIFIED for lengths.
    words = f"1 validation error detected: Value {text.format('failed to satisfy constraint')}"
    assert refusal(lambda: sns.tag_resource(ResourceArn=TOPIC, Tags=[tag])) == ("ValidationError", words)
    assert refusal(lambda: sns.create_topic(Name="tagged", Tags=[tag])) == ("ValidationError", words)


@pytest.mark.parametrize(
    ("topic", "code", "text"),
    [
        (TOPIC, INVALID, "Invalid parameter: Token"),
        (TOPIC.replace("us-east-1", "eu-west-1"), INVALID, "Invalid parameter: Topic"),
        (f"{TOPIC}-none", "NotFound", "Topic does not exist"),
    ],
)
def test_confirmation(sns: Any, topic: str, code: str, text: str) -> None:
    assert refusal(lambda: sns.confirm_subscription(TopicArn=topic, Token="t")) == (code, text)


@pytest.mark.parametrize("message", ["{}", '{"sqs": "x"}', '{"default": 1}', '{"default": {"a": 1}}'])
def test_structured_message_without_default(sns: Any, message: str) -> None:
    found = refusal(lambda: sns.publish(TopicArn=TOPIC, Message=message, MessageStructure="json"))
    assert found == (INVALID, "Invalid parameter: Message Structure - No default entry in JSON message body")


@pytest.mark.parametrize("message", ["{", "null", "[]", '"x"', '{"default": "a", "default": "b"}'])
def test_structured_message_that_is_no_object(sns: Any, message: str) -> None:
    # UNVERIFIED for duplicate keys, which the documentation forbids.
    found = refusal(lambda: sns.publish(TopicArn=TOPIC, Message=message, MessageStructure="json"))
    assert found == (INVALID, "Invalid parameter: Message Structure - JSON message body failed to parse")


@pytest.mark.parametrize(
    ("message", "structure"), [('{"default": ""}', "json"), ('{"default": "d", "sqs": ""}', "json"), ("{", "string")]
)
def test_structured_message_that_is_taken(sns: Any, message: str, structure: str) -> None:
    """Empty texts are allowed, and any other structure than "json" is none (UNVERIFIED)."""
    assert sns.publish(TopicArn=TOPIC, Message=message, MessageStructure=structure)["MessageId"]


@pytest.mark.parametrize("given", ["x", "[]", "{" + " " * 30_720 + "}"])
def test_data_protection_policy(sns: Any, given: str) -> None:
    # UNVERIFIED texts.
    found = refusal(lambda: sns.put_data_protection_policy(ResourceArn=TOPIC, DataProtectionPolicy=given))
    assert found[0] == INVALID


@pytest.mark.parametrize(
    ("operation", "size"), [("list_sms_sandbox_phone_numbers", 101), ("list_origination_numbers", 31)]
)
def test_page_size(sns: Any, operation: str, size: int) -> None:
    assert refusal(lambda: getattr(sns, operation)(MaxResults=size)) == (
        "ValidationError",
        (
            f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: "
            f"Member must have value less than or equal to {size - 1}"
        ),
    )
