"""What is handed to an execution: the interpreter's events, and what only the service knows of."""

import msgspec

from forebay.languages.asl import contract as asl
from forebay.services.stepfunctions.execution import task_text
from forebay.store.commands import DeleteTimers

TIMER = "stepfunctions.timer"
"""Timers of waits, retries and timeouts, and events that others owe an execution."""

LEASE = "stepfunctions.task"
"""A timer for each task that a node is calling: due when that node has given no sign of life."""


class Submitted(msgspec.Struct, frozen=True, tag=True):
    """A service has taken a task whose end comes later; `child` is the key of an execution that it waits for."""

    key: asl.TaskKey
    output: str
    child: str | None = None


class Taken(msgspec.Struct, frozen=True, tag=True):
    """A worker has taken an activity's task."""

    key: asl.TaskKey
    worker: str | None = None


class Beaten(msgspec.Struct, frozen=True, tag=True):
    """A task has given a sign of life."""

    key: asl.TaskKey


class Answered(msgspec.Struct, frozen=True, tag=True):
    """A task's output, from whoever has its token or runs it."""

    key: asl.TaskKey
    output: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A task's failure. `is_submit`: its service did not even take it."""

    key: asl.TaskKey
    error: str | None = None
    cause: str | None = None
    is_submit: bool = False


class Redriven(msgspec.Struct, frozen=True, tag=True):
    """RedriveExecution, with its client token."""

    token: str | None = None


Inbound = (
    Submitted
    | Taken
    | Beaten
    | Answered
    | Refused
    | Redriven
    | asl.TimerFired
    | asl.Stopped
    | asl.Proceeded
    | asl.TaskSucceeded
    | asl.TaskFailed
)


class Owed(msgspec.Struct, frozen=True, array_like=True):
    """An event in a timer: for which execution."""

    execution: str
    event: Inbound


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """A task in its lease's timer: what a node needs to call it again."""

    execution: str
    task: asl.StartTask


encode = msgspec.msgpack.Encoder().encode
decode_owed = msgspec.msgpack.Decoder(Owed).decode
decode_lease = msgspec.msgpack.Decoder(Lease).decode


def timer_key(execution: str, key: asl.TaskKey, kind: str) -> str:
    """Return the key of a timer of an execution."""
    return f"{execution}\x1f{task_text(key)}\x1f{kind}"


def lease_key(execution: str, key: asl.TaskKey) -> str:
    """Return the key of a task's lease."""
    return f"{execution}\x1f{task_text(key)}"


def activity_kind(activity_arn: str) -> str:
    """Return the kind of the timers that are an activity's waiting tasks."""
    return f"stepfunctions.activity/{activity_arn}"


def forget_task(execution: str, key: asl.TaskKey, *, has_timeout: bool, resource: str) -> list[DeleteTimers]:
    """Return the commands that delete what waits for a task's end."""
    kind = activity_kind(resource) if ":activity:" in resource else LEASE
    commands = [DeleteTimers(kind, (lease_key(execution, key),))]
    if has_timeout:
        kinds = (asl.TimerKind.TIMEOUT, asl.TimerKind.HEARTBEAT)
        commands.append(DeleteTimers(TIMER, tuple(timer_key(execution, key, kind) for kind in kinds)))
    return commands
