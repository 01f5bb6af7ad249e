"""An archive as it is kept, the log that its events lie in, and its form ready for events.

An archive is a pattern on a bus and a log: what matches is appended in the commit that takes the event. The log is
read by position and by the events' own time, and an entry holds all that putting the event on its bus again needs, so
whatever else reads a bus in order from some point can read the same entries.
"""

import msgspec

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.languages.event_pattern import Pattern, parse_pattern
from forebay.operations.call import Call
from forebay.services.events import limits
from forebay.services.events.bus import BusAddress
from forebay.services.events.errors import no_archive
from forebay.services.events.event import Event, event_time, read_document
from forebay.store.commands import AppendLog, LogEntry
from forebay.store.records import Kind, record_key

_RESOURCE = "archive/"


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """One archive. `log` is its own part of the stream's name, so that a namesake begins anew.

    `retention_days` 0 keeps events for ever.
    """

    account: str
    region: str
    name: str
    bus: str
    log: str
    created_at: float
    state: api.ArchiveState = "ENABLED"
    pattern: str | None = None
    description: str | None = None
    retention_days: int = 0
    kms_key: str | None = None

    def key(self) -> str:
        """Return the key of the archive's record."""
        return record_key(self.account, self.region, self.name)

    def address(self) -> BusAddress:
        """Return where the archive's bus is."""
        return BusAddress(self.account, self.region, self.bus)

    def arn(self) -> str:
        """Return the archive's ARN."""
        return str(Arn.of("events", self.region, self.account, _RESOURCE + self.name))

    def stream(self) -> str:
        """Return the name of the log stream that the events lie in."""
        return f"events/archive/{self.log}"


class ArchivedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The entry of a log: the event as it is, and what of it is not in its JSON."""

    event: msgspec.Raw
    trace_header: str | None = None
    is_forwarded: bool = False


class CompiledArchive(msgspec.Struct, frozen=True):
    """An archive ready for events. `pattern` None takes every event."""

    stream: str
    pattern: Pattern | None
    retention_ms: int | None

    def append(self, event: Event) -> AppendLog:
        """Return the command that archives an event, at the time that the event bears."""
        data = msgspec.json.encode(
            ArchivedEvent(msgspec.Raw(event.text.encode()), event.trace_header, event.is_forwarded)
        )
        expires_at_ms = None if self.retention_ms is None else int(event.at * 1000) + self.retention_ms
        return AppendLog(self.stream, (LogEntry(int(event_time(event) * 1000), data, expires_at_ms),))


ARCHIVE = Kind("events.archive", Archive)

_decode = msgspec.json.Decoder(ArchivedEvent).decode


def read_archived(data: bytes, now: float) -> Event:
    """Return the event of a log's entry as it comes onto its bus now."""
    archived = _decode(data)
    text = bytes(archived.event).decode()
    document = read_document(text)
    assert document is not None, "what was archived was an event"
    return Event(document["id"], text, document, now, archived.trace_header, archived.is_forwarded)


def compile_archive(archive: Archive) -> CompiledArchive:
    """Return an archive ready for events."""
    return CompiledArchive(
        archive.stream(),
        parse_pattern(archive.pattern) if archive.pattern else None,
        archive.retention_days * limits.DAY_MS or None,
    )


def archive_name(text: str) -> str | None:
    """Return the name of the archive that an ARN names, or None where it is of something else."""
    try:
        arn = Arn.parse(text)
    except ValueError:
        return None
    is_archive = arn.service == "events" and arn.resource.startswith(_RESOURCE)
    return arn.resource.removeprefix(_RESOURCE) if is_archive else None


def find_archive(call: Call, name: str) -> Archive | None:
    """Return an archive of the caller's account and region inside a transaction or view."""
    return call.reader.find(ARCHIVE, record_key(call.account, call.region, name))


def load_archive(call: Call, name: str) -> Archive:
    """Return an archive inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such archive.
    """
    archive = find_archive(call, name)
    if archive is None:
        raise no_archive(name)
    return archive
