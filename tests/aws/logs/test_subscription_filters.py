"""Subscription filters: a group's new events reach a function, which is seen by what it leaves in a queue."""

import base64
import gzip
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import ROLE, packed
from tests.harness import RunningNode, wait_until

GROUP = "/app/web"
CODE = """
    import json
    import boto3

    def handler(event, context):
        sqs = boto3.client("sqs")
        url = sqs.get_queue_url(QueueName="got")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
"""


@pytest.fixture
def logs(node: RunningNode) -> Any:
    client = node.client("logs")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName="one")
    return client


@pytest.fixture
def function(node: RunningNode) -> str:
    node.client("sqs").create_queue(QueueName="got")
    made = node.client("lambda").create_function(
        FunctionName="reader",
        Runtime="python3.11",
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": packed({"app.py": CODE})},
    )
    return made["FunctionArn"]


def subscribe(logs: Any, function: str, name: str = "errors", pattern: str = "ERROR") -> None:
    logs.put_subscription_filter(logGroupName=GROUP, filterName=name, filterPattern=pattern, destinationArn=function)


def put(node: RunningNode, logs: Any, *messages: str) -> None:
    at = int(node.clock.now() * 1000)
    events = [{"timestamp": at, "message": message} for message in messages]
    logs.put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=events)


def received(node: RunningNode) -> dict[str, Any]:
    sqs = node.client("sqs")
    url = sqs.get_queue_url(QueueName="got")["QueueUrl"]
    message = wait_until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))[0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    data = json.loads(message["Body"])["awslogs"]["data"]
    return json.loads(gzip.decompress(base64.b64decode(data)))


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**params)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def test_matching_events_reach_the_function(node: RunningNode, logs: Any, function: str) -> None:
    subscribe(logs, function)
    put(node, logs, "all is well", "ERROR one", "ERROR two")
    found = received(node)
    events = found.pop("logEvents")
    assert found == {
        "messageType": "DATA_MESSAGE",
        "owner": "000000000000",
        "logGroup": GROUP,
        "logStream": "one",
        "subscriptionFilters": ["errors"],
    }
    assert [event["message"] for event in events] == ["ERROR one", "ERROR two"]
    assert len({event["id"] for event in events}) == 2


def test_large_batches_arrive_in_parts(node: RunningNode, logs: Any, function: str) -> None:
    subscribe(logs, function, pattern="")
    # Hexadecimal digits of one long number do not compress to less than half.
    noise = f"{pow(3, 4_000_000, 1 << 1_400_000):x}"
    put(node, logs, noise[:170_000], noise[170_000:340_000])
    parts = [received(node)["logEvents"] for _ in range(2)]
    assert sorted(len(events) for events in parts) == [1, 1]


def test_filters_are_described_replaced_and_deleted(logs: Any, function: str) -> None:
    subscribe(logs, function)
    subscribe(logs, function, name="all", pattern="")
    assert refused(subscribe_third(logs, function))[0] == "LimitExceededException"
    subscribe(logs, function, pattern="{ $.level = 1 }")
    found = logs.describe_subscription_filters(logGroupName=GROUP)["subscriptionFilters"]
    assert [(item["filterName"], item["filterPattern"]) for item in found] == [
        ("all", ""),
        ("errors", "{ $.level = 1 }"),
    ]
    assert found[0]["destinationArn"] == function
    assert found[0]["distribution"] == "ByLogStream"
    logs.delete_subscription_filter(logGroupName=GROUP, filterName="all")
    gone = refused(logs.delete_subscription_filter, logGroupName=GROUP, filterName="all")
    assert gone == ("ResourceNotFoundException", "The specified subscription filter does not exist.")


def subscribe_third(logs: Any, function: str) -> Any:
    return lambda: subscribe(logs, function, name="third")


def test_what_cannot_be_subscribed_is_refused(logs: Any, function: str) -> None:
    def ask(destination: str, group: str = GROUP, pattern: str = "") -> tuple[str, str]:
        params = {"logGroupName": group, "filterName": "f", "filterPattern": pattern, "destinationArn": destination}
        return refused(logs.put_subscription_filter, **params)

    code, text = ask(function.replace("reader", "missing"))
    assert code == "InvalidParameterException"
    assert text.startswith("Could not execute the lambda function.")
    assert ask(function, group="/aws/lambda/reader")[1].startswith("The log group provided is reserved")
    assert ask(function, group="/none")[0] == "ResourceNotFoundException"
    assert ask(function, pattern="[")[0] == "InvalidParameterException"
    assert ask("arn:aws:kinesis:us-east-1:000000000000:stream/s")[0] == "NotImplemented"
    assert ask("no arn")[0] == "InvalidParameterException"
