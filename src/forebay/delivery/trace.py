"""What became of an event: each step on its path, kept for a while.

Paths lie in a fixed number of log streams, by their event's id: a stream for each event would have to be opened for
each, and would stay when its entries are gone. Events that come together have ids that lead to one stream
(`Ids.event_id`), so that the paths of a request's events are one entry, and those of a commit's lie side by side.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from forebay.store.commands import AppendLog, LogEntry, ReadLog, StoredEntry
from forebay.store.contract import Store

_STREAMS = 4_096
_PAGE_ENTRIES = 1_000

ARRIVALS = "events"
"""The log stream of all events as they arrived, for `forebay events tail`."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step: `what` is `received`, `matched`, `unmatched`, `accepted`, `deferred`, `delivered`, `retried`, ..."""

    at: float
    what: str
    source: str = ""
    target: str = ""
    attempt: int = 0
    code: str = ""
    message: str = ""


class Arrival(msgspec.Struct, frozen=True):
    """An event as it arrived on a bus, for the live view: `event` is the whole event as JSON."""

    event_id: str
    bus: str
    event: msgspec.Raw


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """Paths of events by their ids, as places among `steps`: what many events have in common is written once."""

    steps: Sequence[Step]
    paths: Mapping[str, Sequence[int]]


_decode_entry = msgspec.json.Decoder(_Entry).decode
_decode_arrivals = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Trace:
    """Writes steps as commands for the caller's own commit, and reads an event's path back."""

    def __init__(self, store: Store, retention_seconds: float) -> None:
        self._store = store
        self._retention_ms = int(retention_seconds * 1000)
        # Whether anything is kept.
        self.is_on = self._retention_ms > 0

    def record(self, event_id: str | None, steps: Sequence[Step]) -> list[AppendLog]:
        """Return the command that records `steps`; nothing for an event without id or where tracing is off."""
        paths = Paths(self)
        paths.add(event_id, *steps)
        return paths.commands()

    def arrived(self, at: float, arrivals: Sequence[Arrival]) -> list[AppendLog]:
        """Return the command that shows events to whoever follows the live view, all in one entry."""
        if not arrivals or not self.is_on:
            return []
        return [AppendLog(ARRIVALS, (self.entry(at, msgspec.json.encode(arrivals)),))]

    def entry(self, at: float, data: bytes) -> LogEntry:
        """Return an entry that is kept as long as traces are."""
        at_ms = int(at * 1000)
        return LogEntry(at_ms, data, at_ms + self._retention_ms)

    async def path(self, event_id: str) -> Sequence[Step]:
        """Return the steps of an event in order; empty where it is unknown or its time is over."""
        steps: list[Step] = []
        after = 0
        while True:
            query = ReadLog(_stream(event_id), limit=_PAGE_ENTRIES, after=after)
            page: Sequence[StoredEntry] = await self._store.view(lambda view, query=query: view.ask(query))
            for entry in page:
                # Most entries are of other events; looking for the id is far cheaper than decoding them.
                if event_id.encode() in entry.data:
                    found = _decode_entry(entry.data)
                    steps += [found.steps[place] for place in found.paths.get(event_id, ())]
            if len(page) < _PAGE_ENTRIES:
                return steps
            after = page[-1].position


class Paths:
    """Steps of events that are recorded together: one entry for all whose paths lie in one stream."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._paths: dict[str, list[Step]] = {}

    def add(self, event_id: str | None, *steps: Step) -> None:
        """Add steps to an event's path; an event without an id has none."""
        if event_id is not None and self._trace.is_on:
            self._paths.setdefault(event_id, []).extend(steps)

    def commands(self) -> list[AppendLog]:
        """Return the commands that record what was added, and begin anew."""
        streams: dict[str, tuple[dict[Step, int], dict[str, list[int]]]] = {}
        for event_id, steps in self._paths.items():
            places, paths = streams.setdefault(_stream(event_id), ({}, {}))
            paths[event_id] = [places.setdefault(step, len(places)) for step in steps]
        self._paths.clear()
        return [self._entry(stream, [*places], paths) for stream, (places, paths) in streams.items() if places]

    def _entry(self, stream: str, steps: Sequence[Step], paths: Mapping[str, Sequence[int]]) -> AppendLog:
        return AppendLog(stream, (self._trace.entry(steps[0].at, msgspec.json.encode(_Entry(steps, paths))),))


def decode_arrivals(data: bytes) -> list[dict[str, Any]]:
    """Return the arrivals that an entry of `ARRIVALS` holds, as JSON objects with the members of `Arrival`."""
    return _decode_arrivals(data)


def _stream(event_id: str) -> str:
    """Return the stream of an event's path: that of its id's last three digits."""
    try:
        number = int(event_id[-3:], 16)
    except ValueError:
        # Whatever was forwarded as an event may bear any id.
        number = crc32(event_id.encode())
    return f"trace/{number % _STREAMS}"
