"""Operations on message move tasks: start, cancel, list. The moving itself is the `mover`'s."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.sqs import limits
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.errors import invalid_parameter, invalid_value, missing_parameter
from forebay.services.sqs.move_task import MOVE_TASK, TIMER, MoveTask, format_task_handle, parse_task_handle
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.store.commands import Command, CountMessages, PutTimers, Timer
from forebay.store.records import Records, key_prefix


@operation
def start_message_move_task(call: Call, request: api.StartMessageMoveTaskRequest) -> api.StartMessageMoveTaskResult:
    """Begin to move a dead-letter queue's messages, to one queue or back to where each came from.

    Raises:
        ResourceNotFoundException: a queue is not there.
        InvalidParameterValue: the source is nobody's dead-letter queue, it has an active task, or the rate is out of
            range.
    """
    source = _load(call, request.source_arn, "SourceArn")
    if request.destination_arn:
        destination = _load(call, request.destination_arn, "DestinationArn")
        _check_pair(source, destination)
    rate = request.max_number_of_messages_per_second
    if rate is not None and not 1 <= rate <= limits.MOVED_PER_SECOND_MAX:
        reason = f"The value must be between 1 and {limits.MOVED_PER_SECOND_MAX}."
        raise invalid_value(rate, "MaxNumberOfMessagesPerSecond", reason)
    if not _is_dead_letter_queue(call, source):
        raise invalid_parameter("Source queue must be configured as a Dead Letter Queue.")
    counts = call.apply(CountMessages(source.number, call.now_ms))
    task = MoveTask(
        number=call.records.next_number("sqs.move_task"),
        task_id=call.ids.uuid(),
        source=source.arn(),
        destination=request.destination_arn or None,
        per_second=rate,
        started_at_ms=call.now_ms,
        to_move=counts.visible,
    )
    begin_task(call.records, call.apply, task)
    return api.StartMessageMoveTaskResult(task_handle=format_task_handle(task))


@operation
def cancel_message_move_task(call: Call, request: api.CancelMessageMoveTaskRequest) -> api.CancelMessageMoveTaskResult:
    """Stop a task that is running; what it has moved stays moved.

    Raises:
        ResourceNotFoundException: there is no such task, or its queue is gone.
        InvalidParameterValue: the task is not running.
    """
    if not request.task_handle:
        raise missing_parameter("TaskHandle")
    source, task_id = parse_task_handle(request.task_handle)
    if call.reader.find(QUEUE, arn_key(source)) is None:
        raise _not_found("SourceArn")
    tasks = [task for task in _tasks(call, source) if task.task_id == task_id]
    if not tasks:
        raise api.ResourceNotFoundException("Task does not exist.")
    (task,) = tasks
    if task.status != "RUNNING":
        raise invalid_parameter("Only active tasks can be cancelled.")
    call.records.put(MOVE_TASK, task.key(), msgspec.structs.replace(task, status="CANCELLING"))
    call.apply(PutTimers((Timer(TIMER, task.key(), call.now_ms, b""),)))
    return api.CancelMessageMoveTaskResult(approximate_number_of_messages_moved=task.moved)


@operation(readonly=True)
def list_message_move_tasks(call: Call, request: api.ListMessageMoveTasksRequest) -> api.ListMessageMoveTasksResult:
    """List a queue's most recent tasks, the newest first."""
    source = _load(call, request.source_arn, "SourceArn")
    wanted = 1 if request.max_results is None else request.max_results
    if not 1 <= wanted <= limits.MOVE_TASKS_MAX:
        reason = f"The value must be between 1 and {limits.MOVE_TASKS_MAX}."
        raise invalid_value(wanted, "MaxResults", reason)
    tasks = list(_tasks(call, Arn.parse(source.arn())))[::-1]
    return api.ListMessageMoveTasksResult(results=[_shown(task) for task in tasks[:wanted]])


def begin_task(records: Records, apply: Callable[[Command[Any]], Any], task: MoveTask) -> None:
    """Keep a new task, forget the source's oldest, and have the first step done at once.

    Raises:
        InvalidParameterValue: another task of the same source is active.
    """
    arn = Arn.parse(task.source)
    prefix = key_prefix(arn.account, arn.region, arn.resource)
    known = records.list(MOVE_TASK, prefix)
    if any(other.is_active for _, other in known):
        raise invalid_parameter(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
        )
    for key, _ in known[: len(known) + 1 - limits.MOVE_TASKS_MAX]:
        records.delete(MOVE_TASK, key)
    records.put(MOVE_TASK, task.key(), task)
    apply(PutTimers((Timer(TIMER, task.key(), task.started_at_ms, b""),)))


def _load(call: Call, text: str | None, parameter: str) -> Queue:
    if not text:
        raise missing_parameter(parameter)
    try:
        arn = Arn.parse(text)
    except ValueError:
        arn = None
    if arn is None or arn.service != "sqs":
        raise invalid_parameter(
            f"You must use this format to specify the {parameter}: arn:<partition>:<service>:<region>:<account-id>:"
            "<resource-id>"
        )
    queue = call.reader.find(QUEUE, arn_key(arn))
    if queue is None:
        raise _not_found(parameter)
    return queue


def _not_found(parameter: str) -> ServiceError:
    return api.ResourceNotFoundException(
        f"The resource that you specified for the {parameter} parameter doesn't exist."
    )


def _check_pair(source: Queue, destination: Queue) -> None:
    if source.number == destination.number:
        raise invalid_parameter("Source queue arn and destination queue arn cannot be the same.")
    if source.is_fifo != destination.is_fifo:
        raise invalid_parameter("Source queue and destination queue must be of the same type.")


def _is_dead_letter_queue(call: Call, queue: Queue) -> bool:
    arn = queue.arn()
    queues = call.reader.list(QUEUE, key_prefix(queue.account, queue.region))
    return any(other.redrive is not None and other.redrive.target == arn for _, other in queues)


def _tasks(call: Call, source: Arn) -> Sequence[MoveTask]:
    found = call.reader.list(MOVE_TASK, key_prefix(source.account, source.region, source.resource))
    return [task for _, task in found]


def _shown(task: MoveTask) -> api.ListMessageMoveTasksResultEntry:
    return api.ListMessageMoveTasksResultEntry(
        # Only a running task can be cancelled, so only that shows its handle.
        task_handle=format_task_handle(task) if task.status == "RUNNING" else None,
        status=task.status,
        source_arn=task.source,
        destination_arn=task.destination,
        max_number_of_messages_per_second=task.per_second,
        approximate_number_of_messages_moved=task.moved,
        approximate_number_of_messages_to_move=task.to_move,
        failure_reason=task.failure,
        started_timestamp=task.started_at_ms,
    )
