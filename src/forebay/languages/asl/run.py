"""The working set of one call of the interpreter: frames, history and effects as they change.

`Run` is the only thing in the interpreter that changes, and it lives for one call: `start` and `advance` open it on a
state and close it into a `Step`.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.timestamps import format_iso8601
from forebay.languages.asl.contract import (
    CancelTask,
    Effect,
    Environment,
    ExecutionState,
    FanOut,
    Frame,
    Phase,
    SetTimer,
    StartMapRun,
    StartTask,
    Step,
    TaskKey,
    TimerKind,
)
from forebay.languages.asl.document import Document, decode
from forebay.languages.asl.failures import StateFailure
from forebay.languages.asl.machine import Machine, MapBody, State, TaskBody
from forebay.languages.asl.scope import Scope

WHOLE = api.HistoryEventExecutionDataDetails(truncated=False)
ALL_ASSIGNED = api.AssignedVariablesDetails(truncated=False)
# What a resource says when its task gets a token.
WITH_TOKEN = (".waitForTaskToken", ":activity:")


@dataclass(frozen=True, slots=True)
class Ended:
    """A chain of states came to its end: with an output, or failed."""

    frame_id: int
    output: Document | None = None
    failure: StateFailure | None = None


# Seen in AWS's histories: ParallelStateSucceeded 20 and ParallelStateExited 21 both follow 19, and the others alike.
# That waits behave like tasks is unverified.
_BESIDES = (
    "ParallelStateSucceeded",
    "MapStateSucceeded",
    "MapRunSucceeded",
    "MapIterationFailed",
    "TaskStateAborted",
    "WaitStateAborted",
)


class HistoryFull(Exception):
    """There is room for one more event only, which says so."""


class Variables(Mapping[str, object]):
    """Variables by their names, from their JSON; those that nobody asks for stay texts."""

    __slots__ = ("_texts", "_values")

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._values: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        if name not in self._values:
            self._values[name] = decode(self._texts[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


class Run:
    """One call's view of an execution."""

    def __init__(self, machine: Machine, state: ExecutionState, environment: Environment) -> None:
        self.machine = machine
        self.environment = environment
        self.frames = dict(state.frames)
        self.history: list[api.HistoryEvent] = []
        self.effects: list[Effect] = []
        self.ready = deque(state.ready)
        self.ended: list[Ended] = []
        self.status: api.ExecutionStatus = state.status
        self.redrives = state.redrives
        self.next_event_id = state.next_event_id
        self.next_frame_id = state.next_frame_id
        self._documents: dict[int, Document] = {}
        self._context: dict[str, object] | None = None

    def close(self) -> Step:
        """Return what the call led to."""
        state = ExecutionState(
            self.frames, self.next_event_id, self.next_frame_id, tuple(self.ready), self.status, self.redrives
        )
        return Step(state, tuple(self.history), tuple(self.effects))

    def definition(self, frame: Frame) -> State:
        """Return the state that a frame is in."""
        return self.machine.states[frame.state]

    def change(self, frame_id: int, **changes: object) -> Frame:
        """Replace members of a frame; return it as it is now."""
        frame = self.frames[frame_id] = msgspec.structs.replace(self.frames[frame_id], **changes)
        return frame

    def emit(self, frame_id: int, type_: api.HistoryEventType, **details: object) -> int:
        """Record the next event of a frame's chain; return its id.

        Raises:
            HistoryFull: no event but the execution's last one has room.
        """
        frame = self.frames[frame_id]
        event_id = self.next_event_id
        most = self.environment.history_events_max
        if most is not None and event_id >= most and not type_.startswith("Execution"):
            raise HistoryFull
        self.next_event_id = event_id + 1
        self.history.append(
            api.HistoryEvent(
                timestamp=self.environment.now,
                type=type_,
                id=event_id,
                previous_event_id=frame.last_event_id,
                **details,  # pyright: ignore[reportArgumentType]  # AWS's details by their names
            )
        )
        # AWS gives the event after one of these the previous event that this one has.
        if type_ not in _BESIDES:
            self.frames[frame_id] = msgspec.structs.replace(frame, last_event_id=event_id)
        return event_id

    def adopt(self, frame_id: int, entries: tuple[api.HistoryEvent, ...]) -> None:
        """Record events that the caller made."""
        for entry in entries:
            last = self.frames[frame_id].last_event_id
            self.history.append(
                msgspec.structs.replace(
                    entry, id=self.next_event_id, previous_event_id=last, timestamp=self.environment.now
                )
            )
            if entry.type not in _BESIDES:
                self.change(frame_id, last_event_id=self.next_event_id)
            self.next_event_id += 1

    def input_of(self, frame: Frame) -> Document:
        """Return the raw input of a frame's state."""
        document = self._documents.get(frame.id)
        if document is None or document.text is not frame.input:
            document = self._documents[frame.id] = Document(frame.input)
        return document

    def give_input(self, frame_id: int, document: Document, **changes: object) -> Frame:
        """Make a document the raw input of a frame's next state."""
        self._documents[frame_id] = document
        return self.change(frame_id, input=document.text, **changes)

    def next_key(self, frame_id: int) -> TaskKey:
        """Begin another attempt in a frame; return its key."""
        frame = self.change(frame_id, attempt=self.frames[frame_id].attempt + 1)
        return TaskKey(frame_id, frame.attempt)

    def note(self, stage: str, value: object) -> None:
        """Keep something for TestState, where it looks on."""
        if self.environment.trace is not None:
            self.environment.trace[stage] = value

    def owe(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def set_timer(self, key: TaskKey, kind: TimerKind, seconds: float) -> None:
        """Ask for a timer from now."""
        self.owe(SetTimer(key, kind, self.environment.now + seconds))

    def cancel(self, frame: Frame) -> None:
        """Tell the caller that a frame's work is not waited for, if it has any."""
        if frame.phase is not Phase.WORKING:
            return
        key = TaskKey(frame.id, frame.attempt)
        started = [one for one in self.effects if isinstance(one, StartTask | StartMapRun) and one.key == key]
        if started:
            # Not even begun: the effects leave together.
            self.effects = [one for one in self.effects if getattr(one, "key", None) != key]
        else:
            self.owe(CancelTask(key))

    def add_frame(self, parent: Frame, index: int, state: str, document: Document) -> Frame:
        """Open a branch's or iteration's frame."""
        frame = Frame(self.next_frame_id, parent.id, index, state, document.text, last_event_id=parent.last_event_id)
        self.next_frame_id += 1
        self.frames[frame.id] = frame
        self._documents[frame.id] = document
        return frame

    def children_of(self, frame_id: int) -> list[Frame]:
        """Return the frames right below a frame, oldest first."""
        return [frame for frame in self.frames.values() if frame.parent == frame_id]

    def drop_below(self, frame_id: int) -> None:
        """Forget all frames below a frame."""
        for child in self.children_of(frame_id):
            self.drop_below(child.id)
            del self.frames[child.id]
            if child.id in self.ready:
                self.ready.remove(child.id)

    def scope(self, frame: Frame, document: Document | None = None) -> Scope:
        """Return what the fields of a frame's state can see."""
        raw = self.input_of(frame)
        states = {"input": raw.value} if self.definition(frame).query_language == "JSONata" else None
        return Scope(
            (document or raw).value,
            lambda: self.context_of(frame),
            lambda: self.variables_of(frame),
            self.environment.ids,
            states=states,
            now=self.environment.now,
            trace=self.environment.trace,
        )

    def variables_of(self, frame: Frame) -> Mapping[str, object]:
        """Return the variables that a frame can see, each decoded when it is asked for."""
        texts: dict[str, str] = {}
        at: Frame | None = frame
        while at is not None:
            texts = {**at.variables, **texts}
            at = self.frames.get(at.parent)
        return Variables(texts)

    def context_of(self, frame: Frame) -> Mapping[str, object]:
        """Return the context object as a frame's state sees it."""
        state = self.definition(frame)
        context = dict(self._execution_context())
        context["State"] = {
            "EnteredTime": iso_time(frame.entered_at),
            "Name": frame.state,
            "RetryCount": sum(frame.retries),
        }
        if isinstance(state.body, TaskBody) and any(mark in state.body.resource for mark in WITH_TOKEN):
            context["Task"] = {"Token": self.environment.token(TaskKey(frame.id, frame.attempt))}
        item = self._map_item(frame)
        if item is not None:
            context["Map"] = {"Item": item}
        context.update(self.environment.execution.overrides)
        return context

    def _execution_context(self) -> dict[str, object]:
        if self._context is None:
            about = self.environment.execution
            execution: dict[str, object] = {
                "Id": about.id,
                "Input": decode(about.input),
                "Name": about.name,
                "RoleArn": about.role_arn,
                "StartTime": about.start_time,
                "RedriveCount": about.redrive_count,
            }
            if about.redrive_time is not None:
                execution["RedriveTime"] = about.redrive_time
            self._context = {
                "Execution": execution,
                "StateMachine": {"Id": about.state_machine_id, "Name": about.state_machine_name},
            }
        return self._context

    def _map_item(self, frame: Frame) -> dict[str, object] | None:
        at = frame
        while at.parent:
            parent = self.frames[at.parent]
            fan_out = parent.fan_out
            if fan_out is not None and isinstance(self.definition(parent).body, MapBody):
                return map_item(fan_out, at.index)
            at = parent
        return None


def map_item(fan_out: FanOut, index: int) -> dict[str, object]:
    """Return the context object's Map.Item of an iteration."""
    item: dict[str, object] = {"Index": index, "Value": decode(fan_out.values[index])}
    if fan_out.keys:
        item["Key"] = fan_out.keys[index]
    return item


def iso_time(at: float) -> str:
    """Return an instant as the context object writes it: with milliseconds, unless there are none."""
    return format_iso8601(math.floor(at * 1000) / 1000)
