"""Logs, by the book."""

from forebay.store.commands import (
    AppendLog,
    DropLog,
    ExpireLog,
    LogSize,
    MeasureLog,
    ReadLog,
    ReadLogByTime,
    StoredEntry,
)
from forebay.store.memory.state import LogRow, State


def append(state: State, command: AppendLog) -> int:
    """Append entries to a stream."""
    position = state.last_positions.get(command.stream, 0)
    entries = state.streams.setdefault(command.stream, {})
    for entry in command.entries:
        position += 1
        entries[position] = LogRow(position, state.take_position(), entry)
    state.last_positions[command.stream] = position
    state.topics["log", command.stream] = None
    return position


def read(state: State, query: ReadLog) -> tuple[StoredEntry, ...]:
    """Read entries of a stream."""

    def is_wanted(stored: LogRow) -> bool:
        at_ms = stored.entry.at_ms
        return (
            stored.position > query.after
            and (query.before is None or stored.position < query.before)
            and (query.from_ms is None or at_ms >= query.from_ms)
            and (query.until_ms is None or at_ms < query.until_ms)
        )

    entries = [stored for stored in state.streams.get(query.stream, {}).values() if is_wanted(stored)]
    entries.sort(key=lambda stored: stored.position, reverse=query.newest_first)
    return tuple(
        StoredEntry(stored.position, stored.entry.at_ms, stored.entry.data) for stored in entries[: query.limit]
    )


def read_by_time(state: State, query: ReadLogByTime) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in the order of their times."""
    after = max((query.from_ms, 0), query.after or (query.from_ms, 0))
    found = sorted(
        (stored.entry.at_ms, stored.position, stored.entry.data)
        for stored in state.streams.get(query.stream, {}).values()
        if (stored.entry.at_ms, stored.position) > after and stored.entry.at_ms < query.until_ms
    )
    return tuple(StoredEntry(position, at_ms, data) for at_ms, position, data in found[: query.limit])


def measure(state: State, query: MeasureLog) -> LogSize:
    """Measure a stream."""
    entries = state.streams.get(query.stream, {}).values()
    return LogSize(len(entries), sum(len(stored.entry.data) for stored in entries))


def drop(state: State, command: DropLog) -> int:
    """Delete a stream."""
    state.last_positions.pop(command.stream, None)
    return len(state.streams.pop(command.stream, {}))


def expire_log(state: State, command: ExpireLog) -> int:
    """Delete entries whose time to live has ended."""
    expired = sorted(
        (stored.entry.expires_at_ms, stored.ticket, name, stored.position)
        for name, entries in state.streams.items()
        for stored in entries.values()
        if stored.entry.expires_at_ms is not None and stored.entry.expires_at_ms <= command.now_ms
    )[: command.limit]
    for _, _, name, position in expired:
        del state.streams[name][position]
    return len(expired)
