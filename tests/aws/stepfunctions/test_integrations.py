"""Tasks that call functions, HTTP endpoints, APIs of the node, tables, topics and buses."""

import json
from typing import Any

import pytest

from tests.aws.events.servers import serving
from tests.aws.lambda_.conftest import Functions, fetch
from tests.aws.stepfunctions.conftest import PASS, States

_FUNCTION = """
import boto3

class Odd(Exception):
    pass

def handler(event, context):
    if event.get("token"):
        client = boto3.client("stepfunctions")
        client.send_task_success(taskToken=event["token"], output='{"answered": true}')
        return None
    if event.get("odd"):
        raise Odd("it is odd")
    return {"got": event}
"""


@pytest.fixture(scope="module")
def function(states: States) -> str:
    return Functions(states.node).make("echo", _FUNCTION)["FunctionArn"]


def task(states: States, resource: str, parameters: Any = None, data: Any = None, **more: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": resource, "End": True, **more}
    if parameters is not None:
        state["Parameters"] = parameters
    return states.run({"StartAt": "T", "States": {"T": state}}, data)


def test_a_function_by_its_arn(states: States, function: str) -> None:
    execution = task(states, function, data={"a": 1})
    assert json.loads(execution["output"]) == {"got": {"a": 1}}
    arn = execution["executionArn"]
    assert states.types(arn)[2:5] == [
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
    ]
    scheduled = states.history(arn)[2]["lambdaFunctionScheduledEventDetails"]
    assert scheduled == {"resource": function, "input": '{"a": 1}', "inputDetails": {"truncated": False}}


def test_a_function_by_invoke(states: States, function: str) -> None:
    parameters = {"FunctionName": function, "Payload.$": "$"}
    output = json.loads(task(states, "arn:aws:states:::lambda:invoke", parameters, {"a": 1})["output"])
    assert (output["Payload"], output["StatusCode"], output["ExecutedVersion"]) == ({"got": {"a": 1}}, 200, "$LATEST")
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_a_functions_error_is_the_tasks(states: States, function: str) -> None:
    execution = task(states, function, data={"odd": True})
    assert execution["error"] == "Odd"
    assert json.loads(execution["cause"])["errorMessage"] == "it is odd"
    assert "LambdaFunctionFailed" in states.types(execution["executionArn"])
    missing = task(states, "arn:aws:states:::lambda:invoke", {"FunctionName": "nobody"})
    assert missing["error"] == "Lambda.ResourceNotFoundException"


def test_a_function_answers_by_token(states: States, function: str) -> None:
    parameters = {"FunctionName": function, "Payload": {"token.$": "$$.Task.Token"}}
    execution = task(states, "arn:aws:states:::lambda:invoke.waitForTaskToken", parameters)
    assert json.loads(execution["output"]) == {"answered": True}


def test_an_endpoint_is_called_with_what_a_connection_adds(states: States) -> None:
    events = states.node.client("events")
    key = {"ApiKeyName": "x-key", "ApiKeyValue": "secret"}
    connection = events.create_connection(
        Name="c", AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": key}
    )
    with serving() as server:
        server.answer("/orders", 201, '{"id": 7}', {"Content-Type": "application/json"})
        server.answer("/missing", 404, "no such order")
        parameters = {
            "ApiEndpoint": f"{server.url}/orders",
            "Method": "POST",
            "Authentication": {"ConnectionArn": connection["ConnectionArn"]},
            "QueryParameters": {"a": ["1", "2"]},
            "RequestBody": {"x.$": "$.x"},
        }
        output = json.loads(task(states, "arn:aws:states:::http:invoke", parameters, {"x": 5})["output"])
        (asked,) = server.at("/orders")
        missing = {"ApiEndpoint": f"{server.url}/missing", "Method": "GET"}
        failed = task(
            states, "arn:aws:states:::http:invoke", {**missing, "Authentication": parameters["Authentication"]}
        )
        state = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": parameters, "End": True}
        inspected = states.client.test_state(
            definition=json.dumps(state),
            roleArn="arn:aws:iam::000000000000:role/r",
            input='{"x":6}',
            inspectionLevel="TRACE",
        )
    assert (output["StatusCode"], output["ResponseBody"]) == (201, {"id": 7})
    assert (asked.headers["x-key"], asked.path, asked.json()) == ("secret", "/orders?a=1&a=2", {"x": 5})
    assert (failed["error"], failed["cause"]) == ("States.Http.StatusCode.404", "no such order")
    request = inspected["inspectionData"]["request"]
    assert (request["method"], json.loads(request["headers"])["x-key"]) == ("POST", "[REDACTED]")
    assert inspected["inspectionData"]["response"]["statusCode"] == "201"


def test_an_api_of_the_node_is_called(states: States, function: str) -> None:
    gateway = states.node.client("apigatewayv2")
    api = gateway.create_api(Name="a", ProtocolType="HTTP", Target=function)
    host = f"{api['ApiId']}.execute-api.us-east-1.amazonaws.com"
    parameters = {"ApiEndpoint": host, "Method": "GET", "Path": "/any"}
    output = json.loads(task(states, "arn:aws:states:::apigateway:invoke", parameters)["output"])
    assert output["StatusCode"] == 200
    assert output["ResponseBody"]["got"]["rawPath"] == "/any"


def test_tables_are_written_and_read(states: States) -> None:
    dynamodb = states.node.client("dynamodb")
    dynamodb.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"k": {"S": "a"}, "n": {"N": "1"}}
    put = {"TableName": "items", "Item": item, "ConditionExpression": "attribute_not_exists(k)"}
    first = task(states, "arn:aws:states:::dynamodb:putItem", put)
    assert first["status"] == "SUCCEEDED", first
    again = task(states, "arn:aws:states:::dynamodb:putItem", put)
    assert again["error"] == "DynamoDB.ConditionalCheckFailedException"
    sdk = task(states, "arn:aws:states:::aws-sdk:dynamodb:putItem", put)
    assert sdk["error"] == "DynamoDb.ConditionalCheckFailedException"
    get = {"TableName": "items", "Key": {"k": {"S": "a"}}}
    output = json.loads(task(states, "arn:aws:states:::dynamodb:getItem", get)["output"])
    assert output["Item"] == item


