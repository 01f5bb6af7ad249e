"""Functions as tasks: named by their ARN, or through `lambda:invoke` with its answer's envelope."""

from typing import Any, cast

import msgspec

from forebay.core.errors import ServiceError
from forebay.languages.asl.document import decode, encode
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.integrations.optimised import failed, with_metadata
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Outcome, Task, caller_for
from forebay.services.stepfunctions.integrations.sdk import misfits, unusable

_RUNTIME = "States.Runtime"


class _ErrorDocument(msgspec.Struct, rename="camel"):
    error_type: str | None = None


async def call_function(platform: Platform, task: Task) -> Outcome:
    """Run the function that the resource is; its answer is the output."""
    ran = await _run(platform, task, task.resource.text, task.arguments.encode(), {})
    if isinstance(ran, Failed):
        return ran
    return Done(_json_text(ran.payload or b"null"))


async def invoke_function(platform: Platform, task: Task) -> Outcome:
    """Run the function that the parameters name."""
    from forebay.api import lambda_ as api  # noqa: PLC0415 - large; needed once a task runs a function

    arguments = msgspec.json.decode(task.arguments)
    faults = misfits(api.InvocationRequest, arguments)
    if task.resource.operation != "invoke" or faults:
        return Failed(_RUNTIME, unusable(task.arguments, faults), is_submit=True)
    given = cast("dict[str, Any]", arguments)
    payload = msgspec.json.encode(given["Payload"]) if "Payload" in given else b""
    ran = await _run(platform, task, str(given["FunctionName"]), payload, given)
    if isinstance(ran, Failed):
        return ran
    answer: dict[str, Any] = {"ExecutedVersion": ran.executed_version, "StatusCode": ran.status_code}
    if ran.log_result is not None:
        answer["LogResult"] = ran.log_result
    answer["Payload"] = _payload((ran.payload or b"").decode())
    answer = {name: value for name, value in answer.items() if value is not None}
    output = with_metadata(platform, "lambda", answer, platform.ids.uuid())
    return Begun(output) if task.resource.pattern else Done(output)


async def _run(platform: Platform, task: Task, function: str, payload: bytes, given: dict[str, Any]) -> Any:
    from forebay.api import lambda_ as api  # noqa: PLC0415 - as above

    request = api.InvocationRequest(
        function_name=function,
        payload=payload,
        invocation_type=given.get("InvocationType"),
        log_type=given.get("LogType"),
        client_context=given.get("ClientContext"),
        qualifier=given.get("Qualifier"),
    )
    try:
        ran = await platform.table.run(caller_for(platform, task), "lambda", "Invoke", request)
    except ServiceError as error:
        return failed(platform, task, error)
    assert isinstance(ran, api.InvocationResponse)
    if ran.function_error is None:
        return ran
    text = (ran.payload or b"").decode(errors="replace")
    error_type = _error_type(text)
    if error_type is None:
        cause = (
            f"The cause could not be determined because Lambda did not return an error type. Returned payload: {text}"
        )
        return Failed("Lambda.Unknown", cause)
    return Failed(error_type, text)


def _error_type(text: str) -> str | None:
    try:
        return msgspec.json.decode(text, type=_ErrorDocument).error_type or None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _payload(text: str) -> msgspec.Raw | str:
    """Return an answer as compact JSON, or as the text that it is."""
    try:
        return msgspec.Raw(encode(decode(text)).encode())
    except ValueError:
        return text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def _json_text(payload: bytes) -> str:
    text = payload.decode(errors="replace")
    return text if _is_json(text) else msgspec.json.encode(text).decode()
