"""Timers: what is due at some moment. Claims are leases; every claim has an epoch that settling must show.

Epochs come from the positions, which never come again: a timer that was deleted and made anew cannot be settled by
whoever held its namesake. Rows are locked in the order of their keys, whoever changes them.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from typing import Any

from forebay.store.commands import (
    ClaimedTimer,
    ClaimTimers,
    CountTimers,
    DeleteTimers,
    ExtendTimers,
    ListTimers,
    NextTimer,
    PutTimers,
    Settlement,
    SettleTimers,
    Timer,
)
from forebay.store.postgres.connection import Connection, Statement
from forebay.store.postgres.session import CLOCKS_APART_MS, Session

_INSERT = (
    "INSERT INTO timer AS kept (kind, key, ready_at, due_at, epoch, data) SELECT kind, key, due_at, due_at, 0, data"
    " FROM unnest($1::text[], $2::text[], $3::int8[], $4::bytea[]) AS given (kind, key, due_at, data) ON CONFLICT"
)
_TIMER_TYPES = ("text[]", "text[]", "int8[]", "bytea[]")
# Replacing ends a lease: nobody holds epoch 0. A row that was not there has no deleting transaction.
_REPLACE = Statement(
    f"{_INSERT} (kind, key) DO UPDATE SET ready_at = excluded.ready_at, due_at = excluded.due_at, epoch = 0,"
    " data = excluded.data RETURNING kind, kept.xmax = 0",
    *_TIMER_TYPES,
)
_CREATE = Statement(f"{_INSERT} DO NOTHING RETURNING kind, key", *_TIMER_TYPES)
_CLAIM = Statement(
    "WITH due AS MATERIALIZED (SELECT key, ready_at FROM timer WHERE kind = $1::text AND ready_at <= $2::int8"
    " AND ready_at >= $5::int8 ORDER BY ready_at, key LIMIT $4::int8 FOR UPDATE SKIP LOCKED)"
    " UPDATE timer SET ready_at = $3::int8, epoch = nextval('position') FROM due"
    " WHERE timer.kind = $1::text AND timer.key = due.key"
    " RETURNING due.ready_at, timer.key, timer.due_at, timer.data, timer.epoch",
    "text",
    *["int8"] * 4,
)
_HELD = "timer.kind = held.kind AND timer.key = held.key AND timer.epoch = held.epoch AND timer.epoch > 0"
_EXTEND = Statement(
    f"UPDATE timer SET ready_at = held.until FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[])"  # noqa: S608
    f" AS held (kind, key, epoch, until) WHERE {_HELD} RETURNING timer.kind, timer.key, timer.epoch",
    "text[]",
    "text[]",
    "int8[]",
    "int8[]",
)
_SETTLE = Statement(
    "UPDATE timer SET ready_at = held.due_at, due_at = held.due_at, epoch = 0, data = coalesce(held.data, timer.data)"  # noqa: S608
    " FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::bytea[])"
    f" AS held (kind, key, epoch, due_at, data) WHERE {_HELD} RETURNING held.kind, held.key, held.epoch",
    "text[]",
    "text[]",
    "int8[]",
    "int8[]",
    "bytea[]",
)
_FINISH = Statement(
    "DELETE FROM timer USING unnest($1::text[], $2::text[], $3::int8[]) AS held (kind, key, epoch)"  # noqa: S608
    f" WHERE {_HELD} RETURNING held.kind, held.key, held.epoch",
    "text[]",
    "text[]",
    "int8[]",
)
_DELETE = Statement(
    "DELETE FROM timer USING unnest($1::text[], $2::text[]) AS wanted (kind, key)"
    " WHERE timer.kind = wanted.kind AND timer.key = wanted.key RETURNING timer.kind, timer.key",
    "text[]",
    "text[]",
)
_NEXT = Statement("SELECT ready_at FROM timer WHERE kind = $1::text ORDER BY ready_at LIMIT 1", "text")
_COUNT = Statement("SELECT coalesce(sum(total), 0)::int8 FROM timer_count WHERE kind = $1::text", "text")
_LIST = Statement(
    "SELECT key, due_at, data, epoch FROM timer WHERE kind = $1::text AND key > $2::text ORDER BY key LIMIT $3::int8",
    "text",
    "text",
    "int8",
)

# A timer's kind and key, and the epoch under which it is held.
_Hold = tuple[str, str, int]


def put(session: Session, commands: Sequence[PutTimers]) -> list[tuple[bool, ...]]:
    """Create timers, or replace them."""
    results: list[tuple[bool, ...]] = []
    for only_new, group in groupby(commands, key=lambda command: command.only_new):
        results += (_create if only_new else _replace)(session, list(group))
    return results


def _replace(session: Session, commands: Sequence[PutTimers]) -> list[tuple[bool, ...]]:
    # The last of equal names wins.
    timers = {(timer.kind, timer.key): timer for command in commands for timer in command.timers}
    for kind, is_new in _put(session, _REPLACE, timers.values()):
        session.count_timers(kind, int(is_new))
    return [(True,) * len(command.timers) for command in commands]


def _create(session: Session, commands: Sequence[PutTimers]) -> list[tuple[bool, ...]]:
    timers: dict[tuple[str, str], Timer] = {}
    for command in commands:
        for timer in command.timers:
            timers.setdefault((timer.kind, timer.key), timer)
    created = {(kind, key) for kind, key in _put(session, _CREATE, timers.values())}
    for kind, _ in created:
        session.count_timers(kind, 1)
    return [tuple([_pop(created, (timer.kind, timer.key)) for timer in command.timers]) for command in commands]


def _put(session: Session, statement: Statement, timers: Iterable[Timer]) -> list[Any]:
    rows = sorted((timer.kind, timer.key, timer.due_at_ms, timer.data) for timer in timers)
    for kind, _, due_at, _ in rows:
        session.topics.add(("timers", kind))
        _lower(session, kind, due_at)
    return session.fetch_changed(statement, *zip(*rows, strict=True)) if rows else []


def claim(session: Session, commands: Sequence[ClaimTimers]) -> list[tuple[ClaimedTimer, ...]]:
    """Take due timers."""
    return [_claim(session, command) for command in commands]


def _claim(session: Session, command: ClaimTimers) -> tuple[ClaimedTimer, ...]:
    floor = session.timer_floor(command.kind)
    begin = min(session.start_at(floor), command.now_ms - CLOCKS_APART_MS)
    rows = session.fetch_changed(_CLAIM, command.kind, command.now_ms, command.lease_until_ms, command.limit, begin)
    rows.sort()
    if len(rows) < command.limit:
        floor.at = max(floor.at, command.now_ms - CLOCKS_APART_MS)
    elif rows:
        floor.at = max(floor.at, rows[0][0])
    _lower(session, command.kind, command.lease_until_ms)
    return tuple(ClaimedTimer(key, due_at, data, epoch) for _, key, due_at, data, epoch in rows)


def extend(session: Session, commands: Sequence[ExtendTimers]) -> list[tuple[bool, ...]]:
    """Extend the leases of claimed timers."""
    results: list[tuple[bool, ...]] = []
    for command in commands:
        _lower(session, command.kind, command.lease_until_ms)
        rows = sorted({(command.kind, key, epoch, command.lease_until_ms) for key, epoch in command.held})
        held = set(session.fetch_changed(_EXTEND, *zip(*rows, strict=True)) if rows else ())
        results.append(tuple([(command.kind, key, epoch) in held for key, epoch in command.held]))
    return results


def settle(session: Session, commands: Sequence[SettleTimers]) -> list[tuple[bool, ...]]:
    """Settle claimed timers."""
    # The first settlement ends the claim: a second one for the same timer comes too late.
    wanted: dict[_Hold, Settlement] = {}
    for command in commands:
        for settlement in command.settlements:
            wanted.setdefault((command.kind, settlement.key, settlement.epoch), settlement)
    gone = sorted(hold for hold, settlement in wanted.items() if settlement.due_at_ms is None)
    again = sorted(
        (*hold, settlement.due_at_ms, settlement.data)
        for hold, settlement in wanted.items()
        if settlement.due_at_ms is not None
    )
    settled: set[_Hold] = set()
    if gone:
        finished = session.fetch_changed(_FINISH, *zip(*gone, strict=True))
        for kind, _, _ in finished:
            session.count_timers(kind, -1)
        settled.update(finished)
    if again:
        for kind, key, epoch in session.fetch_changed(_SETTLE, *zip(*again, strict=True)):
            settled.add((kind, key, epoch))
            _lower(session, kind, wanted[kind, key, epoch].due_at_ms or 0)
            session.topics.add(("timers", kind))
    return [
        tuple([_pop(settled, (command.kind, settlement.key, settlement.epoch)) for settlement in command.settlements])
        for command in commands
    ]


def delete(session: Session, commands: Sequence[DeleteTimers]) -> list[tuple[bool, ...]]:
    """Delete timers whether claimed or not."""
    names = sorted({(command.kind, key) for command in commands for key in command.keys})
    deleted = set(session.fetch_changed(_DELETE, *zip(*names, strict=True)) if names else ())
    for kind, _ in deleted:
        session.count_timers(kind, -1)
    return [tuple([_pop(deleted, (command.kind, key)) for key in command.keys]) for command in commands]


def next_due(connection: Connection, query: NextTimer) -> int | None:
    """Return when the earliest timer of a kind is due."""
    rows = connection.fetch(_NEXT, query.kind)
    return rows[0][0] if rows else None


def count(connection: Connection, query: CountTimers) -> int:
    """Return how many timers of a kind exist."""
    return connection.fetch(_COUNT, query.kind)[0][0]


def list_timers(connection: Connection, query: ListTimers) -> tuple[ClaimedTimer, ...]:
    """Read timers of a kind in order of their keys."""
    return tuple(ClaimedTimer(*row) for row in connection.fetch(_LIST, query.kind, query.after_key, query.limit))


def _lower(session: Session, kind: str, due_at_ms: int) -> None:
    floor = session.timer_floor(kind)
    floor.at = min(floor.at, due_at_ms)


def _pop(found: "set[Any]", name: Hashable) -> bool:
    """Return whether a name is in a set, once."""
    if name in found:
        found.discard(name)
        return True
    return False
