"""What scaling needs to know of a queue. The queue service implements it."""

from collections.abc import Callable
from typing import Protocol

from forebay.store.commands import MessageCounts


class QueueGauge(Protocol):
    """One queue's depth."""

    async def measure(self, group: str | None) -> MessageCounts:
        """Return exact numbers of messages, of one message group only where one is named."""
        ...

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when messages may have become visible; the returned function ends that."""
        ...


class QueueGauges(Protocol):
    """Finds queues' gauges."""

    async def find(self, account: str, region: str, name: str) -> QueueGauge | None:
        """Return a queue's gauge, or None where there is no such queue."""
        ...
