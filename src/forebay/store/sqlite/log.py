"""Logs: streams of entries at positions 1, 2, 3 ..., read by position and by time.

While a stream's times never went back, a range of times is a range of positions, and reading costs the same however
long the stream is. A dropped stream loses its name at once; its entries are swept little by little.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

from forebay.store.commands import AppendLog, DropLog, ExpireLog, ReadLog, StoredEntry
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import Session

# Entries of a dropped stream that one sweep deletes.
SWEPT_MAX = 500

_INSERT = Statements("INSERT INTO entry (stream, position, at, expires_at, data) VALUES {rows}", "(?,?,?,?,?)")
_OPEN = (
    "INSERT INTO stream (name, last_position, last_at, is_ordered, entries) VALUES (?, 0, ?, 1, 0)"
    " RETURNING number, last_position, last_at, is_ordered, entries"
)
_SAVE = "UPDATE stream SET last_position = ?, last_at = ?, is_ordered = ?, entries = ? WHERE number = ?"

# Before every time that anyone gives (and within 64 bits).
_TIME_MIN = -(1 << 62)
_MAX = 1 << 62


def append(session: Session, commands: Sequence[AppendLog]) -> list[int]:
    """Append entries to their streams."""
    values: list[object] = []
    results: list[int] = []
    streams: dict[str, list[int]] = {}
    for command in commands:
        stream = streams.get(command.stream) or _open(session, command.stream)
        streams[command.stream] = stream
        for entry in command.entries:
            stream[1] += 1
            stream[3] &= entry.at_ms >= stream[2]
            stream[2] = entry.at_ms
            stream[4] += 1
            values += (stream[0], stream[1], entry.at_ms, entry.expires_at_ms, entry.data)
        results.append(stream[1])
        session.topics.add(("log", command.stream))
    _INSERT.run(session.connection, values)
    for number, last_position, last_at, is_ordered, entries in streams.values():
        session.execute(_SAVE, (last_position, last_at, is_ordered, entries, number))
    return results


def read(connection: sqlite3.Connection, query: ReadLog) -> tuple[StoredEntry, ...]:
    """Read entries of a stream in order of position."""
    row = connection.execute("SELECT number, is_ordered FROM stream WHERE name = ?", (query.stream,)).fetchone()
    if row is None:
        return ()
    number, is_ordered = row
    from_ms = _TIME_MIN if query.from_ms is None else query.from_ms
    until_ms = _MAX if query.until_ms is None else query.until_ms
    low, high = query.after + 1, _MAX if query.before is None else query.before - 1
    order = "DESC" if query.newest_first else "ASC"
    if is_ordered and (query.from_ms is not None or query.until_ms is not None):
        low = max(low, _first_position(connection, number, from_ms))
        high = min(high, _first_position(connection, number, until_ms) - 1)
        from_ms, until_ms = _TIME_MIN, _MAX
    if from_ms == _TIME_MIN and until_ms == _MAX:
        times, values = "", (number, low, high, query.limit)
    else:
        times, values = "AND at >= ? AND at < ?", (number, low, high, from_ms, until_ms, query.limit)
    rows = connection.execute(
        # The parts are ours: an order and a condition.
        f"SELECT position, at, data FROM entry WHERE stream = ? AND position BETWEEN ? AND ? {times}"  # noqa: S608
        f" ORDER BY position {order} LIMIT ?",
        values,
    )
    return tuple(StoredEntry(*row) for row in rows.fetchall())


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


def _open(session: Session, name: str) -> list[int]:
    row = session.execute(
        "SELECT number, last_position, last_at, is_ordered, entries FROM stream WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        row = session.execute(_OPEN, (name, _TIME_MIN)).fetchone()
    return list(row)


def _first_position(connection: sqlite3.Connection, number: int, at_ms: int) -> int:
    """Return the position of the first entry at or after a time, in a stream whose times never went back."""
    row = connection.execute(
        "SELECT position FROM entry WHERE stream = ? AND at >= ? ORDER BY at, position LIMIT 1", (number, at_ms)
    ).fetchone()
    return row[0] if row else _MAX


def _drop(session: Session, name: str) -> int:
    row = session.execute("UPDATE stream SET name = NULL WHERE name = ? RETURNING entries", (name,)).fetchone()
    if row is None:
        return 0
    session.needs_sweep = True
    return row[0]


def _expire(session: Session, command: ExpireLog) -> int:
    rows = session.execute(
        "SELECT entry.rowid, stream FROM entry WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (command.now_ms, command.limit),
    ).fetchall()
    if not rows:
        return 0
    ids = json.dumps([identity for identity, _ in rows])
    session.execute("DELETE FROM entry WHERE rowid IN (SELECT value FROM json_each(?))", (ids,))
    total = 0
    for stream, number in Counter(stream for _, stream in rows).items():
        # Entries of dropped streams were counted when the stream was dropped.
        named = session.execute(
            "UPDATE stream SET entries = entries - ? WHERE number = ? AND name IS NOT NULL", (number, stream)
        ).rowcount
        total += number * named
    return total
