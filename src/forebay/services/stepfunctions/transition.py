"""One commit's worth of an execution: events go in, and what is to be written and begun comes out.

Pure but for the ids that the interpreter draws: the engine commits what this gathers, and acts on it afterwards.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.core.ids import Ids
from forebay.languages.asl import contract as asl
from forebay.languages.asl import interpreter
from forebay.languages.asl.failures import ErrorName, StateFailure
from forebay.languages.asl.machine import Machine
from forebay.languages.asl.run import iso_time
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions import resource as resources
from forebay.services.stepfunctions.address import MapRunName
from forebay.services.stepfunctions.execution import Execution, Pending, Progress, task_text, task_token
from forebay.services.stepfunctions.inbox import (
    LEASE,
    TIMER,
    Answered,
    Beaten,
    Inbound,
    Lease,
    Owed,
    Redriven,
    Refused,
    Submitted,
    Taken,
    activity_kind,
    encode,
    forget_task,
    lease_key,
    timer_key,
)
from forebay.services.stepfunctions.map_run import MAP_RUN, Again, Begin
from forebay.services.stepfunctions.resource import Resource, parse_resource
from forebay.services.stepfunctions.task_rules import unfit
from forebay.store.commands import AppendLog, Command, DeleteTimers, LogEntry, PutTimers, Timer

_encode_event = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(api.HistoryEvent).decode
_ENDED: dict[type[asl.Effect], api.ExecutionStatus] = {
    asl.Completed: "SUCCEEDED",
    asl.Failed: "FAILED",
    asl.Aborted: "ABORTED",
    asl.TimedOut: "TIMED_OUT",
}
_PROCEED = asl.TaskKey(0, 0)


class Launch(msgspec.Struct, frozen=True):
    """A task that is to be called once the commit is durable."""

    task: asl.StartTask
    resource: Resource


class Surroundings(msgspec.Struct, frozen=True):
    """What a transition may know: the compiled definition, the role, time, and a source of ids."""

    machine: Machine
    role: str
    now: float
    ids: Ids
    # Whether tasks are called by this node after the commit, or by whichever sees their lease first.
    is_ours: bool = True


class Transition:
    """Gathers what events lead to."""

    def __init__(self, execution: Execution, progress: Progress | None, around: Surroundings) -> None:
        self.execution = execution
        self._around = around
        self._state = None if progress is None else progress.state
        self._tasks = {} if progress is None else dict(progress.tasks)
        self._map_runs = {} if progress is None else progress.map_runs
        self.history: list[api.HistoryEvent] = []
        self.launches: list[Launch] = []
        self.timers: list[asl.SetTimer] = []
        self.cancelled: list[tuple[asl.TaskKey, Pending]] = []
        self.has_ended = False
        self.has_more = False
        self._commands: list[Command[Any]] = []
        self._environment = make_environment(self.execution, self._around.role, self._around.now, self._around.ids)

    @property
    def progress(self) -> Progress:
        """What the execution is doing after this."""
        assert self._state is not None
        return Progress(self._state, self._tasks, self._map_runs)

    def start(self) -> None:
        """Begin the execution, with the event that says so."""
        execution = self.execution
        details = api.ExecutionStartedEventDetails(
            input=execution.input,
            input_details=resources.WHOLE,
            role_arn=self._around.role,
            state_machine_alias_arn=execution.alias_arn(),
            state_machine_version_arn=execution.version_arn(),
        )
        self.history.append(
            api.HistoryEvent(
                timestamp=self._around.now,
                type="ExecutionStarted",
                id=1,
                previous_event_id=0,
                execution_started_event_details=details,
            )
        )
        self._take(interpreter.start(self._around.machine, execution.input, self._environment))

    def hand(self, event: Inbound) -> bool:  # noqa: C901, PLR0911 - one case for each kind of event
        """Hand an event to the execution; return whether it changes anything."""
        match event:
            case Submitted(key):
                return self._submit(event, key)
            case Taken(key, worker):
                return self._give(key, worker)
            case Beaten(key):
                return self._beat(key)
            case Answered(key, output):
                return self._answer(key, output)
            case Refused(key):
                return self._refuse(event, key)
            case Redriven():
                self._redrive(event)
                return True
            case asl.TimerFired(key, kind):
                return self._fire(event, key, kind)
            case asl.TaskSucceeded(key) | asl.TaskFailed(key):
                pending = self._tasks.get(task_text(key))
                return self._advance(event) and self._forget(key, pending)
            case asl.Stopped() | asl.Proceeded():
                return self._advance(event)

    def commands(self) -> list[Command[Any]]:
        """Return what is committed beside the execution's rows."""
        commands: list[Command[Any]] = []
        if self.history:
            at_ms = int(self._around.now * 1000)
            entries = tuple(LogEntry(at_ms, _encode_event(event)) for event in self.history)
            commands.append(AppendLog(self.execution.stream, entries))
        return [*commands, *self._commands]

    # --- events of the service ---

    def _submit(self, event: Submitted, key: asl.TaskKey) -> bool:
        pending = self._tasks.get(task_text(key))
        if pending is None or pending.is_called:
            return False
        entry = resources.submitted(parse_resource(pending.resource), self._around.now, event.output)
        self._record(key, (entry,))
        self._tasks[task_text(key)] = replace(pending, is_called=True, child=event.child)
        self._commands.append(DeleteTimers(LEASE, (lease_key(self.execution.key, key),)))
        return True

    def _give(self, key: asl.TaskKey, worker: str | None) -> bool:
        pending = self._tasks.get(task_text(key))
        if pending is None or pending.is_called:
            return False
        self._record(key, (resources.started(parse_resource(pending.resource), self._around.now, worker),))
        self._tasks[task_text(key)] = replace(pending, is_called=True)
        self._commands.append(DeleteTimers(activity_kind(pending.resource), (lease_key(self.execution.key, key),)))
        return True

    def _beat(self, key: asl.TaskKey) -> bool:
        pending = self._tasks.get(task_text(key))
        if pending is None:
            return False
        if pending.heartbeat_seconds is not None:
            due_at = self._around.now + pending.heartbeat_seconds
            self._tasks[task_text(key)] = replace(pending, heartbeat_due=due_at)
            self._set_timer(asl.SetTimer(key, asl.TimerKind.HEARTBEAT, due_at))
        return True

    def _answer(self, key: asl.TaskKey, output: str) -> bool:
        pending = self._tasks.get(task_text(key))
        if pending is None:
            return False
        entry = resources.succeeded(parse_resource(pending.resource), self._around.now, output)
        return self._advance(asl.TaskSucceeded(key, output, (entry,))) and self._forget(key, pending)

    def _refuse(self, event: Refused, key: asl.TaskKey) -> bool:
        pending = self._tasks.get(task_text(key))
        if pending is None:
            return False
        resource = parse_resource(pending.resource)
        make = resources.submit_failed if event.is_submit else resources.failed
        error = event.error and event.error[: limits.ERROR_CHARACTERS_MAX]
        cause = event.cause and event.cause[: limits.CAUSE_CHARACTERS_MAX]
        failure = asl.TaskFailed(key, error or "", cause, (make(resource, self._around.now, error, cause),))
        return self._advance(failure) and self._forget(key, pending)

    def _fire(self, event: asl.TimerFired, key: asl.TaskKey, kind: asl.TimerKind) -> bool:
        pending = self._tasks.get(task_text(key))
        if kind not in {asl.TimerKind.TIMEOUT, asl.TimerKind.HEARTBEAT} or pending is None:
            return self._advance(event)
        if kind is asl.TimerKind.HEARTBEAT and self._around.now < pending.heartbeat_due:
            return False
        error = "States.Timeout" if kind is asl.TimerKind.TIMEOUT else "States.HeartbeatTimeout"
        entry = resources.timed_out(parse_resource(pending.resource), self._around.now, error)
        if not self._advance(replace(event, entries=(entry,))):
            return False
        self.cancelled.append((key, pending))
        return self._forget(key, pending)

    def _redrive(self, event: Redriven) -> None:
        execution = self.execution
        self.execution = replace(
            execution,
            status="RUNNING",
            stopped_at=None,
            output=None,
            error=None,
            cause=None,
            redrive_count=execution.redrive_count + 1,
            redriven_at=self._around.now,
            redrive_token=event.token,
        )
        self._environment = make_environment(self.execution, self._around.role, self._around.now, self._around.ids)
        self._tasks = {}
        assert self._state is not None
        self._take(interpreter.redrive(self._around.machine, self._state, self._environment))

    # --- the interpreter ---

    def _advance(self, event: asl.Event) -> bool:
        assert self._state is not None
        step = interpreter.advance(self._around.machine, self._state, event, self._environment)
        if step.state is self._state or (step.state == self._state and not step.history and not step.effects):
            return False
        self._take(step)
        return True

    def _record(self, key: asl.TaskKey, entries: Sequence[api.HistoryEvent]) -> None:
        assert self._state is not None
        self._take(interpreter.record(self._state, key, tuple(entries), self._environment))

    def _take(self, step: asl.Step) -> None:
        self._state = step.state
        self.history += step.history
        for effect in step.effects:
            self._owe(effect)

    def _owe(self, effect: asl.Effect) -> None:
        match effect:
            case asl.StartTask():
                self._start_task(effect)
            case asl.StartMapRun():
                self._start_map_run(effect)
            case asl.CancelTask(key):
                pending = self._tasks.get(task_text(key))
                if pending is not None:
                    self.cancelled.append((key, pending))
                    self._forget(key, pending)
            case asl.SetTimer():
                self._set_timer(effect)
            case asl.Proceed():
                self.has_more = True
                self._set_owed(asl.Proceeded(), "proceed", self._around.now + limits.LEASE_SECONDS)
            case asl.Completed() | asl.Failed() | asl.Aborted() | asl.TimedOut():
                self._end(effect)

    def _start_task(self, task: asl.StartTask) -> None:
        resource = parse_resource(task.resource)
        has_timeout = task.timeout_seconds is not None or task.heartbeat_seconds is not None
        self._tasks[task_text(task.key)] = Pending(
            task.resource, task.state_name, has_timeout=has_timeout, heartbeat_seconds=task.heartbeat_seconds
        )
        now = self._around.now
        key = lease_key(self.execution.key, task.key)
        data = encode(Lease(self.execution.key, task))
        if resource.family == "activity":
            timer = Timer(activity_kind(task.resource), key, int(now * 1000), data)
        else:
            self.launches.append(Launch(task, resource))
            due_at = now + limits.LEASE_SECONDS if self._around.is_ours else now
            timer = Timer(LEASE, key, int(due_at * 1000), data)
        self._commands.append(PutTimers((timer,)))
        if resource.family != "activity":
            self._record(task.key, (resources.started(resource, now),))

    def _start_map_run(self, effect: asl.StartMapRun) -> None:
        """Begin a map run, or let the one of before go on where the execution was redriven."""
        name, now = self.execution.name, self._around.now
        before = self._map_runs.get(effect.key.frame) if self.execution.redrive_count else None
        run = before or MapRunName(name.account, name.region, name.machine, effect.label, self._around.ids.uuid())
        self._tasks[task_text(effect.key)] = Pending("", effect.state_name, is_called=True, map_run=run)
        self._map_runs = {**self._map_runs, effect.key.frame: run}
        if before is None:
            notice: Begin | Again = Begin(run, self.execution.key, effect)
            started = api.MapRunStartedEventDetails(map_run_arn=run.arn())
            event = resources.event(now, "MapRunStarted", map_run_started_event_details=started)
        else:
            notice = Again(run, effect.key)
            redriven = api.MapRunRedrivenEventDetails(map_run_arn=run.arn(), redrive_count=self.execution.redrive_count)
            event = resources.event(now, "MapRunRedriven", map_run_redriven_event_details=redriven)
        timer = Timer(MAP_RUN, f"{run.key()}\x1fbegin", int(now * 1000), encode(notice))
        self._commands.append(PutTimers((timer,)))
        self._record(effect.key, (event,))

    def _set_timer(self, timer: asl.SetTimer) -> None:
        self.timers.append(timer)
        event = asl.TimerFired(timer.key, timer.kind)
        self._set_owed(event, timer_key(self.execution.key, timer.key, timer.kind), timer.due_at, is_key=True)

    def _set_owed(self, event: Inbound, key: str, due_at: float, *, is_key: bool = False) -> None:
        key = key if is_key else f"{self.execution.key}\x1f{key}"
        due_at_ms = int(due_at * 1000)
        self._commands.append(PutTimers((Timer(TIMER, key, due_at_ms, encode(Owed(self.execution.key, event))),)))

    def _forget(self, key: asl.TaskKey, pending: Pending | None) -> bool:
        if pending is not None and self._tasks.pop(task_text(key), None) is not None and pending.resource:
            self._commands += forget_task(
                self.execution.key, key, has_timeout=pending.has_timeout, resource=pending.resource
            )
        return True

    def _end(self, effect: asl.Completed | asl.Failed | asl.Aborted | asl.TimedOut) -> None:
        assert self._state is not None
        self.has_ended = True
        self.execution = replace(
            self.execution,
            status=_ENDED[type(effect)],
            stopped_at=self._around.now,
            output=effect.output if isinstance(effect, asl.Completed) else None,
            error=effect.error if isinstance(effect, asl.Failed | asl.Aborted) else None,
            cause=effect.cause if isinstance(effect, asl.Failed | asl.Aborted) else None,
            events=self._state.next_event_id - 1,
        )


