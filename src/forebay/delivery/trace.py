"""What became of an event: each step on its path, kept for a while.

Paths lie in a fixed number of log streams, by their event's id: a stream for each event would have to be opened for
each, and would stay when its entries are gone.
"""

from collections.abc import Sequence
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
    event_id: str
    steps: tuple[Step, ...]


_decode_entry = msgspec.json.Decoder(_Entry).decode


class Trace:
    """Writes steps as commands for the caller's own commit, and reads an event's path back."""

    def __init__(self, store: Store, retention_seconds: float) -> None:
        self._store = store
        self._retention_ms = int(retention_seconds * 1000)

    def record(self, event_id: str | None, steps: Sequence[Step]) -> list[AppendLog]:
        """Return the command that records `steps`; nothing for an event without id or where tracing is off."""
        if event_id is None or not steps or self._retention_ms <= 0:
            return []
        # Steps taken together are one entry: an event on the hot path has many of them.
        at_ms = int(steps[0].at * 1000)
        entry = LogEntry(at_ms, msgspec.json.encode(_Entry(event_id, tuple(steps))), at_ms + self._retention_ms)
        return [AppendLog(_stream(event_id), (entry,))]

    def arrived(self, at: float, arrivals: Sequence[Arrival]) -> list[AppendLog]:
        """Return the command that shows events to whoever follows the live view."""
        if not arrivals or self._retention_ms <= 0:
            return []
        at_ms = int(at * 1000)
        entries = tuple(
            LogEntry(at_ms, msgspec.json.encode(arrival), at_ms + self._retention_ms) for arrival in arrivals
        )
        return [AppendLog(ARRIVALS, entries)]

    async def path(self, event_id: str) -> Sequence[Step]:
        """Return the steps of an event in order; empty where it is unknown or its time is over."""
        steps: list[Step] = []
        after = 0
        while True:
            query = ReadLog(_stream(event_id), limit=_PAGE_ENTRIES, after=after)
            page: Sequence[StoredEntry] = await self._store.view(lambda view, query=query: view.ask(query))
            for entry in page:
                # Most entries are of other events; looking for the id is far cheaper than decoding them.
                if event_id.encode() in entry.data and (found := _decode_entry(entry.data)).event_id == event_id:
                    steps += found.steps
            if len(page) < _PAGE_ENTRIES:
                return steps
            after = page[-1].position


class Path:
    """Steps of events that are recorded together, in one entry for each event."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._steps: dict[str, list[Step]] = {}

    def add(self, event_id: str | None, steps: Sequence[Step]) -> None:
        """Add steps to an event's path; an event without an id has none."""
        if event_id is not None:
            self._steps.setdefault(event_id, []).extend(steps)

    def commands(self) -> list[AppendLog]:
        """Return the commands that record what was added, and begin anew."""
        recorded = [
            command for event_id, steps in self._steps.items() for command in self._trace.record(event_id, steps)
        ]
        self._steps.clear()
        return recorded


def _stream(event_id: str) -> str:
    return f"trace/{crc32(event_id.encode()) % _STREAMS}"
