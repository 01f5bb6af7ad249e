"""Which database holds what: a pure function of a resource's id and the number of databases.

Rendezvous hashing: each database draws a lot for the resource and the highest wins. Were a database added, only what
the new one wins would move.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from forebay.store.commands import (
    AppendLog,
    CallNoisy,
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    Command,
    CountGroup,
    CountMessages,
    DeleteMessages,
    DropLog,
    ExpireLog,
    ExpireMessages,
    ForgetDuplicates,
    MeasureLog,
    PeekMessages,
    PurgeQueue,
    ReadLog,
    ReadLogByTime,
    ReceiveMessages,
    SendMessages,
)
from forebay.store.contract import Topic

HOME = 0

# The command concerns every database, each for its own part.
EVERYWHERE = -1

# The streams that are spread: those of CloudWatch Logs. All others belong to something at home (a table, an execution),
# with which they change in one commit.
_SPREAD_STREAMS = "logs/"

_REMEMBERED_MAX = 100_000

_ATTRIBUTES: Mapping[type[Command[Any]], str] = {
    **dict.fromkeys(
        (
            SendMessages,
            ReceiveMessages,
            DeleteMessages,
            ChangeVisibility,
            PurgeQueue,
            CountMessages,
            CountGroup,
            PeekMessages,
            ChangeRetention,
            ChangeDelay,
            CallNoisy,
        ),
        "queue",
    ),
    **dict.fromkeys((AppendLog, ReadLog, ReadLogByTime, MeasureLog, DropLog), "stream"),
}
_OF_ALL = frozenset({ExpireMessages, ForgetDuplicates, ExpireLog})


class Placement:
    """Says which of so many databases holds a resource: 0 (the home), 1, 2 ..."""

    def __init__(self, places: int, spread_streams: str = _SPREAD_STREAMS) -> None:
        self.places = places
        self._spread_streams = spread_streams
        self._known: dict[int | str, int] = {}

    def of(self, command: Command[Any]) -> int:
        """Return where a command runs; `EVERYWHERE` when in all of them."""
        attribute = _ATTRIBUTES.get(type(command))
        if attribute is None:
            return EVERYWHERE if type(command) in _OF_ALL else HOME
        return self.of_resource(getattr(command, attribute))

    def of_topic(self, topic: Topic) -> int:
        """Return where commits happen that a topic tells of."""
        kind, name = topic
        return self.of_resource(name) if kind in {"queue", "log"} else HOME

    def of_resource(self, name: int | str) -> int:
        """Return where a queue (a number) or a stream (a text) is."""
        place = self._known.get(name)
        if place is None:
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            place = self._known[name] = self._draw(name)
        return place

    def _draw(self, name: int | str) -> int:
        if isinstance(name, str) and not name.startswith(self._spread_streams):
            return HOME
        return max(range(self.places), key=lambda place: _lot(place, name))


def _lot(place: int, name: int | str) -> bytes:
    return hashlib.blake2b(f"{place}/{name}".encode(), digest_size=8).digest()