def make_environment(execution: Execution, role: str, now: float, ids: Ids) -> asl.Environment:
    """Return what the interpreter may know of the world around an execution."""
    about = asl.ExecutionContext(
        id=execution.name.arn(),
        name=execution.name.name,
        input=execution.input,
        role_arn=role,
        start_time=iso_time(execution.started_at),
        state_machine_id=execution.machine.base().arn(),
        state_machine_name=execution.machine.name,
        redrive_count=execution.redrive_count,
        redrive_time=None if execution.redriven_at is None else iso_time(execution.redriven_at),
    )
    return asl.Environment(
        now=now,
        execution=about,
        ids=ids,
        token=partial(task_token, execution),
        scheduled=partial(_scheduled, execution, now),
        history_events_max=limits.HISTORY_EVENTS_MAX if execution.type == "STANDARD" else None,
    )


def _scheduled(execution: Execution, now: float, task: asl.StartTask) -> tuple[api.HistoryEvent, ...]:
    resource = parse_resource(task.resource)
    fault = unfit(resource, task.arguments)
    if fault is not None:
        raise StateFailure(ErrorName.RUNTIME, fault)
    scheduled = resources.scheduled(
        resource,
        task.arguments,
        at=now,
        region=execution.name.region,
        timeout_seconds=task.timeout_seconds,
        heartbeat_seconds=task.heartbeat_seconds,
        credentials=_credentials(task.credentials),
    )
    return (scheduled,)


def _credentials(text: str | None) -> api.TaskCredentials | None:
    if text is None:
        return None
    role = msgspec.json.decode(text, type=dict[str, str]).get("RoleArn")
    return api.TaskCredentials(role_arn=role)
