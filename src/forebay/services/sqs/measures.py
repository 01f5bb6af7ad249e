"""The AWS/SQS metrics of CloudWatch: counted in memory as it happens, written once a minute for each active queue.

Source: the developer guide's "Available CloudWatch metrics for Amazon SQS"; a queue is active for six hours after the
last thing that happened to it.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, cast

import msgspec

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.operations.measures import METRIC, MINUTE_MS, Metric, MetricName, bundle_entry
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.services.sqs.tenants import TenantTimes
from forebay.store.commands import AppendLog, CountMessages, MessageCounts, PeekMessages
from forebay.store.contract import Store, Transaction, View

_ACTIVE_SECONDS = 6 * 3600

# A message received this often is not the oldest any more (same source).
_RECEIVES_COUNTED = 3
_LOOK_MAX = 10

# Queues that are written together: some milliseconds, for which every sender waits.
_WRITTEN_AT_ONCE = 64

# Names and units, in the order of the values of an entry. New ones come last: older entries stay as they are.
_METRICS = (
    ("NumberOfMessagesSent", "Count"),
    ("NumberOfMessagesReceived", "Count"),
    ("NumberOfMessagesDeleted", "Count"),
    ("NumberOfEmptyReceives", "Count"),
    ("ApproximateNumberOfMessagesVisible", "Count"),
    ("ApproximateNumberOfMessagesNotVisible", "Count"),
    ("ApproximateNumberOfMessagesDelayed", "Count"),
    ("ApproximateAgeOfOldestMessage", "Seconds"),
    # Of queues to which something was ever sent.
    ("SentMessageSize", "Bytes"),
)


class _Counts:
    """What happened to one queue since the last time it was written."""

    __slots__ = ("arn", "deleted", "empty", "last_at", "received", "sent", "size_max", "size_min", "size_sum")

    def __init__(self, queue: Queue) -> None:
        self.arn = Arn.parse(queue.arn())
        self.last_at = 0.0
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.sent = self.received = self.deleted = self.empty = 0
        self.size_sum = self.size_max = 0
        self.size_min = 1 << 62

    def flows(self) -> "_Flows":
        """Return what happened."""
        sizes = (self.sent, self.size_sum, self.size_min, self.size_max) if self.sent else None
        return _Flows(self.arn, (self.sent, self.received, self.deleted, self.empty), sizes)

    @property
    def is_idle(self) -> bool:
        """Whether nothing has happened."""
        return not (self.sent or self.received or self.deleted or self.empty)


class _Flows(NamedTuple):
    """What happened to a queue in a minute: the first four metrics, and the last."""

    arn: Arn
    numbers: tuple[int, int, int, int]
    sizes: tuple[float, float, float, float] | None

    @property
    def metrics(self) -> int:
        """How many metrics the queue has for sure."""
        return len(_METRICS) - (self.sizes is None)


class QueueMeasures:
    """Counts what happens to queues. A `Worker` that writes it down each minute."""

    name = "sqs.measures"

    def __init__(self, store: Store, clock: Clock) -> None:
        self.tenants = TenantTimes()
        self._store = store
        self._clock = clock
        self._counts: dict[int, _Counts] = {}
        # How many metrics of each queue can be listed already.
        self._known: dict[int, int] = {}
        self._minute_ms = self._this_minute_ms()

    def sent(self, queue: Queue, sizes_bytes: Sequence[int]) -> None:
        """Count messages that were sent together, at least one."""
        counts = self._counts.get(queue.number) or self._begin(queue)
        counts.sent += len(sizes_bytes)
        counts.size_sum += sum(sizes_bytes)
        counts.size_min = min(counts.size_min, *sizes_bytes)
        counts.size_max = max(counts.size_max, *sizes_bytes)

    def received(self, queue: Queue, count: int) -> None:
        """Count messages that one receive returned; none is an empty receive."""
        counts = self._counts.get(queue.number) or self._begin(queue)
        counts.received += count
        if not count:
            counts.empty += 1

    def deleted(self, queue: Queue, count: int) -> None:
        """Count messages that were deleted."""
        counts = self._counts.get(queue.number) or self._begin(queue)
        counts.deleted += count

    async def run_once(self) -> float:
        """Write the minute that is over, if it is; return how long the present one lasts."""
        now_ms = self._this_minute_ms()
        if now_ms > self._minute_ms:
            await self.flush()
        return (self._minute_ms + MINUTE_MS) / 1000 - self._clock.now()

    async def flush(self) -> None:
        """Write what was counted so far."""
        at_ms, self._minute_ms = self._minute_ms, self._this_minute_ms()
        now = self._clock.now()
        for number, counts in list(self._counts.items()):
            if not counts.is_idle:
                counts.last_at = now
            elif now - counts.last_at > _ACTIVE_SECONDS:
                del self._counts[number]
                self._known.pop(number, None)
        flows = [(number, counts.flows()) for number, counts in self._counts.items()]
        for counts in self._counts.values():
            counts.clear()
        for start in range(0, len(flows), _WRITTEN_AT_ONCE):
            await self._write(flows[start : start + _WRITTEN_AT_ONCE], at_ms, int(now * 1000))

    async def _write(self, flows: Sequence[tuple[int, _Flows]], at_ms: int, now_ms: int) -> None:
        """Write a minute of some queues: few commands of one kind at a time, which the store runs together."""
        there: list[tuple[int, _Flows]] = []
        for number, of_queue in flows:
            queue = await self._store.find(QUEUE, arn_key(of_queue.arn))
            # The last minute of a queue that is deleted is of no use to anyone.
            if queue is not None and queue.number == number:
                there.append((number, of_queue))
        if not there:
            return
        commands = tuple(CountMessages(number, now_ms) for number, *_ in there)
        counts = cast("Sequence[MessageCounts]", await self._store.submit(commands))
        full = [number for (number, _), one in zip(there, counts, strict=True) if any(msgspec.structs.astuple(one))]
        ages = await self._store.view(partial(_ages, numbers=full, now_ms=now_ms))
        unknown = {number: of_queue for number, of_queue in there if self._known.get(number, 0) < of_queue.metrics}
        if unknown:
            await self._store.transact(partial(_make_known, flows=unknown.values()))
            self._known.update((number, of_queue.metrics) for number, of_queue in unknown.items())
        entries: list[AppendLog] = []
        for (number, of_queue), counted in zip(there, counts, strict=True):
            levels = (counted.visible, counted.in_flight, counted.delayed, ages.get(number, 0))
            entries.append(bundle_entry(_bundle(of_queue.arn), at_ms, (*of_queue.numbers, *levels, of_queue.sizes)))
        await self._store.submit(tuple(entries))

    def _begin(self, queue: Queue) -> _Counts:
        counts = self._counts[queue.number] = _Counts(queue)
        return counts

    def _this_minute_ms(self) -> int:
        return int(self._clock.now() // 60) * MINUTE_MS


def _bundle(arn: Arn) -> MetricName:
    return MetricName(arn.account, arn.region, "AWS/SQS", "", (("QueueName", arn.resource),))


def _make_known(transaction: Transaction, flows: Iterable[_Flows]) -> None:
    for of_queue in flows:
        bundle = _bundle(of_queue.arn)
        known = transaction.records.find(METRIC, bundle.key())
        if known is None or len(known.bundled) < of_queue.metrics:
            transaction.records.put(METRIC, bundle.key(), Metric(bundle, _METRICS[: of_queue.metrics]))


def _ages(view: View, numbers: Iterable[int], now_ms: int) -> dict[int, int]:
    """Return how many seconds ago each queue's oldest message was sent."""
    ages: dict[int, int] = {}
    for number in numbers:
        oldest = view.ask(PeekMessages(number, 0, _LOOK_MAX))
        sent_at = [
            one.sent_at_ms for one in oldest if one.receive_count < _RECEIVES_COUNTED and one.expires_at_ms > now_ms
        ]
        ages[number] = max(now_ms - min(sent_at), 0) // 1000 if sent_at else 0
    return ages
