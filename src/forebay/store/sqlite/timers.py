"""Timers: what is due at some moment. Claims are leases; every claim has an epoch that settling must show.

Epochs come from the positions, which never come again: a timer that was deleted and made anew cannot be settled by
whoever held its namesake.
"""

import json
import sqlite3
from collections.abc import Sequence

from forebay.store.commands import (
    ClaimedTimer,
    ClaimTimers,
    CountTimers,
    DeleteTimers,
    ExtendTimers,
    ListTimers,
    NextTimer,
    PutTimers,
    SettleTimers,
    Timer,
)
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import Session

_INSERT = "INSERT INTO timer (kind, key, ready_at, due_at, epoch, data) VALUES {rows}"
_ROW = "(?,?,?,?,0,?)"
# Replacing ends a lease: nobody holds epoch 0.
_REPLACE = Statements(
    f"{_INSERT} ON CONFLICT (kind, key) DO UPDATE SET ready_at = excluded.ready_at, due_at = excluded.due_at,"
    " epoch = 0, data = excluded.data",
    _ROW,
)
_CREATE = Statements(f"{_INSERT} ON CONFLICT DO NOTHING RETURNING kind, key", _ROW)
# `(kind, key) IN (VALUES ...)` would look at every timer.
_KNOWN = Statements(
    "WITH wanted (kind, key) AS (VALUES {rows}) SELECT kind, key FROM wanted CROSS JOIN timer USING (kind, key)",
    "(?,?)",
)
_DUE = "SELECT rowid, key, due_at, data FROM timer WHERE kind = ? AND ready_at <= ? ORDER BY ready_at, key LIMIT ?"
_SETTLE = Statements(
    "WITH change (id, due_at, data) AS (VALUES {rows}) UPDATE timer SET ready_at = change.due_at,"
    " due_at = change.due_at, epoch = 0, data = coalesce(change.data, timer.data)"
    " FROM change WHERE timer.rowid = change.id",
    "(?,?,?)",
)


def put(session: Session, commands: Sequence[PutTimers]) -> list[tuple[bool, ...]]:
    """Create timers, or replace them."""
    if any(command.only_new for command in commands):
        return [_put(session, command) for command in commands]
    # What replaces can be written together: of equals, the last one stays.
    _replace(session, [timer for command in commands for timer in command.timers])
    return [(True,) * len(command.timers) for command in commands]


def claim(session: Session, commands: Sequence[ClaimTimers]) -> list[tuple[ClaimedTimer, ...]]:
    """Take due timers."""
    return [_claim(session, command) for command in commands]


def extend(session: Session, commands: Sequence[ExtendTimers]) -> list[tuple[bool, ...]]:
    """Extend the leases of claimed timers."""
    return [_extend(session, command) for command in commands]


def settle(session: Session, commands: Sequence[SettleTimers]) -> list[tuple[bool, ...]]:
    """Settle claimed timers."""
    return [_settle(session, command) for command in commands]


def delete(session: Session, commands: Sequence[DeleteTimers]) -> list[tuple[bool, ...]]:
    """Delete timers."""
    keys: dict[str, list[str]] = {}
    for command in commands:
        keys.setdefault(command.kind, []).extend(command.keys)
    known = {kind: _delete(session, kind, of_kind) for kind, of_kind in keys.items()}
    return [tuple(known[command.kind].pop(key, None) is not None for key in command.keys) for command in commands]


def next_due(connection: sqlite3.Connection, query: NextTimer) -> int | None:
    """Return when the earliest timer of a kind is due."""
    row = connection.execute(
        "SELECT ready_at FROM timer WHERE kind = ? ORDER BY ready_at LIMIT 1", (query.kind,)
    ).fetchone()
    return row[0] if row else None


def count(connection: sqlite3.Connection, query: CountTimers) -> int:
    """Return how many timers of a kind exist."""
    row = connection.execute("SELECT total FROM timer_count WHERE kind = ?", (query.kind,)).fetchone()
    return row[0] if row else 0


def list_timers(connection: sqlite3.Connection, query: ListTimers) -> tuple[ClaimedTimer, ...]:
    """Read timers of a kind in order of their keys."""
    rows = connection.execute(
        "SELECT key, due_at, data, epoch FROM timer WHERE kind = ? AND key > ? ORDER BY key LIMIT ?",
        (query.kind, query.after_key, query.limit),
    )
    return tuple(ClaimedTimer(*row) for row in rows.fetchall())


