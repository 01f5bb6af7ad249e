"""Logs: streams of entries at positions 1, 2, 3 ..., read by position and by time.

Times may go back a little (several writers, clocks). How far they ever did is kept with the stream, and turns a range
of times into a range of positions, so that reading costs the same however long the stream is. A dropped stream loses
its name at once; its entries are swept little by little.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

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
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import Session

# Entries of a dropped stream that one sweep deletes.
SWEPT_MAX = 500

# Before every time that anyone gives (and within 64 bits).
_TIME_MIN = -(1 << 62)

_INSERT = Statements("INSERT INTO entry (stream, position, at, expires_at, data) VALUES {rows}", "(?,?,?,?,?)")
_FIND = Statements(
    "SELECT name, number, last_position, latest_at, disorder, entries, data_bytes FROM stream WHERE name IN ({rows})",
    "?",
)
_OPEN = Statements(
    "INSERT INTO stream (name, last_position, latest_at, disorder, entries) VALUES {rows}"
    " RETURNING name, number, last_position, latest_at, disorder, entries, data_bytes",
    f"(?, 0, {_TIME_MIN}, 0, 0)",
)
# An update of many rows at once: each of them is there.
_SAVE = Statements(
    "INSERT INTO stream (number, last_position, latest_at, disorder, entries, data_bytes) VALUES {rows}"
    " ON CONFLICT (number) DO UPDATE SET last_position = excluded.last_position, latest_at = excluded.latest_at,"
    " disorder = excluded.disorder, entries = excluded.entries, data_bytes = excluded.data_bytes",
    "(?,?,?,?,?,?)",
)

_LAST_BEFORE = "SELECT position FROM entry WHERE stream = ? AND at < ? ORDER BY at DESC, position DESC LIMIT 1"
_FIRST_SINCE = "SELECT position FROM entry WHERE stream = ? AND at >= ? ORDER BY at, position LIMIT 1"

_BY_TIME = (
    "SELECT position, at, data FROM entry INDEXED BY entry_time"
    " WHERE stream = (SELECT number FROM stream WHERE name = ?) AND (at, position) > (?, ?) AND at < ?"
    " ORDER BY at, position LIMIT ?"
)

_MAX = 1 << 62


def append(session: Session, commands: Sequence[AppendLog]) -> list[int]:
    """Append entries to their streams."""
    values: list[object] = []
    results: list[int] = []
    streams = _open(session.connection, {command.stream for command in commands})
    for command in commands:
        stream = streams[command.stream]
        for entry in command.entries:
            stream[1] += 1
            if entry.at_ms >= stream[2]:
                stream[2] = entry.at_ms
            else:
                stream[3] = max(stream[3], stream[2] - entry.at_ms)
            stream[4] += 1
            stream[5] += len(entry.data)
            values += (stream[0], stream[1], entry.at_ms, entry.expires_at_ms, entry.data)
        results.append(stream[1])
        session.topics.add(("log", command.stream))
    _INSERT.run(session.connection, values)
    _SAVE.run(session.connection, [value for stream in streams.values() for value in stream])
    return results


def read(connection: sqlite3.Connection, query: ReadLog) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in order of position."""
    row = connection.execute("SELECT number, disorder FROM stream WHERE name = ?", (query.stream,)).fetchone()
    if row is None:
        return ()
    number, disorder = row
    low, high = query.after, _MAX if query.before is None else query.before
    times = ""
    bounds: list[int] = []
    if query.from_ms is not None:
        # An entry this old has only older ones than `from_ms` before it.
        low = max(low, _position(connection, _LAST_BEFORE, number, query.from_ms - disorder) or 0)
        times += " AND at >= ?"
        bounds.append(query.from_ms)
    if query.until_ms is not None:
        # And one this new has none behind it that is older than `until_ms`.
        high = min(high, _position(connection, _FIRST_SINCE, number, query.until_ms + disorder) or _MAX)
        times += " AND at < ?"
        bounds.append(query.until_ms)
    order = "DESC" if query.newest_first else "ASC"
    rows = connection.execute(
        # The parts are ours: an order and a condition.
        "SELECT position, at, data FROM entry INDEXED BY entry_position"  # noqa: S608
        f" WHERE stream = ? AND position > ? AND position < ?{times} ORDER BY position {order} LIMIT ?",
        (number, low, high, *bounds, query.limit),
    )
    return tuple(StoredEntry(*row) for row in rows.fetchall())


