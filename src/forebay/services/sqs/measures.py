"""The AWS/SQS metrics of CloudWatch: counted in memory as it happens, written once a minute for each active queue.

Source: the developer guide's "Available CloudWatch metrics for Amazon SQS"; a queue is active for six hours after the
last thing that happened to it.
"""

from functools import partial

import msgspec

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.operations.measures import MINUTE_MS, DataPoint, MetricName, keep_points, one_value
from forebay.services.sqs.address import arn_key
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.store.commands import CountMessages, PeekMessages
from forebay.store.contract import Store, Transaction

_ACTIVE_SECONDS = 6 * 3600

# A message received this often is not the oldest any more (same source).
_RECEIVES_COUNTED = 3
_LOOK_MAX = 10

# Queues that one transaction writes: some milliseconds, for which every sender waits.
_WRITTEN_AT_ONCE = 10


class _Counts:
    """What happened to one queue since the last time it was written."""

    __slots__ = ("arn", "deleted", "empty", "last_at", "received", "sent", "size_max", "size_min", "size_sum")

    def __init__(self, queue: Queue) -> None:
        self.arn = queue.arn()
        self.last_at = 0.0
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.sent = self.received = self.deleted = self.empty = 0
        self.size_sum = self.size_max = 0
        self.size_min = 1 << 62

    @property
    def is_idle(self) -> bool:
        """Whether nothing has happened."""
        return not (self.sent or self.received or self.deleted or self.empty)


class QueueMeasures:
    """Counts what happens to queues. A `Worker` that writes it down each minute."""

    name = "sqs.measures"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: dict[int, _Counts] = {}
        self._minute_ms = self._this_minute_ms()

    def sent(self, queue: Queue, size_bytes: int) -> None:
        """Count a message that was sent."""
        counts = self._counts.get(queue.number) or self._begin(queue)
        counts.sent += 1
        counts.size_sum += size_bytes
        # Without min() and max(), whose calls would double the cost of this.
        if size_bytes < counts.size_min:  # noqa: PLR1730 see above
            counts.size_min = size_bytes
        if size_bytes > counts.size_max:  # noqa: PLR1730 see above
            counts.size_max = size_bytes

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
        points = {number: _flows(counts, at_ms) for number, counts in self._counts.items()}
        arns = {number: counts.arn for number, counts in self._counts.items()}
        for counts in self._counts.values():
            counts.clear()
        now_ms = int(now * 1000)
        numbers = list(points)
        for start in range(0, len(numbers), _WRITTEN_AT_ONCE):
            some = {number: points[number] for number in numbers[start : start + _WRITTEN_AT_ONCE]}
            await self._store.transact(partial(_write, flows=some, arns=arns, at_ms=at_ms, now_ms=now_ms))

    def _begin(self, queue: Queue) -> _Counts:
        counts = self._counts[queue.number] = _Counts(queue)
        return counts

    def _this_minute_ms(self) -> int:
        return int(self._clock.now() // 60) * MINUTE_MS


def _flows(counts: _Counts, at_ms: int) -> dict[str, DataPoint]:
    points = {
        "NumberOfMessagesSent": one_value(at_ms, counts.sent, "Count"),
        "NumberOfMessagesReceived": one_value(at_ms, counts.received, "Count"),
        "NumberOfMessagesDeleted": one_value(at_ms, counts.deleted, "Count"),
        "NumberOfEmptyReceives": one_value(at_ms, counts.empty, "Count"),
    }
    if counts.sent:
        sizes = (counts.sent, counts.size_sum, counts.size_min, counts.size_max)
        points["SentMessageSize"] = DataPoint(at_ms, *sizes, "Bytes")
    return points


def _write(
    transaction: Transaction,
    flows: dict[int, dict[str, DataPoint]],
    arns: dict[int, str],
    at_ms: int,
    now_ms: int,
) -> None:
    points: dict[MetricName, list[DataPoint]] = {}
    for number, of_queue in flows.items():
        arn = Arn.parse(arns[number])
        queue = transaction.records.find(QUEUE, arn_key(arn))
        if queue is None or queue.number != number:
            # It is deleted; its last minute is of no use to anyone.
            continue
        blank = MetricName(arn.account, arn.region, "AWS/SQS", "", (("QueueName", arn.resource),))
        for name, point in (of_queue | _levels(transaction, queue, at_ms, now_ms)).items():
            points[msgspec.structs.replace(blank, name=name)] = [point]
    keep_points(transaction, points)


def _levels(transaction: Transaction, queue: Queue, at_ms: int, now_ms: int) -> dict[str, DataPoint]:
    counts = transaction.apply(CountMessages(queue.number, now_ms))
    oldest = transaction.apply(PeekMessages(queue.number, 0, _LOOK_MAX))
    sent_at = [one.sent_at_ms for one in oldest if one.receive_count < _RECEIVES_COUNTED and one.expires_at_ms > now_ms]
    age_seconds = max(now_ms - min(sent_at), 0) // 1000 if sent_at else 0
    return {
        "ApproximateNumberOfMessagesVisible": one_value(at_ms, counts.visible, "Count"),
        "ApproximateNumberOfMessagesNotVisible": one_value(at_ms, counts.in_flight, "Count"),
        "ApproximateNumberOfMessagesDelayed": one_value(at_ms, counts.delayed, "Count"),
        "ApproximateAgeOfOldestMessage": one_value(at_ms, age_seconds, "Seconds"),
    }
