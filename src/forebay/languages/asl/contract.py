"""The values that pass between the interpreter of the Amazon States Language and whoever runs executions.

The interpreter is pure. `start` and `advance` (interpreter.py) take an execution's state, one event and an
environment and return a `Step`: the next state, the history events in AWS's words and order, and the effects that the
caller owes. Nothing in here waits, reads a clock or keeps anything alive; a state stored with `encode_state` and read
back on another machine goes on exactly as it would have.

How a caller uses it:

1. `start(machine, input, environment)` after it recorded ExecutionStarted (event 1), then `advance` for every event.
   Commit `step.state`, `step.history` and the effects together; only then act on the effects.
2. `StartTask` is one attempt of a Task state: `Environment.scheduled` gives its first event (TaskScheduled ...), more
   are recorded with `record(...)`; then hand the answer back as `TaskSucceeded` or `TaskFailed` with the event that
   says so (TaskSucceeded, LambdaFunctionFailed ...) in `entries`. The interpreter numbers entries and sets their
   previous ids; give them id 0.
3. `SetTimer` is a timer row; when due, hand `TimerFired(key, kind)` back. Timers of what no longer waits change
   nothing, so cancelling them is a courtesy (`CancelTask` says when), not a need. A heartbeat is a new `SetTimer` by
   the caller.
4. `Proceed` in the effects means the budget ended between two transitions: commit and call `advance(..., Proceeded())`.
5. `Completed`, `Failed`, `Aborted` and `TimedOut` end the execution; the state then only serves `redrive`.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.ids import Ids

# A state's input, output, arguments and the like (Step Functions quotas: 256 KiB).
PAYLOAD_BYTES_MAX = 262_144


class TaskKey(msgspec.Struct, frozen=True, array_like=True):
    """Names one attempt of one state: the frame it runs in, and which start within the execution's frame it is."""

    frame: int
    attempt: int


class TimerKind(StrEnum):
    """What a timer means."""

    WAIT = "wait"
    RETRY = "retry"
    TIMEOUT = "timeout"
    HEARTBEAT = "heartbeat"
    EXECUTION_TIMEOUT = "execution_timeout"


class Phase(StrEnum):
    """What a frame is doing."""

    READY = "ready"  # enters `Frame.state` at the next opportunity
    STARTING = "starting"  # the state is entered; its work starts (again) at the next opportunity
    WAITING = "waiting"  # for its Wait state's timer
    WORKING = "working"  # for its task or map run
    RETRYING = "retrying"  # for a retrier's timer
    CHILDREN = "children"  # for its branches or iterations
    FAILED = "failed"  # the execution ended here; redrive starts again from here
    ABORTED = "aborted"  # the execution ended while this went on


