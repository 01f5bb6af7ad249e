"""The same refusals in JSON and in Query's forms: AWS's codes and texts, on one node that all cases share.

`UNVERIFIED` marks texts that no recording of AWS was found for.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from tests.harness import RunningNode

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
INVALID = "InvalidParameterValue"
MISSING = "MissingParameter"
PREFIX = "AWS.SimpleQueueService."
# What Query calls the entries of lists and maps.
FORM_NAMES = {
    "Actions": "ActionName",
    "AttributeNames": "AttributeName",
    "Attributes": "Attribute",
    "AWSAccountIds": "AWSAccountId",
    "MessageAttributes": "MessageAttribute",
    "MessageSystemAttributes": "MessageSystemAttribute",
    "TagKeys": "TagKey",
    "Tags": "Tag",
}
NOT_THIS_TYPE = "The request include parameter that is not valid for this queue type."
CHARACTERS = "can only include alphanumeric and punctuation characters. 1 to 128 in length."
TEXT = {"DataType": "String", "StringValue": "v"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path_factory.mktemp("data")).start()
    sqs = running.client("sqs")
    sqs.create_queue(QueueName="q")
    sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    yield running
    running.stop()


def ask_json(node, operation, given):
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
    request = urllib.request.Request(node.url, json.dumps(given).encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(request, timeout=30)
    code, _, fault = failure.value.headers["x-amzn-query-error"].partition(";")
    return code, json.loads(failure.value.read())["message"], fault


def form(operation, given):
    """Flatten a request as older SDKs do."""
    flat = {}

    def put(name, value):
        if isinstance(value, dict):
            for key, part in value.items():
                put(f"{name}.{key}", part)
        else:
            flat[name] = value

    for name, value in given.items():
        stem = f"{operation}RequestEntry" if name == "Entries" else FORM_NAMES.get(name, name)
        if isinstance(value, list):
            entries = value
        elif isinstance(value, dict):
            key_name = "Key" if name == "Tags" else "Name"
            entries = [{key_name: key, "Value": part} for key, part in value.items()]
        else:
            flat[stem] = value
            continue
        for number, entry in enumerate(entries, 1):
            put(f"{stem}.{number}", entry)
    return flat


def ask_query(node, operation, given, *, by_get):
    scope = "Credential=000000000000/20261124/us-east-1/sqs/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    text = urlencode({"Action": operation, "Version": "2012-11-05", **form(operation, given)})
    if by_get:
        request = urllib.request.Request(f"{node.url}/?{text}", headers=headers)
    else:
        request = urllib.request.Request(node.url, text.encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(request, timeout=30)
    error = ElementTree.fromstring(failure.value.read()).find(f"{NAMESPACE}Error")
    return tuple(error.findtext(f"{NAMESPACE}{name}") for name in ("Code", "Message", "Type"))


def missing(name):
    return MISSING, f"The request must contain the parameter {name}."


def wrong(value, name, reason):
    return INVALID, f"Value {value} for parameter {name} is invalid. Reason: {reason}"


def send(**given):
    return "SendMessage", {"QueueUrl": "q", "MessageBody": "x", **given}


def send_fifo(**given):
    return "SendMessage", {"QueueUrl": "q.fifo", "MessageBody": "x", **given}


def receive(**given):
    return "ReceiveMessage", {"QueueUrl": "q", **given}


def create(name="new", **attributes):
    return "CreateQueue", {"QueueName": name, "Attributes": attributes}


def set_attributes(queue="q", **attributes):
    return "SetQueueAttributes", {"QueueUrl": queue, "Attributes": attributes}


def batch(*entries, queue="q"):
    return "SendMessageBatch", {"QueueUrl": queue, "Entries": list(entries)}


def unknown(name):
    return "InvalidAttributeName", f"Unknown Attribute {name}."


def no_value(name):
    return "InvalidAttributeValue", f"Invalid value for the parameter {name}."


def only_fifo(name):
    return "InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true."


def attribute(text, **value):
    return send(MessageAttributes={"a": value}), (INVALID, text)


BAD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
BAD_FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
    "must end with .fifo suffix and be 1 to 80 in length."
)
BAD_ID = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)
NO_BOTH = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
PER_GROUP = "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."
COUNT = "Invalid value for maxReceiveCount: {}, valid values are from 1 to 1000 both inclusive."


def redrive(text, reason):
    return set_attributes(RedrivePolicy=text), wrong(text, "RedrivePolicy", reason)


DEAD = "arn:aws:sqs:us-east-1:000000000000:{}"
CASES = [
    (create(""), missing("QueueName")),
    (create("a b"), (INVALID, BAD_NAME)),
    (create("a.fifo"), (INVALID, BAD_NAME)),
    (create("a" * 81), (INVALID, BAD_NAME)),
    (create("a", FifoQueue="true"), (INVALID, BAD_FIFO_NAME)),
    (create(FifoQueue="false"), unknown("FifoQueue")),
    (create(ContentBasedDeduplication="true"), unknown("ContentBasedDeduplication")),
    (create(DeduplicationScope="queue"), only_fifo("DeduplicationScope")),
    (create(FifoThroughputLimit="perQueue"), only_fifo("FifoThroughputLimit")),
    (create("a.fifo", FifoQueue="true", FifoThroughputLimit="perMessageGroupId"), ("InvalidAttributeValue", PER_GROUP)),
    (create(QueueArn="x"), unknown("QueueArn")),
    (create(DelaySeconds="901"), no_value("DelaySeconds")),
    (create(MaximumMessageSize="1023"), no_value("MaximumMessageSize")),
    (create(MessageRetentionPeriod="59"), no_value("MessageRetentionPeriod")),
    (create(ReceiveMessageWaitTimeSeconds="21"), no_value("ReceiveMessageWaitTimeSeconds")),
    (create(VisibilityTimeout="-1"), no_value("VisibilityTimeout")),
    (create(KmsDataKeyReusePeriodSeconds="59"), no_value("KmsDataKeyReusePeriodSeconds")),
    (create(Policy="x"), no_value("Policy")),
    (create(KmsMasterKeyId="k", SqsManagedSseEnabled="true"), ("InvalidAttributeName", NO_BOTH)),
    (set_attributes(FifoQueue="true"), unknown("FifoQueue")),
    (
        set_attributes("q.fifo", FifoQueue="false"),
        (
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
        ),
    ),
    redrive('{"maxReceiveCount":1}', "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
    redrive('{"deadLetterTargetArn":"a"}', "Redrive policy does not contain mandatory attribute: maxReceiveCount."),
    redrive('{"deadLetterTargetArn":"a","maxReceiveCount":"x"}', COUNT.format("x")),
    redrive('{"deadLetterTargetArn":"a","maxReceiveCount":1001}', COUNT.format(1001)),
    # UNVERIFIED how AWS writes what is neither text nor number.
    redrive('{"deadLetterTargetArn":"a","maxReceiveCount":null}', COUNT.format("null")),
    redrive(
        json.dumps({"deadLetterTargetArn": DEAD.format("none"), "maxReceiveCount": 1}),
        "Dead letter target does not exist.",
    ),
    redrive(
        json.dumps({"deadLetterTargetArn": DEAD.format("q.fifo"), "maxReceiveCount": 1}),
        "Dead-letter queue must be same type of queue as the source.",
    ),
    (("GetQueueAttributes", {"QueueUrl": "q", "AttributeNames": ["Foo"]}), unknown("Foo")),
    (("GetQueueAttributes", {"QueueUrl": "q", "AttributeNames": ["FifoQueue"]}), unknown("FifoQueue")),
    (send(MessageBody=""), missing("MessageBody")),
    (send(DelaySeconds=-1), wrong(-1, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")),
    (send(MessageGroupId=""), wrong("", "MessageGroupId", f"MessageGroupId {CHARACTERS}")),
    (send(MessageDeduplicationId="d"), wrong("d", "MessageDeduplicationId", NOT_THIS_TYPE)),
    (
        send(MessageAttributes={f"a{number}": TEXT for number in range(11)}),
        (INVALID, "Number of message attributes [11] exceeds the allowed maximum [10]."),
    ),
    attribute(
        "The type of message (user) attribute 'a' is invalid. "
        "You must use only the following supported type prefixes: Binary, Number, String.",
        DataType="Text",
        StringValue="x",
    ),
    attribute(
        "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        DataType="String",
        StringValue="",
    ),
    attribute("Can't cast the value of message (user) attribute 'a' to a number.", DataType="Number", StringValue="x"),
    (
        send(MessageAttributes={"AWS.a": TEXT}),
        (
            INVALID,
            (
                "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. "
                "These strings are reserved for internal use."
            ),
        ),
    ),
    (send_fifo(), missing("MessageGroupId")),
    (
        send_fifo(MessageGroupId="g"),
        (
            INVALID,
            (
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
                "provided explicitly"
            ),
        ),
    ),
    (
        send_fifo(MessageGroupId="a b", MessageDeduplicationId="d"),
        wrong("a b", "MessageGroupId", f"MessageGroupId {CHARACTERS}"),
    ),
    (
        send_fifo(MessageGroupId="g", MessageDeduplicationId="a b"),
        wrong("a b", "MessageDeduplicationId", f"MessageDeduplicationId {CHARACTERS}"),
    ),
    (
        send_fifo(MessageGroupId="g", MessageDeduplicationId="d", DelaySeconds=2),
        wrong(2, "DelaySeconds", NOT_THIS_TYPE),
    ),
    (receive(MaxNumberOfMessages=0), wrong(0, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")),
    (receive(WaitTimeSeconds=21), wrong(21, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")),
    (receive(VisibilityTimeout=43_201), wrong(43_201, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")),
    (receive(AttributeNames=["Foo"]), unknown("Foo")),
    (receive(ReceiveRequestAttemptId="a"), wrong("a", "ReceiveRequestAttemptId", NOT_THIS_TYPE)),
    (
        batch(),
        (f"{PREFIX}EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."),
    ),
    (batch({"Id": "a b", "MessageBody": "x"}), (f"{PREFIX}InvalidBatchEntryId", BAD_ID)),
    (batch(*[{"Id": "a", "MessageBody": "x"}] * 2), (f"{PREFIX}BatchEntryIdsNotDistinct", "Id a repeated.")),
    (
        batch(*[{"Id": str(number), "MessageBody": "x"} for number in range(11)]),
        (
            f"{PREFIX}TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
    ),
    (
        batch({"Id": "a", "MessageBody": "x"}, queue="q.fifo"),
        (INVALID, "The request must contain the parameter MessageGroupId."),
    ),
    (
        ("DeleteMessage", {"QueueUrl": "q", "ReceiptHandle": "x"}),
        ("ReceiptHandleIsInvalid", 'The input receipt handle "x" is not a valid receipt handle.'),
    ),
    (("SetQueueAttributes", {"QueueUrl": "q", "Attributes": {}}), missing("Attribute.Name")),
    # UNVERIFIED names.
    (("TagQueue", {"QueueUrl": "q", "Tags": {}}), missing("Tags")),
    (("UntagQueue", {"QueueUrl": "q", "TagKeys": []}), missing("TagKeys")),
    (
        ("AddPermission", {"QueueUrl": "q", "Label": "l", "Actions": ["SendMessage"], "AWSAccountIds": ["me"]}),
        wrong("[me]", "PrincipalId", "Unable to verify principal."),
    ),
    (
        ("RemovePermission", {"QueueUrl": "q", "Label": "l"}),
        wrong("l", "Label", "can't find label on existing policy."),
    ),
    (("GetQueueUrl", {}), missing("QueueName")),
    (
        ("DeleteQueue", {"QueueUrl": "http://x/y/z"}),
        ("InvalidAddress", "The address http://x/y/z is not valid for this endpoint."),
    ),
    (
        ("StartMessageMoveTask", {"SourceArn": DEAD.format("q")}),
        (INVALID, "Source queue must be configured as a Dead Letter Queue."),
    ),
    (("CancelMessageMoveTask", {"TaskHandle": "x"}), (INVALID, "Value x for parameter TaskHandle is invalid.")),
    (
        ("ListQueues", {"MaxResults": 1_001}),
        wrong(1_001, "MaxResults", "MaxResults must be an integer between 1 and 1000."),
    ),
]


@pytest.mark.parametrize(("request_", "answer"), CASES, ids=[f"{n}-{case[0][0]}" for n, case in enumerate(CASES)])
def test_refusal_is_the_same_in_both_protocols(node, request_, answer):
    operation, given = request_
    expected = (*answer, "Sender")
    assert ask_json(node, operation, given) == expected
    assert ask_query(node, operation, given, by_get=False) == expected
    assert ask_query(node, operation, given, by_get=True) == expected
