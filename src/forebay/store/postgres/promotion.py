"""Time moves messages: those whose delay or visibility timeout is over become ready when someone looks, each once."""

from collections import Counter
from collections.abc import Iterable, Mapping

from forebay.store.postgres.connection import Row, Statement
from forebay.store.postgres.session import CLOCKS_APART_MS, Session

# Due messages of a queue that one receive or count promotes at most.
PROMOTED_MAX = 1000

_DUE = (
    "WITH due AS MATERIALIZED (SELECT asked.queue, found.* FROM unnest($1::int8[], $2::int8[], $3::int8[])"  # noqa: S608
    " AS asked (queue, now, floor) CROSS JOIN LATERAL (SELECT position, state, order_key, group_id FROM message"
    " WHERE queue = asked.queue AND state > 0 AND visible_at >= asked.floor AND visible_at <= asked.now"
    " AND position > coalesce((SELECT purged_through FROM queue WHERE number = asked.queue), 0)"
    f" ORDER BY visible_at LIMIT {PROMOTED_MAX} FOR UPDATE SKIP LOCKED) AS found),"
    " promoted AS (UPDATE message SET state = {state} FROM due"
    " WHERE message.queue = due.queue AND message.position = due.position)"
)
PROMOTE = Statement(
    _DUE.format(state=0)  # noqa: S608 constants
    + " SELECT queue, group_id, count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2), min(order_key)"
    " FROM due GROUP BY queue, group_id",
    *["int8[]"] * 3,
)
_PROMOTE_FIFO = Statement(
    _DUE.format(state=-1) + " SELECT queue, state, order_key FROM due",  # noqa: S608 constants
    *["int8[]"] * 3,
)


def promote(session: Session, now_ms: Mapping[int, int]) -> set[int]:
    """Make due messages of standard queues ready; return the queues that may have more of them."""
    if not now_ms:
        return set()
    return count_promoted(session, now_ms, session.fetch_changed(PROMOTE, *promotion(session, now_ms)))


def promotion(session: Session, now_ms: Mapping[int, int]) -> tuple[list[int], list[int], list[int]]:
    """Return the parameters of `PROMOTE`."""
    floors: list[int] = []
    for queue, now in now_ms.items():
        floor = session.floors(queue).hidden
        floors.append(min(session.start_at(floor), now - CLOCKS_APART_MS))
    return list(now_ms), list(now_ms.values()), floors


def count_promoted(session: Session, now_ms: Mapping[int, int], rows: Iterable[Row]) -> set[int]:
    """Count what `PROMOTE` has promoted; return the queues that may have more due messages."""
    numbers: Counter[int] = Counter()
    for queue, tenant, delayed, in_flight, first in rows:
        _count(session, queue, delayed, in_flight)
        if tenant is not None:
            session.count_tenant(queue, tenant, 0, delayed + in_flight)
            session.count_tenant(queue, tenant, 1, -delayed)
            session.count_tenant(queue, tenant, 2, -in_flight)
        numbers[queue] += delayed + in_flight
        session.lower_ready(queue, first)
    unfinished = {queue for queue, number in numbers.items() if number == PROMOTED_MAX}
    _raise_floors(session, now_ms, unfinished)
    return unfinished


def promote_fifo(session: Session, now_ms: Mapping[int, int]) -> set[int]:
    """Make due messages of FIFO queues ready, whose groups may open by that; return who may have more of them."""
    if not now_ms:
        return set()
    # What this batch has hidden or put is on its way before this, and so are its groups.
    rows = session.fetch_changed(_PROMOTE_FIFO, *promotion(session, now_ms))
    session.groups.load({(queue, identity) for queue, _, identity in rows})
    numbers: dict[int, list[int]] = {}
    for queue, state, identity in rows:
        group = session.groups.change(queue, identity)
        group.leave(state)
        group.ready += 1
        # A delayed message may come before others that are ready.
        group.is_headless = True
        numbers.setdefault(queue, [0, 0])[state - 1] += 1
    for queue, (delayed, in_flight) in numbers.items():
        _count(session, queue, delayed, in_flight)
    unfinished = {queue for queue, counted in numbers.items() if sum(counted) == PROMOTED_MAX}
    _raise_floors(session, now_ms, unfinished)
    return unfinished


def _count(session: Session, queue: int, delayed: int, in_flight: int) -> None:
    session.count(queue, 0, delayed + in_flight)
    session.count(queue, 1, -delayed)
    session.count(queue, 2, -in_flight)


def _raise_floors(session: Session, now_ms: Mapping[int, int], unfinished: set[int]) -> None:
    """Let the next scan begin where only the clocks of other nodes can still have put something."""
    for queue, now in now_ms.items():
        if queue not in unfinished:
            hidden = session.floors(queue).hidden
            hidden.at = max(hidden.at, now - CLOCKS_APART_MS)
