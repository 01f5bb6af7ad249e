"""Running functions through boto3."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import Functions, packed
from tests.harness import RunningNode, wait_until

ECHO = """
import json, os
NAMES = ("COLOR", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_VERSION")
def handler(event, context):
    print("got", json.dumps(event))
    return {
        "event": event,
        "arn": context.invoked_function_arn,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis() > 0,
        "env": {name: os.environ.get(name) for name in NAMES},
    }
"""
FAIL = """
class Broken(Exception):
    pass
def handler(event, context):
    raise Broken("no luck")
"""


def test_function_runs_and_answers(functions: Functions):
    functions.make("echo", ECHO, Environment={"Variables": {"COLOR": "blue"}})
    answer, body = functions.call("echo", {"a": [1, "é"]}, LogType="Tail")
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert body["event"] == {"a": [1, "é"]}
    assert body["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:echo"
    assert body["request"] == answer["ResponseMetadata"]["RequestId"]
    assert body["env"] == {
        "COLOR": "blue",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": functions.node.url,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    }
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "got" in log
    assert "REPORT RequestId" in log


def test_function_error_is_told_in_header_and_document(functions: Functions):
    functions.make("fail", FAIL)
    answer, body = functions.call("fail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (body["errorType"], body["errorMessage"]) == ("Broken", "no luck")


def test_dry_run_checks_and_runs_nothing(functions: Functions):
    functions.make("echo", ECHO)
    answer, _ = functions.call("echo", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert functions.node.run(_instances) == 0


async def _instances(node) -> int:
    from forebay.runtimes.pool import FunctionPool

    return node.platform.table.shared("lambda", FunctionPool).instance_count


def test_unknown_function_is_not_found(functions: Functions):
    for kind in ("RequestResponse", "Event", "DryRun"):
        with pytest.raises(ClientError) as caught:
            functions.call("nobody", InvocationType=kind)
        error = caught.value.response
        assert error["Error"]["Code"] == "ResourceNotFoundException"
        arn = "arn:aws:lambda:us-east-1:000000000000:function:nobody"
        assert error["Message"] == f"Function not found: {arn}"
        assert error["Type"] == "User"
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_payload_must_be_json(functions: Functions):
    functions.make("echo", ECHO)
    with pytest.raises(ClientError) as caught:
        functions.client.invoke(FunctionName="echo", Payload=b"{not json")
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidRequestContentException"
    assert error["Message"].startswith("Could not parse request body into json: ")


def test_payloads_have_limits(functions: Functions):
    functions.make("echo", ECHO)
    with pytest.raises(ClientError) as caught:
        functions.client.invoke(FunctionName="echo", Payload=b'"' + b"x" * 6 * 1024 * 1024 + b'"')
    error = caught.value.response["Error"]
    assert error["Code"] == "RequestTooLargeException"
    assert error["Message"] == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    with pytest.raises(ClientError) as caught:
        functions.client.invoke(FunctionName="echo", InvocationType="Event", Payload=b'"' + b"x" * 1024 * 1024 + b'"')
    text = "1048578 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    assert caught.value.response["Error"]["Message"] == text


def test_client_context_reaches_the_handler(functions: Functions):
    functions.make("context", "def handler(event, context):\n    return context.client_context.custom\n")
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    _, body = functions.call("context", ClientContext=context)
    assert body == {"k": "v"}


def test_timeout_ends_the_function(functions: Functions):
    functions.make("slow", "import time\ndef handler(event, context):\n    time.sleep(30)\n", Timeout=1)
    answer, body = functions.call("slow")
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in body["errorMessage"]


def test_function_calls_aws_without_settings(functions: Functions):
    functions.make(
        "caller",
        """
        import boto3
        def handler(event, context):
            return boto3.client("sqs").create_queue(QueueName="made-inside")["QueueUrl"]
        """,
        MemorySize=256,
        Timeout=30,
    )
    _, body = functions.call("caller")
    assert body == f"{functions.node.url}/000000000000/made-inside"


def test_reserved_concurrency_of_none_throttles(functions: Functions):
    functions.make("echo", ECHO)
    functions.client.put_function_concurrency(FunctionName="echo", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        functions.call("echo")
    error = caught.value.response
    assert error["Error"]["Code"] == "TooManyRequestsException"
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    functions.client.delete_function_concurrency(FunctionName="echo")
    assert functions.call("echo")[0]["StatusCode"] == 200


def test_new_code_and_settings_serve_at_once(functions: Functions):
    functions.make("f", "import os\ndef handler(event, context):\n    return ['one', os.environ.get('X')]\n")
    assert functions.call("f")[1] == ["one", None]
    functions.client.update_function_configuration(FunctionName="f", Environment={"Variables": {"XX": "1", "X1": "2"}})
    changed = packed({"app.py": "import os\ndef handler(event, context):\n    return ['two', os.environ.get('X1')]\n"})
    functions.client.update_function_code(FunctionName="f", ZipFile=changed)
    assert functions.call("f")[1] == ["two", "2"]


def test_logs_reach_the_log_service(functions: Functions):
    functions.make("echo", ECHO)
    functions.call("echo", {"n": 1})
    logs = functions.node.client("logs")

    def messages():
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/echo")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        found = [event["message"] for event in events]
        return found if any(message.startswith("REPORT") for message in found) else None

    found = wait_until(messages)
    assert found[0].startswith("INIT_START Runtime Version: python:3.11")
    assert 'got {"n": 1}' in "".join(found)


def test_provided_runtime_runs_its_bootstrap(functions: Functions):
    bootstrap = """\
        #!/bin/sh
        api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
        while true; do
            headers=$(mktemp)
            event=$(curl -sS -L -D "$headers" "$api/next")
            id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
            curl -sS -X POST "$api/$id/response" -d "{\\"echo\\": $event}" > /dev/null
        done
        """
    archive = packed({"bootstrap": bootstrap}, {"bootstrap": 0o755})
    functions.make("own", "", Runtime="provided.al2023", Handler="any", Code={"ZipFile": archive})
    assert functions.call("own", {"a": 1})[1] == {"echo": {"a": 1}}


@pytest.mark.node
def test_node_function_runs(functions: Functions):
    source = "exports.handler = async (event, context) => ({ node: process.version.length > 0, event })"
    functions.make(
        "js", "", Runtime="nodejs20.x", Handler="index.handler", Code={"ZipFile": packed({"index.js": source})}
    )
    assert functions.call("js", {"a": 1})[1] == {"node": True, "event": {"a": 1}}


def test_functions_survive_a_restart(functions: Functions, node: RunningNode):
    functions.make("echo", ECHO)
    node.restart()
    assert functions.call("echo", {"again": 1})[1]["event"] == {"again": 1}


def test_invocations_wait_for_a_free_instance(tmp_path: Path):
    node = RunningNode(tmp_path / "small", function_instances_max=2).start()
    try:
        functions = Functions(node)
        functions.make("slow", "import time\ndef handler(event, context):\n    time.sleep(0.1)\n    return event\n")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: functions.call("slow", {"n": n}), range(8)))
        assert [body for _, body in answers] == [{"n": n} for n in range(8)]
    finally:
        node.stop()


def test_function_that_no_node_of_this_size_can_hold_says_so(tmp_path: Path):
    node = RunningNode(tmp_path / "small", function_memory_mb_max=256).start()
    try:
        functions = Functions(node)
        functions.make("large", ECHO, MemorySize=512)
        with pytest.raises(ClientError) as caught:
            functions.call("large")
        text = "The function needs 512 MB; this node gives functions 256 MB in all."
        assert caught.value.response["Error"]["Code"] == "InvalidRuntimeException"
        assert (caught.value.response.get("Message") or caught.value.response["Error"]["Message"]) == text
    finally:
        node.stop()
