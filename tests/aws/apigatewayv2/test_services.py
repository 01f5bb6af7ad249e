"""First-class integrations: requests that become operations of other services."""

import json
import urllib.parse
import urllib.request
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError

from tests.aws.apigatewayv2.conftest import ROLE, Apis
from tests.harness import wait_until

NS = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def queue(apis: Apis) -> str:
    return apis.node.client("sqs").create_queue(QueueName="q")["QueueUrl"]


def messages(apis: Apis, queue: str, **more):
    return apis.node.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **more).get("Messages", [])


def test_body_goes_to_the_queue_by_host_and_by_path(apis: Apis, queue: str):
    api_id = apis.api()
    apis.service(api_id, "POST /m", "SQS-SendMessage", QueueUrl=queue, MessageBody="$request.body")
    answer = apis.ask("POST", api_id, "/m", b'{"by": "host"}', {"content-type": "application/json"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml"
    assert answer.headers["apigw-requestid"]
    result = ET.fromstring(answer.body)
    assert result.tag == NS + "SendMessageResponse"
    message_id = result.findtext(f"{NS}SendMessageResult/{NS}MessageId")
    endpoint = apis.client.get_api(ApiId=api_id)["ApiEndpoint"]
    with urllib.request.urlopen(endpoint + "/m", data=b'{"by": "path"}') as by_path:
        assert by_path.status == 200
    got = {item["Body"]: item for item in messages(apis, queue)}
    assert set(got) == {'{"by": "host"}', '{"by": "path"}'}
    assert got['{"by": "host"}']["MessageId"] == message_id


def test_message_is_put_together_from_the_request(apis: Apis, queue: str):
    api_id = apis.api()
    attributes = '{"who": {"DataType": "String", "StringValue": "${request.querystring.who}"}}'
    apis.service(
        api_id,
        "POST /m/{id}",
        "SQS-SendMessage",
        QueueUrl=queue,
        MessageBody="${request.path.id}: ${request.body.text}",
        DelaySeconds="0",
        MessageAttributes=attributes,
    )
    answer = apis.ask("POST", api_id, "/m/7?who=Ann", b'{"text": "hi"}')
    assert answer.status == 200, answer.body
    (message,) = messages(apis, queue, MessageAttributeNames=["All"])
    assert message["Body"] == "7: hi"
    assert message["MessageAttributes"]["who"]["StringValue"] == "Ann"
    fields = ET.fromstring(answer.body).find(NS + "SendMessageResult")
    assert fields.findtext(NS + "MD5OfMessageAttributes") == message["MD5OfMessageAttributes"]


def test_receive_delete_and_purge(apis: Apis, queue: str):
    api_id = apis.api()
    apis.service(api_id, "GET /m", "SQS-ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages="2", AttributeNames="All")
    apis.service(api_id, "DELETE /m", "SQS-DeleteMessage", QueueUrl=queue, ReceiptHandle="$request.querystring.handle")
    apis.service(api_id, "POST /purge", "SQS-PurgeQueue", QueueUrl=queue)
    apis.node.client("sqs").send_message(QueueUrl=queue, MessageBody='<a & "b">')
    received = ET.fromstring(apis.ask("GET", api_id, "/m").body)
    message = received.find(f"{NS}ReceiveMessageResult/{NS}Message")
    assert message.findtext(NS + "Body") == '<a & "b">'
    assert "ApproximateReceiveCount" in [item.findtext(NS + "Name") for item in message.findall(NS + "Attribute")]
    handle = urllib.parse.quote(message.findtext(NS + "ReceiptHandle"))
    assert apis.ask("DELETE", api_id, f"/m?handle={handle}").status == 200
    counts = apis.node.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    assert ET.fromstring(apis.ask("POST", api_id, "/purge").body).tag == NS + "PurgeQueueResponse"


def test_missing_value_is_a_bad_request_and_nothing_is_sent(apis: Apis, queue: str):
    api_id = apis.api()
    apis.service(api_id, "POST /m", "SQS-SendMessage", QueueUrl=queue, MessageBody="$request.body.text")
    answer = apis.ask("POST", api_id, "/m", b"{}")
    assert (answer.status, answer.json()) == (400, {"message": "Bad Request"})
    assert messages(apis, queue) == []


def test_error_of_the_service_is_handed_on(apis: Apis, queue: str):
    api_id = apis.api()
    apis.service(api_id, "POST /gone", "SQS-SendMessage", QueueUrl=queue + "x", MessageBody="$request.body")
    apis.service(api_id, "POST /late", "SQS-SendMessage", QueueUrl=queue, MessageBody="b", DelaySeconds="soon")
    gone = apis.ask("POST", api_id, "/gone", b"x")
    assert gone.status == 400
    code = ET.fromstring(gone.body).findtext(f"{NS}Error/{NS}Code")
    assert code == "AWS.SimpleQueueService.NonExistentQueue"
    assert apis.ask("POST", api_id, "/late", b"x").status == 400


def test_event_goes_to_the_bus_and_its_rule(apis: Apis, queue: str):
    events = apis.node.client("events")
    bus = events.create_event_bus(Name="claims")["EventBusArn"]
    events.put_rule(Name="auto", EventBusName="claims", EventPattern='{"detail": {"kind": ["auto"]}}')
    events.put_targets(
        Rule="auto", EventBusName="claims", Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}]
    )
    api_id = apis.api()
    apis.service(
        api_id,
        "POST /claims",
        "EventBridge-PutEvents",
        Detail="$request.body",
        DetailType="claim",
        Source="web.${stageVariables.env}",
        EventBusName=bus,
        Resources='["a", "b"]',
        Time="2026-01-02T03:04:05Z",
    )
    apis.client.update_stage(ApiId=api_id, StageName="$default", StageVariables={"env": "test"})
    answer = apis.ask("POST", api_id, "/claims", b'{"kind": "auto"}')
    assert answer.status == 200, answer.body
    assert answer.json()["FailedEntryCount"] == 0
    (message,) = messages(apis, queue)
    event = json.loads(message["Body"])
    assert event["id"] == answer.json()["Entries"][0]["EventId"]
    assert (event["source"], event["detail-type"], event["resources"]) == ("web.test", "claim", ["a", "b"])
    assert event["time"] == "2026-01-02T03:04:05Z"
    bad = apis.ask("POST", api_id, "/claims", b"not json")
    assert bad.json()["Entries"][0]["ErrorCode"] == "MalformedDetail"


def test_queue_of_another_region_is_reached(apis: Apis):
    far = apis.node.client("sqs", region="eu-west-1")
    url = far.create_queue(QueueName="far")["QueueUrl"]
    api_id = apis.api()
    apis.service(api_id, "POST /m", "SQS-SendMessage", QueueUrl=url, MessageBody="$request.body", Region="eu-west-1")
    assert apis.ask("POST", api_id, "/m", b"x").status == 200
    assert far.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"IntegrationSubtype": "SQS-Peek"}, "BadRequestException"),
        ({"CredentialsArn": ""}, "BadRequestException"),
        ({"RequestParameters": {"QueueUrl": "u"}}, "BadRequestException"),
        ({"RequestParameters": {"QueueUrl": "u", "MessageBody": "b", "Colour": "c"}}, "BadRequestException"),
        ({"RequestParameters": {"QueueUrl": "u", "MessageBody": "$request.nothing"}}, "BadRequestException"),
        ({"PayloadFormatVersion": "2.0"}, "BadRequestException"),
        ({"IntegrationSubtype": "Kinesis-PutRecord"}, "NotImplemented"),
    ],
)
def test_integration_that_cannot_work_is_refused(apis: Apis, settings: dict, code: str):
    given = {
        "IntegrationType": "AWS_PROXY",
        "IntegrationSubtype": "SQS-SendMessage",
        "CredentialsArn": ROLE,
        "PayloadFormatVersion": "1.0",
        "RequestParameters": {"QueueUrl": "u", "MessageBody": "$request.body"},
        **settings,
    }
    with pytest.raises(ClientError) as caught:
        apis.client.create_integration(ApiId=apis.api(), **given)
    assert caught.value.response["Error"]["Code"] == code


