"""FIFO queues: sending with deduplication, deleting what is still held. Receiving is in `fifo_receive.py`.

A message's group stands in `order_key`, and all that must be known of a group in its row (`groups.py`), so nothing here
costs more when a queue is deep or has many groups. A batch holds the lock of its FIFO queues alone until the commit:
positions then grow in the order of commits, whichever node sends, and a group is closed for all nodes at once.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from forebay.store.commands import (
    DeleteMessages,
    ForgetDuplicates,
    NewMessage,
    SendMessages,
    SentMessage,
)
from forebay.store.message_group import Group
from forebay.store.postgres.connection import Row, Statement
from forebay.store.postgres.session import Session

_POSITION_MAX = (1 << 63) - 1

PURGED = "coalesce((SELECT purged_through FROM queue WHERE number = {}), 0)"
_POSITIONS = Statement("SELECT nextval('position') FROM generate_series(1, $1::int8)", "int8")
_MARK_FIFO = Statement(
    "INSERT INTO queue (number, purged_through, is_swept, is_fifo) VALUES ($1::int8, 0, true, true)"
    " ON CONFLICT (number) DO UPDATE SET is_fifo = true",
    "int8",
)
_KNOWN = Statement(
    "SELECT queue, key, until_ms, position, message_id FROM unnest($1::int8[], $2::text[]) AS wanted (queue, key)"
    " JOIN duplicate USING (queue, key)",
    "int8[]",
    "text[]",
)
_REMEMBER = Statement(
    "INSERT INTO duplicate (queue, key, until_ms, position, message_id)"
    " SELECT * FROM unnest($1::int8[], $2::text[], $3::int8[], $4::int8[], $5::text[]) ON CONFLICT (queue, key)"
    " DO UPDATE SET until_ms = excluded.until_ms, position = excluded.position, message_id = excluded.message_id",
    "int8[]",
    "text[]",
    "int8[]",
    "int8[]",
    "text[]",
)
_INSERT = Statement(
    "INSERT INTO message (queue, position, state, order_key, visible_at, expires_at, sent_at, receive_count,"
    " message_id, group_id, deduplication_id, attributes, body) SELECT queue, position, state, order_key, visible_at,"
    " expires_at, sent_at, 0, message_id, group_id, deduplication_id, attributes, body FROM unnest($1::int8[],"
    " $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::text[], $9::text[], $10::text[],"
    " $11::bytea[], $12::bytea[]) AS given (queue, position, state, order_key, visible_at, expires_at, sent_at,"
    " message_id, group_id, deduplication_id, attributes, body)",
    *["int8[]"] * 7,
    *["text[]"] * 3,
    *["bytea[]"] * 2,
)
_DELETE_HELD = Statement(
    "DELETE FROM message USING unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])"  # noqa: S608 constants
    " AS held (queue, position, receive_count, now) WHERE message.queue = held.queue"
    " AND message.position = held.position AND message.receive_count = held.receive_count AND state = 2"
    f" AND visible_at > now AND message.position > {PURGED.format('held.queue')}"
    " RETURNING message.queue, message.position, message.receive_count, order_key",
    *["int8[]"] * 4,
)
_FORGET, _FORGET_ATTEMPTS = (
    Statement(
        f"WITH ended AS MATERIALIZED (SELECT queue, {key} FROM {table} WHERE until_ms <= $1::int8 ORDER BY until_ms"  # noqa: S608
        f" LIMIT $2::int8 FOR UPDATE SKIP LOCKED) DELETE FROM {table} USING ended"
        f" WHERE {table}.queue = ended.queue AND {table}.{key} = ended.{key} RETURNING 1",
        "int8",
        "int8",
    )
    for table, key in (("duplicate", "key"), ("receive_attempt", "attempt"))
)


# --- sending ---


def send(session: Session, commands: Sequence[SendMessages]) -> list[tuple[SentMessage, ...]]:
    """Put messages on their queues, except duplicates."""
    known = _load_known(session, commands)
    session.groups.load_named({(command.queue, new.group or "") for command in commands for new in command.messages})
    # For each message at most one, and one for its group.
    positions = take_positions(session, 2 * sum([len(command.messages) for command in commands]))
    rows: list[Row] = []
    remembered: dict[tuple[int, str], Row] = {}
    results: list[tuple[SentMessage, ...]] = []
    for command in commands:
        mark_fifo(session, command.queue)
        sent: list[SentMessage] = []
        for new in command.messages:
            name = (command.queue, new.deduplication_key or "")
            first, until_ms = known.get(name, (None, 0))
            if first is not None and until_ms > new.sent_at_ms:
                sent.append(SentMessage(first.position, first.message_id, is_duplicate=True))
                continue
            group = find_group(session, command.queue, new.group or "", positions)
            one = SentMessage(positions.popleft(), new.message_id)
            sent.append(one)
            rows.append(_put(session, command.queue, new, group, one.position))
            if new.deduplication_key is not None:
                known[name] = one, new.deduplication_until_ms
                remembered[name] = (*name, new.deduplication_until_ms, one.position, one.message_id)
        session.topics.add(("queue", command.queue))
        results.append(tuple(sent))
    if rows:
        session.change(_INSERT, *zip(*rows, strict=True))
    if remembered:
        session.change(_REMEMBER, *zip(*remembered.values(), strict=True))
    return results


def _load_known(
    session: Session, commands: Sequence[SendMessages]
) -> dict[tuple[int, str], tuple[SentMessage | None, int]]:
    """Return what is remembered of the keys that are sent now."""
    keys = {
        (command.queue, new.deduplication_key)
        for command in commands
        for new in command.messages
        if new.deduplication_key is not None
    }
    if not keys:
        return {}
    return {
        (queue, key): (SentMessage(position, message_id), until_ms)
        for queue, key, until_ms, position, message_id in session.fetch(_KNOWN, *zip(*sorted(keys), strict=True))
    }


def take_positions(session: Session, count: int) -> deque[int]:
    """Return numbers that nobody was ever given, and that grow."""
    return deque([row[0] for row in session.fetch(_POSITIONS, count)])


def mark_fifo(session: Session, queue: int) -> None:
    """Let every node know that a queue is FIFO."""
    if queue not in session.marked_fifo:
        session.marked_fifo.add(queue)
        session.change(_MARK_FIFO, queue)


def find_group(session: Session, queue: int, name: str, positions: deque[int]) -> Group:
    """Return a group for changing, created when it is not there; it must have been looked for by `load_named`."""
    return session.groups.change_named(queue, name) or session.groups.create(positions.popleft(), queue, name)


def _put(session: Session, queue: int, new: NewMessage, group: Group, position: int) -> Row:
    if new.visible_at_ms > new.sent_at_ms:
        state = 1
        session.count(queue, 1, 1)
        group.delayed += 1
        session.lower_hidden(queue, new.visible_at_ms)
    else:
        state = -1
        session.count(queue, 0, 1)
        group.add_ready(position)
    return (
        queue,
        position,
        state,
        group.id,
        new.visible_at_ms,
        new.expires_at_ms,
        new.sent_at_ms,
        new.message_id,
        new.group,
        new.deduplication,
        new.attributes,
        new.body.encode(),
    )


# --- deleting and forgetting ---


def delete(session: Session, commands: Sequence[DeleteMessages]) -> list[tuple[bool, ...]]:
    """Delete messages that are in flight by the receives that the receipts are of."""
    wanted = sorted(
        {
            (command.queue, receipt.position, receipt.receive_count, command.now_ms)
            for command in commands
            for receipt in command.receipts
            if 0 < receipt.position <= _POSITION_MAX and 0 <= receipt.receive_count <= _POSITION_MAX
        }
    )
    rows = session.fetch_changed(_DELETE_HELD, *zip(*wanted, strict=True)) if wanted else []
    session.groups.load({(queue, identity) for queue, _, _, identity in rows})
    for queue, _, _, identity in rows:
        session.count(queue, 2, -1)
        group = session.groups.change(queue, identity)
        group.end_flight()
        if group.ready and not group.in_flight:
            session.topics.add(("queue", queue))
    deleted = {row[:3] for row in rows}
    return [
        tuple([_pop(deleted, (command.queue, one.position, one.receive_count)) for one in command.receipts])
        for command in commands
    ]


def _pop(found: set[Any], name: tuple[int, int, int]) -> bool:
    """Return whether a name is in a set, once."""
    if name in found:
        found.discard(name)
        return True
    return False


def forget_duplicates(session: Session, commands: Sequence[ForgetDuplicates]) -> list[int]:
    """Delete memories that have ended."""
    results: list[int] = []
    for command in commands:
        forgotten = len(session.fetch_changed(_FORGET, command.now_ms, command.limit))
        forgotten += len(session.fetch_changed(_FORGET_ATTEMPTS, command.now_ms, command.limit - forgotten))
        results.append(forgotten)
    return results
