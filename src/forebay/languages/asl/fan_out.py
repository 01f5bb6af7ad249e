"""The states that run chains below themselves: Parallel and inline Map. A distributed Map starts a map run instead."""

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import FanOut, Frame, Phase
from forebay.languages.asl.data_flow import arguments_of
from forebay.languages.asl.document import Document
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.machine import MapBody, ParallelBody, Processor, State
from forebay.languages.asl.map_items import do_distributed_map, work_items
from forebay.languages.asl.run import Ended, Run
from forebay.languages.asl.transitions import complete, fail
from forebay.languages.asl.typed_values import whole_number

# Inline iterations that run at once where MaxConcurrency sets no limit (quota of inline mode).
INLINE_CONCURRENCY_MAX = 40

_ABORTED: dict[str, api.HistoryEventType] = {
    "Task": "TaskStateAborted",
    "Wait": "WaitStateAborted",
    "Parallel": "ParallelStateAborted",
    "Map": "MapStateAborted",
}


def do_parallel(run: Run, frame: Frame, state: State, body: ParallelBody) -> None:
    """Start every branch with the state's arguments."""
    document = arguments_of(state, run.input_of(frame), run.scope(frame))
    started = run.emit(frame.id, "ParallelStateStarted")
    run.next_key(frame.id)
    count = len(body.branches)
    fan_out = FanOut((None,) * count, started=count, concurrency=count, started_event_id=started)
    frame = run.change(frame.id, phase=Phase.CHILDREN, fan_out=fan_out)
    for index, branch in enumerate(body.branches):
        run.ready.append(run.add_frame(frame, index, branch.start_at, document).id)


def do_map(run: Run, frame: Frame, state: State, body: MapBody) -> None:
    """Start the iterations that may run at once, or the map run."""
    if body.distributed is not None:
        do_distributed_map(run, frame, state, body, body.distributed)
        return
    scope = run.scope(frame)
    concurrency = 0
    if body.max_concurrency is not None:
        concurrency = whole_number(body.max_concurrency, scope, "MaxConcurrency")
        run.note("maxConcurrency", concurrency)
    items = work_items(state, body, run.input_of(frame), scope)
    details = api.MapStateStartedEventDetails(length=len(items.values))
    started = run.emit(frame.id, "MapStateStarted", map_state_started_event_details=details)
    run.next_key(frame.id)
    fan_out = FanOut(
        (None,) * len(items.values),
        inputs=items.inputs,
        values=items.values,
        keys=items.keys,
        concurrency=min(concurrency or INLINE_CONCURRENCY_MAX, INLINE_CONCURRENCY_MAX),
        started_event_id=started,
    )
    run.change(frame.id, phase=Phase.CHILDREN, fan_out=fan_out)
    if not items.values:
        _all_done(run, frame.id)
        return
    for _ in range(min(fan_out.concurrency, len(items.values))):
        _start_iteration(run, frame.id, body.processor)


def _start_iteration(run: Run, frame_id: int, processor: Processor) -> None:
    parent = run.frames[frame_id]
    fan_out = parent.fan_out
    assert fan_out is not None
    index = fan_out.started
    text = (fan_out.inputs or fan_out.values)[index]
    child = run.add_frame(parent, index, processor.start_at, Document(text))
    run.change(child.id, last_event_id=fan_out.started_event_id)
    run.change(frame_id, fan_out=_with(fan_out, started=index + 1))
    run.ready.append(child.id)


def _with(fan_out: FanOut, *, started: int) -> FanOut:
    return FanOut(
        fan_out.outputs,
        fan_out.inputs,
        fan_out.values,
        fan_out.keys,
        started,
        fan_out.finished,
        fan_out.concurrency,
        fan_out.started_event_id,
    )


_ITERATION_DETAILS: dict[str, str] = {
    "MapIterationStarted": "map_iteration_started_event_details",
    "MapIterationSucceeded": "map_iteration_succeeded_event_details",
    "MapIterationFailed": "map_iteration_failed_event_details",
    "MapIterationAborted": "map_iteration_aborted_event_details",
}


def _emit_iteration(run: Run, frame_id: int, type_: api.HistoryEventType) -> None:
    frame = run.frames[frame_id]
    details = api.MapIterationEventDetails(name=run.frames[frame.parent].state, index=frame.index)
    run.emit(frame_id, type_, **{_ITERATION_DETAILS[type_]: details})


