"""Accepting deliveries into the sender's own commit, and dispatching those that had to wait.

`Deliveries.commands_for` turns deliveries into store commands: at once where the target lives in the same store,
otherwise as an outbox row (a timer of kind `delivery`). The `Dispatcher` claims due rows, hands each to its target and
settles it: done, again later, or the sender's follow-up (dead letter).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from forebay.background.due_timers import DueTimers
from forebay.background.supervisor import Spawn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import (
    Accepted,
    Deferred,
    Delivered,
    Delivery,
    Exhausted,
    Outcome,
    Rejected,
    Retry,
    Sender,
    Settled,
    Target,
)
from forebay.delivery.retry import next_attempt_at
from forebay.delivery.settling import settle_if_held
from forebay.delivery.throttle import Later, Throttles
from forebay.delivery.trace import Paths, Step, Trace
from forebay.store.commands import (
    ClaimedTimer,
    Command,
    ExtendTimers,
    PutTimers,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.contract import Store

log = structlog.get_logger()

KIND = "delivery"

# A dead letter that cannot be delivered is not dead-lettered again, so chains are two long at most; a bus that
# forwards to itself through others is cut by EventBridge's own rule. This bound is for our own bugs.
_FOLLOW_UP_DEPTH_MAX = 8

_decode_delivery = msgspec.json.Decoder(Delivery).decode

FindTarget = Callable[[str], Awaitable[Target | None]]
FindSender = Callable[[str], Awaitable[Sender | None]]


class Deliveries:
    """Turns deliveries into commands. Holds no state of its own."""

    def __init__(self, clock: Clock, trace: Trace, find_target: FindTarget, find_sender: FindSender) -> None:
        self._clock = clock
        self._trace = trace
        self._find_target = find_target
        self._find_sender = find_sender

    async def target_of(self, delivery: Delivery) -> Target | None:
        """Return the target that the delivery's ARN names by its service, or None."""
        return await self._find_target(_service_of(delivery.target))

    async def has_target(self, arn_service: str) -> bool:
        """Return whether this node delivers to resources of a service, as ARNs name it."""
        return await self._find_target(arn_service) is not None

    async def commands_for(self, deliveries: Sequence[Delivery], paths: Paths | None = None) -> list[Command[Any]]:
        """Return the commands that take the deliveries; commit them with whatever causes the deliveries.

        `paths` are what the events' paths begin with: steps that are recorded together share an entry of the trace.
        """
        paths = paths or Paths(self._trace)
        commands: list[Command[Any]] = []
        await self._take_all(deliveries, commands, paths, 0)
        return [*paths.commands(), *commands]

    async def commands_after(self, delivery: Delivery, settled: Settled) -> list[Command[Any]]:
        """Return the commands of what follows when a delivery has found its end: trace, dead letter, destination."""
        paths = Paths(self._trace)
        commands: list[Command[Any]] = []
        await self._follow(delivery, settled, commands, paths, 0)
        return [*paths.commands(), *commands]

    async def _take_all(
        self, deliveries: Sequence[Delivery], commands: list[Command[Any]], paths: Paths, depth: int
    ) -> None:
        """Add the commands that take deliveries, and to each event's path what has become of it."""
        now = self._clock.now()
        targets: dict[str, Target | None] = {}
        for delivery in deliveries:
            service = _service_of(delivery.target)
            if service not in targets:
                targets[service] = await self._find_target(service)
            target = targets[service]
            if target is None:
                taken = Rejected("NO_SUCH_TARGET", f"Service {service} cannot be delivered to.")
            else:
                taken = await target.accept(delivery)
            if isinstance(taken, Rejected):
                await self._follow(delivery, taken, commands, paths, depth)
            elif isinstance(taken, Deferred) or delivery.throttle is not None:
                # What is throttled waits for its turn, and is accepted in the commit that settles it.
                commands.append(self._deferred(delivery))
                paths.add(delivery.event_id, _step(delivery, now, "deferred"))
            elif delivery.is_reported:
                commands += taken.commands
                await self._follow(delivery, Delivered(), commands, paths, depth)
            else:
                commands += taken.commands
                paths.add(delivery.event_id, _step(delivery, now, "delivered"))

    async def _follow(
        self, delivery: Delivery, settled: Settled, commands: list[Command[Any]], paths: Paths, depth: int
    ) -> None:
        """Add the commands of what follows when a delivery has found its end."""
        paths.add(delivery.event_id, self._settled_step(delivery, settled))
        sender = await self._find_sender(_service_of(delivery.source))
        if sender is None or depth >= _FOLLOW_UP_DEPTH_MAX:
            return
        follow_ups = await sender.follow_up(delivery, settled)
        await self._take_all(follow_ups, commands, paths, depth + 1)
        if isinstance(settled, Rejected | Exhausted) and not follow_ups:
            log.warning("delivery.dropped", source=delivery.source, target=delivery.target, code=settled.code)

    def _deferred(self, delivery: Delivery) -> PutTimers:
        now_ms = int(self._clock.now() * 1000)
        timer = Timer(KIND, delivery.delivery_id, now_ms, msgspec.json.encode(delivery))
        return PutTimers((timer,), only_new=True)

    def _settled_step(self, delivery: Delivery, settled: Settled) -> Step:
        now = self._clock.now()
        match settled:
            case Delivered():
                return _step(delivery, now, "delivered")
            case Rejected(code, message):
                return _step(delivery, now, "rejected", code, message)
            case Exhausted(condition, code, message):
                return _step(delivery, now, "exhausted", code, f"{condition}: {message}")

    def retried(self, delivery: Delivery, failure: Retry) -> list[Command[Any]]:
        """Return the commands that trace a failed attempt."""
        step = _step(delivery, self._clock.now(), "retried", failure.code, failure.message)
        return [*self._trace.record(delivery.event_id, [step])]


