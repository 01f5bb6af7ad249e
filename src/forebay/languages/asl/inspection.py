"""Runs one state by itself and says what became of its data at each stage, for TestState.

The state runs in the interpreter that runs executions, so a test shows what an execution would do. A Task that was
given no result is reported as pending with its `StartTask`; the caller does the work and inspects again with the
answer.
"""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from forebay.languages.asl.contract import (
    Environment,
    ExecutionState,
    Frame,
    Phase,
    SetTimer,
    StartMapRun,
    StartTask,
    Step,
    TimerKind,
)
from forebay.languages.asl.document import Document, encode
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.interpreter import ROOT, settle, work
from forebay.languages.asl.machine import Machine
from forebay.languages.asl.run import Run
from forebay.languages.asl.simple_states import finish_wait
from forebay.languages.asl.transitions import check_size, complete, enter, fail

Status = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a state's work is taken to give: a result, JSON, or an error."""

    result: str | None = None
    error: str = ""
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a state did. `stages` holds the data after each stage under TestState's names, as JSON."""

    status: Status | None
    stages: dict[str, str]
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    next_state: str | None = None
    variables: dict[str, str] | None = None
    catch_index: int | None = None
    retry_index: int | None = None
    retry_backoff_seconds: float | None = None
    # The work that waits to be done, where no answer was given.
    pending: StartTask | StartMapRun | None = None


_STAGES = (
    "afterInputPath",
    "afterParameters",
    "afterArguments",
    "result",
    "afterResultSelector",
    "afterResultPath",
    "afterItemsPath",
    "afterItemSelector",
    "maxConcurrency",
)


@dataclass(frozen=True, slots=True)
class Given:
    """What a state starts with: its input, JSON, variables (name to JSON), retries made by each retrier."""

    input: str
    variables: dict[str, str]
    retries: tuple[int, ...] = ()


def inspect_state(
    machine: Machine, state_name: str, given: Given, environment: Environment, *, answer: Answer | None = None
) -> Inspection:
    """Run a state once."""
    trace: dict[str, object] = {}
    environment = msgspec.structs.replace(environment, trace=trace)
    machine = replace(machine, start_at=state_name)
    root = Frame(ROOT, 0, 0, state_name, given.input, variables=given.variables, retries=given.retries)
    run = Run(machine, ExecutionState({ROOT: root}, 2, ROOT + 1), environment)
    frame = enter(run, root)
    try:
        work(run, frame)
        if run.frames[ROOT].phase is Phase.WAITING:
            # Nobody waits in a test.
            run.effects.clear()
            finish_wait(run, run.frames[ROOT])
        if answer is not None and run.frames[ROOT].phase in {Phase.WORKING, Phase.CHILDREN}:
            _answer(run, answer)
    except StateFailure as failure:
        fail(run, ROOT, failure)
    settle(run)
    return _told(run.close(), trace)


def _answer(run: Run, answer: Answer) -> None:
    run.drop_below(ROOT)
    run.effects.clear()
    frame = run.frames[ROOT]
    if answer.result is None:
        raise StateFailure(answer.error, answer.cause, is_own=False)
    result = Document(answer.result)
    check_size(run, run.definition(frame), result)
    complete(run, frame, result)


def _told(step: Step, trace: dict[str, object]) -> Inspection:
    frame = step.state.frames[ROOT]
    told = Inspection(
        status=None,
        stages={name: encode(trace[name]) for name in _STAGES if name in trace},
        variables=dict(frame.variables),
        error=_known(trace, "error"),
        cause=_known(trace, "cause"),
    )
    for effect in step.effects:
        if isinstance(effect, StartTask | StartMapRun):
            return replace(told, pending=effect)
        if isinstance(effect, SetTimer) and effect.kind is TimerKind.RETRY:
            index, delay = trace["retryIndex"], trace["retryBackoffIntervalSeconds"]
            assert isinstance(index, int)
            assert isinstance(delay, int | float)
            return replace(told, status="RETRIABLE", retry_index=index, retry_backoff_seconds=delay)
    match step.state.status, frame.phase:
        case "SUCCEEDED", _:
            return replace(told, status="SUCCEEDED", output=_last_output(step))
        case "FAILED", _:
            return replace(told, status="FAILED")
        case _, Phase.READY:
            index = trace.get("catchIndex")
            assert index is None or isinstance(index, int)
            status: Status = "SUCCEEDED" if index is None else "CAUGHT_ERROR"
            return replace(told, status=status, output=frame.input, next_state=frame.state, catch_index=index)
        case _:
            # A Parallel or Map state without an answer: its children have only begun.
            return told


def _known(trace: dict[str, object], name: str) -> str | None:
    value = trace.get(name)
    return value if isinstance(value, str) and value else None


def _last_output(step: Step) -> str | None:
    details = step.history[-1].execution_succeeded_event_details
    return None if details is None else details.output
