"""Logs: streams of entries at positions 1, 2, 3 ..., read by position and by time.

Times may go back a little (several writers, clocks). How far they ever did is kept with the stream, and turns a range
of times into a range of positions, so that reading costs the same however long the stream is. A dropped stream loses
its name at once; its entries are swept little by little.
"""

from collections.abc import Sequence
from typing import Any

from forebay.store.commands import (
    AppendLog,
    DropLog,
    ExpireLog,
    LogEntry,
    LogSize,
    MeasureLog,
    ReadLog,
    ReadLogByTime,
    StoredEntry,
)
from forebay.store.postgres.connection import Connection, Statement
from forebay.store.postgres.session import TIME_MIN, Session

# Entries of a dropped stream that one sweep deletes.
SWEPT_MAX = 500

_MAX = 1 << 62

_OPEN = Statement(
    "INSERT INTO stream AS kept (name, last_position, latest_at, disorder, entries, data_bytes)"
    " SELECT name, entries, latest_at, disorder, entries, data_bytes"
    " FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[])"
    " AS given (name, entries, earliest_at, latest_at, disorder, data_bytes)"
    " ON CONFLICT (name) DO UPDATE SET last_position = kept.last_position + excluded.entries,"
    " latest_at = greatest(kept.latest_at, excluded.latest_at), entries = kept.entries + excluded.entries,"
    " data_bytes = kept.data_bytes + excluded.data_bytes,"
    " disorder = greatest(kept.disorder, excluded.disorder, kept.latest_at - (SELECT earliest_at"
    " FROM unnest($1::text[], $3::int8[]) AS again (name, earliest_at) WHERE again.name = kept.name))"
    " RETURNING name, number, last_position",
    "text[]",
    *["int8[]"] * 5,
)
_INSERT = Statement(
    "INSERT INTO entry (stream, position, at, expires_at, data)"
    " SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::bytea[])",
    *["int8[]"] * 3,
    "int8?[]",
    "bytea[]",
)
_FIND = Statement("SELECT number, disorder FROM stream WHERE name = $1::text", "text")
_LAST_BEFORE = Statement(
    "SELECT position FROM entry WHERE stream = $1::int8 AND at < $2::int8 ORDER BY at DESC, position DESC LIMIT 1",
    "int8",
    "int8",
)
_MEASURE = Statement("SELECT entries, data_bytes FROM stream WHERE name = $1::text", "text")
_FIRST_SINCE = Statement(
    "SELECT position FROM entry WHERE stream = $1::int8 AND at >= $2::int8 ORDER BY at, position LIMIT 1",
    "int8",
    "int8",
)
_READ, _READ_BACK = (
    Statement(
        "SELECT position, at, data FROM entry WHERE stream = $1::int8 AND position > $2::int8"  # noqa: S608 constants
        f" AND position < $3::int8 AND at >= $4::int8 AND at < $5::int8 ORDER BY position {order} LIMIT $6::int8",
        *["int8"] * 6,
    )
    for order in ("ASC", "DESC")
)
_READ_BY_TIME = Statement(
    "SELECT position, at, data FROM entry WHERE stream = (SELECT number FROM stream WHERE name = $1::text)"
    " AND (at, position) > ($2::int8, $3::int8) AND at < $4::int8 ORDER BY at, position LIMIT $5::int8",
    "text",
    *["int8"] * 4,
)
_DROP = Statement("UPDATE stream SET name = NULL WHERE name = $1::text RETURNING entries", "text")
_EXPIRE = Statement(
    "WITH expired AS MATERIALIZED (SELECT stream, position FROM entry WHERE expires_at <= $1::int8"
    " ORDER BY expires_at LIMIT $2::int8 FOR UPDATE SKIP LOCKED),"
    " deleted AS (DELETE FROM entry USING expired WHERE entry.stream = expired.stream"
    " AND entry.position = expired.position RETURNING entry.stream, octet_length(entry.data) AS size)"
    " SELECT stream, count(*), sum(size)::int8 FROM deleted GROUP BY stream ORDER BY stream",
    "int8",
    "int8",
)
# Entries of dropped streams were counted when the stream was dropped.
_SUBTRACT = Statement(
    "UPDATE stream SET entries = entries - gone.count, data_bytes = data_bytes - gone.size"
    " FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS gone (number, count, size)"
    " WHERE stream.number = gone.number AND name IS NOT NULL RETURNING gone.count",
    *["int8[]"] * 3,
)
_DROPPED = Statement("SELECT number FROM stream WHERE name IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED")
_SWEEP = Statement(
    "WITH dropped AS MATERIALIZED (SELECT position FROM entry WHERE stream = $1::int8 ORDER BY position"
    " LIMIT $2::int8 FOR UPDATE SKIP LOCKED) DELETE FROM entry USING dropped"
    " WHERE stream = $1::int8 AND entry.position = dropped.position RETURNING entry.position",
    "int8",
    "int8",
)
_SWEPT = Statement("DELETE FROM stream WHERE number = $1::int8", "int8")


