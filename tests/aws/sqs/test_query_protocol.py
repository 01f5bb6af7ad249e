"""The Query protocol: what older SDKs and plain forms send, and the XML that they are answered.

Forms are written out, because botocore's newest model of SQS no longer says how Query names lists and maps.
"""

import base64
import json
import urllib.error
import urllib.request
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def query(node):
    """Send a form and return the answer's elements below its result: each name with its values or elements."""

    def call(action, path="/", **form):
        status, body = post(node, {"Action": action, "Version": "2012-11-05", **form}, path)
        answer = ElementTree.fromstring(body)
        assert status == 200, body
        assert answer.tag == f"{NAMESPACE}{action}Response"
        assert answer.find(f"{NAMESPACE}ResponseMetadata/{NAMESPACE}RequestId") is not None
        result = answer.find(f"{NAMESPACE}{action}Result")
        return {} if result is None else plain(result)

    return call


def plain(element):
    """Turn elements into lists by name; those without children are their text."""
    found = {}
    for child in element:
        value = plain(child) if len(child) else child.text
        found.setdefault(child.tag.removeprefix(NAMESPACE), []).append(value)
    return found


def pairs(found):
    """Turn Name/Value elements into a dict."""
    return {pair.get("Name", pair.get("Key"))[0]: pair["Value"][0] for pair in found}


def post(node, form, path="/"):
    request = urllib.request.Request(
        f"{node.url}{path}",
        urlencode(form).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20261124/us-east-1/sqs/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_message_goes_round(query):
    created = query(
        "CreateQueue",
        QueueName="q",
        **{"Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "5", "Tag.1.Key": "a", "Tag.1.Value": "1"},
    )
    url = created["QueueUrl"][0]
    attributes = {
        "MessageAttribute.1.Name": "n",
        "MessageAttribute.1.Value.DataType": "Number",
        "MessageAttribute.1.Value.StringValue": "1",
        "MessageAttribute.2.Name": "b",
        "MessageAttribute.2.Value.DataType": "Binary",
        "MessageAttribute.2.Value.BinaryValue": base64.b64encode(b"\x00\xff").decode(),
    }
    sent = query("SendMessage", QueueUrl=url, MessageBody="a\r\n<&>é", **attributes)
    asked = {"AttributeName.1": "All", "MessageAttributeName.1": "All", "MaxNumberOfMessages": "10"}
    (message,) = query("ReceiveMessage", QueueUrl=url, **asked)["Message"]
    assert (message["Body"], message["MessageId"]) == (["a\r\n<&>é"], sent["MessageId"])
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert pairs(message["MessageAttribute"]) == {
        "n": {"DataType": ["Number"], "StringValue": ["1"]},
        "b": {"DataType": ["Binary"], "BinaryValue": ["AP8="]},
    }
    assert pairs(message["Attribute"])["ApproximateReceiveCount"] == "1"
    (handle,) = message["ReceiptHandle"]
    query("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout="0")
    query("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    assert query("ReceiveMessage", QueueUrl=url) == {}
    assert pairs(query("ListQueueTags", QueueUrl=url)["Tag"]) == {"a": "1"}
    found = query("GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "VisibilityTimeout"})
    assert pairs(found["Attribute"]) == {"VisibilityTimeout": "5"}
    assert query("ListQueues", QueueNamePrefix="q") == {"QueueUrl": [url]}


def test_batches(query):
    query("CreateQueue", QueueName="q")
    stem = "SendMessageBatchRequestEntry"
    entries = {f"{stem}.1.Id": "a", f"{stem}.1.MessageBody": "1"}
    entries |= {f"{stem}.2.Id": "b", f"{stem}.2.MessageBody": "x", f"{stem}.2.DelaySeconds": "901"}
    sent = query("SendMessageBatch", QueueUrl="q", **entries)
    assert [entry["Id"] for entry in sent["SendMessageBatchResultEntry"]] == [["a"]]
    assert sent["BatchResultErrorEntry"] == [
        {
            "Id": ["b"],
            "SenderFault": ["true"],
            "Code": ["InvalidParameterValue"],
            "Message": [
                "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            ],
        }
    ]


def test_the_queue_may_be_named_by_the_path(node, query):
    query("CreateQueue", QueueName="q")
    status, body = post(node, {"Action": "SendMessage", "MessageBody": "x"}, "/000000000000/q")
    assert status == 200, body
    assert ElementTree.fromstring(body).find(f"{NAMESPACE}SendMessageResult/{NAMESPACE}MessageId") is not None


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        (
            {"Action": "SendMessage", "QueueUrl": "http://x/000000000000/none", "MessageBody": "x"},
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ({"Action": "SendMessage", "QueueUrl": "q", "MessageBody": ""}, 400, "MissingParameter"),
        ({"Action": "SendMessage", "QueueUrl": "q", "MessageBody": "a\x07"}, 400, "InvalidMessageContents"),
        ({"Action": "DeleteMessage", "QueueUrl": "q", "ReceiptHandle": "x"}, 404, "ReceiptHandleIsInvalid"),
        ({"Action": "ReceiveMessage", "QueueUrl": "q", "WaitTimeSeconds": "21"}, 400, "InvalidParameterValue"),
        (
            {"Action": "SendMessageBatch", "QueueUrl": "q", "SendMessageBatchRequestEntry": ""},
            400,
            "AWS.SimpleQueueService.EmptyBatchRequest",
        ),
    ],
)
def test_errors_bear_the_query_code(node, query, form, status, code):
    query("CreateQueue", QueueName="q")
    found, body = post(node, form)
    error = ElementTree.fromstring(body).find(f"{NAMESPACE}Error")
    assert error is not None, body
    assert (found, error.findtext(f"{NAMESPACE}Code"), error.findtext(f"{NAMESPACE}Type")) == (status, code, "Sender")


def test_dead_letters_over_query(query):
    (dead,) = query("CreateQueue", QueueName="dead")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:dead"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    attributes = {"Attribute.1.Name": "RedrivePolicy", "Attribute.1.Value": policy}
    attributes |= {"Attribute.2.Name": "VisibilityTimeout", "Attribute.2.Value": "0"}
    (url,) = query("CreateQueue", QueueName="q", **attributes)["QueueUrl"]
    query("SendMessage", QueueUrl=url, MessageBody="x")
    assert len(query("ReceiveMessage", QueueUrl=url)["Message"]) == 1
    assert query("ReceiveMessage", QueueUrl=url) == {}
    assert query("ReceiveMessage", QueueUrl=dead)["Message"][0]["Body"] == ["x"]
    assert query("ListDeadLetterSourceQueues", QueueUrl=dead) == {"QueueUrl": [url]}
