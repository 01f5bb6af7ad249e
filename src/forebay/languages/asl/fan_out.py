"""The states that run chains below themselves: Parallel and Map."""

from forebay.api import stepfunctions as api
from forebay.languages.asl.contract import FanOut, Frame, Phase
from forebay.languages.asl.data_flow import arguments_of
from forebay.languages.asl.document import Document, decode
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.machine import MapBody, ParallelBody, State
from forebay.languages.asl.run import Ended, Run
from forebay.languages.asl.transitions import complete, fail

_ABORTED: dict[str, api.HistoryEventType] = {
    "Task": "TaskStateAborted",
    "Wait": "WaitStateAborted",
    "Parallel": "ParallelStateAborted",
    "Map": "MapStateAborted",
}


def do_parallel(run: Run, frame: Frame, state: State, body: ParallelBody) -> None:
    """Start every branch with the state's effective input."""
    document = arguments_of(state, run.input_of(frame), run.scope(frame))
    run.emit(frame.id, "ParallelStateStarted")
    run.next_key(frame.id)
    frame = run.change(
        frame.id,
        phase=Phase.CHILDREN,
        fan_out=FanOut((None,) * len(body.branches), started=len(body.branches), concurrency=len(body.branches)),
    )
    for index, branch in enumerate(body.branches):
        run.ready.append(run.add_frame(frame, index, branch.start_at, document).id)


def do_map(run: Run, frame: Frame, state: State, body: MapBody) -> None:
    """Start the iterations that may run at once."""
    raise NotImplementedError


def child_ended(run: Run, child: Frame, ended: Ended) -> None:
    """Take the end of a branch or iteration into account."""
    parent = run.frames[child.parent]
    if ended.output is not None:
        _child_succeeded(run, parent, child, ended.output)
    else:
        assert ended.failure is not None
        _child_failed(run, parent, child, ended.failure)


def _child_succeeded(run: Run, parent: Frame, child: Frame, output: Document) -> None:
    fan_out = parent.fan_out
    assert fan_out is not None
    outputs = (*fan_out.outputs[: child.index], output.text, *fan_out.outputs[child.index + 1 :])
    del run.frames[child.id]
    parent = run.change(
        parent.id,
        last_event_id=child.last_event_id,
        fan_out=FanOut(outputs, started=fan_out.started, finished=fan_out.finished + 1),
    )
    if fan_out.finished + 1 < len(outputs):
        return
    run.emit(parent.id, "ParallelStateSucceeded")
    try:
        complete(run, run.frames[parent.id], Document.of([decode(one or "null") for one in outputs]))
    except StateFailure as failure:
        fail(run, parent.id, failure)


def _child_failed(run: Run, parent: Frame, child: Frame, failure: StateFailure) -> None:
    for sibling in run.children_of(parent.id):
        if sibling.id != child.id:
            abort_below(run, sibling)
    run.change(parent.id, last_event_id=child.last_event_id)
    run.emit(parent.id, "ParallelStateFailed")
    fail(run, parent.id, failure)


def abort_below(run: Run, frame: Frame) -> None:
    """End what a frame and those below it do; what they wait for is cancelled."""
    for child in run.children_of(frame.id):
        abort_below(run, child)
    frame = run.frames[frame.id]
    run.cancel(frame)
    state = run.definition(frame)
    if frame.phase not in (Phase.READY, Phase.ABORTED, Phase.FAILED) and state.type in _ABORTED:
        run.emit(frame.id, _ABORTED[state.type])
    if frame.id in run.ready:
        run.ready.remove(frame.id)
    run.change(frame.id, phase=Phase.ABORTED)
