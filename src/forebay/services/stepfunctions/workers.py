"""Background duties: what is due, tasks of nodes that died, executions whose time is over, state machines that go."""

import structlog

from forebay.background.due_timers import DueTimers
from forebay.languages.asl import contract as asl
from forebay.operations.platform import Platform
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.deletion import DELETE, finish_deletion
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.inbox import TIMER, decode_owed
from forebay.services.stepfunctions.rows import ExecutionRows, executions_of
from forebay.services.stepfunctions.state_machine import STATE_MACHINE
from forebay.store.commands import ClaimedTimer, DropLog, Settlement, SettleTimers

log = structlog.get_logger()


class DueEvents:
    """Hands executions the events that are due: waits, retries, timeouts, ends of children. A `Worker`."""

    name = "stepfunctions.due"

    def __init__(self, platform: Platform, engine: Engine) -> None:
        self._platform = platform
        self._engine = engine
        self._timers = due_timers(platform, TIMER, lease_seconds=limits.CLAIM_SECONDS)
        self._in_flight = 0

    async def run_once(self) -> float:
        """Hand over a batch of what is due; return the seconds until the next is."""
        room = limits.TIMER_BATCH * 4 - self._in_flight
        batch = min(limits.TIMER_BATCH, room)
        if batch <= 0:
            return 0.05
        for timer in await self._timers.claim(batch):
            self._in_flight += 1
            self._platform.spawn(self._hand(timer))
        return await self._timers.seconds_until_next()

    async def _hand(self, timer: ClaimedTimer) -> None:
        try:
            owed = decode_owed(timer.data)
            # Only as long as the claim holds: a heartbeat may have set the timer anew.
            gone = SettleTimers(TIMER, (Settlement(timer.key, timer.epoch),))
            await self._engine.hand(owed.execution, owed.event, (gone,))
        finally:
            self._in_flight -= 1


class Expiry:
    """Deletes executions with their histories 90 days after they ended. A `Worker`."""

    name = "stepfunctions.expiry"

    def __init__(self, platform: Platform, rows: ExecutionRows) -> None:
        self._platform = platform
        self._rows = rows

    async def run_once(self) -> float:
        """Delete a batch."""
        until = self._platform.clock.now() - limits.EXECUTION_KEPT_SECONDS
        query = self._rows.ended_before(until, limits.EXPIRY_BATCH)
        page = await self._platform.store.view(lambda view: view.ask(query))
        executions = executions_of(page)
        commands = [self._rows.delete(execution, (DropLog(execution.stream),)) for execution in executions]
        if commands:
            await self._platform.store.submit(commands)
        return 0.0 if len(executions) == limits.EXPIRY_BATCH else limits.EXPIRY_PAUSE_SECONDS


class Deletion:
    """Deletes state machines once their executions have ended, which it stops, and forgets revisions. A `Worker`."""

    name = "stepfunctions.delete"

    def __init__(self, platform: Platform, rows: ExecutionRows, engine: Engine) -> None:
        self._platform = platform
        self._rows = rows
        self._engine = engine
        self._timers = due_timers(platform, DELETE)

    async def run_once(self) -> float:
        """Stop a batch of one state machine's executions, or delete it."""
        timer = await self._timers.claim_one()
        if timer is not None:
            await self._advance(timer)
        return await self._timers.seconds_until_next()

    async def _advance(self, timer: ClaimedTimer) -> None:
        store = self._platform.store
        machine = await store.view(lambda view: view.records.find(STATE_MACHINE, timer.key))
        if machine is not None and machine.status == "DELETING":
            listing = self._rows.of_machine(machine.name)
            page = await store.view(
                lambda view: view.ask(self._rows.listed(listing, "RUNNING", limits.EXPIRY_BATCH, None))
            )
            for execution in executions_of(page):
                await self._engine.hand(execution.key, asl.Stopped())
            if page.items:
                await store.submit((SettleTimers(DELETE, (Settlement(timer.key, timer.epoch, timer.due_at_ms),)),))
                return
        now_ms = int(self._platform.clock.now() * 1000)
        await store.transact(lambda transaction: finish_deletion(transaction, self._rows, timer, now_ms))


def due_timers(platform: Platform, kind: str, *, lease_seconds: float = limits.LEASE_SECONDS) -> DueTimers:
    """Return timers of one kind as workers of this service claim them."""
    return DueTimers(
        platform.store,
        platform.clock,
        kind,
        batch=limits.TIMER_BATCH,
        lease_seconds=lease_seconds,
        poll_seconds=limits.POLL_SECONDS,
    )
