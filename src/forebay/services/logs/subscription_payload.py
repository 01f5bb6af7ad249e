"""What a subscription filter's function gets of a stream's new events. Pure."""

import base64
import gzip
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from forebay.core.ids import Ids
from forebay.services.logs import limits
from forebay.services.logs.event import message_of
from forebay.services.logs.filter_pattern import parse_filter_pattern
from forebay.services.logs.group import LogGroup
from forebay.services.logs.subscription_filter import SubscriptionFilter
from forebay.store.commands import LogEntry


class _Event(msgspec.Struct, frozen=True):
    id: str
    timestamp: int
    message: str


def payloads(
    subscription: SubscriptionFilter, group: LogGroup, stream: str, entries: Sequence[LogEntry], ids: Ids
) -> Iterator[str]:
    """Yield what a function gets of a stream's new events: none, or as many documents as it takes to stay small.

    The form is that of "Log group-level subscription filters" in the user guide. The ids of events are their own, and
    not those of FilterLogEvents, which hold positions that are only known after the commit.
    """
    matches = parse_filter_pattern(subscription.pattern)
    mark = f"{zlib.crc32(stream.encode()):010d}"
    found = [
        _Event(f"{entry.at_ms:014d}{mark}{int(ids.uuid()[:8], 16):032d}", entry.at_ms, message)
        for entry in entries
        if matches(message := message_of(entry))
    ]
    if found:
        yield from _documents(subscription, group, stream, found)


def _documents(
    subscription: SubscriptionFilter, group: LogGroup, stream: str, events: Sequence[_Event]
) -> Iterator[str]:
    document = {
        "messageType": "DATA_MESSAGE",
        "owner": group.account,
        "logGroup": group.name,
        "logStream": stream,
        "subscriptionFilters": [subscription.name],
        "logEvents": events,
    }
    data = base64.b64encode(gzip.compress(msgspec.json.encode(document), mtime=0)).decode()
    if len(data) > limits.SUBSCRIPTION_BYTES_MAX and len(events) > 1:
        middle = len(events) // 2
        yield from _documents(subscription, group, stream, events[:middle])
        yield from _documents(subscription, group, stream, events[middle:])
        return
    yield msgspec.json.encode({"awslogs": {"data": data}}).decode()