def append(session: Session, commands: Sequence[AppendLog]) -> list[int]:
    """Append entries to their streams."""
    streams: dict[str, list[LogEntry]] = {}
    ends: list[int] = []
    for command in commands:
        entries = streams.setdefault(command.stream, [])
        entries += command.entries
        # How many entries of this batch stand in the stream when the command is done.
        ends.append(len(entries))
        session.topics.add(("log", command.stream))
    opened = session.fetch_changed(_OPEN, *zip(*sorted(map(_summary, streams.items())), strict=True))
    first: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    for name, number, last_position in opened:
        entries = streams[name]
        first[name] = last_position - len(entries)
        rows += [
            (number, position, entry.at_ms, entry.expires_at_ms, entry.data)
            for position, entry in enumerate(entries, first[name] + 1)
        ]
    if rows:
        session.change(_INSERT, *zip(*rows, strict=True))
    return [first[command.stream] + end for command, end in zip(commands, ends, strict=True)]


def _summary(stream: tuple[str, list[LogEntry]]) -> tuple[str, int, int, int, int, int]:
    """Return what a stream row takes over from new entries: number, earliest and latest time, disorder, bytes."""
    name, entries = stream
    earliest, latest, disorder, data_bytes = _MAX, TIME_MIN, 0, 0
    for entry in entries:
        earliest = min(earliest, entry.at_ms)
        if entry.at_ms >= latest:
            latest = entry.at_ms
        else:
            disorder = max(disorder, latest - entry.at_ms)
        data_bytes += len(entry.data)
    return name, len(entries), earliest, latest, disorder, data_bytes


def read(connection: Connection, query: ReadLog) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in order of position."""
    found = connection.fetch(_FIND, query.stream)
    if not found:
        return ()
    number, disorder = found[0]
    low, high = query.after, _MAX if query.before is None else query.before
    from_ms, until_ms = TIME_MIN, _MAX
    if query.from_ms is not None:
        from_ms = query.from_ms
        # An entry this old has only older ones than `from_ms` before it.
        rows = connection.fetch(_LAST_BEFORE, number, from_ms - disorder)
        low = max(low, rows[0][0] if rows else 0)
    if query.until_ms is not None:
        until_ms = query.until_ms
        # And one this new has none behind it that is older than `until_ms`.
        rows = connection.fetch(_FIRST_SINCE, number, until_ms + disorder)
        high = min(high, rows[0][0] if rows else _MAX)
    statement = _READ_BACK if query.newest_first else _READ
    return tuple(
        StoredEntry(*row) for row in connection.fetch(statement, number, low, high, from_ms, until_ms, query.limit)
    )


def read_by_time(connection: Connection, query: ReadLogByTime) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in the order of their times."""
    at, position = max((query.from_ms, 0), query.after or (query.from_ms, 0))
    rows = connection.fetch(_READ_BY_TIME, query.stream, at, position, query.until_ms, query.limit)
    return tuple(StoredEntry(*row) for row in rows)


def measure(connection: Connection, query: MeasureLog) -> LogSize:
    """Measure a stream."""
    rows = connection.fetch(_MEASURE, query.stream)
    return LogSize(*rows[0]) if rows else LogSize(0, 0)


def drop(session: Session, commands: Sequence[DropLog]) -> list[int]:
    """Delete streams."""
    results: list[int] = []
    for command in commands:
        rows = session.fetch_changed(_DROP, command.stream)
        results.append(rows[0][0] if rows else 0)
        session.needs_sweep |= bool(rows)
    return results


def expire(session: Session, commands: Sequence[ExpireLog]) -> list[int]:
    """Delete entries whose time to live has ended."""
    results: list[int] = []
    for command in commands:
        gone = session.fetch_changed(_EXPIRE, command.now_ms, command.limit)
        counted = session.fetch(_SUBTRACT, *zip(*gone, strict=True)) if gone else []
        results.append(sum(row[0] for row in counted))
    return results


def sweep(session: Session) -> bool:
    """Delete some entries of dropped streams; return whether there may be more of them."""
    rows = session.fetch(_DROPPED)
    if not rows:
        return False
    if len(session.fetch_changed(_SWEEP, rows[0][0], SWEPT_MAX)) < SWEPT_MAX:
        session.change(_SWEPT, rows[0][0])
    return True
