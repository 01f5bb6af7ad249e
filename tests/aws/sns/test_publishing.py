import base64
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode

Subscribed = Callable[..., Inbox]


def text(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def test_queue_gets_the_envelope(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed()
    attributes = {"kind": text("new"), "data": {"DataType": "Binary", "BinaryValue": b"\x00\x01"}}
    sent = sns.publish(TopicArn=topic, Message='say "hi"', Subject="Greeting", MessageAttributes=attributes)
    (body,) = inbox.bodies()
    envelope = json.loads(body)
    arn = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]
    assert list(envelope) == [
        "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
        "SigningCertURL", "UnsubscribeURL", "MessageAttributes",
    ]  # fmt: skip
    assert (envelope["Type"], envelope["MessageId"], envelope["TopicArn"]) == ("Notification", sent["MessageId"], topic)
    assert (envelope["Subject"], envelope["Message"]) == ("Greeting", 'say "hi"')
    assert envelope["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "new"},
        "data": {"Type": "Binary", "Value": "AAE="},
    }
    assert envelope["UnsubscribeURL"].endswith(f"SubscriptionArn={arn}&Version=2010-03-31")
    assert body.startswith('{\n  "Type" : "Notification",\n  "MessageId" : "')


@pytest.mark.parametrize(("version", "digest"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])
def test_signature_verifies_with_the_certificate(
    sns: Any, topic: str, subscribed: Subscribed, version: str, digest: hashes.HashAlgorithm
) -> None:
    inbox = subscribed()
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    sns.publish(TopicArn=topic, Message="m", Subject="s")
    (envelope,) = inbox.events()
    assert envelope["SignatureVersion"] == version
    pem = urllib.request.urlopen(envelope["SigningCertURL"]).read()
    names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names)
    key = x509.load_pem_x509_certificate(pem).public_key()
    assert isinstance(key, RSAPublicKey)
    key.verify(base64.b64decode(envelope["Signature"]), signed.encode(), PKCS1v15(), digest)


def test_certificate_is_the_same_after_a_restart(
    node: RunningNode, sns: Any, topic: str, subscribed: Subscribed
) -> None:
    inbox = subscribed()
    sns.publish(TopicArn=topic, Message="m")
    before = inbox.events()[0]["SigningCertURL"]
    node.restart()
    inbox = Inbox(node.client("sqs"), "q")
    node.client("sns").publish(TopicArn=topic, Message="m")
    assert inbox.events()[0]["SigningCertURL"].rpartition("/")[2] == before.rpartition("/")[2]


