"""An execution as it is kept: what it was started with and how it ended, and between, what it is doing.

Two rows hold it. `Execution` is written when it starts, ends and is redriven; `Progress` at every transition, so that
a transition does not write the input again.
"""

import base64
import binascii
import hashlib

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import ExecutionState, TaskKey
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.address import ExecutionName, MachineName, MapRunName

SUCCESS: api.ExecutionStatus = "SUCCEEDED"


class Parent(msgspec.Struct, frozen=True, array_like=True):
    """Who waits for an execution's end: a task of another execution, or a map run."""

    execution: str | None = None
    frame: int = 0
    attempt: int = 0
    # `.sync` and `.sync:2` differ in what the task's output says of the execution's input and output.
    pattern: str = ""
    map_run: MapRunName | None = None
    index: int = 0


class Execution(msgspec.Struct, frozen=True, array_like=True):
    """An execution. `secret` makes its task tokens unguessable; `order` tells those of one millisecond apart."""

    name: ExecutionName
    machine: MachineName
    revision_id: str
    type: api.StateMachineType
    started_at: float
    input: str
    secret: bytes
    version: int | None = None
    alias: str | None = None
    trace_header: str | None = None
    status: api.ExecutionStatus = "RUNNING"
    stopped_at: float | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    redrive_count: int = 0
    redriven_at: float | None = None
    redrive_token: str | None = None
    # Events of its history when it last ended.
    events: int = 0
    parent: Parent | None = None
    map_run: str | None = None
    item_count: int | None = None
    # The state whose item processor a child of a map run runs.
    processor: str | None = None

    @property
    def key(self) -> str:
        """The key of its rows, timers and history."""
        return self.name.key()

    @property
    def stream(self) -> str:
        """The log stream of its history."""
        return f"states/{self.key}"

    def version_arn(self) -> str | None:
        """Return the ARN of the version that it runs, if it was started by one or an alias."""
        return None if self.version is None else self.machine.base().qualified(str(self.version)).arn()

    def alias_arn(self) -> str | None:
        """Return the ARN of the alias that it was started by."""
        return None if self.alias is None else self.machine.base().qualified(self.alias).arn()

    def listed_at(self) -> float:
        """Return the time that lists sort it by: of its end, or while it runs of its start or redrive."""
        if self.stopped_at is not None:
            return self.stopped_at
        return self.started_at if self.redriven_at is None else self.redriven_at


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A task that has been started and has not ended. `is_called`: what remains is for others to answer."""

    resource: str
    state_name: str
    is_called: bool = False
    has_timeout: bool = False
    heartbeat_seconds: int | None = None
    # Until when a sign of life is good; a timer that is due before that has been overtaken.
    heartbeat_due: float = 0.0
    # What is to be stopped with it: an execution, by its key, or a map run.
    child: str | None = None
    map_run: MapRunName | None = None


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """What an execution is doing."""

    state: ExecutionState
    tasks: dict[str, Pending]
    # The last map run of each frame, for redrives.
    map_runs: dict[int, MapRunName] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode_execution = msgspec.msgpack.Decoder(Execution).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode
_TOKEN_DIGEST_BYTES = 16
_VERSION_BYTES = 8


def encode_execution(execution: Execution) -> bytes:
    """Return an execution as bytes."""
    return _encode(execution)


def decode_execution(data: bytes) -> Execution:
    """Read what `encode_execution` wrote."""
    return _decode_execution(data)


def encode_progress(progress: Progress, version: int) -> bytes:
    """Return progress as bytes, which begin with the number of its change: whoever writes next must know it."""
    return version.to_bytes(_VERSION_BYTES) + _encode(progress)


def decode_progress(data: bytes) -> tuple[Progress, int]:
    """Return progress and the number of its change."""
    return _decode_progress(memoryview(data)[_VERSION_BYTES:]), version_of(data)


def version_of(data: bytes) -> int:
    """Return the number of the change that made these bytes."""
    return int.from_bytes(data[:_VERSION_BYTES])


def task_text(key: TaskKey) -> str:
    """Return the name of a task within its execution."""
    return f"{key.frame}.{key.attempt}"


class _Token(msgspec.Struct, frozen=True, array_like=True):
    execution: str
    frame: int
    attempt: int
    digest: bytes


_decode_token = msgspec.msgpack.Decoder(_Token).decode


def task_token(execution: Execution, key: TaskKey) -> str:
    """Return the token by which others answer a task; the same for the same task."""
    token = _Token(execution.key, key.frame, key.attempt, _digest(execution.secret, key))
    return base64.b64encode(_encode(token)).decode()


def read_token(token: str) -> tuple[str, TaskKey, bytes]:
    """Return the execution's key, the task and the proof that a token holds.

    Raises:
        InvalidToken: it is none of ours.
    """
    try:
        read = _decode_token(base64.b64decode(token.encode("ascii"), validate=True))
    except (binascii.Error, UnicodeError, msgspec.MsgspecError):
        raise api.InvalidToken("Invalid Token: 'Invalid token'") from None
    return read.execution, TaskKey(read.frame, read.attempt), read.digest


def is_genuine(execution: Execution, key: TaskKey, digest: bytes) -> bool:
    """Tell whether a token's proof is this execution's."""
    return digest == _digest(execution.secret, key)


def redrive_refusal(  # noqa: PLR0911 - one return for each of AWS's reasons
    execution: Execution, events: int, now: float, *, is_deleting: bool
) -> str | None:
    """Return why an execution cannot be redriven, or None where it can (DescribeExecution, `redriveStatusReason`)."""
    if is_deleting:
        return "State machine is in DELETING status."
    if execution.status == "RUNNING" or execution.stopped_at is None:
        return "Execution is RUNNING and cannot be redriven"
    if execution.status == "SUCCEEDED":
        return "Execution is SUCCEEDED and cannot be redriven"
    if events >= limits.HISTORY_EVENTS_MAX - 1:
        return "Execution history event limit exceeded"
    if now - execution.started_at >= limits.EXECUTION_SECONDS_MAX:
        return "Execution has exceeded the max execution time"
    if now - execution.stopped_at >= limits.REDRIVABLE_SECONDS:
        return "Execution redrivable period exceeded"
    return None


def _digest(secret: bytes, key: TaskKey) -> bytes:
    text = secret + task_text(key).encode()
    return hashlib.sha256(text).digest()[:_TOKEN_DIGEST_BYTES]
