"""Preset rates: no more deliveries a second to one target of one sender than were allowed, and no more at once.

Senders put a `Throttle` on their deliveries (a subscription's or a rule's own setting). Such deliveries go by way of
the outbox even where the target lives in the store. The rate holds for all nodes together: whoever claims a delivery
takes the next turn from a record, and the delivery waits in the outbox until its turn has come. How many run at once is
counted on each node.
"""

from collections import Counter

import msgspec

from forebay.core.clock import Clock
from forebay.delivery.contract import Delivery
from forebay.store.contract import Store, Transaction
from forebay.store.records import Kind, record_key

# Turns further away than this are not kept for a delivery: it asks again then, by which time the rate may be another.
_AHEAD_SECONDS_MAX = 3_600.0
_BUSY_SECONDS = 0.2


class Turns(msgspec.Struct, frozen=True):
    """When the next turn of one sender's target is, in seconds since the epoch."""

    next_at: float


TURNS = Kind("delivery.turns", Turns)


class Later(msgspec.Struct, frozen=True):
    """A delivery is to ask again at a moment; `turn_at` is the turn that it has then, if it has been given one."""

    at: float
    turn_at: float | None


class Throttles:
    """Says when throttled deliveries may start."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._running: Counter[str] = Counter()

    async def start(self, delivery: Delivery) -> Later | None:
        """Let a delivery start and return None, or return when it is to ask again.

        What was let start is counted until `end`.
        """
        throttle = delivery.throttle
        if throttle is None:
            return None
        key, now = _key(delivery), self._clock.now()
        if throttle.concurrency is not None and self._running[key] >= throttle.concurrency:
            return Later(now + _BUSY_SECONDS, delivery.turn_at)
        # Counted before the wait for the turn, so that no other slips in meanwhile.
        self._running[key] += 1
        later = None
        if throttle.per_second is not None and delivery.turn_at is None:
            later = await self._take_turn(key, throttle.per_second, now)
        if later is not None:
            self.end(delivery)
        return later

    def end(self, delivery: Delivery) -> None:
        """Count a delivery out that was let start."""
        if delivery.throttle is None:
            return
        key = _key(delivery)
        self._running[key] -= 1
        if self._running[key] <= 0:
            del self._running[key]

    async def _take_turn(self, key: str, per_second: float, now: float) -> Later | None:
        def take(transaction: Transaction) -> Later | None:
            known = transaction.records.find(TURNS, key)
            turn_at = now if known is None else max(now, known.next_at)
            if turn_at - now > _AHEAD_SECONDS_MAX:
                return Later(now + _AHEAD_SECONDS_MAX, None)
            transaction.records.put(TURNS, key, Turns(turn_at + 1.0 / per_second))
            return Later(turn_at, turn_at) if turn_at > now else None

        return await self._store.transact(take)


def _key(delivery: Delivery) -> str:
    return record_key(delivery.source, delivery.target)
