"""Calls tasks of Standard executions and hands their outcomes back; keeps those calls' leases, and takes up others'."""

import asyncio

import structlog

from forebay.core.errors import Unavailable
from forebay.languages.asl import contract as asl
from forebay.operations.platform import Platform
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.engine import Engine, is_embedded
from forebay.services.stepfunctions.execution import Execution, Pending, task_text
from forebay.services.stepfunctions.inbox import (
    LEASE,
    Answered,
    Inbound,
    Lease,
    Refused,
    Submitted,
    decode_lease,
    encode,
    lease_key,
)
from forebay.services.stepfunctions.integrations.dispatch import Integrations
from forebay.services.stepfunctions.integrations.outcome import Begun, Done, Failed, Outcome, Task, role_of
from forebay.services.stepfunctions.map_runner import MapRunner
from forebay.services.stepfunctions.resource import parse_resource
from forebay.services.stepfunctions.transition import Launch
from forebay.services.stepfunctions.workers import due_timers
from forebay.store.commands import ClaimedTimer, DeleteTimers, ListTimers, PutTimers, Timer

log = structlog.get_logger()

_PAUSE_SECONDS = 1.0


class _Running:
    """A task that this node calls: its lease's timer, and the asyncio task that calls it."""

    __slots__ = ("caller", "data", "due_at", "is_unwanted")

    def __init__(self, data: bytes, due_at: float) -> None:
        self.data = data
        self.due_at = due_at
        self.caller: asyncio.Task[None] | None = None
        self.is_unwanted = False


class Calls:
    """Calls tasks. A `Worker` that looks after their leases."""

    name = "stepfunctions.calls"

    def __init__(self, platform: Platform, engine: Engine, integrations: Integrations, map_runs: MapRunner) -> None:
        self._platform = platform
        self._store = platform.store
        self._clock = platform.clock
        self._engine = engine
        self._integrations = integrations
        self._map_runs = map_runs
        self._running: dict[str, _Running] = {}
        self._room = asyncio.Semaphore(limits.CALLS_MAX)
        self._has_looked = False
        self._timers = due_timers(platform, LEASE)

    async def call(self, execution: Execution, launch: Launch) -> None:
        """Call a task and hand its outcome to its execution."""
        key = lease_key(execution.key, launch.task.key)
        if key in self._running:
            return
        data = encode(Lease(execution.key, launch.task))
        running = self._running[key] = _Running(data, self._clock.now() + limits.LEASE_SECONDS)
        running.caller = asyncio.current_task()
        try:
            async with self._room:
                outcome = await self._integrations.call(await self._task(execution, launch))
            await self._hand(execution.key, _event(launch.task.key, outcome))
        except asyncio.CancelledError:
            if not running.is_unwanted:
                # The node stops: whoever starts next need not wait for the lease to lapse.
                timer = Timer(LEASE, key, int(self._clock.now() * 1000), data)
                await asyncio.shield(self._store.submit((PutTimers((timer,)),)))
                raise
        finally:
            del self._running[key]

    async def _hand(self, key: str, event: Inbound) -> None:
        """Hand an outcome over, again and again while the store cannot take it: else the task would be called again."""
        while True:
            try:
                await self._engine.hand(key, event)
            except Unavailable:
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                return

    async def cancel(self, execution: Execution, key: asl.TaskKey, pending: Pending) -> None:
        """Stop calling a task that nobody waits for, and stop the execution that it waits for."""
        running = self._running.get(lease_key(execution.key, key))
        if running is not None and running.caller is not None:
            running.is_unwanted = True
            running.caller.cancel()
        if pending.child is not None:
            await self._engine.hand(pending.child, asl.Stopped())
        if pending.map_run is not None:
            await self._map_runs.abort(pending.map_run.key())

    async def run_once(self) -> float:
        """Keep the leases of calls that take long, and take up those that have lapsed."""
        if not self._has_looked:
            await self._reclaim()
            self._has_looked = True
        await self._extend(self._clock.now())
        for timer in await self._timers.claim():
            self._platform.spawn(self._take_up(timer))
        pause_seconds = await self._timers.seconds_until_next()
        return min(pause_seconds, limits.LEASE_SECONDS / 4) if self._running else pause_seconds

    async def _extend(self, now: float) -> None:
        due_at = now + limits.LEASE_SECONDS
        soon = [
            (key, running) for key, running in self._running.items() if running.due_at - now < limits.LEASE_SECONDS / 2
        ]
        timers = tuple(Timer(LEASE, key, int(due_at * 1000), running.data) for key, running in soon)
        for _, running in soon:
            running.due_at = due_at
        if timers:
            await self._store.submit((PutTimers(timers),))

    async def _take_up(self, timer: ClaimedTimer) -> None:
        """Call a task whose lease has lapsed, unless it has ended, or this node calls it."""
        if timer.key in self._running:
            # The clock has jumped: the lease lapsed before it could be extended.
            self._running[timer.key].due_at = 0.0
            return
        lease = decode_lease(timer.data)
        hot = await self._engine.find_whole(lease.execution)
        pending = None if hot is None else hot.progress.tasks.get(task_text(lease.task.key))
        if hot is None or pending is None or pending.is_called:
            await self._store.submit((DeleteTimers(LEASE, (timer.key,)),))
            return
        await self.call(hot.execution, Launch(lease.task, parse_resource(pending.resource)))

    async def _reclaim(self) -> None:
        """Make all leases lapse where no other node can hold one: an embedded store has one node."""
        if not is_embedded(self._platform.config):
            return
        now_ms, after = int(self._clock.now() * 1000), ""
        while True:
            query = ListTimers(LEASE, limits.TIMER_BATCH, after)
            found = await self._store.view(lambda view, query=query: view.ask(query))
            timers = tuple(
                Timer(LEASE, timer.key, now_ms, timer.data) for timer in found if timer.key not in self._running
            )
            if timers:
                await self._store.submit((PutTimers(timers),))
            if len(found) < limits.TIMER_BATCH:
                return
            after = found[-1].key

    async def _task(self, execution: Execution, launch: Launch) -> Task:
        task = launch.task
        role = role_of(task)
        if role is None:
            role = (await self._engine.machines.find(execution)).revision.role
        return Task(execution, task.key, launch.resource, task.arguments, role, task.state_name)


def _event(key: asl.TaskKey, outcome: Outcome) -> Inbound:
    match outcome:
        case Done(output):
            return Answered(key, output)
        case Failed(error, cause, is_submit):
            return Refused(key, error, cause, is_submit)
        case Begun(output, child):
            return Submitted(key, output, child)
