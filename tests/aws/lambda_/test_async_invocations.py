"""Asynchronous invocations: retries, destinations, dead letters, restarts."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import Functions
from tests.harness import RunningNode, wait_until

OK = "def handler(event, context):\n    return {'done': event}\n"
FAIL = "def handler(event, context):\n    raise ValueError('no luck')\n"
ACCOUNT = "000000000000"


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:us-east-1:{ACCOUNT}:{name}"


def make_queue(node: RunningNode, name: str) -> None:
    node.client("sqs").create_queue(QueueName=name)


def take(node: RunningNode, name: str) -> dict[str, Any]:
    sqs = node.client("sqs")
    url = f"{node.url}/{ACCOUNT}/{name}"

    def one() -> dict[str, Any] | None:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"])
        return answer["Messages"][0] if answer.get("Messages") else None

    message = wait_until(one)
    assert message is not None
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return message


def fire(functions: Functions, name: str, payload: object) -> str:
    answer, _ = functions.call(name, payload, InvocationType="Event")
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def step_through_retries(node: RunningNode, request_id: str) -> None:
    """Let the pauses between three attempts pass."""
    for attempt, pause in ((1, 61), (2, 121)):
        wait_until(lambda n=attempt: len(_retries(node, request_id)) == n)
        node.clock.advance(pause)


def _retries(node: RunningNode, request_id: str) -> list[Any]:
    return [step for step in node.run(lambda n: n.platform.trace.path(request_id)) if step.what == "retried"]


def test_success_goes_to_its_destination(functions: Functions, node: RunningNode):
    make_queue(node, "done")
    functions.make("ok", OK)
    functions.client.put_function_event_invoke_config(
        FunctionName="ok", DestinationConfig={"OnSuccess": {"Destination": arn("sqs", "done")}}
    )
    request_id = fire(functions, "ok", {"a": 1})
    record = json.loads(take(node, "done")["Body"])
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn("lambda", "function:ok:$LATEST"),
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"done": {"a": 1}},
    }


def test_failure_is_tried_three_times_and_goes_to_its_destination(functions: Functions, node: RunningNode):
    make_queue(node, "failed")
    make_queue(node, "dead")
    functions.make("bad", FAIL, DeadLetterConfig={"TargetArn": arn("sqs", "dead")})
    functions.client.put_function_event_invoke_config(
        FunctionName="bad", DestinationConfig={"OnFailure": {"Destination": arn("sqs", "failed")}}
    )
    request_id = fire(functions, "bad", {"a": 1})
    step_through_retries(node, request_id)
    record = json.loads(take(node, "failed")["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "no luck"
    letter = take(node, "dead")
    assert json.loads(letter["Body"]) == {"a": 1}
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "no luck"}


def test_no_retries_where_none_are_wanted(functions: Functions, node: RunningNode):
    make_queue(node, "failed")
    functions.make("bad", FAIL)
    functions.client.put_function_event_invoke_config(
        FunctionName="bad",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn("sqs", "failed")}},
    )
    fire(functions, "bad", {})
    record = json.loads(take(node, "failed")["Body"])
    assert record["requestContext"]["approximateInvokeCount"] == 1


def test_throttled_events_wait_until_they_are_too_old(functions: Functions, node: RunningNode):
    make_queue(node, "failed")
    functions.make("ok", OK)
    functions.client.put_function_concurrency(FunctionName="ok", ReservedConcurrentExecutions=0)
    functions.client.put_function_event_invoke_config(
        FunctionName="ok",
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": arn("sqs", "failed")}},
    )
    request_id = fire(functions, "ok", {})
    wait_until(lambda: _retries(node, request_id))
    node.clock.advance(61)
    record = json.loads(take(node, "failed")["Body"])
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert "responsePayload" not in record


def test_result_goes_to_a_bus_as_an_event(functions: Functions, node: RunningNode):
    make_queue(node, "caught")
    events = node.client("events")
    events.create_event_bus(Name="results")
    events.put_rule(Name="r", EventBusName="results", EventPattern=json.dumps({"source": ["lambda"]}), State="ENABLED")
    events.put_targets(Rule="r", EventBusName="results", Targets=[{"Id": "q", "Arn": arn("sqs", "caught")}])
    functions.make("ok", OK)
    functions.client.put_function_event_invoke_config(
        FunctionName="ok", DestinationConfig={"OnSuccess": {"Destination": arn("events", "event-bus/results")}}
    )
    fire(functions, "ok", {"n": 1})
    event = json.loads(take(node, "caught")["Body"])
    assert event["detail-type"] == "Lambda Function Invocation Result - Success"
    assert event["detail"]["responsePayload"] == {"done": {"n": 1}}
    assert arn("lambda", "function:ok:$LATEST") in event["resources"]


def test_rule_runs_a_function(functions: Functions, node: RunningNode):
    make_queue(node, "done")
    functions.make("ok", OK)
    functions.client.put_function_event_invoke_config(
        FunctionName="ok", DestinationConfig={"OnSuccess": {"Destination": arn("sqs", "done")}}
    )
    events = node.client("events")
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["shop"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "f", "Arn": arn("lambda", "function:ok")}])
    sent = events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": '{"x":1}'}])
    record = json.loads(take(node, "done")["Body"])
    assert record["requestPayload"]["detail"] == {"x": 1}
    event_id = sent["Entries"][0]["EventId"]
    assert record["requestPayload"]["id"] == event_id
    whats = [step.what for step in node.run(lambda n: n.platform.trace.path(event_id))]
    assert whats.count("delivered") >= 2


def test_rule_to_a_missing_function_is_dead_lettered(functions: Functions, node: RunningNode):
    make_queue(node, "dead")
    events = node.client("events")
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["shop"]}))
    target = {"Id": "f", "Arn": arn("lambda", "function:none"), "DeadLetterConfig": {"Arn": arn("sqs", "dead")}}
    events.put_targets(Rule="r", Targets=[target])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}])
    letter = take(node, "dead")
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_accepted_events_survive_a_restart(functions: Functions, node: RunningNode):
    make_queue(node, "done")
    functions.make("ok", OK)
    functions.client.put_function_event_invoke_config(
        FunctionName="ok", DestinationConfig={"OnSuccess": {"Destination": arn("sqs", "done")}}
    )
    functions.client.put_function_concurrency(FunctionName="ok", ReservedConcurrentExecutions=0)
    request_ids = {fire(functions, "ok", {"n": n}) for n in range(5)}
    node.restart()
    functions.client.delete_function_concurrency(FunctionName="ok")
    node.clock.advance(120)
    records = [json.loads(take(node, "done")["Body"]) for _ in range(5)]
    assert {record["requestContext"]["requestId"] for record in records} == request_ids


def test_destination_must_be_deliverable(functions: Functions):
    functions.make("ok", OK)
    for destination, code in ((arn("s3", "b"), "NotImplemented"), (arn("ec2", "i"), "InvalidParameterValueException")):
        with pytest.raises(ClientError) as caught:
            functions.client.put_function_event_invoke_config(
                FunctionName="ok", DestinationConfig={"OnFailure": {"Destination": destination}}
            )
        assert caught.value.response["Error"]["Code"] == code


def test_settings_are_kept_changed_and_deleted(functions: Functions):
    functions.make("ok", OK)
    lambda_ = functions.client
    made = lambda_.put_function_event_invoke_config(FunctionName="ok", MaximumRetryAttempts=1)
    assert made["FunctionArn"] == arn("lambda", "function:ok:$LATEST")
    assert made["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}
    changed = lambda_.update_function_event_invoke_config(FunctionName="ok", MaximumEventAgeInSeconds=90)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (1, 90)
    assert len(lambda_.list_function_event_invoke_configs(FunctionName="ok")["FunctionEventInvokeConfigs"]) == 1
    lambda_.delete_function_event_invoke_config(FunctionName="ok")
    with pytest.raises(ClientError) as caught:
        lambda_.get_function_event_invoke_config(FunctionName="ok")
    text = f"The function {arn('lambda', 'function:ok:$LATEST')} doesn't have an EventInvokeConfig"
    assert caught.value.response["Message"] == text
