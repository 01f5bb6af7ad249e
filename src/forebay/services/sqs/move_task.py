"""A message move task as it is kept: which dead-letter queue it empties, into what, how fast, and how far it has come.

Source: the API reference of StartMessageMoveTask, ListMessageMoveTasks and ListMessageMoveTasksResultEntry.
"""

import base64
import binascii

import msgspec

from forebay.core.arn import Arn
from forebay.services.sqs.errors import invalid_parameter
from forebay.store.records import Kind, record_key

TIMER = "sqs.move"
"""The kind of timer that has a task's next step done; its key is the task's."""


class MoveTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task. `number` orders all tasks by their start; without `destination` messages go where they came from.

    `status` is AWS's word; `to_move` is what was visible when the task began, and the task ends when that many messages
    were moved, so that what comes back meanwhile is not moved without end.
    """

    number: int
    task_id: str
    source: str
    started_at_ms: int
    to_move: int
    destination: str | None = None
    per_second: int | None = None
    status: str = "RUNNING"
    moved: int = 0
    failure: str | None = None
    # Of Forebay's own moves: only messages whose body contains this, looked for from a position on.
    contains: str | None = None
    after: int = 0

    @property
    def is_active(self) -> bool:
        """Whether the task still has something to do."""
        return self.status in {"RUNNING", "CANCELLING"}

    def key(self) -> str:
        """Return the key of the task's record; a source's tasks lie together, oldest first."""
        arn = Arn.parse(self.source)
        return record_key(arn.account, arn.region, arn.resource, f"{self.number:020}")


MOVE_TASK = Kind("sqs.move_task", MoveTask)


class _Handle(msgspec.Struct, frozen=True):
    # Members in AWS's spelling.
    taskId: str  # noqa: N815
    sourceArn: str  # noqa: N815


def format_task_handle(task: MoveTask) -> str:
    """Return the handle by which a task is cancelled."""
    return base64.b64encode(msgspec.json.encode(_Handle(task.task_id, task.source))).decode()


def parse_task_handle(handle: str) -> tuple[Arn, str]:
    """Return the source and the id of the task that a handle is of.

    Raises:
        InvalidParameterValue: it is no handle.
    """
    try:
        data = base64.b64decode(handle, validate=True)
        parsed = msgspec.json.decode(data, type=_Handle)
        return Arn.parse(parsed.sourceArn), parsed.taskId
    except (binascii.Error, msgspec.DecodeError, RecursionError, ValueError):
        raise invalid_parameter(f"Value {handle} for parameter TaskHandle is invalid.") from None
