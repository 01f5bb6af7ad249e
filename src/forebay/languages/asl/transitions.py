"""How a chain moves from state to state: entering, leaving with an output, failing into Retry and Catch, ending."""

from collections.abc import Mapping

from forebay.api import stepfunctions as api
from forebay.languages.asl import texts
from forebay.languages.asl.contract import Frame, Phase, TaskKey, TimerKind
from forebay.languages.asl.data_flow import Leaving, caught, error_document, leave_with
from forebay.languages.asl.document import Document, byte_count
from forebay.languages.asl.failures import ErrorName, StateFailure, does_match
from forebay.languages.asl.machine import Catcher, Retrier, State, TaskBody
from forebay.languages.asl.run import ALL_ASSIGNED, WHOLE, Ended, Run

VARIABLES_BYTES_MAX = 10 * 1024 * 1024

_ENTERED: dict[str, api.HistoryEventType] = {
    "Pass": "PassStateEntered",
    "Task": "TaskStateEntered",
    "Choice": "ChoiceStateEntered",
    "Wait": "WaitStateEntered",
    "Succeed": "SucceedStateEntered",
    "Fail": "FailStateEntered",
    "Parallel": "ParallelStateEntered",
    "Map": "MapStateEntered",
}
_EXITED: dict[str, api.HistoryEventType] = {
    "Pass": "PassStateExited",
    "Task": "TaskStateExited",
    "Choice": "ChoiceStateExited",
    "Wait": "WaitStateExited",
    "Succeed": "SucceedStateExited",
    "Parallel": "ParallelStateExited",
    "Map": "MapStateExited",
}


def enter(run: Run, frame: Frame) -> Frame:
    """Record a state's entry; return the frame as it is in the state."""
    state = run.definition(frame)
    details = api.StateEnteredEventDetails(name=state.name, input=frame.input, input_details=WHOLE)
    event_id = run.emit(frame.id, _ENTERED[state.type], state_entered_event_details=details)
    return run.change(
        frame.id,
        phase=Phase.STARTING,
        entered_event_id=event_id,
        entered_at=run.environment.now,
        retries=frame.retries if len(frame.retries) == len(state.retry) else (0,) * len(state.retry),
        fan_out=None,
        error="",
        cause="",
    )


def leave(run: Run, frame: Frame, leaving: Leaving) -> None:
    """Record a state's exit and go on to the next state, or end the chain."""
    state = run.definition(frame)
    check_size(run, state, leaving.output)
    if leaving.assigned:
        _check_variables(run, frame, state, leaving.assigned)
    details = api.StateExitedEventDetails(
        name=state.name,
        output=leaving.output.text,
        output_details=WHOLE,
        assigned_variables=leaving.assigned,
        assigned_variables_details=None if leaving.assigned is None else ALL_ASSIGNED,
    )
    run.emit(frame.id, _EXITED[state.type], state_exited_event_details=details)
    if leaving.assigned:
        run.change(frame.id, variables={**frame.variables, **leaving.assigned})
    if leaving.next is None:
        run.ended.append(Ended(frame.id, output=leaving.output))
        return
    run.give_input(frame.id, leaving.output, state=leaving.next, phase=Phase.READY, fan_out=None, retries=())
    run.ready.append(frame.id)


def complete(run: Run, frame: Frame, result: Document) -> None:
    """Leave a state with the result of its work."""
    leave(run, frame, leave_with(run.definition(frame), run.input_of(frame), result, run.scope(frame)))


def check_size(run: Run, state: State, document: Document) -> None:
    """Refuse a payload that is too large.

    Raises:
        StateFailure: States.DataLimitExceeded.
    """
    if byte_count(document.text) > run.environment.payload_bytes_max:
        name = state.body.resource if isinstance(state.body, TaskBody) else state.name
        raise StateFailure(ErrorName.DATA_LIMIT_EXCEEDED, texts.result_too_large(name), is_own=False)


def _check_variables(run: Run, frame: Frame, state: State, assigned: Mapping[str, str]) -> None:
    """Refuse variables that are too large: 256 KiB in one Assign, 10 MiB in all (quotas). The error is unverified."""
    new = sum(byte_count(text) for text in assigned.values())
    kept = sum(byte_count(text) for name, text in frame.variables.items() if name not in assigned)
    if new > run.environment.payload_bytes_max or new + kept > VARIABLES_BYTES_MAX:
        raise StateFailure(ErrorName.DATA_LIMIT_EXCEEDED, texts.variables_too_large(state.name), is_own=False)


def fail(run: Run, frame_id: int, failure: StateFailure) -> None:
    """Let a state fail: into a retry, into a catcher, or out of its chain."""
    frame = run.frames[frame_id]
    state = run.definition(frame)
    failure = _reported(run, frame, failure)
    run.note("error", failure.error)
    run.note("cause", failure.cause)
    if _retry(run, frame, state, failure):
        return
    caught_by = next((at for at, one in enumerate(state.catch) if does_match(one.errors, failure.error)), None)
    if caught_by is not None:
        catcher = state.catch[caught_by]
        run.note("catchIndex", caught_by)
        try:
            _catch(run, run.frames[frame_id], catcher, failure)
            return
        except StateFailure as second:
            failure = _reported(run, run.frames[frame_id], second)
    run.change(frame_id, phase=Phase.FAILED, error=failure.error, cause=failure.cause or "")
    run.ended.append(Ended(frame_id, failure=failure))


def _reported(run: Run, frame: Frame, failure: StateFailure) -> StateFailure:
    """Put the state's name into a failure's cause, and record the evaluation at fault if there is one."""
    if not failure.is_own or failure.cause is None:
        return failure
    cause = failure.cause
    if run.environment.trace is None:
        # TestState gives the sentence alone.
        cause = texts.in_state(frame.state, frame.entered_event_id, cause)
    if failure.location is not None:
        details = api.EvaluationFailedEventDetails(
            state=frame.state, error=failure.error, cause=cause, location=failure.location
        )
        run.emit(frame.id, "EvaluationFailed", evaluation_failed_event_details=details)
    return StateFailure(failure.error, cause, is_own=False)


def _retry(run: Run, frame: Frame, state: State, failure: StateFailure) -> bool:
    for index, retrier in enumerate(state.retry):
        if not does_match(retrier.errors, failure.error):
            continue
        made = frame.retries[index]
        if made >= retrier.max_attempts:
            return False
        run.drop_below(frame.id)
        retries = (*frame.retries[:index], made + 1, *frame.retries[index + 1 :])
        run.change(frame.id, phase=Phase.RETRYING, retries=retries, fan_out=None)
        delay = _delay(run, retrier, made)
        run.set_timer(TaskKey(frame.id, frame.attempt), TimerKind.RETRY, delay)
        run.note("retryIndex", index)
        run.note("retryBackoffIntervalSeconds", delay)
        return True
    return False


def _delay(run: Run, retrier: Retrier, made: int) -> float:
    try:
        delay = retrier.interval_seconds * retrier.backoff_rate**made
    except OverflowError:
        delay = float("inf")
    # A year, as long as an execution can take, where no maximum is given.
    delay = min(delay, retrier.max_delay_seconds or 31_536_000)
    return run.environment.ids.uniform(0, delay) if retrier.full_jitter else delay


def _catch(run: Run, frame: Frame, catcher: Catcher, failure: StateFailure) -> None:
    run.drop_below(frame.id)
    error = error_document(failure.error, failure.cause)
    leave(run, frame, caught(run.definition(frame), catcher, run.input_of(frame), error, run.scope(frame)))
