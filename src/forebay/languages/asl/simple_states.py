"""The states that one chain goes through by itself: Pass, Succeed, Fail, Choice, Wait and Task."""

from forebay.languages.asl import texts
from forebay.languages.asl.contract import Frame, Phase, StartTask, TaskKey, TimerKind
from forebay.languages.asl.data_flow import arguments_of, effective_input, leave_with, pass_on
from forebay.languages.asl.document import Document
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.machine import (
    ChoiceBody,
    Expression,
    FailBody,
    PassBody,
    State,
    SucceedBody,
    TaskBody,
    WaitBody,
)
from forebay.languages.asl.run import Run
from forebay.languages.asl.scope import Scope
from forebay.languages.asl.transitions import check_size, leave
from forebay.languages.asl.typed_values import SECONDS_MAX, instant, text, whole_number


def do_pass(run: Run, frame: Frame, state: State, body: PassBody) -> None:
    """Leave with the Result, or with the input."""
    raw, scope = run.input_of(frame), run.scope(frame)
    if state.query_language == "JSONata":
        leave(run, frame, pass_on(state, raw, scope, rule=None, next_state=state.next))
        return
    arguments = arguments_of(state, raw, scope)
    result = arguments if body.result is None else Document.of(body.result.evaluate(scope))
    leave(run, frame, leave_with(state, raw, result, scope))


def do_succeed(run: Run, frame: Frame, state: State, body: SucceedBody) -> None:
    """Leave, and end the chain."""
    del body
    raw, scope = run.input_of(frame), run.scope(frame)
    document = effective_input(state, raw, scope)
    leave(run, frame, pass_on(state, document, scope, rule=None, next_state=None))


def do_fail(run: Run, frame: Frame, state: State, body: FailBody) -> None:
    """Fail the chain with the state's error and cause."""
    del state
    scope = run.scope(frame)
    error = None if body.error is None else text(body.error, scope, "Error")
    cause = None if body.cause is None else text(body.cause, scope, "Cause")
    raise StateFailure(error or "", cause, is_own=False)


def do_choice(run: Run, frame: Frame, state: State, body: ChoiceBody) -> None:
    """Leave by the first rule that applies, or by default."""
    raw, scope = run.input_of(frame), run.scope(frame)
    document = effective_input(state, raw, scope)
    seeing = scope if document is raw else scope.on(document.value)
    rule = next((one for one in body.rules if one.condition.holds(seeing)), None)
    following = rule.next if rule is not None else body.default
    if following is None:
        raise StateFailure(ErrorName.RUNTIME, texts.NO_CHOICE_MATCHED)
    leave(run, frame, pass_on(state, document, scope, rule=rule, next_state=following))


def do_wait(run: Run, frame: Frame, state: State, body: WaitBody) -> None:
    """Wait for the state's time, or leave at once when it has passed."""
    raw, scope = run.input_of(frame), run.scope(frame)
    document = effective_input(state, raw, scope)
    seeing = scope if document is raw else scope.on(document.value)
    seconds = _wait_seconds(run, body, seeing)
    if seconds <= 0:
        finish_wait(run, frame)
        return
    key = run.next_key(frame.id)
    run.change(frame.id, phase=Phase.WAITING)
    run.set_timer(key, TimerKind.WAIT, seconds)


def finish_wait(run: Run, frame: Frame) -> None:
    """Leave a Wait state whose time has come."""
    state = run.definition(frame)
    raw, scope = run.input_of(frame), run.scope(frame)
    leave(run, frame, pass_on(state, effective_input(state, raw, scope), scope, rule=None, next_state=state.next))


def _wait_seconds(run: Run, body: WaitBody, scope: Scope) -> float:
    if body.seconds is not None:
        return whole_number(body.seconds, scope, "Seconds", most=SECONDS_MAX)
    assert body.timestamp is not None
    return instant(body.timestamp, scope, "Timestamp") - run.environment.now


def do_task(run: Run, frame: Frame, state: State, body: TaskBody) -> None:
    """Start the task, with its timers."""
    key = run.next_key(frame.id)
    frame = run.frames[frame.id]
    raw, scope = run.input_of(frame), run.scope(frame)
    arguments = arguments_of(state, raw, scope)
    check_size(run, state, arguments)
    timeout = _limit(body.timeout_seconds, scope, "TimeoutSeconds")
    heartbeat = _limit(body.heartbeat_seconds, scope, "HeartbeatSeconds")
    credentials = None if body.credentials is None else Document.of(body.credentials.evaluate(scope)).text
    task = StartTask(
        key,
        state.name,
        body.resource,
        arguments.text,
        timeout,
        heartbeat,
        credentials,
        entered_event_id=frame.entered_event_id,
        retry_count=sum(frame.retries),
    )
    scheduled = run.environment.scheduled(task)
    run.owe(task)
    run.change(frame.id, phase=Phase.WORKING)
    run.adopt(frame.id, scheduled)
    _set_limits(run, key, timeout, heartbeat)


def _limit(expression: Expression | None, scope: Scope, field: str) -> int | None:
    return None if expression is None else whole_number(expression, scope, field, most=SECONDS_MAX)


def _set_limits(run: Run, key: TaskKey, timeout: int | None, heartbeat: int | None) -> None:
    if timeout is not None:
        run.set_timer(key, TimerKind.TIMEOUT, timeout)
    if heartbeat is not None:
        run.set_timer(key, TimerKind.HEARTBEAT, heartbeat)
