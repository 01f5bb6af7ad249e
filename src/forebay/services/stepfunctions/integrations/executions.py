"""Step Functions as a task of itself: `startExecution`, alone or with a wait for the child's end."""

import hashlib
from typing import Any, cast

import msgspec

from forebay.core.errors import ServiceError
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.execution import Parent, task_token
from forebay.services.stepfunctions.integrations.optimised import failed, with_metadata
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Outcome, Task, caller_for
from forebay.services.stepfunctions.integrations.sdk import unusable
from forebay.services.stepfunctions.starting import Order, Starter

_RUNTIME = "States.Runtime"
_MEMBERS = frozenset({"StateMachineArn", "Name", "Input", "TraceHeader"})


async def start_child(platform: Platform, starter: Starter, task: Task) -> Outcome:
    """Start an execution for a task; one that was started by an earlier call of the same task is the same one."""
    arguments = msgspec.json.decode(task.arguments)
    given = cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
    faults = [f'The field "{name}" is not supported by Step Functions' for name in given if name not in _MEMBERS]
    if "StateMachineArn" not in given:
        faults.append("The field 'StateMachineArn' is required but was missing")
    if task.resource.operation != "startExecution" or faults:
        return Failed(_RUNTIME, unusable(task.arguments, faults), is_submit=True)
    pattern = task.resource.pattern
    is_awaited = pattern.startswith("sync")
    parent = Parent(task.execution.key, task.key.frame, task.key.attempt, pattern) if is_awaited else None
    order = Order(
        arn=str(given["StateMachineArn"]),
        name=given.get("Name") or _name(task),
        input=_text(given.get("Input", {})),
        trace_header=given.get("TraceHeader") or task.execution.trace_header,
        parent=parent,
    )
    caller = caller_for(platform, task)
    try:
        child = await starter.start(order, caller.account, caller.region)
    except ServiceError as error:
        return failed(platform, task, error)
    answer = {"ExecutionArn": child.name.arn(), "StartDate": int(child.started_at * 1000)}
    output = with_metadata(platform, "states", answer, caller.request_id)
    if not pattern:
        return Done(output)
    return Begun(output, child.key if is_awaited else None)


def _name(task: Task) -> str:
    """Return a name for a child that is given none: always the same for the same task."""
    digest = hashlib.sha256(task_token(task.execution, task.key).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
