"""What every receive of a queue has in common, be it an operation's or a poller's: settings, dead letters, sources."""

from collections.abc import Iterable

import msgspec

from forebay.core.arn import Arn
from forebay.services.sqs import limits
from forebay.services.sqs.address import arn_key, no_such_queue
from forebay.services.sqs.queue import QUEUE, QUEUE_NUMBER, Queue, number_key
from forebay.store.commands import DeadLetterRule, ReceivedMessage, ReceiveMessages
from forebay.store.contract import Store


async def receive_command(
    store: Store,
    key: str,
    now: float,
    limit: int,
    *,
    number: int,
    visibility_seconds: int | None = None,
) -> ReceiveMessages:
    """Return the command of one attempt to receive, from the queue's settings as they are now.

    Raises:
        QueueDoesNotExist: the queue with that number is gone.
    """
    queue = await store.find(QUEUE, key)
    if queue is None or queue.number != number:
        raise no_such_queue()
    now_ms = int(now * 1000)
    hidden_seconds = queue.visibility_seconds if visibility_seconds is None else visibility_seconds
    rule = None if queue.redrive is None else await _find_dead_letter_rule(store, queue)
    command = ReceiveMessages(number, now_ms, now_ms + hidden_seconds * 1000, limit, rule, limits.IN_FLIGHT_MAX)
    if queue.is_fifo:
        until_ms = now_ms + limits.DEDUPLICATION_SECONDS * 1000
        command = msgspec.structs.replace(command, is_fifo=True, attempt_until_ms=until_ms)
    return command


async def _find_dead_letter_rule(store: Store, queue: Queue) -> DeadLetterRule | None:
    """Return where a queue's hopeless messages go; nowhere while its dead-letter queue does not exist."""
    assert queue.redrive is not None
    target = await store.find(QUEUE, arn_key(Arn.parse(queue.redrive.target)))
    if target is None:
        return None
    return DeadLetterRule(target.number, queue.redrive.receives_max, target.retention_seconds * 1000)


async def find_sources(store: Store, messages: Iterable[ReceivedMessage]) -> dict[int, str]:
    """Return the ARNs of the queues from which messages were dead-lettered, by number."""
    sources: dict[int, str] = {}
    for message in messages:
        number = message.dead_letter_source
        if number is not None and number not in sources:
            known = await store.find(QUEUE_NUMBER, number_key(number))
            if known is not None:
                sources[number] = known.arn
    return sources
