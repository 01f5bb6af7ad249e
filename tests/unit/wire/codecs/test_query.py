import pytest

from forebay.api import cloudformation, iam, sns, sqs
from forebay.core.errors import ServiceError
from forebay.wire.codecs import codec_for
from tests.unit.wire.codecs.requests import request

SQS = codec_for(sqs.MODEL, "query")
SNS = codec_for(sns.MODEL, "query")
IAM = codec_for(iam.MODEL, "query")
CLOUDFORMATION = codec_for(cloudformation.MODEL, "query")
SEND = sqs.MODEL.operations["SendMessage"]


def refusal(codec, operation, body: bytes) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        codec.decode(operation, request(body), {})
    return caught.value


def test_decode_reads_flattened_lists_and_maps():
    body = b"QueueUrl=u&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Attribute.2.Name=Policy&Attribute.2.Value="
    shape = SQS.decode(sqs.MODEL.operations["SetQueueAttributes"], request(body), {})
    assert shape.attributes == {"DelaySeconds": "5", "Policy": ""}
    body = b"QueueUrl=u&AttributeName.10=All&AttributeName.2=Policy"
    shape = SQS.decode(sqs.MODEL.operations["GetQueueAttributes"], request(body), {})
    assert shape.attribute_names == ["Policy", "All"]


def test_decode_reads_lists_and_maps_that_are_not():
    body = b"TopicArn=t&Message=m&MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String"
    shape = SNS.decode(sns.MODEL.operations["Publish"], request(body), {})
    assert shape.message_attributes == {"a": sns.MessageAttributeValue(data_type="String")}
    body = b"StackName=s&Parameters.member.1.ParameterKey=K&Parameters.member.1.UsePreviousValue=true"
    shape = CLOUDFORMATION.decode(cloudformation.MODEL.operations["CreateStack"], request(body), {})
    assert shape.parameters == [cloudformation.Parameter(parameter_key="K", use_previous_value=True)]


def test_decode_reads_a_query_string():
    got = request(method="GET", query="Action=SendMessage&QueueUrl=u&MessageBody=a%20b+c")
    assert SQS.decode(SEND, got, {}).message_body == "a b c"


def test_decode_takes_the_queue_from_the_path():
    got = request(b"MessageBody=b", path="/000000000000/orders", secure=True)
    assert SQS.decode(SEND, got, {}).queue_url == "https://localhost:4566/000000000000/orders"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"QueueUrl=u&MessageBody=b&DelaySeconds=soon", "MalformedInput"),
        (b"QueueUrl=u&MessageBody=%ff", "MalformedInput"),
        (b"QueueUrl=u&MessageBody=\xff", "MalformedInput"),
        (b"QueueUrl=u&MessageBody.1=b", "MalformedInput"),
        (b"QueueUrl=u&MessageBody=b&MessageAttribute.x.Name=a", "MalformedInput"),
        (b"QueueUrl=u", "MissingParameter"),
    ],
)
def test_decode_refuses(body, code):
    error = refusal(SQS, SEND, body)
    assert (error.query_code or error.code, error.status) == (code, 400)


def test_iam_words_its_names_for_people():
    error = refusal(IAM, iam.MODEL.operations["GetRole"], b"RoleName=a+b")
    assert error.code == "ValidationError"
    assert error.message == (
        "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the "
        "following: +=,.@_-"
    )


def test_encode_wraps_the_result():
    response = SQS.encode(SEND, sqs.SendMessageResult(message_id="m"), "r")
    assert response.headers == (("Content-Type", "text/xml"), ("x-amzn-RequestId", "r"))
    assert response.body == (
        b'<?xml version="1.0"?><SendMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><SendMessageResult>'
        b"<MessageId>m</MessageId></SendMessageResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        b"</SendMessageResponse>"
    )


def test_encode_writes_what_xml_can_hold():
    message = sqs.Message(body="a\rb<&>\x01\n\U0001f600", attributes={"SenderId": "x"})
    body = SQS.encode(sqs.MODEL.operations["ReceiveMessage"], sqs.ReceiveMessageResult(messages=[message]), "r").body
    assert (
        "<Message><Body>a&#xD;b&lt;&amp;&gt;\ufffd\n\U0001f600</Body>"
        "<Attribute><Name>SenderId</Name><Value>x</Value></Attribute></Message>"
    ).encode() in body


def test_error_document():
    response = SQS.encode_error(SEND, sqs.ReceiptHandleIsInvalid("Not <one>."), "r")
    assert response.status == 404
    assert response.body == (
        b'<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error>'
        b"<Type>Sender</Type>"
        b"<Code>ReceiptHandleIsInvalid</Code><Message>Not &lt;one&gt;.</Message><Detail/></Error>"
        b"<RequestId>r</RequestId></ErrorResponse>"
    )