class DispatcherLimits(msgspec.Struct, frozen=True):
    """Bounds of a dispatcher."""

    in_flight_max: int = 256
    lease_seconds: float = 60.0
    # Looked at even without a wake-up, so that rows of a dead node are found.
    poll_seconds: float = 5.0


class Dispatcher:
    """Claims due deliveries, hands each to its target, and settles it. A `Worker`.

    Deliveries run side by side: a slow one delays no other, up to `in_flight_max` of them. Each settles on its own, so
    that what is done stays done when the node dies.
    """

    name = "delivery.dispatcher"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        deliveries: Deliveries,
        spawn: Spawn,
        *,
        limits: DispatcherLimits | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._deliveries = deliveries
        self._spawn = spawn
        self._limits = limits or DispatcherLimits()
        self._timers = DueTimers(
            store, clock, KIND, lease_seconds=self._limits.lease_seconds, poll_seconds=self._limits.poll_seconds
        )
        self._throttles = Throttles(store, clock)
        self._in_flight = 0
        self._has_room = asyncio.Event()

    async def run_once(self) -> float:
        """Claim what is due, as far as there is room, and start it; return the seconds until the next one is due."""
        room = self._limits.in_flight_max - self._in_flight
        if room <= 0:
            self._has_room.clear()
            await self._has_room.wait()
            return 0.0
        for timer in await self._timers.claim(room):
            self._in_flight += 1
            self._spawn(self._run(timer))
        return await self._timers.seconds_until_next()

    async def _run(self, timer: ClaimedTimer) -> None:
        try:
            delivery = _decode_delivery(timer.data)
            later = await self._throttles.start(delivery)
            if later is None:
                await self._attempt(timer, msgspec.structs.replace(delivery, attempts=delivery.attempts + 1))
            else:
                await self._put_off(timer, delivery, later)
        except asyncio.CancelledError:
            # The node stops: whoever starts next need not wait for the lease to lapse.
            release = Settlement(timer.key, timer.epoch, timer.due_at_ms)
            await asyncio.shield(self._store.submit([SettleTimers(KIND, (release,))]))
            raise
        finally:
            self._in_flight -= 1
            self._has_room.set()

    async def _attempt(self, timer: ClaimedTimer, delivery: Delivery) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                lease = group.create_task(self._keep_lease(timer))
                outcome, commands = await self._deliver(delivery)
                lease.cancel()
            await self._settle(timer, delivery, outcome, commands)
        finally:
            self._throttles.end(delivery)

    async def _put_off(self, timer: ClaimedTimer, delivery: Delivery, later: Later) -> None:
        """Have a delivery wait for its turn; that is no attempt."""
        waiting = msgspec.structs.replace(delivery, turn_at=later.turn_at)
        settlement = Settlement(timer.key, timer.epoch, int(later.at * 1000), msgspec.json.encode(waiting))
        await self._store.submit([SettleTimers(KIND, (settlement,))])

    async def _keep_lease(self, timer: ClaimedTimer) -> None:
        while True:
            await self._clock.sleep(self._limits.lease_seconds / 3)
            lease_until_ms = int((self._clock.now() + self._limits.lease_seconds) * 1000)
            await self._store.submit([ExtendTimers(KIND, ((timer.key, timer.epoch),), lease_until_ms)])

    async def _deliver(self, delivery: Delivery) -> tuple[Outcome, Sequence[Command[Any]]]:
        """Hand a delivery over; return the outcome, and the commands by which a target in the store takes it."""
        target = await self._deliveries.target_of(delivery)
        if target is None:
            return Rejected("NO_SUCH_TARGET", "The target's service is not part of this node."), ()
        try:
            if delivery.throttle is not None:
                taken = await target.accept(delivery)
                if isinstance(taken, Accepted):
                    return Delivered(), taken.commands
                if isinstance(taken, Rejected):
                    return taken, ()
            return await target.deliver(delivery), ()
        except Exception:
            # A bug in a target must not lose the delivery or stop the others.
            log.exception("delivery.failed", target=delivery.target)
            return Retry("INTERNAL_ERROR", "The target failed unexpectedly."), ()

    async def _settle(
        self, timer: ClaimedTimer, delivery: Delivery, outcome: Outcome, commands: Sequence[Command[Any]]
    ) -> None:
        """Commit what becomes of the delivery, together with all that follows from it."""
        settled = outcome
        if isinstance(settled, Retry):
            chance = self._ids.uniform(0.0, 1.0)
            verdict = next_attempt_at(delivery, settled, self._clock.now(), chance)
            if not isinstance(verdict, Exhausted):
                await self._settle_again(timer, delivery, settled, verdict)
                return
            settled = verdict
        follow_ups = await self._deliveries.commands_after(delivery, settled)
        await settle_if_held(self._store, KIND, [(Settlement(timer.key, timer.epoch), [*commands, *follow_ups])])

    async def _settle_again(self, timer: ClaimedTimer, delivery: Delivery, failure: Retry, due_at: float) -> None:
        attempts = delivery.attempts if failure.counts else delivery.attempts - 1
        again = msgspec.structs.replace(
            delivery, attempts=attempts, last_code=failure.code, last_message=failure.message, turn_at=None
        )
        settlement = Settlement(timer.key, timer.epoch, int(due_at * 1000), msgspec.json.encode(again))
        commands = [SettleTimers(KIND, (settlement,)), *self._deliveries.retried(delivery, failure)]
        await self._store.submit(commands)
        log.info("delivery.retried", target=delivery.target, attempt=delivery.attempts, code=failure.code)


def _step(delivery: Delivery, at: float, what: str, code: str = "", message: str = "") -> Step:
    return Step(at, what, delivery.source, delivery.target, delivery.attempts, code, message)


def _service_of(arn: str) -> str:
    return arn.split(":", 3)[2]
