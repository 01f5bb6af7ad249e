"""Whose messages take the consumers' time: the second measure by which a fair queue finds its noisy tenants.

"Processing time share: the tenant's share of recent total consumer processing time ... exceeds 10 %" (developer guide,
"How Amazon SQS fair queues work"). The first measure, messages in flight, is the store's. Time is counted from a
receive to the delete, or to the end of the visibility timeout, by the node that gave the message out; with several
nodes each sees a sample, in which the shares are the same. Nothing here is kept: a node that starts has no opinion yet.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence

from forebay.store.commands import NOISY_SHARE_PERCENT, CallNoisy, Receipt, ReceivedMessage

# What is recent: so many spans of so many seconds, five minutes in all, after which a silent tenant is quiet anyway.
_SPAN_SECONDS = 30
_SPANS = 10

# A tenant that took less than this of the recent time is not noisy, whatever its share. AWS gives no such bound and
# calls its own approximate; without one, the first message of a quiet hour would make its tenant noisy.
_TAKEN_SECONDS_MIN = 30.0

# Messages in flight of which the time of the receive is known, and queues that have tenants.
_HELD_MAX = 100_000
_QUEUES_MAX = 10_000


class _Queue:
    """The time that each tenant of a queue has taken of late, in spans, the newest last."""

    __slots__ = ("called", "spans")

    def __init__(self) -> None:
        self.spans: deque[tuple[int, dict[str, float]]] = deque()
        # Tenants that were called noisy in the present span: not again for each delete.
        self.called: set[str] = set()

    def add(self, tenant: str, seconds: float, span: int) -> None:
        """Count time that a message took."""
        if not self.spans or self.spans[-1][0] < span:
            self.spans.append((span, {}))
            self.called.clear()
        while self.spans[0][0] <= span - _SPANS:
            self.spans.popleft()
        taken = self.spans[-1][1]
        taken[tenant] = taken.get(tenant, 0.0) + seconds

    def is_noisy(self, tenant: str) -> bool:
        """Return whether a tenant took too much of the recent time."""
        own = sum(taken.get(tenant, 0.0) for _, taken in self.spans)
        if own < _TAKEN_SECONDS_MIN:
            return False
        total = sum(sum(taken.values()) for _, taken in self.spans)
        return own * 100 > total * NOISY_SHARE_PERCENT


class TenantTimes:
    """Counts consumers' time by tenant, for standard queues whose messages have groups."""

    def __init__(self) -> None:
        self._queues: OrderedDict[int, _Queue] = OrderedDict()
        # When each message in flight was received, by queue and position, whose it is, and until when it is hidden.
        self._held: OrderedDict[tuple[int, int], tuple[str, int, int]] = OrderedDict()

    def received(self, number: int, messages: Sequence[ReceivedMessage], now_ms: int) -> None:
        """Note messages of a standard queue that were given out."""
        if number not in self._queues and not any(message.group for message in messages):
            return
        queue = self._queue(number)
        for message in messages:
            key = (number, message.position)
            before = self._held.pop(key, None)
            if before is not None:
                # Its consumer had it for its visibility timeout, in vain.
                self._count(queue, before, now_ms)
            # A message without a group is a tenant of its own, which cannot have a second one waiting.
            self._held[key] = (message.group or "", now_ms, message.visible_at_ms)
        while len(self._held) > _HELD_MAX:
            self._held.popitem(last=False)

    def deleted(self, number: int, receipts: Iterable[Receipt], now_ms: int) -> CallNoisy | None:
        """Note messages whose delete was asked for; return whom to call noisy for the time they took."""
        queue = self._queues.get(number)
        if queue is None:
            return None
        tenants: set[str] = set()
        for receipt in receipts:
            held = self._held.pop((number, receipt.position), None)
            if held is not None:
                self._count(queue, held, now_ms)
                tenants.add(held[0])
        noisy = tuple(sorted(name for name in tenants - queue.called if name and queue.is_noisy(name)))
        if not noisy:
            return None
        queue.called.update(noisy)
        return CallNoisy(number, noisy)

    def _queue(self, number: int) -> _Queue:
        queue = self._queues.get(number)
        if queue is None:
            queue = self._queues[number] = _Queue()
            while len(self._queues) > _QUEUES_MAX:
                self._queues.popitem(last=False)
        return queue

    @staticmethod
    def _count(queue: _Queue, held: tuple[str, int, int], now_ms: int) -> None:
        tenant, received_at_ms, visible_at_ms = held
        seconds = max(min(now_ms, visible_at_ms) - received_at_ms, 0) / 1000
        queue.add(tenant, seconds, now_ms // 1000 // _SPAN_SECONDS)