def _put(session: Session, command: PutTimers) -> tuple[bool, ...]:
    if not command.only_new:
        _replace(session, command.timers)
        return (True,) * len(command.timers)
    _tell(session, command.timers)
    created = set(_CREATE.fetch(session.connection, _values(command.timers)))
    for kind, _ in created:
        session.count_timers(str(kind), 1)
    results: list[bool] = []
    for timer in command.timers:
        identity = (timer.kind, timer.key)
        results.append(identity in created)
        created.discard(identity)
    return tuple(results)


def _replace(session: Session, timers: Sequence[Timer]) -> None:
    _tell(session, timers)
    names = [name for timer in timers for name in (timer.kind, timer.key)]
    known = set(_KNOWN.fetch(session.connection, names))
    for timer in timers:
        if (timer.kind, timer.key) not in known:
            known.add((timer.kind, timer.key))
            session.count_timers(timer.kind, 1)
    _REPLACE.run(session.connection, _values(timers))


def _tell(session: Session, timers: Sequence[Timer]) -> None:
    for timer in timers:
        session.topics.add(("timers", timer.kind))


def _values(timers: Sequence[Timer]) -> list[object]:
    return [
        value for timer in timers for value in (timer.kind, timer.key, timer.due_at_ms, timer.due_at_ms, timer.data)
    ]


def _claim(session: Session, command: ClaimTimers) -> tuple[ClaimedTimer, ...]:
    rows = session.execute(_DUE, (command.kind, command.now_ms, command.limit)).fetchall()
    if not rows:
        return ()
    epoch = session.take_positions(1)
    session.execute(
        "UPDATE timer SET ready_at = ?, epoch = ? WHERE rowid IN (SELECT value FROM json_each(?))",
        (command.lease_until_ms, epoch, json.dumps([row[0] for row in rows])),
    )
    return tuple(ClaimedTimer(key, due_at, data, epoch) for _, key, due_at, data in rows)


def _held(session: Session, kind: str, held: Sequence[tuple[str, int]]) -> list[int | None]:
    """Return the row of each timer that is held under its epoch, None where the lease is lost."""
    keys = json.dumps([key for key, _ in held])
    rows = session.execute(
        "SELECT key, epoch, rowid FROM timer WHERE kind = ? AND epoch > 0 AND key IN (SELECT value FROM json_each(?))",
        (kind, keys),
    ).fetchall()
    known = {(key, epoch): row for key, epoch, row in rows}
    return [known.get(pair) for pair in held]


def _extend(session: Session, command: ExtendTimers) -> tuple[bool, ...]:
    held = _held(session, command.kind, command.held)
    session.execute(
        "UPDATE timer SET ready_at = ? WHERE rowid IN (SELECT value FROM json_each(?))",
        (command.lease_until_ms, json.dumps([row for row in held if row is not None])),
    )
    return tuple(row is not None for row in held)


def _settle(session: Session, command: SettleTimers) -> tuple[bool, ...]:
    held = _held(session, command.kind, [(settlement.key, settlement.epoch) for settlement in command.settlements])
    results: list[bool] = []
    values: list[object] = []
    gone: list[int] = []
    settled: set[int] = set()
    for settlement, row in zip(command.settlements, held, strict=True):
        # The first settlement ends the claim: a second one for the same timer comes too late.
        is_held = row is not None and row not in settled
        results.append(is_held)
        if row is None or not is_held:
            continue
        settled.add(row)
        if settlement.due_at_ms is None:
            gone.append(row)
        else:
            values += (row, settlement.due_at_ms, settlement.data)
            session.topics.add(("timers", command.kind))
    _SETTLE.run(session.connection, values)
    _delete_rows(session, command.kind, gone)
    return tuple(results)


def _delete(session: Session, kind: str, keys: Sequence[str]) -> dict[str, int]:
    """Delete timers of a kind; return those that were there."""
    rows = session.execute(
        "SELECT key, rowid FROM timer WHERE kind = ? AND key IN (SELECT value FROM json_each(?))",
        (kind, json.dumps(keys)),
    ).fetchall()
    known: dict[str, int] = dict(rows)
    _delete_rows(session, kind, list(known.values()))
    return known


def _delete_rows(session: Session, kind: str, rows: Sequence[int]) -> None:
    if rows:
        session.execute("DELETE FROM timer WHERE rowid IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
        session.count_timers(kind, -len(rows))