class FanOut(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """The children of a Parallel state or of an inline Map state. JSON texts are kept as texts."""

    # Output of each branch or iteration by its index, None while it is not there.
    outputs: tuple[str | None, ...]
    # The items of a Map state, as the iterations' inputs and as $states.context.Map.Item.Value; empty for Parallel.
    inputs: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    # The keys of the items where they come from an object.
    keys: tuple[str, ...] = ()
    # Branches or iterations started and finished so far, and how many may run at once.
    started: int = 0
    finished: int = 0
    concurrency: int = 0
    # ParallelStateStarted or MapStateStarted.
    started_event_id: int = 0


class Frame(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """One chain of states: the execution itself, a branch, or an iteration."""

    id: int
    # The frame whose Parallel or Map state this belongs to; 0 for the execution itself.
    parent: int
    # Which branch or iteration this is.
    index: int
    state: str
    # The current state's raw input, JSON.
    input: str
    phase: Phase = Phase.READY
    # The event that the next event of this chain names as its previous one.
    last_event_id: int = 0
    entered_event_id: int = 0
    entered_at: float = 0.0
    # Starts of work within this frame so far; makes task keys unique.
    attempt: int = 0
    # Retries made by each retrier of the current state, and all together.
    retries: tuple[int, ...] = ()
    # Variables assigned in this scope, name to JSON.
    variables: Mapping[str, str] = {}
    fan_out: FanOut | None = None
    # What made a frame fail, for redrive and for catchers above.
    error: str = ""
    cause: str = ""


class ExecutionState(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """All that an execution is between two events. Its size depends on what runs now, not on what has run.

    Stored as arrays: new fields of this, of `Frame` and of `FanOut` go to the end and have defaults.
    """

    frames: dict[int, Frame]
    next_event_id: int
    next_frame_id: int
    # Frames that can go on at once, in turn.
    ready: tuple[int, ...] = ()
    status: api.ExecutionStatus = "RUNNING"
    redrives: int = 0


class StartTask(msgspec.Struct, frozen=True, tag=True):
    """Start a Task state's work. `arguments` and `credentials` are JSON; `timeout_seconds` as the state asks for it."""

    key: TaskKey
    state_name: str
    resource: str
    arguments: str
    timeout_seconds: int | None = None
    heartbeat_seconds: int | None = None
    credentials: str | None = None
    # The state's entry (StateEntered), and retries of the state so far.
    entered_event_id: int = 0
    retry_count: int = 0


class StartMapRun(msgspec.Struct, frozen=True, tag=True):
    """Start a distributed map run; its end comes back as `TaskSucceeded` (output: array or writer's answer) or failed.

    The children's machine is `machine.processor_of(state_name)`. `item_inputs` applies the ItemSelector to the items
    read, `batches` the ItemBatcher to what that gave (map_runs.py). All texts are JSON, already evaluated.
    """

    key: TaskKey
    state_name: str
    label: str
    execution_type: api.StateMachineType
    # The items, or None where `reader` has to be read: {"Resource", "ReaderConfig", "Parameters" | "Arguments"}.
    items: str | None
    reader: str | None
    # {"Resource", "WriterConfig", "Parameters" | "Arguments"}.
    writer: str | None
    # {"MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput"}.
    batcher: str | None
    # 0: as many as the service allows.
    max_concurrency: int
    tolerated_failure_count: int | None
    tolerated_failure_percentage: float | None


class CancelTask(msgspec.Struct, frozen=True, tag=True):
    """Nobody waits for this task or map run any more."""

    key: TaskKey


class SetTimer(msgspec.Struct, frozen=True, tag=True):
    """Hand `TimerFired(key, kind)` back at `due_at` (seconds since the epoch)."""

    key: TaskKey
    kind: TimerKind
    due_at: float


class Proceed(msgspec.Struct, frozen=True, tag=True):
    """The budget ended; there is more to do at once."""


class Completed(msgspec.Struct, frozen=True, tag=True):
    """The execution succeeded with this output, JSON."""

    output: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The execution failed."""

    error: str | None
    cause: str | None


class Aborted(msgspec.Struct, frozen=True, tag=True):
    """The execution was stopped."""

    error: str | None
    cause: str | None


class TimedOut(msgspec.Struct, frozen=True, tag=True):
    """The execution took longer than the definition's TimeoutSeconds."""


Effect = StartTask | StartMapRun | CancelTask | SetTimer | Proceed | Completed | Failed | Aborted | TimedOut

# History events by the caller, with id 0; numbered and chained before the interpreter's own.
Entries = tuple[api.HistoryEvent, ...]


class TaskSucceeded(msgspec.Struct, frozen=True, tag=True):
    """A task or map run answered; `output` is JSON."""

    key: TaskKey
    output: str
    entries: Entries = ()


class TaskFailed(msgspec.Struct, frozen=True, tag=True):
    """A task or map run failed, or timed out (`error` States.Timeout or States.HeartbeatTimeout)."""

    key: TaskKey
    error: str
    cause: str | None = None
    entries: Entries = ()


class TimerFired(msgspec.Struct, frozen=True, tag=True):
    """A timer is due. For TIMEOUT and HEARTBEAT of a task, `entries` holds the event that says so (TaskTimedOut)."""

    key: TaskKey
    kind: TimerKind
    entries: Entries = ()


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """StopExecution."""

    error: str | None = None
    cause: str | None = None


class Proceeded(msgspec.Struct, frozen=True, tag=True):
    """Go on after `Proceed`."""


Event = TaskSucceeded | TaskFailed | TimerFired | Stopped | Proceeded


class Step(msgspec.Struct, frozen=True):
    """What an event leads to. An event for what no longer waits gives the same state, no history and no effects."""

    state: ExecutionState
    history: tuple[api.HistoryEvent, ...] = ()
    effects: tuple[Effect, ...] = ()


class ExecutionContext(msgspec.Struct, frozen=True):
    """What the context object ($$ and $states.context) says of the execution. Times are ISO 8601 texts."""

    id: str
    name: str
    input: str
    role_arn: str
    start_time: str
    state_machine_id: str
    state_machine_name: str
    redrive_count: int = 0
    redrive_time: str | None = None
    # Top-level members that replace what would be computed (TestState's own context).
    overrides: Mapping[str, object] = {}


def _nothing_scheduled(task: "StartTask") -> "Entries":
    del task
    return ()


def _no_token(key: TaskKey) -> str:
    return f"{key.frame}.{key.attempt}"


class Environment(msgspec.Struct, frozen=True):
    """What a call of the interpreter may know of the world."""

    now: float
    execution: ExecutionContext
    ids: Ids
    # The task token of an attempt; the same for the same key. Asked only where $$.Task.Token is used.
    token: Callable[[TaskKey], str] = _no_token
    # The events that a task's start leaves in history at once (TaskScheduled ...), right behind its state's entry: AWS
    # schedules a branch's task before it enters the next branch. What follows later is for `record`. A StateFailure
    # says that the task cannot be started with its arguments.
    scheduled: Callable[[StartTask], Entries] = _nothing_scheduled
    # Transitions of one call, so that a loop without waits cannot hold a commit up.
    transitions_max: int = 100
    # Standard executions end at 25,000 events (quota "Maximum execution history size"); None for Express.
    history_events_max: int | None = 25_000
    payload_bytes_max: int = PAYLOAD_BYTES_MAX
    # Filled with a state's data after each stage, for TestState; left None where nobody looks.
    trace: dict[str, object] | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ExecutionState)


def encode_state(state: ExecutionState) -> bytes:
    """Return a state as compact bytes."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> ExecutionState:
    """Read what `encode_state` wrote."""
    return _decoder.decode(data)