def read_by_time(connection: sqlite3.Connection, query: ReadLogByTime) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in the order of their times."""
    at, position = max((query.from_ms, 0), query.after or (query.from_ms, 0))
    rows = connection.execute(_BY_TIME, (query.stream, at, position, query.until_ms, query.limit))
    return tuple(StoredEntry(*row) for row in rows.fetchall())


def measure(connection: sqlite3.Connection, query: MeasureLog) -> LogSize:
    """Measure a stream."""
    row = connection.execute("SELECT entries, data_bytes FROM stream WHERE name = ?", (query.stream,)).fetchone()
    return LogSize(*row) if row else LogSize(0, 0)


def drop(session: Session, commands: Sequence[DropLog]) -> list[int]:
    """Delete streams."""
    return [_drop(session, command.stream) for command in commands]


def expire(session: Session, commands: Sequence[ExpireLog]) -> list[int]:
    """Delete entries whose time to live has ended."""
    return [_expire(session, command) for command in commands]


def sweep(session: Session) -> bool:
    """Delete some entries of dropped streams; return whether there may be more of them."""
    row = session.execute("SELECT number FROM stream WHERE name IS NULL LIMIT 1").fetchone()
    if row is None:
        return False
    swept = session.execute(
        "DELETE FROM entry WHERE rowid IN (SELECT rowid FROM entry WHERE stream = ? LIMIT ?)", (row[0], SWEPT_MAX)
    ).rowcount
    if swept < SWEPT_MAX:
        session.execute("DELETE FROM stream WHERE number = ?", row)
    return True


def _open(connection: sqlite3.Connection, names: set[str]) -> dict[str, list[int]]:
    """Return the streams' rows (`_FIND`) without their names, by name, opening those that are new."""
    rows = _FIND.fetch(connection, list(names))
    if len(rows) < len(names):
        rows += _OPEN.fetch(connection, list(names.difference(row[0] for row in rows)))
    return {row[0]: list(row[1:]) for row in rows}


def _position(connection: sqlite3.Connection, statement: str, number: int, at_ms: int) -> int | None:
    row = connection.execute(statement, (number, at_ms)).fetchone()
    return row[0] if row else None


def _drop(session: Session, name: str) -> int:
    row = session.execute("UPDATE stream SET name = NULL WHERE name = ? RETURNING entries", (name,)).fetchone()
    if row is None:
        return 0
    session.needs_sweep = True
    return row[0]


def _expire(session: Session, command: ExpireLog) -> int:
    rows = session.execute(
        "SELECT entry.rowid, stream, length(data) FROM entry WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (command.now_ms, command.limit),
    ).fetchall()
    if not rows:
        return 0
    ids = json.dumps([row[0] for row in rows])
    session.execute("DELETE FROM entry WHERE rowid IN (SELECT value FROM json_each(?))", (ids,))
    entries: Counter[int] = Counter()
    data_bytes: Counter[int] = Counter()
    for _, stream, size in rows:
        entries[stream] += 1
        data_bytes[stream] += size
    total = 0
    for stream, count in entries.items():
        # Entries of dropped streams were counted when the stream was dropped.
        named = session.execute(
            "UPDATE stream SET entries = entries - ?, data_bytes = data_bytes - ?"
            " WHERE number = ? AND name IS NOT NULL",
            (count, data_bytes[stream], stream),
        ).rowcount
        total += count * named
    return total
