"""Optimised integrations of services whose operations are called as they are: SQS, SNS, DynamoDB, EventBridge.

They differ from SDK integrations in what they take (JSON where the operation wants text), in what they add to the
answer, and in how they name errors: as the first SDK for Java did.
"""

import zlib
from typing import Any

import msgspec

from forebay.core.errors import ServiceError
from forebay.core.timestamps import format_http_date
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.integrations.outcome import (
    Begun,
    Done,
    Failed,
    Outcome,
    Task,
    caller_for,
    is_of_model,
)
from forebay.services.stepfunctions.integrations.sdk import find_operation, from_shape, misfits, to_shape, unusable
from forebay.services.stepfunctions.payload import as_list, as_object

_RUNTIME = "States.Runtime"


class Client(msgspec.Struct, frozen=True):
    """How errors of a service are worded: `error` before the exception, `exception` for what no model lists."""

    error: str
    exception: str
    service: str


CLIENTS = {
    "dynamodb": Client("DynamoDB", "AmazonDynamoDBException", "AmazonDynamoDBv2"),
    "events": Client("EventBridge", "AmazonEventBridgeException", "AmazonEventBridge"),
    "lambda": Client("Lambda", "AWSLambdaException", "AWSLambda"),
    "sns": Client("SNS", "AmazonSNSException", "AmazonSNS"),
    "sqs": Client("SQS", "AmazonSQSException", "AmazonSQS"),
    "states": Client("StepFunctions", "AWSStepFunctionsException", "AWSStepFunctions"),
}
_CONTENT_TYPES = {
    "events": "application/x-amz-json-1.1",
    "lambda": "application/json",
    "sns": "text/xml",
    "sqs": "text/xml",
}
OPERATIONS = {
    ("dynamodb", "getItem"),
    ("dynamodb", "putItem"),
    ("dynamodb", "updateItem"),
    ("dynamodb", "deleteItem"),
    ("events", "putEvents"),
    ("sns", "publish"),
    ("sqs", "sendMessage"),
}
"""Operations that have an optimised integration."""


async def call_optimised(platform: Platform, task: Task) -> Outcome:
    """Run an operation for a task, if it is one that has an optimised integration."""
    service = task.resource.service
    if (service, task.resource.operation) not in OPERATIONS:
        return Failed(_RUNTIME, f"The resource provided {task.resource.text} is not recognized.", is_submit=True)
    arguments = msgspec.json.decode(task.arguments)
    if service == "events":
        arguments = _with_resources(task, arguments)
    try:
        model = await platform.table.load(service)
        operation = find_operation(model.operations.values(), task.resource.operation)
        assert operation is not None, "optimised operations are in their models"
        faults = misfits(operation.input, arguments)
        if faults:
            return Failed(_RUNTIME, unusable(task.arguments, faults), is_submit=True)
        request = to_shape(operation.input, arguments, texts=True)
        caller = caller_for(platform, task)
        output = await platform.table.run(caller, service, operation.name, request)
    except ServiceError as error:
        return failed(platform, task, error)
    answer = {} if output is None else from_shape(output)
    text = with_metadata(platform, service, answer, caller.request_id)
    if answer.get("FailedEntryCount"):
        return Failed("EventBridge.FailedEntry", text, is_submit=bool(task.resource.pattern))
    return Begun(text) if task.resource.pattern else Done(text)


def failed(platform: Platform, task: Task, error: ServiceError) -> Failed:
    """Return what a service's refusal means for a task."""
    client = CLIENTS[task.resource.service if task.resource.family == "task" else "lambda"]
    code = error.code.rpartition("#")[2].rpartition(".")[2]
    name = code if code.endswith("Exception") else f"{code}Exception"
    if not is_of_model(error):
        name = client.exception
    cause = (
        f"{error.message} (Service: {client.service}; Status Code: {error.status}; "
        f"Error Code: {error.query_code or code}; Request ID: {platform.ids.uuid()}; Proxy: null)"
    )
    return Failed(f"{client.error}.{name}", cause, is_submit=bool(task.resource.pattern))


def with_metadata(platform: Platform, service: str, answer: dict[str, Any], request_id: str) -> str:
    """Return an answer as JSON with what the SDK says of its HTTP response, members in order of their names."""
    headers = _headers(platform, service, answer, request_id)
    answer = {
        **answer,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": dict(sorted(headers.items(), key=lambda header: header[0].lower())),
            "HttpStatusCode": answer.get("StatusCode", 200),
        },
        "SdkResponseMetadata": {"RequestId": request_id},
    }
    return msgspec.json.encode(dict(sorted(answer.items()))).decode()


def _headers(platform: Platform, service: str, answer: dict[str, Any], request_id: str) -> dict[str, str]:
    """Return the headers that a service's answer has on AWS, in their order there."""
    body = msgspec.json.encode(answer.get("Payload") if service == "lambda" else answer)
    version = answer.get("ExecutedVersion")
    headers = {
        "x-amzn-RequestId": request_id,
        "Content-Length": str(len(body)),
        "Date": format_http_date(platform.clock.now()),
        "Content-Type": _CONTENT_TYPES.get(service, "application/x-amz-json-1.0"),
    }
    match service:
        case "dynamodb":
            return {"Server": "Server", "Connection": "keep-alive", "x-amz-crc32": str(zlib.crc32(body)), **headers}
        case "lambda":
            trace_id = f"Root=1-{int(platform.clock.now()):08x}-{platform.ids.hex(24)};Sampled=0"
            return {
                **({} if version is None else {"X-Amz-Executed-Version": version}),
                "x-amzn-Remapped-Content-Length": "0",
                "Connection": "keep-alive",
                "X-Amzn-Trace-Id": trace_id,
                **headers,
            }
        case "states":
            return {"Connection": "keep-alive", **headers}
        case _:
            return headers


def _with_resources(task: Task, arguments: Any) -> Any:
    """Return events with the execution's and the state machine's ARN among their resources.

    Source: developer guide, "Add EventBridge events with Step Functions".
    """
    entries = as_object(arguments).get("Entries")
    if not as_list(entries):
        return arguments
    own = [task.execution.name.arn(), task.execution.machine.base().arn()]

    def add(entry: Any) -> Any:
        given = as_object(entry)
        return {**given, "Resources": [*as_list(given.get("Resources")), *own]} if given else entry

    return {**as_object(arguments), "Entries": [add(entry) for entry in as_list(entries)]}
