"""The loop that reads a stream in order: claim a lane, take its next batch, hand it to the target, keep how far it is.

How far a lane is, is a timer's data: whoever holds its lease reads the lane. A node that dies loses the lease, and the
lane goes on where its last settled batch ended.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
import structlog

from forebay.background.supervisor import Duty, Spawn
from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.delivery.opened import OpenedSource
from forebay.delivery.outbox import Deliveries
from forebay.delivery.poller import Batch, BatchOutcome, Busy, Failed, Taken
from forebay.delivery.stopping import unless_stopped
from forebay.delivery.stream import (
    AGE_EXCEEDED,
    Discarded,
    Progress,
    Reading,
    Step,
    StreamSource,
    StreamTarget,
    Window,
    WindowCall,
    lane_key,
    parse_lane,
    step_after,
    too_old,
    window_start,
)
from forebay.delivery.stream_gathering import Gathered, Gathering
from forebay.store.commands import (
    ClaimedTimer,
    ClaimTimers,
    Command,
    DeleteTimers,
    ExtendTimers,
    ListTimers,
    NextTimer,
    PutTimers,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.contract import Store, Transaction

log = structlog.get_logger()

STATE_BYTES_MAX = 1024 * 1024

# A lane waits for its first record without extending its lease, so that an idle one costs one commit in that time. A
# dead node's lanes are free when their leases have lapsed.
_WAIT_SECONDS = 10.0
_EXTEND_SECONDS = 11.0
_LEASE_SECONDS = 20.0
# Looked at even without a wake-up: in a cluster these come late.
_LOOK_SECONDS = 5.0
_READ_MAX = 64
_PROBLEM_SECONDS = 5.0
_BACKOFF_SECONDS_MIN, _BACKOFF_SECONDS_MAX = 0.1, 60.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Progress).decode


class StreamReader:
    """Reads one stream for one target. A `Worker`; its lanes run beside it."""

    def __init__(  # noqa: PLR0913 - what a node gives, and the two ends
        self,
        reading: Reading,
        open_source: Callable[[], Awaitable[StreamSource | None]],
        target: StreamTarget,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        spawn: Spawn,
        deliveries: Deliveries,
    ) -> None:
        self._reading = reading
        self._opened = OpenedSource(self.name, reading.source, open_source, target.find_problem)
        self._target = target
        self._store = store
        self._clock = clock
        self._ids = ids
        self._spawn = spawn
        self._deliveries = deliveries
        self._is_set_up = False
        self._running = 0
        self._has_ended = asyncio.Event()
        self.stopping = asyncio.Event()
        # What became of the last batch.
        self.last_result = ""

    @property
    def name(self) -> str:
        """What logs call this reader."""
        return f"stream.{self._reading.id}"

    @property
    def problem(self) -> str:
        """Why nothing is read at present; empty when all is well."""
        return self._opened.problem

    def begin(self, duty: Duty) -> None:
        """Learn from a duty when to stop; look at once when whoever holds a lane lets it go."""
        self.stopping = duty.stopping

        def on_settled() -> None:
            if duty.is_stopped:
                stop_listening()
            else:
                duty.wake()

        stop_listening = self._store.listen(("timers", self._reading.kind), on_settled)

    async def run_once(self) -> float:
        """Start the lanes that are free and due; return when to look again."""
        if self.stopping.is_set():
            return IDLE
        source = await self._opened.find()
        if source is None:
            return _PROBLEM_SECONDS
        if not self._is_set_up:
            await self._store.transact(self._set_up)
            self._is_set_up = True
        lanes = self._reading.stream.lanes
        if self._running >= lanes:
            self._has_ended.clear()
            await unless_stopped(self.stopping, self._has_ended.wait())
            return 0.0
        for timer in await self._claim(lanes - self._running):
            self._running += 1
            self._spawn(self._run(source, timer))
        if self._running:
            # Also those that run may leave something that is due at once.
            await unless_stopped(self.stopping, self._clock.wait(self._has_ended, _LOOK_SECONDS))
            self._has_ended.clear()
            return 0.0
        due_at_ms = await self._store.ask(NextTimer(self._reading.kind))
        waits = _PROBLEM_SECONDS if due_at_ms is None else due_at_ms / 1000 - self._clock.now()
        return min(max(waits, 0.05), _PROBLEM_SECONDS)

    def _set_up(self, transaction: Transaction) -> None:
        """Make the lanes' rows; where their number has changed, each goes on where the last of the old ones was."""
        kind, stream = self._reading.kind, self._reading.stream
        others: list[ClaimedTimer] = []
        known: set[str] = set()
        for timer in transaction.apply(ListTimers(kind, 1000)):
            if parse_lane(timer.key)[0] == stream.lanes:
                known.add(timer.key)
            else:
                others.append(timer)
        begin = min((_decode(timer.data).after for timer in others), default=stream.starts_after)
        now_ms = int(self._clock.now() * 1000)
        keys = [key for lane in range(stream.lanes) if (key := lane_key(stream.lanes, lane)) not in known]
        transaction.apply(PutTimers(tuple(Timer(kind, key, now_ms, _encode(Progress(begin))) for key in keys)))
        transaction.apply(DeleteTimers(kind, tuple(timer.key for timer in others)))

    # --- One lane

    async def _claim(self, limit: int, *before: Command[Any]) -> Sequence[ClaimedTimer]:
        now = self._clock.now()
        claim = ClaimTimers(self._reading.kind, int(now * 1000), int((now + _LEASE_SECONDS) * 1000), limit)
        return cast("Sequence[ClaimedTimer]", (await self._store.submit((*before, claim)))[-1])

    async def _run(self, source: StreamSource, timer: ClaimedTimer | None) -> None:
        """Take batch after batch, of whichever lane is due, until none is or the reader stops."""
        try:
            while timer is not None:
                timer = await self._run_held(source, timer)
        finally:
            self._running -= 1
            self._has_ended.set()

    async def _run_held(self, source: StreamSource, timer: ClaimedTimer) -> ClaimedTimer | None:
        try:
            async with asyncio.TaskGroup() as group:
                lease = group.create_task(self._keep_lease(timer))
                try:
                    step, pause_seconds = await self._take_next(source, timer)
                finally:
                    lease.cancel()
        except asyncio.CancelledError:
            # The node stops: whoever starts next need not wait for the lease to lapse.
            release = Settlement(timer.key, timer.epoch, timer.due_at_ms)
            await asyncio.shield(self._store.submit((SettleTimers(self._reading.kind, (release,)),)))
            raise
        return await self._settle(timer, step, pause_seconds)

    async def _keep_lease(self, timer: ClaimedTimer) -> None:
        while True:
            await self._clock.sleep(_EXTEND_SECONDS)
            lease_until_ms = int((self._clock.now() + _LEASE_SECONDS) * 1000)
            held = ((timer.key, timer.epoch),)
            await self._store.submit((ExtendTimers(self._reading.kind, held, lease_until_ms),))

    async def _settle(self, timer: ClaimedTimer, step: Step, pause_seconds: float) -> ClaimedTimer | None:
        """Keep a lane's progress, with what follows from it, and go on with the next lane that is due."""
        due_at_ms = int((self._clock.now() + pause_seconds) * 1000)
        settlement = Settlement(timer.key, timer.epoch, due_at_ms, _encode(step.progress))
        commands: list[Command[Any]] = [SettleTimers(self._reading.kind, (settlement,))]
        if step.discarded is not None and step.discarded.records:
            commands += await self._tell(step.discarded)
        if self.stopping.is_set():
            await self._store.submit(commands)
            return None
        return next(iter(await self._claim(1, *commands)), None)

    async def _tell(self, discarded: Discarded) -> Sequence[Command[Any]]:
        log.info(
            "stream.discarded",
            reader=self.name,
            condition=discarded.condition,
            records=len(discarded.records),
            attempts=discarded.attempts,
        )
        destination = self._reading.stream.on_failure
        if not destination:
            return ()
        return await self._deliveries.commands_for(await self._target.tell(discarded, destination))

    async def _take_next(self, source: StreamSource, timer: ClaimedTimer) -> tuple[Step, float]:
        """Take a lane's next batch to the target; return what follows, and the seconds until its next one."""
        progress = _decode(timer.data)
        try:
            taken = await self._gather(source, parse_lane(timer.key)[1], progress)
        except ServiceError as error:
            self._opened.lose(error)
            return Step(progress), _PROBLEM_SECONDS
        records, settings = taken.records, self._reading.stream
        old = too_old(records, int(self._clock.now() * 1000), settings)
        if old:
            rest = progress.ends if len(old) < len(records) else progress.ends[1:]
            after = old[-1].position if len(old) < len(records) else taken.end
            discarded = Discarded(tuple(old), AGE_EXCEEDED, progress.attempts)
            return Step(Progress(after, rest, 0, progress.window), discarded), 0.0
        if not records and not taken.is_window_over:
            return Step(Progress(taken.end, progress.ends[1:], 0, progress.window)), 0.0
        window = self._window_call(progress, taken)
        batch = Batch(tuple([one.record for one in records]), taken.texts)
        outcome = await self._target.take(batch, window)
        return self._after(progress, taken, window, outcome)

    def _after(
        self, progress: Progress, taken: Gathered, window: WindowCall | None, outcome: BatchOutcome
    ) -> tuple[Step, float]:
        settings = self._reading.stream
        if isinstance(outcome, Busy):
            self.last_result = f"PROBLEM: {outcome.code}"
            # No attempt: the target has not seen it.
            return Step(progress), self._pause(3)
        following: Window | None = None
        if window is not None:
            outcome, following = _windowed(window, outcome)
        if isinstance(outcome, Failed):
            log.info("stream.batch_failed", reader=self.name, target=self._reading.target, code=outcome.code)
        has_failed = isinstance(outcome, Failed) or bool(outcome.failed)
        self.last_result = "PROBLEM: Function call failed" if has_failed else "OK"
        step = step_after(progress, taken.records, taken.end, outcome, settings)
        if window is not None:
            is_taken = step.progress.after > progress.after or not (taken.records or has_failed)
            kept = following if is_taken and not isinstance(outcome, Failed) else progress.window
            if step.discarded is not None and window.is_final:
                kept = None
            step = msgspec.structs.replace(step, progress=msgspec.structs.replace(step.progress, window=kept))
        attempts = step.progress.attempts
        return step, self._pause(attempts) if has_failed and attempts else 0.0

    def _pause(self, attempts: int) -> float:
        """Return how long to wait before a batch is tried again."""
        seconds = min(_BACKOFF_SECONDS_MIN * 2 ** min(attempts, 20), _BACKOFF_SECONDS_MAX)
        return seconds * self._ids.uniform(0.5, 1.0)

    # --- Reading

    async def _gather(self, source: StreamSource, lane: int, progress: Progress) -> Gathered:
        """Read a lane's next batch: what there is, or what comes within the window."""
        gathering = Gathering(self._reading, lane, progress)
        now = self._clock.now()
        deadline = now + _WAIT_SECONDS
        has_news = asyncio.Event()
        stop_listening = self._store.listen(source.topic, has_news.set)
        try:
            while not gathering.is_full:
                has_news.clear()
                found = await source.read(gathering.end, _READ_MAX, self._reading.stream.starts_at_ms)
                gathering.add(found)
                now = self._clock.now()
                if len(found) == _READ_MAX or gathering.is_full:
                    continue
                if gathering.has_all(int(now * 1000)):
                    break
                if gathering.records:
                    deadline = min(deadline, gathering.began_at(now) + self._reading.window_seconds)
                limit = min(deadline, gathering.window_ends_at())
                if now >= limit or self.stopping.is_set():
                    break
                seconds = min(limit - now, _LOOK_SECONDS)
                await unless_stopped(self.stopping, self._clock.wait(has_news, seconds))
        finally:
            stop_listening()
        return gathering.taken(int(self._clock.now() * 1000))

    def _window_call(self, progress: Progress, taken: Gathered) -> WindowCall | None:
        settings = self._reading.stream
        if not settings.tumbling_seconds:
            return None
        records = taken.records
        window = progress.window or Window(window_start(records[0].at_ms, settings))
        return WindowCall(
            window.start_ms,
            window.start_ms + settings.tumbling_seconds * 1000,
            window.state,
            records[0].shard if records else "",
            is_final=taken.is_window_over,
            is_early=window.is_too_large,
        )


class _WindowAnswer(msgspec.Struct):
    state: msgspec.Raw = msgspec.Raw()


_decode_answer = msgspec.json.Decoder(_WindowAnswer).decode


def _windowed(window: WindowCall, outcome: Taken | Failed) -> tuple[Taken | Failed, Window | None]:
    """Return what an outcome means within a window, and the window as it goes on.

    Source: "Implementing stateful DynamoDB stream processing": an answer without a state is a failed invocation, and a
    state of more than 1 MB ends the window early.
    """
    if isinstance(outcome, Failed):
        return outcome, None
    if window.is_final:
        return outcome, None
    try:
        state = bytes(_decode_answer(outcome.answer).state)
    except msgspec.DecodeError:
        state = b""
    if state.strip() in {b"", b"null"}:
        return Failed("InvalidWindowResponse", context=outcome.context), None
    return outcome, Window(window.start_ms, msgspec.Raw(state), len(state) > STATE_BYTES_MAX)
