"""The call rates that AWS allows FIFO queues, refused above only where the node is told to (`sqs_fifo_limits`).

Source: the developer guide's quotas for FIFO queues: 300 calls a second for each API action, however many messages a
batch holds; in high-throughput mode sends count for each message group, and the queue has no bound of its own here.
"""

from collections.abc import Iterable

from forebay.api import sqs as api
from forebay.core.clock import Clock
from forebay.services.sqs import limits
from forebay.services.sqs.queue import Queue


class FifoLimits:
    """Counts calls by queue, action and group within the present second; nothing while it is switched off."""

    def __init__(self, clock: Clock, *, is_enforced: bool) -> None:
        self._clock = clock
        self._is_enforced = is_enforced
        self._second = 0
        self._calls: dict[tuple[int, str, str], int] = {}

    def check(self, queue: Queue, action: str, groups: Iterable[str | None] = ()) -> None:
        """Count a call on a FIFO queue; `groups` are those that it sends to.

        Raises:
            RequestThrottled: it is one too many in this second.
        """
        if not self._is_enforced:
            return
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._calls.clear()
        scopes = {""}
        if queue.throughput_limit == "perMessageGroupId":
            scopes = {group or "" for group in groups}
        for scope in scopes:
            key = (queue.number, action, scope)
            count = self._calls[key] = self._calls.get(key, 0) + 1
            if count > limits.FIFO_CALLS_PER_SECOND:
                raise api.RequestThrottled("The request was denied due to request throttling.")
