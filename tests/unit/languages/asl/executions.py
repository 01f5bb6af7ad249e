"""Runs state machines on the interpreter alone: tasks answered by functions, timers fired as they come due."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from forebay.core.ids import Ids
from forebay.languages.asl import (
    CancelTask,
    Completed,
    Environment,
    ExecutionContext,
    Proceed,
    Proceeded,
    SetTimer,
    StartTask,
    Step,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
    advance,
    decode_state,
    encode_state,
    parse,
    start,
)

START = 1_700_000_000.0
Worker = Callable[[StartTask], Any]


class TaskError(Exception):
    """A task fails with this error and cause."""


def environment(
    now: float = START, *, input_text: str = "{}", transitions_max: int = 100, seed: int = 1
) -> Environment:
    execution = ExecutionContext(
        id="arn:aws:states:us-east-1:123456789012:execution:machine:run",
        name="run",
        input=input_text,
        role_arn="arn:aws:iam::123456789012:role/role",
        start_time="2023-11-14T22:13:20.000Z",
        state_machine_id="arn:aws:states:us-east-1:123456789012:stateMachine:machine",
        state_machine_name="machine",
    )
    return Environment(now, execution, Ids(seed), transitions_max=transitions_max)


def machine(definition: dict[str, Any]):
    parsed = parse(json.dumps(definition))
    assert parsed.machine is not None, parsed.invalid_definition_text
    return parsed.machine


class Execution:
    """One execution run to its end; `history` and `effects` hold everything that came out."""

    def __init__(
        self,
        definition: dict[str, Any],
        data: Any = None,
        *,
        worker: Worker | None = None,
        stores: bool = False,
        transitions_max: int = 100,
    ) -> None:
        self.machine = machine(definition)
        self.now = START
        self.history: list[Any] = []
        self.effects: list[Any] = []
        self.pending: list[Any] = []
        self._worker = worker or (lambda task: json.loads(task.arguments))
        self._stores = stores
        self._transitions_max = transitions_max
        self.input_text = json.dumps({} if data is None else data, separators=(",", ":"))
        self.state = self._take(start(self.machine, self.input_text, self._environment()))

    def _environment(self) -> Environment:
        return environment(self.now, input_text=self.input_text, transitions_max=self._transitions_max)

    def _take(self, step: Step):
        self.history.extend(step.history)
        self.effects.extend(step.effects)
        for effect in step.effects:
            if isinstance(effect, CancelTask):
                self.pending = [one for one in self.pending if getattr(one, "key", None) != effect.key]
            else:
                self.pending.append(effect)
        return decode_state(encode_state(step.state)) if self._stores else step.state

    def give(self, event: Any) -> None:
        self.state = self._take(advance(self.machine, self.state, event, self._environment()))

    def run(self) -> "Execution":
        """Go on until nothing is left to do."""
        while self.state.status == "RUNNING" and self.pending:
            self._go_on()
        return self

    def _go_on(self) -> None:
        for kind in (Proceed, StartTask):
            effect = next((one for one in self.pending if isinstance(one, kind)), None)
            if effect is not None:
                self.pending.remove(effect)
                self.give(Proceeded() if isinstance(effect, Proceed) else self._work(effect))
                return
        timer = min((one for one in self.pending if isinstance(one, SetTimer)), key=lambda one: one.due_at)
        self.pending.remove(timer)
        self.now = max(self.now, timer.due_at)
        self.give(TimerFired(timer.key, timer.kind))

    def _work(self, task: StartTask) -> Any:
        try:
            return TaskSucceeded(task.key, json.dumps(self._worker(task), separators=(",", ":")))
        except TaskError as error:
            return TaskFailed(task.key, *error.args)

    @property
    def output(self) -> Any:
        ends = [one for one in self.effects if isinstance(one, Completed)]
        assert ends, f"did not succeed: {self.effects[-1]}"
        return json.loads(ends[-1].output)

    @property
    def failure(self) -> tuple[str | None, str | None]:
        last = self.effects[-1]
        return last.error, last.cause

    @property
    def events(self) -> list[tuple[int, int, str]]:
        return [(event.id, event.previous_event_id, event.type) for event in self.history]

    def event(self, event_id: int) -> dict[str, Any]:
        found = next(event for event in self.history if event.id == event_id)
        return json.loads(msgspec.json.encode(found))


def pass_through(**fields: Any) -> dict[str, Any]:
    """A definition of one Pass state."""
    return {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True, **fields}}}
