"""Runs state machines: `start` and `advance` turn a state and an event into the next state, history and effects."""

from collections.abc import Callable, Mapping

from forebay.api import stepfunctions as api
from forebay.languages.asl import texts
from forebay.languages.asl.contract import (
    Aborted,
    Completed,
    Environment,
    Event,
    ExecutionState,
    Failed,
    Frame,
    Phase,
    Proceed,
    Proceeded,
    Step,
    Stopped,
    TaskFailed,
    TaskKey,
    TaskSucceeded,
    TimedOut,
    TimerFired,
    TimerKind,
)
from forebay.languages.asl.document import Document
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.fan_out import abort, begin_chain, child_ended, do_map, do_parallel, revive
from forebay.languages.asl.machine import (
    ChoiceBody,
    FailBody,
    Machine,
    MapBody,
    ParallelBody,
    PassBody,
    SucceedBody,
    TaskBody,
    WaitBody,
)
from forebay.languages.asl.run import WHOLE, Ended, HistoryFull, Run
from forebay.languages.asl.simple_states import (
    do_choice,
    do_fail,
    do_pass,
    do_succeed,
    do_task,
    do_wait,
    finish_wait,
)
from forebay.languages.asl.transitions import check_size, complete, enter, fail

# The execution's own frame.
ROOT = 1


def start(
    machine: Machine,
    input_text: str,
    environment: Environment,
    *,
    first_event_id: int = 2,
    variables: Mapping[str, str] | None = None,
) -> Step:
    """Begin an execution with an input, JSON, and run it until it waits.

    `first_event_id` leaves room for what the caller has recorded: ExecutionStarted. AWS's first state names event 0,
    not that one, as its previous event. `variables` (name to JSON) are there from the beginning.
    """
    root = Frame(ROOT, 0, 0, machine.start_at, input_text, variables=variables or {})
    state = ExecutionState({ROOT: root}, first_event_id, ROOT + 1, (ROOT,))
    run = Run(machine, state, environment)
    if machine.timeout_seconds is not None:
        run.set_timer(TaskKey(ROOT, 0), TimerKind.EXECUTION_TIMEOUT, machine.timeout_seconds)
    _within_history(run, lambda: None)
    return run.close()


def advance(machine: Machine, state: ExecutionState, event: Event, environment: Environment) -> Step:
    """Give an execution an event and run it until it waits again."""
    if state.status != "RUNNING":
        return Step(state)
    run = Run(machine, state, environment)
    _within_history(run, lambda: _take(run, event))
    return run.close()


def _within_history(run: Run, begin: Callable[[], None]) -> None:
    """Do the first thing and what follows from it, unless the history has no room for that."""
    try:
        begin()
        _go_on(run)
    except HistoryFull:
        run.effects.clear()
        _end_failed(run, ROOT, StateFailure(ErrorName.RUNTIME, texts.HISTORY_FULL, is_own=False))


def _take(run: Run, event: Event) -> None:
    match event:
        case TaskSucceeded():
            _task_succeeded(run, event)
        case TaskFailed():
            _task_failed(run, event)
        case TimerFired():
            _timer_fired(run, event)
        case Stopped():
            _stop(run, event)
        case Proceeded():
            pass


def record(
    state: ExecutionState, key: TaskKey, entries: tuple[api.HistoryEvent, ...], environment: Environment
) -> Step:
    """Add events of a task that goes on (TaskScheduled, TaskStarted ...) to the history, numbered and chained."""
    if not _is_working(state.frames.get(key.frame), key):
        return Step(state)
    run = Run(_NO_MACHINE, state, environment)
    run.adopt(key.frame, entries)
    return run.close()


def redrive(machine: Machine, state: ExecutionState, environment: Environment) -> Step:
    """Let an execution that did not succeed go on from the states that failed or were aborted.

    What has succeeded is not run again; retries count from zero. Records ExecutionRedriven.
    """
    if state.status in {"RUNNING", "SUCCEEDED"}:
        return Step(state)
    run = Run(machine, state, environment)
    run.redrives += 1
    run.status = "RUNNING"
    details = api.ExecutionRedrivenEventDetails(redrive_count=run.redrives)
    run.emit(ROOT, "ExecutionRedriven", execution_redriven_event_details=details)
    if machine.timeout_seconds is not None:
        run.set_timer(TaskKey(ROOT, run.redrives), TimerKind.EXECUTION_TIMEOUT, machine.timeout_seconds)
    run.ready.clear()
    _within_history(run, lambda: revive(run, run.frames[ROOT]))
    return run.close()


_NO_MACHINE = Machine("", {})


def _is_working(frame: Frame | None, key: TaskKey) -> bool:
    return frame is not None and frame.attempt == key.attempt and frame.phase is Phase.WORKING


def _task_succeeded(run: Run, event: TaskSucceeded) -> None:
    frame = run.frames.get(event.key.frame)
    if frame is None or not _is_working(frame, event.key):
        return
    run.adopt(frame.id, event.entries)
    frame = run.frames[frame.id]
    try:
        result = Document(event.output)
        check_size(run, run.definition(frame), result)
        if isinstance(run.definition(frame).body, MapBody):
            run.emit(frame.id, "MapStateSucceeded")
        complete(run, run.frames[frame.id], result)
    except StateFailure as failure:
        fail(run, frame.id, failure)


