"""Log groups as a target: each delivery becomes an event in a stream of its sender.

A rule's first delivery to a group goes by way of the outbox, because its stream has to be made; from then on
deliveries are appended in the sender's own commit. EventBridge names streams by UUIDs: here one for each sender.
"""

import uuid

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected
from forebay.services.logs import limits
from forebay.services.logs.event import encode_event
from forebay.services.logs.group import LOG_GROUP, LOG_STREAM, LogGroup, LogStream
from forebay.store.commands import AppendLog, LogEntry
from forebay.store.contract import Store, Transaction
from forebay.store.records import record_key


class LogGroupTarget:
    """Appends deliveries to log groups. A `Target`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Append in the sender's commit where the stream exists; defer the first delivery, which makes it."""
        arn, name = Arn.parse(delivery.target), _group_of(delivery.target)
        group = await self._store.find(LOG_GROUP, record_key(arn.account, arn.region, name))
        if group is None:
            return _no_group(delivery)
        if len(delivery.payload.encode()) + limits.EVENT_OVERHEAD_BYTES > limits.EVENT_BYTES_MAX:
            return Rejected("INVALID_PARAMETER", "Log event too large.")
        stream = _stream(group, delivery, self._now_ms())
        if await self._store.find(LOG_STREAM, _stream_key(stream)) is None:
            return Deferred()
        return Accepted((_append(group, stream, delivery, self._now_ms()),))

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Make the sender's stream and append the delivery to it, in one commit."""
        arn, name = Arn.parse(delivery.target), _group_of(delivery.target)
        now_ms = self._now_ms()

        def work(transaction: Transaction) -> Outcome:
            group = transaction.records.find(LOG_GROUP, record_key(arn.account, arn.region, name))
            if group is None:
                return _no_group(delivery)
            stream = _stream(group, delivery, now_ms)
            if transaction.records.find(LOG_STREAM, _stream_key(stream)) is None:
                transaction.records.put(LOG_STREAM, _stream_key(stream), stream)
            transaction.apply(_append(group, stream, delivery, now_ms))
            return Delivered()

        return await self._store.transact(work)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)


def _group_of(target: str) -> str:
    """Return the group in an ARN `arn:...:log-group:<name>` with or without `:*`."""
    return Arn.parse(target).resource.removeprefix("log-group:").removesuffix(":*")


def _stream(group: LogGroup, delivery: Delivery, now_ms: int) -> LogStream:
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, delivery.source))
    return LogStream(group.account, group.region, group.name, name, now_ms)


def _stream_key(stream: LogStream) -> str:
    return record_key(stream.account, stream.region, stream.group, stream.name)


def _append(group: LogGroup, stream: LogStream, delivery: Delivery, now_ms: int) -> AppendLog:
    entry = LogEntry(now_ms, encode_event(delivery.payload, now_ms), group.expires_at_ms(now_ms))
    return AppendLog(stream.log_name, (entry,))


def _no_group(delivery: Delivery) -> Rejected:
    return Rejected("RESOURCE_NOT_FOUND", f"The log group {_group_of(delivery.target)} does not exist.")
