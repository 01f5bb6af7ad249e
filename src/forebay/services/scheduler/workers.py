"""Background duties of Scheduler: firing what is due, and deleting the schedules of deleted groups."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Step, Trace
from forebay.services.scheduler import limits
from forebay.services.scheduler.firing import KIND, delivery_of, occurrence_of, timer_of
from forebay.services.scheduler.group import GROUP
from forebay.services.scheduler.schedule import SCHEDULE, Schedule, due_after
from forebay.store.commands import (
    ClaimedTimer,
    Command,
    DeleteTimers,
    Settlement,
    SettleTimers,
)
from forebay.store.contract import Store, Transaction
from forebay.store.records import key_prefix

DELETE_KIND = "scheduler.delete_group"


class _Firing(msgspec.Struct, frozen=True):
    """What is committed for one timer, if it is still held. `deletes` names a record that goes with it."""

    settlement: Settlement
    commands: Sequence[Command[Any]] = ()
    deletes: str | None = None


class Firings:
    """Fires schedules that are due. A `Worker`."""

    name = "scheduler.fire"

    def __init__(self, store: Store, clock: Clock, ids: Ids, deliveries: Deliveries, trace: Trace) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._deliveries = deliveries
        self._trace = trace
        self._timers = DueTimers(
            store,
            clock,
            KIND,
            batch=limits.FIRE_BATCH,
            lease_seconds=limits.LEASE_SECONDS,
            poll_seconds=limits.POLL_SECONDS,
        )

    async def run_once(self) -> float:
        """Fire what is due, a batch of it; return the seconds until the next schedule is."""
        now = self._clock.now()
        if claimed := await self._timers.claim():
            keys = [timer.key for timer in claimed]
            # A snapshot and not the cache: another node may have changed the schedule.
            schedules = await self._store.view(lambda view: [view.records.find(SCHEDULE, key) for key in keys])
            pairs = zip(claimed, schedules, strict=True)
            firings = [await self._firing(timer, schedule, now) for timer, schedule in pairs]
            await self._store.transact(lambda transaction: _commit(transaction, firings))
        return await self._timers.seconds_until_next()

    async def _firing(self, timer: ClaimedTimer, schedule: Schedule | None, now: float) -> _Firing:
        gone = Settlement(timer.key, timer.epoch)
        if schedule is None or not schedule.is_enabled:
            return _Firing(gone)
        scheduled_at = occurrence_of(timer.data).scheduled_at
        delivery = delivery_of(schedule, scheduled_at, now, self._ids)
        commands: list[Command[Any]] = [
            *self._trace.record(delivery.event_id, [Step(now, "scheduled", schedule.arn())]),
            *await self._deliveries.commands_for([delivery]),
        ]
        due_at = due_after(schedule, scheduled_at, now)
        if due_at is None:
            is_deleted = schedule.after_completion == "DELETE"
            return _Firing(gone, commands, schedule.key() if is_deleted else None)
        following = timer_of(schedule, due_at, self._ids)
        return _Firing(Settlement(timer.key, timer.epoch, following.due_at_ms, following.data), commands)


class GroupDeletion:
    """Deletes the schedules of groups that are being deleted, and then the groups. A `Worker`."""

    name = "scheduler.delete_group"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._timers = DueTimers(store, clock, DELETE_KIND, lease_seconds=limits.LEASE_SECONDS)

    async def run_once(self) -> float:
        """Delete a batch of one group's schedules; return the seconds until there is more to do."""
        for timer in await self._timers.claim():
            await self._store.transact(partial(_delete_some, timer))
        return await self._timers.seconds_until_next()


def _commit(transaction: Transaction, firings: Sequence[_Firing]) -> None:
    """Commit firings whose timers are still held; the others have been fired, changed or deleted by somebody else."""
    for firing in firings:
        (is_held,) = transaction.apply(SettleTimers(KIND, (firing.settlement,)))
        if not is_held:
            continue
        for command in firing.commands:
            transaction.apply(command)
        if firing.deletes is not None:
            transaction.records.delete(SCHEDULE, firing.deletes)


def _delete_some(timer: ClaimedTimer, transaction: Transaction) -> None:
    batch = transaction.records.list(SCHEDULE, key_prefix(timer.key), limit=limits.DELETE_BATCH)
    is_last = len(batch) < limits.DELETE_BATCH
    settlement = Settlement(timer.key, timer.epoch, None if is_last else timer.due_at_ms)
    (is_held,) = transaction.apply(SettleTimers(DELETE_KIND, (settlement,)))
    if not is_held:
        return
    for key, _ in batch:
        transaction.records.delete(SCHEDULE, key)
    transaction.apply(DeleteTimers(KIND, tuple(key for key, _ in batch)))
    if is_last:
        transaction.records.delete(GROUP, timer.key)
