"""Express executions: run in memory, without a row for each transition, as AWS does.

What one does is in its log, if its state machine logs; a node that dies takes its Express executions with it. Those
that a delivery starts are delivered again ("at least once").
"""

import asyncio
from typing import Any

import structlog
from msgspec.structs import replace

from forebay.languages.asl import contract as asl
from forebay.operations.platform import Platform
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.execution import Execution, task_text
from forebay.services.stepfunctions.execution_log import ExecutionLog
from forebay.services.stepfunctions.inbox import Answered, Inbound, Refused
from forebay.services.stepfunctions.integrations.dispatch import Integrations
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Task, role_of
from forebay.services.stepfunctions.machines import Compiled
from forebay.services.stepfunctions.measures import Measures
from forebay.services.stepfunctions.transition import Launch, Surroundings, Transition

log = structlog.get_logger()

_ROOT = asl.TaskKey(1, 0)


class ExpressRunner:
    """Runs Express executions."""

    def __init__(
        self, platform: Platform, integrations: Integrations, execution_log: ExecutionLog, measures: Measures
    ) -> None:
        self._platform = platform
        self._integrations = integrations
        self._log = execution_log
        self._measures = measures

    async def run(self, execution: Execution, compiled: Compiled) -> Execution:
        """Run an execution to its end and return it as it is then."""
        transition = Transition(execution, None, self._around(compiled))
        transition.start()
        self._tell(transition, compiled)
        if transition.has_ended:
            return transition.execution
        return await _Run(self, compiled, transition).finish()

    async def run_detached(self, execution: Execution, compiled: Compiled) -> None:
        """Run an execution that nobody waits for."""
        await self.run(execution, compiled)

    def after(self, transition: Transition, compiled: Compiled, event: Inbound) -> Transition:
        """Return what an event leads to."""
        following = Transition(transition.execution, transition.progress, self._around(compiled))
        following.hand(event)
        self._tell(following, compiled)
        return following

    async def call(self, execution: Execution, compiled: Compiled, launch: Launch) -> Inbound:
        """Call a task and return how it ended."""
        task = launch.task
        role = role_of(task) or compiled.revision.role
        outcome = await self._integrations.call(
            Task(execution, task.key, launch.resource, task.arguments, role, task.state_name)
        )
        match outcome:
            case Done(output) | Begun(output):
                return Answered(task.key, output)
            case Failed(error, cause, is_submit):
                return Refused(task.key, error, cause, is_submit)

    async def sleep_until(self, due_at: float) -> None:
        """Wait for an instant."""
        await self._platform.clock.sleep_until(due_at)

    def _tell(self, transition: Transition, compiled: Compiled) -> None:
        self._log.take(transition.execution, compiled.revision, transition.history)
        self._measures.take(transition.execution, transition.history)

    def _around(self, compiled: Compiled) -> Surroundings:
        return Surroundings(compiled.machine, compiled.revision.role, self._platform.clock.now(), self._platform.ids)


class _Run:
    """One execution while it waits for something."""

    def __init__(self, runner: ExpressRunner, compiled: Compiled, transition: Transition) -> None:
        self._runner = runner
        self._compiled = compiled
        self._transition = transition
        self._events: asyncio.Queue[Inbound] = asyncio.Queue()
        self._calls: dict[str, asyncio.Task[None]] = {}

    async def finish(self) -> Execution:
        """Wait and go on until the end."""
        async with asyncio.TaskGroup() as group:
            children: list[asyncio.Task[None]] = []
            end_at = self._transition.execution.started_at + limits.EXPRESS_SECONDS_MAX
            timeout = asl.TimerFired(_ROOT, asl.TimerKind.EXECUTION_TIMEOUT)
            children.append(group.create_task(self._wait(end_at, timeout)))
            while not self._transition.has_ended:
                children += self._begin(group)
                event: Inbound = asl.Proceeded() if self._transition.has_more else await self._events.get()
                self._transition = self._runner.after(self._transition, self._compiled, event)
            for child in children:
                child.cancel()
        execution = self._transition.execution
        if execution.status == "TIMED_OUT" and execution.error is None:
            execution = replace(execution, error="States.Timeout")
        return execution

    def _begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        transition = self._transition
        for key, _ in transition.cancelled:
            call = self._calls.pop(task_text(key), None)
            if call is not None:
                call.cancel()
        begun: list[asyncio.Task[None]] = []
        for launch in transition.launches:
            call = group.create_task(self._call(launch))
            self._calls[task_text(launch.task.key)] = call
            begun.append(call)
        return begun + [
            group.create_task(self._wait(timer.due_at, asl.TimerFired(timer.key, timer.kind)))
            for timer in transition.timers
        ]

    async def _call(self, launch: Launch) -> None:
        event = await self._runner.call(self._transition.execution, self._compiled, launch)
        self._events.put_nowait(event)

    async def _wait(self, due_at: float, event: Any) -> None:
        await self._runner.sleep_until(due_at)
        self._events.put_nowait(event)