def test_raw_message_is_the_message_with_its_attributes(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed(RawMessageDelivery="true")
    sns.publish(TopicArn=topic, Message="plain", MessageAttributes={"n": text("1", "Number")})
    (message,) = inbox.messages()
    assert (message["Body"], message["MessageAttributes"]) == ("plain", {"n": text("1", "Number")})


def test_message_structure_gives_each_protocol_its_text(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed(RawMessageDelivery="true")
    for message in ({"default": "d", "sqs": "q"}, {"default": "d", "lambda": "l"}):
        sns.publish(TopicArn=topic, Message=json.dumps(message), MessageStructure="json")
    assert inbox.bodies() == ["q", "d"]


@pytest.mark.parametrize(
    ("policy", "attributes", "is_wanted"),
    [
        ({"kind": ["a"]}, {"kind": text("a")}, True),
        ({"kind": ["a"]}, {"kind": text("b")}, False),
        ({"kind": ["a"]}, {}, False),
        ({"kind": ["a"]}, {"kind": text('["x", "a"]', "String.Array")}, True),
        ({"price": [{"numeric": [">=", 1.5]}]}, {"price": text("1.5", "Number")}, True),
        ({"price": [{"numeric": [">=", 1.5]}]}, {"price": text("1.5")}, False),
        ({"kind": [{"exists": False}]}, {}, True),
        ({"kind": [{"anything-but": ["a"]}]}, {"kind": text("b")}, True),
        ({"kind": [{"anything-but": ["a"]}]}, {}, False),
        ({"$or": [{"a": ["1"]}, {"b": ["1"]}]}, {"b": text("1")}, True),
        ({"a.b": ["1"]}, {"a.b": text("1")}, True),
    ],
)
def test_attributes_are_filtered(
    sns: Any, topic: str, subscribed: Subscribed, policy: object, attributes: Any, *, is_wanted: bool
) -> None:
    inbox = subscribed(FilterPolicy=policy)
    sns.publish(TopicArn=topic, Message="m", MessageAttributes=attributes)
    assert len(inbox.bodies()) == is_wanted


@pytest.mark.parametrize(
    ("policy", "message", "is_wanted"),
    [
        ({"order": {"kind": ["a"]}}, {"order": {"kind": "a"}}, True),
        ({"order": {"kind": ["a"]}}, {"order": {"kind": "b"}}, False),
        ({"order.kind": ["a"]}, {"order": {"kind": "a"}}, True),
        # Unlike EventBridge, SNS does not ask that both stand in one element.
        ({"items": {"sku": ["a"], "size": ["L"]}}, {"items": [{"sku": "a", "size": "S"}, {"size": "L"}]}, True),
        ({"kind": ["a"]}, "kind a", False),
        ({"price": [{"numeric": ["=", 12.5]}]}, {"price": 12.50}, True),
    ],
)
def test_payloads_are_filtered(
    sns: Any, topic: str, subscribed: Subscribed, policy: object, message: object, *, is_wanted: bool
) -> None:
    inbox = subscribed(FilterPolicyScope="MessageBody", FilterPolicy=policy)
    sns.publish(TopicArn=topic, Message=message if isinstance(message, str) else json.dumps(message))
    assert len(inbox.bodies()) == is_wanted


def test_changed_filter_works_at_once(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed(FilterPolicy={"kind": ["a"]})
    arn = sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="1")
    sns.set_subscription_attributes(SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue="{}")
    sns.publish(TopicArn=topic, Message="2")
    sns.unsubscribe(SubscriptionArn=arn)
    sns.publish(TopicArn=topic, Message="3")
    assert [event["Message"] for event in inbox.events()] == ["2"]


def test_dead_letter_takes_what_a_deleted_queue_cannot(sns: Any, sqs: Any, topic: str, subscribed: Subscribed) -> None:
    dead = Inbox(sqs, "dead")
    gone = subscribed("gone", RedrivePolicy={"deadLetterTargetArn": dead.arn}, RawMessageDelivery="true")
    sqs.delete_queue(QueueUrl=gone.url)
    sns.publish(TopicArn=topic, Message="lost", MessageAttributes={"k": text("v")})
    (message,) = dead.messages()
    assert (message["Body"], message["MessageAttributes"]) == ("lost", {"k": text("v")})


def test_batch_is_sent_but_for_what_is_wrong(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed(RawMessageDelivery="true")
    entries = [{"Id": "1", "Message": "a"}, {"Id": "2", "Message": ""}, {"Id": "3", "Message": "c"}]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["1", "3"]
    assert answer["Failed"] == [
        {"Id": "2", "Code": "InvalidParameter", "Message": "Invalid parameter: Empty message", "SenderFault": True}
    ]
    assert inbox.bodies() == ["a", "c"]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "Message": "m"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "1", "Message": "m"}] * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "Message": "m"}], "InvalidBatchEntryId"),
        ([{"Id": str(n), "Message": "m" * 200_000} for n in range(2)], "BatchRequestTooLong"),
    ],
)
def test_batch_that_cannot_be_is_refused(sns: Any, topic: str, entries: Any, code: str) -> None:
    assert refusal(lambda: sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries))[0] == code


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"Message": ""}, "InvalidParameter", "Invalid parameter: Empty message"),
        ({"Message": "m" * 262_145}, "InvalidParameter", "Invalid parameter: Message too long"),
        ({"Message": "m", "Subject": "a\nb"}, "InvalidParameter", "Invalid parameter: Subject"),
        (
            {"Message": "{", "MessageStructure": "json"},
            "InvalidParameter",
            "Invalid parameter: Message Structure - JSON message body failed to parse",
        ),
        (
            {"Message": "{}", "MessageStructure": "json"},
            "InvalidParameter",
            "Invalid parameter: Message Structure - No default entry in JSON message body",
        ),
        (
            {"Message": "m", "MessageAttributes": {"n": text("x", "Number")}},
            "ParameterValueInvalid",
            "Could not cast message attribute 'n' value to number.",
        ),
        (
            {"Message": "m", "MessageAttributes": {"n": text("", "String")}},
            "ParameterValueInvalid",
            (
                "The message attribute 'n' must contain non-empty message attribute value for message attribute type "
                "'String'."
            ),
        ),
        (
            {"Message": "m", "MessageDeduplicationId": "d"},
            "InvalidParameter",
            (
                "Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId "
                "parameter that is not valid for this topic type"
            ),
        ),
        ({"Message": "m", "TopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:no"}, "NotFound", "Topic does not exist"),
        (
            {"Message": "m", "TopicArn": "orders"},
            "InvalidParameter",
            "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
        ),
        (
            {"Message": "m", "TopicArn": None},
            "InvalidParameter",
            "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
        ),
    ],
)
def test_message_that_cannot_be_is_refused(sns: Any, topic: str, given: Any, code: str, message: str) -> None:
    request = {name: value for name, value in {"TopicArn": topic, **given}.items() if value is not None}
    assert refusal(lambda: sns.publish(**request)) == (code, message)


def test_larger_topic_takes_larger_messages(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed(RawMessageDelivery="true")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="MaximumMessageSize", AttributeValue="1048576")
    sns.publish(TopicArn=topic, Message="m" * 1_000_000)
    assert [len(body) for body in inbox.bodies()] == [1_000_000]


def test_group_of_a_standard_topic_reaches_standard_queues(sns: Any, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed()
    sns.publish(TopicArn=topic, Message="m", MessageGroupId="tenant")
    (message,) = inbox.messages()
    assert message["Attributes"]["MessageGroupId"] == "tenant"


def test_rule_of_a_bus_sends_to_a_topic(node: RunningNode, topic: str, subscribed: Subscribed) -> None:
    inbox = subscribed()
    events = node.client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["shop"]}')
    assert events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": topic}])["FailedEntryCount"] == 0
    events.put_events(Entries=[{"Source": "shop", "DetailType": "x", "Detail": '{"n": 1}'}])
    (envelope,) = inbox.events()
    assert json.loads(envelope["Message"])["detail"] == {"n": 1}
