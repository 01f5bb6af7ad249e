"""Queues' depths for scaling: exact counts, and a wake-up when messages come."""

from collections.abc import Callable

from forebay.core.clock import Clock
from forebay.scaling.external_scaler.gauge import QueueGauge
from forebay.services.sqs.queue import QUEUE
from forebay.store.commands import CountGroup, CountMessages, MessageCounts
from forebay.store.contract import Store
from forebay.store.records import record_key


class Gauges:
    """Finds queues. A `QueueGauges`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, account: str, region: str, name: str) -> QueueGauge | None:
        """Return a queue's gauge, or None where there is no such queue."""
        queue = await self._store.find(QUEUE, record_key(account, region, name))
        return None if queue is None else Gauge(self._store, self._clock, queue.number)


class Gauge:
    """One queue's depth. A `QueueGauge`."""

    def __init__(self, store: Store, clock: Clock, number: int) -> None:
        self._store = store
        self._clock = clock
        self._number = number

    async def measure(self, group: str | None) -> MessageCounts:
        """Return exact numbers of messages, of one message group only where one is named."""
        now_ms = int(self._clock.now() * 1000)
        # Counting the queue makes messages visible whose time has come, in their groups' counters, too.
        commands = (CountMessages(self._number, now_ms),)
        if group is None:
            (counts,) = await self._store.submit(commands)
        else:
            _, counts = await self._store.submit((*commands, CountGroup(self._number, group)))
        assert isinstance(counts, MessageCounts)
        return counts

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when messages may have become visible; the returned function ends that."""
        return self._store.listen(("queue", self._number), wake)
