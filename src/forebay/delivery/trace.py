"""What became of an event: each step on its path, kept as a log stream under the event's id for a while."""

from collections.abc import Sequence

import msgspec

from forebay.store.commands import AppendLog, LogEntry, ReadLog, StoredEntry
from forebay.store.contract import Store

_ENTRIES_MAX = 1_000

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


_decode_steps = msgspec.json.Decoder(tuple[Step, ...]).decode


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
        entry = LogEntry(at_ms, msgspec.json.encode(steps), at_ms + self._retention_ms)
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
        query = ReadLog(_stream(event_id), limit=_ENTRIES_MAX)
        entries: Sequence[StoredEntry] = await self._store.view(lambda view: view.ask(query))
        return [step for entry in entries for step in _decode_steps(entry.data)]


def _stream(event_id: str) -> str:
    return f"trace/{event_id}"
