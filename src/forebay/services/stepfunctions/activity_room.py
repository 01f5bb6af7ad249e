"""Where workers wait for tasks of activities, and how they take them.

A waiting task is a timer of its activity's own kind, so that the one that waits longest comes first, whoever takes it
holds it alone, and a worker's node that dies before the task was given gives it back.
"""

import asyncio

import msgspec

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import task_token
from forebay.services.stepfunctions.inbox import Taken, activity_kind, decode_lease
from forebay.store.commands import Settlement, SettleTimers
from forebay.store.contract import Store


class ActivityTask(msgspec.Struct, frozen=True):
    """What a worker is given."""

    token: str
    input: str


class ActivityRoom:
    """Hands tasks to workers."""

    def __init__(self, store: Store, clock: Clock, engine: Engine) -> None:
        self._store = store
        self._clock = clock
        self._engine = engine
        self._waiting: set[asyncio.Event] = set()
        self._is_draining = False

    async def take(self, activity_arn: str, worker: str | None) -> ActivityTask | None:
        """Take a task, waiting for one as long as AWS does."""
        give_up_at = self._clock.now() + limits.ACTIVITY_POLL_SECONDS
        kind = activity_kind(activity_arn)
        woken = asyncio.Event()
        self._waiting.add(woken)
        end = self._store.listen(("timers", kind), woken.set)
        try:
            while True:
                woken.clear()
                taken = await self._take_now(kind, worker)
                left = give_up_at - self._clock.now()
                if taken is not None or left <= 0 or self._is_draining:
                    return taken
                # Another node's wake-up may be lost: look from time to time.
                await self._clock.wait(woken, min(left, limits.POLL_SECONDS))
        finally:
            end()
            self._waiting.discard(woken)

    def drain(self) -> None:
        """Answer whoever waits, with nothing."""
        self._is_draining = True
        for woken in self._waiting:
            woken.set()

    async def _take_now(self, kind: str, worker: str | None) -> ActivityTask | None:
        timers = DueTimers(self._store, self._clock, kind, lease_seconds=limits.LEASE_SECONDS)
        while True:
            timer = await timers.claim_one()
            if timer is None:
                return None
            lease = decode_lease(timer.data)
            gone = SettleTimers(kind, (Settlement(timer.key, timer.epoch),))
            execution = await self._engine.find(lease.execution)
            is_given = await self._engine.hand(lease.execution, Taken(lease.task.key, worker), (gone,))
            if is_given and execution is not None:
                return ActivityTask(task_token(execution, lease.task.key), lease.task.arguments)
