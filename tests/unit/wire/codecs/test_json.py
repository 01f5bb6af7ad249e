import json

import pytest

from forebay.api import dynamodb, events, sqs
from forebay.core.errors import ServiceError
from forebay.wire.codecs import codec_for
from tests.unit.wire.codecs.requests import request

SQS = codec_for(sqs.MODEL, "json")
EVENTS = codec_for(events.MODEL, "json")
DYNAMODB = codec_for(dynamodb.MODEL, "json")
SEND = sqs.MODEL.operations["SendMessage"]


def refusal(codec, operation, body: bytes) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        codec.decode(operation, request(body), {})
    return caught.value


def test_decode_reads_members_by_wire_names():
    body = b'{"QueueUrl":"u","MessageBody":"b","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AAE="}}}'
    shape = SQS.decode(SEND, request(body), {})
    attribute = sqs.MessageAttributeValue(data_type="Binary", binary_value=b"\x00\x01")
    assert shape == sqs.SendMessageRequest(queue_url="u", message_body="b", message_attributes={"a": attribute})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":null}', None),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":5.0}', 5),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":1e1}', 10),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":1,"DelaySeconds":2}', 2),
        (b'{"QueueUrl":"u","MessageBody":"b","Colour":{"deep":[1]}}', None),
    ],
)
def test_decode_is_as_lenient_as_aws(body, expected):
    assert SQS.decode(SEND, request(body), {}).delay_seconds == expected


def test_decode_takes_an_empty_body_for_an_empty_structure():
    assert SQS.decode(sqs.MODEL.operations["ListQueues"], request(b""), {}) == sqs.ListQueuesRequest()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Could not parse the request body as JSON."),
        (b"\xff", "Could not parse the request body as JSON."),
        (b'{"QueueUrl":"\\ud800","MessageBody":"b"}', "Could not parse the request body as JSON."),
        (b"[]", "Start of list found where not expected"),
        (b"null", "Unexpected value type in payload"),
        (b'{"QueueUrl":5,"MessageBody":"b"}', "NUMBER_VALUE cannot be converted to String"),
        (b'{"QueueUrl":true,"MessageBody":"b"}', "TRUE_VALUE cannot be converted to String"),
        (b'{"QueueUrl":{},"MessageBody":"b"}', "Start of structure or map found where not expected."),
        (b'{"QueueUrl":[],"MessageBody":"b"}', "Start of list found where not expected"),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":"5"}', "STRING_VALUE cannot be converted to Integer"),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":1.5}', "NUMBER_VALUE cannot be converted to Integer"),
        (b'{"QueueUrl":"u","MessageBody":"b","DelaySeconds":2147483648}', "A number is out of range"),
        (b'{"QueueUrl":"u","MessageBody":"b","MessageAttributes":"x"}', "Unexpected value type in payload"),
        (
            b'{"QueueUrl":"u","MessageBody":"b","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"?"}}}',
            "Invalid base64 data",
        ),
    ],
)
def test_decode_names_what_cannot_be_read(body, message):
    error = refusal(SQS, SEND, body)
    assert (error.code, error.status, error.message) == ("SerializationException", 400, message)


def test_missing_parameter_has_the_words_of_sqs():
    error = refusal(SQS, SEND, b'{"QueueUrl":"u"}')
    assert (error.query_code, error.code, error.message) == (
        "MissingParameter",
        "MissingRequiredParameterException",
        "The request must contain the parameter MessageBody.",
    )


def test_every_broken_constraint_is_named():
    error = refusal(EVENTS, events.MODEL.operations["PutRule"], b'{"Name":"a b","State":"ON"}')
    assert error.code == "ValidationException"
    assert error.message == (
        "2 validation errors detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: [\\.\\-_A-Za-z0-9]+; Value 'ON' at 'state' failed to satisfy constraint: Member must "
        "satisfy enum value set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]"
    )


def test_absent_member_is_null():
    error = refusal(DYNAMODB, dynamodb.MODEL.operations["GetItem"], b'{"Key":{}}')
    assert error.message == (
        "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"
    )


def test_recursive_input_has_a_depth():
    deep = b'{"TableName":"t","Item":{"a":' + b'{"L":[' * 60 + b'{"S":"x"}' + b"]}" * 60 + b"}}"
    assert refusal(DYNAMODB, dynamodb.MODEL.operations["PutItem"], deep).code == "SerializationException"


def test_brackets_in_texts_are_not_depth():
    text = json.dumps({"TableName": "abc", "Item": {"a": {"S": '{["\\' * 500}}}).encode()
    shape = DYNAMODB.decode(dynamodb.MODEL.operations["PutItem"], request(text), {})
    assert shape.item["a"].s == '{["\\' * 500


def test_encode_omits_what_is_absent():
    response = SQS.encode(SEND, sqs.SendMessageResult(message_id="m"), "r")
    assert response.status == 200
    assert response.headers == (("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", "r"))
    assert response.body == b'{"MessageId":"m"}'


def test_encode_of_no_output_is_empty():
    assert SQS.encode(sqs.MODEL.operations["DeleteQueue"], None, "r").body == b""


def test_error_names_the_query_code():
    response = SQS.encode_error(SEND, sqs.QueueDoesNotExist("The specified queue does not exist."), "r")
    assert response.status == 400
    assert ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender") in response.headers
    assert json.loads(response.body) == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }


def test_error_outside_the_model_keeps_its_code_in_the_header():
    response = SQS.encode_error(SEND, ServiceError.of("InvalidParameterValue", "No."), "r")
    assert ("x-amzn-query-error", "InvalidParameterValue;Sender") in response.headers
    assert json.loads(response.body)["__type"] == "com.amazon.coral.service#InvalidParameterValueException"


def test_error_carries_its_modelled_members():
    reason = dynamodb.CancellationReason(code="ConditionalCheckFailed", item={"a": dynamodb.AttributeValue(b=b"\0")})
    error = dynamodb.TransactionCanceledException("Transaction cancelled", cancellation_reasons=[reason])
    body = json.loads(DYNAMODB.encode_error(None, error, "r").body)
    assert body == {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "CancellationReasons": [{"Item": {"a": {"B": "AA=="}}, "Code": "ConditionalCheckFailed"}],
        "Message": "Transaction cancelled",
    }


def test_validation_error_of_dynamodb_has_its_namespace():
    response = DYNAMODB.encode_error(None, ServiceError.of("ValidationException", "No."), "r")
    assert json.loads(response.body)["__type"] == "com.amazon.coral.validate#ValidationException"
