"""Time moves messages: those whose delay or visibility timeout is over become ready when someone looks, each once."""

import json

from forebay.store.sqlite import fair
from forebay.store.sqlite.session import QueueState, Session

# Due messages that one receive or count promotes at most.
PROMOTED_MAX = 1000

IS_DUE = "FROM message WHERE queue = ? AND state > 0 AND visible_at <= ? AND id >= ?"
_DUE = f"{IS_DUE} ORDER BY visible_at, state"
_COUNT_DUE = f"SELECT state, count(*) FROM (SELECT state {_DUE} LIMIT ?) GROUP BY state"  # noqa: S608 constants
_COUNT_DUE_TENANTS = (
    "SELECT state, group_id, count(*), min(order_key)"  # noqa: S608 constants
    f" FROM (SELECT state, group_id, order_key {_DUE} LIMIT ?) GROUP BY state, group_id"
)
_PROMOTE = f"UPDATE message SET state = 0 WHERE id IN (SELECT id {_DUE} LIMIT ?)"  # noqa: S608 constants
_SELECT_DUE = f"SELECT id, state, order_key {_DUE} LIMIT ?"
_PROMOTE_FIFO = "UPDATE message SET state = -1 WHERE id IN (SELECT value FROM json_each(?))"


def promote(session: Session, queue: QueueState, now_ms: int) -> bool:
    """Make messages ready whose delay or visibility timeout is over; return whether there may be more of them."""
    if queue.next_due is None or now_ms < queue.next_due:
        return False
    bounds = (queue.number, now_ms, queue.first_id, PROMOTED_MAX)
    promoted = _promote_groups(session, bounds) if queue.is_fifo else _promote(session, queue, bounds)
    if promoted:
        queue = session.change_queue(queue.number)
        for state, number in promoted:
            queue.count(state, -number)
            queue.ready += number
    queue.next_due = session.first_hidden(queue)
    return sum(number for _, number in promoted) == PROMOTED_MAX


def _promote(session: Session, queue: QueueState, bounds: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Promote messages of a standard queue; return how many there were of each state."""
    if queue.has_tenants:
        counted = session.execute(_COUNT_DUE_TENANTS, bounds).fetchall()
        fair.count_promoted(session, queue, counted)
        promoted = [(state, number) for state, _, number, _ in counted]
    else:
        promoted = session.execute(_COUNT_DUE, bounds).fetchall()
    if promoted:
        session.execute(_PROMOTE, bounds)
    return promoted


def _promote_groups(session: Session, bounds: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Promote messages of a FIFO queue, whose groups may open by that."""
    rows = session.execute(_SELECT_DUE, bounds).fetchall()
    if not rows:
        return []
    session.execute(_PROMOTE_FIFO, (json.dumps([row[0] for row in rows]),))
    session.groups.load({row[2] for row in rows})
    delayed = 0
    for _, state, identity in rows:
        group = session.groups.change(identity)
        group.leave(state)
        group.ready += 1
        # A delayed message may come before others that are ready.
        group.is_headless = True
        delayed += state == 1
    return [(1, delayed), (2, len(rows) - delayed)]