def test_access_log_goes_to_the_log_group(apis: Apis, queue: str):
    logs = apis.node.client("logs")
    logs.create_log_group(logGroupName="access")
    api_id = apis.api()
    apis.service(api_id, "POST /m", "SQS-SendMessage", QueueUrl=queue, MessageBody="$request.body.text")
    apis.client.update_stage(
        ApiId=api_id,
        StageName="$default",
        AccessLogSettings={
            "DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:access:*",
            "Format": '{"id":"$context.requestId","route":"$context.routeKey","status":$context.status,'
            '"why":"$context.integrationErrorMessage","x":"$context.unknown"}',
        },
    )
    # API Gateway keeps the ARN without the star, which `sam logs` counts on.
    kept = apis.client.get_stage(ApiId=api_id, StageName="$default")["AccessLogSettings"]["DestinationArn"]
    assert kept == "arn:aws:logs:us-east-1:000000000000:log-group:access"
    good = apis.ask("POST", api_id, "/m", b'{"text": "hi"}')
    bad = apis.ask("POST", api_id, "/m", b"{}")

    def lines():
        found = logs.filter_log_events(logGroupName="access")["events"]
        return [json.loads(item["message"]) for item in found] if len(found) == 2 else None

    first, second = sorted(wait_until(lines), key=lambda line: line["status"])
    assert first == {
        "id": good.headers["apigw-requestid"],
        "route": "POST /m",
        "status": 200,
        "why": "-",
        "x": "-",
    }
    assert second["id"] == bad.headers["apigw-requestid"]
    assert second["why"].startswith("Unable to resolve property MessageBody")
