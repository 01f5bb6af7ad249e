"""Changing what was promised to messages that are there already: how long they are kept, how long they are delayed."""

from collections.abc import Sequence

from forebay.store.commands import ChangeDelay, ChangeRetention
from forebay.store.postgres.connection import Statement
from forebay.store.postgres.session import Floor, Session

_NEXT = Statement(
    "SELECT position FROM message WHERE queue = $1::int8"
    " AND position > greatest($2::int8, coalesce((SELECT purged_through FROM queue WHERE number = $1::int8), 0))"
    " ORDER BY position LIMIT $3::int8 FOR UPDATE",
    *["int8"] * 3,
)
_RETAIN = Statement(
    "UPDATE message SET expires_at = sent_at + $2::int8 WHERE queue = $1::int8 AND position = ANY ($3::int8[])",
    "int8",
    "int8",
    "int8[]",
)
_DELAY = Statement(
    "UPDATE message SET visible_at = sent_at + $2::int8 WHERE queue = $1::int8 AND state = 1"
    " AND position > coalesce((SELECT purged_through FROM queue WHERE number = $1::int8), 0)",
    "int8",
    "int8",
)


def change_retention(session: Session, commands: Sequence[ChangeRetention]) -> list[int | None]:
    """Change when messages expire."""
    results: list[int | None] = []
    for command in commands:
        rows = session.fetch(_NEXT, command.queue, command.after, command.limit + 1)
        positions = [row[0] for row in rows[: command.limit]]
        if positions:
            session.change(_RETAIN, command.queue, command.retention_ms, positions)
        results.append(positions[-1] if len(rows) > command.limit else None)
    return results


def change_delay(session: Session, commands: Sequence[ChangeDelay]) -> list[None]:
    """Change when delayed messages become visible."""
    for command in commands:
        session.change(_DELAY, command.queue, command.delay_ms)
        # They may be due in the past now.
        session.floors(command.queue).hidden = Floor()
        session.topics.add(("queue", command.queue))
    return [None] * len(commands)
