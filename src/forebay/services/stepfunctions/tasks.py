"""Operations on tasks that wait for others: answers by task token, and activities' workers."""

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import TaskKey
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.activity import ACTIVITY, no_activity
from forebay.services.stepfunctions.activity_room import ActivityRoom
from forebay.services.stepfunctions.address import activity_name
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import is_genuine, read_token
from forebay.services.stepfunctions.inbox import Answered, Beaten, Refused
from forebay.services.stepfunctions.payload import read_json


@operation
async def send_task_success(call: Call, request: api.SendTaskSuccessInput) -> api.SendTaskSuccessOutput:
    """End a task with an output.

    Raises:
        InvalidOutput: the output is not JSON.
        TaskTimedOut: the task has ended, or its time is over.
    """
    key, task = await _find_task(call, request.task_token)
    if len(request.output.encode()) > limits.PAYLOAD_BYTES_MAX:
        raise api.InvalidOutput("Invalid Output: 'The output exceeds the maximum number of bytes'")
    try:
        output = read_json(request.output)
    except ValueError as error:
        raise api.InvalidOutput(f"Invalid Output: '{error}'") from None
    if not await call.part(Engine).hand(key, Answered(task, output)):
        raise _gone()
    return api.SendTaskSuccessOutput()


@operation
async def send_task_failure(call: Call, request: api.SendTaskFailureInput) -> api.SendTaskFailureOutput:
    """End a task with an error.

    Raises:
        TaskTimedOut: the task has ended, or its time is over.
    """
    key, task = await _find_task(call, request.task_token)
    if not await call.part(Engine).hand(key, Refused(task, request.error, request.cause)):
        raise _gone()
    return api.SendTaskFailureOutput()


@operation
async def send_task_heartbeat(call: Call, request: api.SendTaskHeartbeatInput) -> api.SendTaskHeartbeatOutput:
    """Give a sign of life of a task: its heartbeat time begins anew.

    Raises:
        TaskTimedOut: the task has ended, or its time is over.
    """
    key, task = await _find_task(call, request.task_token)
    if not await call.part(Engine).hand(key, Beaten(task)):
        raise _gone()
    return api.SendTaskHeartbeatOutput()


@operation
async def get_activity_task(call: Call, request: api.GetActivityTaskInput) -> api.GetActivityTaskOutput:
    """Take the task of an activity that waits longest, waiting for one up to a minute; nothing where none comes.

    Raises:
        ActivityDoesNotExist: there is no such activity.
    """
    name = activity_name(request.activity_arn)
    if await call.find(ACTIVITY, name.key()) is None:
        raise no_activity(name.arn())
    taken = await call.part(ActivityRoom).take(name.arn(), request.worker_name)
    if taken is None:
        return api.GetActivityTaskOutput()
    return api.GetActivityTaskOutput(task_token=taken.token, input=taken.input)


async def _find_task(call: Call, token: str) -> tuple[str, TaskKey]:
    """Return the execution's key and the task that a token is of.

    Raises:
        InvalidToken: it is none of ours.
        TaskTimedOut: the execution is gone.
    """
    key, task, digest = read_token(token)
    execution = await call.part(Engine).find(key)
    if execution is None:
        raise _gone()
    if not is_genuine(execution, task, digest):
        raise api.InvalidToken("Invalid Token: 'Invalid token'")
    return key, task


def _gone() -> api.TaskTimedOut:
    return api.TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