def begin_chain(run: Run, frame: Frame) -> None:
    """Record the start of an iteration, right before its first state's entry."""
    if _is_iteration(run, frame):
        _emit_iteration(run, frame.id, "MapIterationStarted")


def _is_iteration(run: Run, frame: Frame) -> bool:
    return bool(frame.parent) and isinstance(run.definition(run.frames[frame.parent]).body, MapBody)


def child_ended(run: Run, child: Frame, ended: Ended) -> None:
    """Take the end of a branch or iteration into account."""
    if ended.output is not None:
        _child_succeeded(run, child, ended.output)
    else:
        assert ended.failure is not None
        _child_failed(run, child, ended.failure)


def _child_succeeded(run: Run, child: Frame, output: Document) -> None:
    if _is_iteration(run, child):
        _emit_iteration(run, child.id, "MapIterationSucceeded")
    parent = run.frames[child.parent]
    fan_out = parent.fan_out
    assert fan_out is not None
    outputs = (*fan_out.outputs[: child.index], output.text, *fan_out.outputs[child.index + 1 :])
    last_event_id = run.frames.pop(child.id).last_event_id
    fan_out = FanOut(
        outputs,
        fan_out.inputs,
        fan_out.values,
        fan_out.keys,
        fan_out.started,
        fan_out.finished + 1,
        fan_out.concurrency,
        fan_out.started_event_id,
    )
    run.change(parent.id, last_event_id=last_event_id, fan_out=fan_out)
    if fan_out.finished == len(outputs):
        _all_done(run, parent.id)
    elif fan_out.started < len(outputs):
        body = run.definition(parent).body
        assert isinstance(body, MapBody)
        _start_iteration(run, parent.id, body.processor)


def _all_done(run: Run, frame_id: int) -> None:
    frame = run.frames[frame_id]
    fan_out = frame.fan_out
    assert fan_out is not None
    is_map = isinstance(run.definition(frame).body, MapBody)
    run.emit(frame_id, "MapStateSucceeded" if is_map else "ParallelStateSucceeded")
    try:
        complete(run, run.frames[frame_id], Document.of([Document(one or "null").value for one in fan_out.outputs]))
    except StateFailure as failure:
        fail(run, frame_id, failure)


def _child_failed(run: Run, child: Frame, failure: StateFailure) -> None:
    parent = run.frames[child.parent]
    is_map = isinstance(run.definition(parent).body, MapBody)
    if is_map:
        _emit_iteration(run, child.id, "MapIterationFailed")
    last_event_id = run.frames[child.id].last_event_id
    for sibling in run.children_of(parent.id):
        if sibling.id != child.id:
            abort(run, sibling)
    run.change(parent.id, last_event_id=last_event_id)
    run.emit(parent.id, "MapStateFailed" if is_map else "ParallelStateFailed")
    fail(run, parent.id, failure)


def abort(run: Run, frame: Frame, *, records: bool = True) -> None:
    """End what a frame and those below it do; what they wait for is cancelled.

    Where the whole execution ends, AWS records nothing of that.
    """
    if frame.phase in {Phase.ABORTED, Phase.FAILED}:
        return
    for child in run.children_of(frame.id):
        abort(run, child, records=records)
    run.cancel(frame)
    if frame.id in run.ready:
        run.ready.remove(frame.id)
    state = run.definition(frame)
    if frame.phase is not Phase.READY:
        run.change(frame.id, phase=Phase.ABORTED)
        if records and state.type in _ABORTED:
            run.emit(frame.id, _ABORTED[state.type])
    if records and frame.entered_event_id and _is_iteration(run, frame):
        _emit_iteration(run, frame.id, "MapIterationAborted")


def revive(run: Run, frame: Frame) -> None:
    """Let a frame go on from where its execution ended: its children, or its own state anew."""
    children = run.children_of(frame.id)
    if frame.fan_out is not None and children:
        run.change(frame.id, phase=Phase.CHILDREN, error="", cause="", retries=(0,) * len(frame.retries))
        for child in children:
            revive(run, child)
        return
    if frame.phase is not Phase.READY:
        zero = (0,) * len(frame.retries)
        run.change(frame.id, phase=Phase.STARTING, error="", cause="", retries=zero, fan_out=None)
    run.ready.append(frame.id)