def _task_failed(run: Run, event: TaskFailed) -> None:
    frame = run.frames.get(event.key.frame)
    if frame is None or not _is_working(frame, event.key):
        return
    run.adopt(frame.id, event.entries)
    if isinstance(run.definition(frame).body, MapBody):
        run.emit(frame.id, "MapStateFailed")
    fail(run, frame.id, StateFailure(event.error, event.cause, is_own=False))


def _timer_fired(run: Run, event: TimerFired) -> None:
    if event.kind is TimerKind.EXECUTION_TIMEOUT:
        if event.key.attempt == run.redrives:
            _time_out(run)
        return
    frame = run.frames.get(event.key.frame)
    if frame is None or frame.attempt != event.key.attempt:
        return
    match event.kind, frame.phase:
        case TimerKind.WAIT, Phase.WAITING:
            _guarded(run, frame)
        case TimerKind.RETRY, Phase.RETRYING:
            run.change(frame.id, phase=Phase.STARTING)
            run.ready.append(frame.id)
        case ((TimerKind.TIMEOUT | TimerKind.HEARTBEAT), Phase.WORKING):
            run.cancel(frame)
            run.adopt(frame.id, event.entries)
            error = ErrorName.TIMEOUT if event.kind is TimerKind.TIMEOUT else ErrorName.HEARTBEAT_TIMEOUT
            fail(run, frame.id, StateFailure(error, None, is_own=False))
        case _:
            pass


def _guarded(run: Run, frame: Frame) -> None:
    try:
        finish_wait(run, frame)
    except StateFailure as failure:
        fail(run, frame.id, failure)


def _go_on(run: Run) -> None:
    """Run every frame that can, in turn, until all wait, the execution ends or the budget does."""
    left = run.environment.transitions_max
    settle(run)
    while run.ready and run.status == "RUNNING":
        if left == 0:
            run.owe(Proceed())
            return
        frame = run.frames[run.ready.popleft()]
        if not frame.entered_event_id:
            begin_chain(run, frame)
            frame = run.frames[frame.id]
        try:
            work(run, frame if frame.phase is Phase.STARTING else enter(run, frame))
        except StateFailure as failure:
            fail(run, frame.id, failure)
        except RecursionError:
            fail(run, frame.id, StateFailure(ErrorName.RUNTIME, texts.TOO_DEEP))
        left -= 1
        settle(run)


def work(run: Run, frame: Frame) -> None:  # noqa: C901  # a table of the state types
    """Do what the state that a frame is in does.

    Raises:
        StateFailure: the state failed.
    """
    state = run.definition(frame)
    match state.body:
        case PassBody() as body:
            do_pass(run, frame, state, body)
        case TaskBody() as body:
            do_task(run, frame, state, body)
        case ChoiceBody() as body:
            do_choice(run, frame, state, body)
        case WaitBody() as body:
            do_wait(run, frame, state, body)
        case SucceedBody() as body:
            do_succeed(run, frame, state, body)
        case FailBody() as body:
            do_fail(run, frame, state, body)
        case ParallelBody() as body:
            do_parallel(run, frame, state, body)
        case MapBody() as body:
            do_map(run, frame, state, body)


def settle(run: Run) -> None:
    """Tell the chains above of those that ended."""
    while run.ended and run.status == "RUNNING":
        ended = run.ended.pop()
        frame = run.frames[ended.frame_id]
        if frame.parent and not _is_fatal(ended):
            child_ended(run, frame, ended)
        else:
            _end(run, ended)


def _is_fatal(ended: Ended) -> bool:
    """Tell whether a chain's end is the execution's: nothing above it can catch a States.Runtime, nor records it."""
    return ended.failure is not None and ended.failure.error == ErrorName.RUNTIME


def _end(run: Run, ended: Ended) -> None:
    if ended.output is None:
        assert ended.failure is not None
        _end_failed(run, ended.frame_id, ended.failure)
        return
    output = ended.output.text
    details = api.ExecutionSucceededEventDetails(output=output, output_details=WHOLE)
    run.emit(ROOT, "ExecutionSucceeded", execution_succeeded_event_details=details)
    run.status = "SUCCEEDED"
    run.owe(Completed(output))


def _end_failed(run: Run, frame_id: int, failure: StateFailure) -> None:
    error, cause = failure.error or None, failure.cause
    run.emit(
        frame_id,
        "ExecutionFailed",
        execution_failed_event_details=api.ExecutionFailedEventDetails(error=error, cause=cause),
    )
    abort(run, run.frames[ROOT], records=False)
    run.status = "FAILED"
    run.owe(Failed(error, cause))


def _stop(run: Run, event: Stopped) -> None:
    _cut_off(run)
    details = api.ExecutionAbortedEventDetails(error=event.error, cause=event.cause)
    run.emit(ROOT, "ExecutionAborted", execution_aborted_event_details=details)
    run.status = "ABORTED"
    run.owe(Aborted(event.error, event.cause))


def _time_out(run: Run) -> None:
    _cut_off(run)
    details = api.ExecutionTimedOutEventDetails(error=ErrorName.TIMEOUT)
    run.emit(ROOT, "ExecutionTimedOut", execution_timed_out_event_details=details)
    run.status = "TIMED_OUT"
    run.owe(TimedOut())


def _cut_off(run: Run) -> None:
    """End all that goes on. As on AWS, the event that says so follows none."""
    abort(run, run.frames[ROOT], records=False)
    run.change(ROOT, last_event_id=0)
