"""The background duty of replays: an archive's events go onto their bus again, batch by batch.

A batch's deliveries, the position that it leads to and the end of the lease are one commit: whatever kills the node,
no event is replayed twice and none is left out.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from forebay.background.due_timers import DueTimers
from forebay.core.clock import Clock
from forebay.services.events import limits
from forebay.services.events.archive import ARCHIVE, read_archived
from forebay.services.events.event import replayed_event
from forebay.services.events.replay import REPLAY, TIMERS, Replay
from forebay.services.events.router import Router
from forebay.store.commands import (
    ClaimedTimer,
    Command,
    ReadLogByTime,
    Settlement,
    SettleTimers,
    StoredEntry,
)
from forebay.store.contract import Store, Transaction
from forebay.store.joining import join
from forebay.store.records import record_key


class Replayer:
    """Carries replays out, several side by side in turn. A `Worker`.

    Events come in the order of the times that they bear, those of one second in the order in which they were archived.
    AWS replays minute by minute, and keeps no order within one (StartReplay).
    """

    name = "events.replay"

    def __init__(self, store: Store, clock: Clock, router: Router) -> None:
        self._store = store
        self._clock = clock
        self._router = router
        self._timers = DueTimers(
            store,
            clock,
            TIMERS,
            batch=limits.REPLAYS_PER_STEP,
            lease_seconds=limits.REPLAY_LEASE_SECONDS,
            poll_seconds=limits.REPLAY_POLL_SECONDS,
        )

    async def run_once(self) -> float:
        """Take one step of each replay that is due; return the seconds until the next one is."""
        for timer in await self._timers.claim():
            await self._step(timer)
        return await self._timers.seconds_until_next()

    async def _step(self, timer: ClaimedTimer) -> None:
        replay = await self._store.view(lambda view: view.records.find(REPLAY, timer.key))
        if replay is None or not replay.is_under_way:
            await self._keep(timer, None, ())
            return
        archive = await self._store.find(ARCHIVE, record_key(replay.account, replay.region, replay.archive))
        if archive is None or archive.log != replay.log:
            ended = replace(
                replay, state="FAILED", reason=f"Archive {replay.archive} does not exist.", ended_at=self._clock.now()
            )
            await self._keep(timer, ended, ())
            return
        last_at = replay.replayed_until
        query = ReadLogByTime(
            archive.stream(),
            replay.batch,
            # Events bear whole seconds.
            from_ms=int(replay.from_at) * 1000,
            until_ms=round(replay.until_at * 1000),
            after=None if last_at is None else (round(last_at * 1000), replay.position),
        )
        entries = await self._store.view(lambda view: view.ask(query))
        commands = await self._commands(replay, entries)
        await self._keep(timer, _after(replay, entries, self._clock.now()), commands)

    async def _commands(self, replay: Replay, entries: Sequence[StoredEntry]) -> list[Command[Any]]:
        """Return the commands by which the bus takes a batch of events again."""
        now, address = self._clock.now(), replay.address()
        only = frozenset(replay.rules) or None
        routing = self._router.begin()
        for entry in entries:
            await routing.take(replayed_event(read_archived(entry.data, now), replay.name), address, only)
        return join(await routing.commands())

    async def _keep(self, timer: ClaimedTimer, after: Replay | None, commands: Sequence[Command[Any]]) -> None:
        """Commit a step, unless the lease was lost or the replay has been cancelled meanwhile."""
        now = self._clock.now()

        def work(transaction: Transaction) -> None:
            replay = transaction.records.find(REPLAY, timer.key)
            is_cancelled = replay is not None and replay.state == "CANCELLING"
            goes_on = after is not None and not after.has_ended and not is_cancelled
            settlement = Settlement(timer.key, timer.epoch, int(now * 1000) if goes_on else None)
            (is_held,) = transaction.apply(SettleTimers(TIMERS, (settlement,)))
            if not is_held or replay is None:
                return
            if is_cancelled:
                transaction.records.put(REPLAY, timer.key, replace(replay, state="CANCELLED", ended_at=now))
            elif after is not None:
                transaction.records.put(REPLAY, timer.key, after)
                for command in commands:
                    transaction.apply(command)

        await self._store.transact(work)


def _after(replay: Replay, entries: Sequence[StoredEntry], now: float) -> Replay:
    """Return a replay as it is when a batch of events has been replayed; a short one was the last."""
    if entries:
        size = max(1, sum(len(entry.data) for entry in entries) // len(entries))
        batch = max(1, min(replay.batch * 2, limits.REPLAY_BATCH, limits.REPLAY_BATCH_BYTES // size))
        is_last = len(entries) < replay.batch
        last = entries[-1]
        replay = replace(replay, state="RUNNING", position=last.position, replayed_until=last.at_ms / 1000, batch=batch)
        if not is_last:
            return replay
    return replace(replay, state="COMPLETED", ended_at=now)