def test_topics_and_buses_are_told(states: States) -> None:
    sqs, sns = states.node.client("sqs"), states.node.client("sns")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="news")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    task(states, "arn:aws:states:::sns:publish", {"TopicArn": topic, "Message": {"m": 1}})
    events = states.node.client("events")
    events.put_rule(Name="r", EventPattern='{"source":["mine"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": queue}])
    entry = {"Source": "mine", "DetailType": "d", "Detail": {"e": 1}}
    told = task(states, "arn:aws:states:::events:putEvents", {"Entries": [entry]})
    assert json.loads(told["output"])["FailedEntryCount"] == 0
    bodies = [
        json.loads(message["Body"])
        for _ in range(2)
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=1)["Messages"]
    ]
    event = next(body for body in bodies if "detail" in body)
    assert {"m": 1} in bodies
    assert event["resources"] == [told["executionArn"], told["stateMachineArn"]]


def test_apis_start_executions(states: States) -> None:
    gateway = states.node.client("apigatewayv2")
    api = gateway.create_api(Name="b", ProtocolType="HTTP")["ApiId"]
    role = "arn:aws:iam::000000000000:role/r"
    for path, subtype, kind in (
        ("start", "StepFunctions-StartExecution", "STANDARD"),
        ("sync", "StepFunctions-StartSyncExecution", "EXPRESS"),
    ):
        integration = gateway.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            IntegrationSubtype=subtype,
            PayloadFormatVersion="1.0",
            CredentialsArn=role,
            RequestParameters={"StateMachineArn": states.create(PASS, type=kind), "Input": "$request.body"},
        )["IntegrationId"]
        gateway.create_route(ApiId=api, RouteKey=f"POST /{path}", Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    base = f"{states.node.url}/_aws/execute-api/{api}"
    started = json.loads(fetch(f"{base}/start", "POST", b'{"a":1}').body)
    assert states.ended(started["executionArn"])["output"] == '{"a":1}'
    answered = json.loads(fetch(f"{base}/sync", "POST", b'{"b":1}').body)
    assert (answered["status"], answered["output"]) == ("SUCCEEDED", '{"b":1}')
