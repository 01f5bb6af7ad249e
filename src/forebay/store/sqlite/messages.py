"""Messages, except receiving them: send, delete, change visibility, count, purge, peek, expire.

Each function takes many commands of one type and answers their results in order. A message is ready, delayed or in
flight. Sending to, receiving from and deleting on FIFO queues is in `fifo.py`.
"""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from forebay.store.commands import (
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    CountGroup,
    CountMessages,
    DeleteMessages,
    ExpireMessages,
    MessageCounts,
    PeekMessages,
    PurgeQueue,
    Receipt,
    ReceivedMessage,
    SendMessages,
    SentMessage,
)
from forebay.store.sqlite import fair
from forebay.store.sqlite.promotion import IS_DUE, promote
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import POSITION_MAX, QUEUE_SHIFT, QueueState, Session

# Purged rows that one sweep deletes: a few milliseconds, for which the next batch waits.
SWEPT_MAX = 500

MESSAGE_COLUMNS = (
    "id, message_id, body, attributes, sent_at, visible_at, expires_at, first_received_at, receive_count, "
    "group_id, deduplication_id, dead_letter_source"
)
# The group is '' where there is none, on a queue with tenants.
_SHOWN_COLUMNS = MESSAGE_COLUMNS.replace("group_id", "nullif(group_id, '')")

INSERT = Statements(
    "INSERT INTO message (id, state, order_key, queue, visible_at, expires_at, receive_count, sent_at, message_id,"
    " group_id, deduplication_id, attributes, body) VALUES {rows}",
    "(?,?,?,?,?,?,0,?,?,?,?,?,?)",
)
# All rows in one: each row that a statement returns is a step of its own, and gives the interpreter's lock away.
_FIND = Statements("SELECT json_group_array(json_array(id, state, group_id)) FROM message WHERE id IN ({rows})", "?")
_read_found = msgspec.json.Decoder(list[tuple[int, int, str | None]]).decode
_DELETE = Statements("DELETE FROM message WHERE id IN ({rows})", "?")
_HIDE = Statements(
    "WITH change (id, visible_at) AS (VALUES {rows}) UPDATE message SET visible_at = change.visible_at"
    " FROM change WHERE message.id = change.id",
    "(?,?)",
)
_COUNT_GROUP = (
    "SELECT ready, in_flight, delayed FROM message_group WHERE queue = ? AND name = ?"  # noqa: S608 constants
    f" AND id > (? << {QUEUE_SHIFT} | coalesce((SELECT purged_through FROM queue WHERE number = ?), 0))"
)
_COUNT_ALL_DUE = f"SELECT count(*), total(state = 1) {IS_DUE}"

_GONE: tuple[int | None, str | None] = (None, None)


def send(session: Session, commands: Sequence[SendMessages]) -> list[tuple[SentMessage, ...]]:
    """Put messages on their queues."""
    position = session.take_positions(sum([len(command.messages) for command in commands]))
    values: list[object] = []
    results: list[tuple[SentMessage, ...]] = []
    of_tenants = fair.SentMessages(session)
    for command in commands:
        queue = session.change_queue(command.queue)
        shifted = queue.number << QUEUE_SHIFT
        sent: list[SentMessage] = []
        for message in command.messages:
            row = shifted | position
            visible_at = message.visible_at_ms
            if visible_at > message.sent_at_ms:
                state = 1
                queue.delayed += 1
                queue.hide_until(visible_at)
            else:
                state = 0
                queue.ready += 1
            group = message.group
            if group is not None or queue.has_tenants:
                group = of_tenants.add(queue, group, row, state, message.sent_at_ms)
            values += (
                row,
                state,
                row,
                queue.number,
                visible_at,
                message.expires_at_ms,
                message.sent_at_ms,
                message.message_id,
                group,
                message.deduplication,
                message.attributes,
                message.body,
            )
            sent.append(SentMessage(position, message.message_id))
            position += 1
        session.topics.add(("queue", queue.number))
        results.append(tuple(sent))
    INSERT.run(session.connection, values)
    of_tenants.count()
    return results


def delete(session: Session, commands: Sequence[DeleteMessages]) -> list[tuple[bool, ...]]:
    """Delete messages by their receipts."""
    wanted = [message_rows(session.change_queue(command.queue), command.receipts) for command in commands]
    found = _FIND.fetch(session.connection, [row for rows in wanted for row in rows])
    states = {row: (state, tenant) for (rows,) in found for row, state, tenant in _read_found(rows)}
    _DELETE.run(session.connection, list(states))
    left: list[fair.Left] = []
    results: list[tuple[bool, ...]] = []
    for command, rows in zip(commands, wanted, strict=True):
        queue = session.change_queue(command.queue)
        are_there: list[bool] = []
        for row in rows:
            # Popped, so that of two receipts for one message only the first deletes it.
            state, tenant = states.pop(row, _GONE)
            are_there.append(state is not None)
            if state is not None:
                queue.count(state, -1)
                if tenant is not None and queue.has_tenants:
                    left.append((queue.number, tenant, state))
        results.append(tuple(are_there))
    if left:
        fair.count_left(session, left)
    return results


def change_visibility(session: Session, commands: Sequence[ChangeVisibility]) -> list[tuple[bool, ...]]:
    """Change when messages in flight become visible again."""
    return [_change_visibility(session, command) for command in commands]


def count(session: Session, commands: Sequence[CountMessages]) -> list[MessageCounts]:
    """Count the messages of queues."""
    return [_count(session, command) for command in commands]


def purge(session: Session, commands: Sequence[PurgeQueue]) -> list[int]:
    """Empty queues at once: what stands before a watermark is gone, and `sweep` deletes its rows little by little."""
    return [_purge(session, command.queue) for command in commands]


def sweep(session: Session) -> bool:
    """Delete some rows of purged messages; return whether there may be more of them."""
    row = session.execute("SELECT number FROM queue WHERE is_swept = 0 LIMIT 1").fetchone()
    if row is None:
        return False
    queue = session.queue(row[0])
    swept = session.execute(
        "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE id BETWEEN ? AND ? LIMIT ?)",
        (queue.number << QUEUE_SHIFT, queue.first_id - 1, SWEPT_MAX),
    ).rowcount
    if swept < SWEPT_MAX and not _sweep_groups(session, queue):
        session.change_queue(queue.number).is_swept = True
    return True


def _sweep_groups(session: Session, queue: QueueState) -> bool:
    if not (queue.is_fifo or queue.has_tenants):
        return False
    swept = session.execute(
        "DELETE FROM message_group WHERE id IN (SELECT id FROM message_group WHERE id BETWEEN ? AND ? LIMIT ?)",
        (queue.number << QUEUE_SHIFT, queue.first_id - 1, SWEPT_MAX),
    ).rowcount
    return swept == SWEPT_MAX


def peek(connection: sqlite3.Connection, query: PeekMessages) -> tuple[ReceivedMessage, ...]:
    """Read messages in order of position."""
    row = connection.execute("SELECT purged_through FROM queue WHERE number = ?", (query.queue,)).fetchone()
    after = max(query.after, row[0] if row else 0)
    shifted = query.queue << QUEUE_SHIFT
    rows = connection.execute(
        f"SELECT {_SHOWN_COLUMNS} FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",  # noqa: S608 constants
        (shifted + after + 1, shifted | POSITION_MAX, query.limit),
    ).fetchall()
    return tuple(ReceivedMessage(row[0] & POSITION_MAX, *row[1:]) for row in rows)


def count_group(connection: sqlite3.Connection, query: CountGroup) -> MessageCounts:
    """Count the messages of a group or tenant."""
    row = connection.execute(_COUNT_GROUP, (query.queue, query.group, query.queue, query.queue)).fetchone()
    return MessageCounts(*row) if row else MessageCounts(0, 0, 0)


def expire(session: Session, commands: Sequence[ExpireMessages]) -> list[int]:
    """Delete messages whose retention is over."""
    return [_expire(session, command) for command in commands]


def change_retention(session: Session, commands: Sequence[ChangeRetention]) -> list[int | None]:
    """Change when messages expire."""
    return [_change_retention(session, command) for command in commands]


def change_delay(session: Session, commands: Sequence[ChangeDelay]) -> list[None]:
    """Change when delayed messages become visible."""
    for command in commands:
        queue = session.change_queue(command.queue)
        session.execute(
            "UPDATE message SET visible_at = sent_at + ? WHERE queue = ? AND state = 1 AND id >= ?",
            (command.delay_ms, queue.number, queue.first_id),
        )
        queue.next_due = session.first_hidden(queue)
        session.topics.add(("queue", queue.number))
    return [None] * len(commands)


def delete_rows(session: Session, rows: Sequence[tuple[int, int]]) -> int:
    """Delete messages given as row id and state; return how many of them were not purged already."""
    deleted = 0
    for row, state in rows:
        queue = session.queue(row >> QUEUE_SHIFT)
        if row >= queue.first_id:
            session.change_queue(queue.number).count(state, -1)
            deleted += 1
    if rows:
        ids = json.dumps([row for row, _ in rows])
        session.execute("DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return deleted


def message_rows(queue: QueueState, receipts: Sequence[Receipt]) -> list[int]:
    """Return the row of each message that receipts name, 0 (no message's row) where there cannot be one."""
    shifted = queue.number << QUEUE_SHIFT
    purged = queue.purged_through
    return [shifted | receipt.position if purged < receipt.position <= POSITION_MAX else 0 for receipt in receipts]


def _change_visibility(session: Session, command: ChangeVisibility) -> tuple[bool, ...]:
    queue = session.change_queue(command.queue)
    wanted = message_rows(queue, [change.receipt for change in command.changes])
    found = session.execute(
        "SELECT id, visible_at, receive_count FROM message WHERE id IN (SELECT value FROM json_each(?)) AND state = 2",
        (json.dumps(wanted),),
    ).fetchall()
    until = {row: visible_at for row, visible_at, _ in found}
    counts = {row: count for row, _, count in found} if command.is_fifo else None
    results: list[bool] = []
    for row, change in zip(wanted, command.changes, strict=True):
        is_in_flight = until.get(row, 0) > command.now_ms
        if counts is not None and counts.get(row) != change.receipt.receive_count:
            is_in_flight = False
        results.append(is_in_flight)
        if is_in_flight:
            until[row] = change.visible_at_ms
            queue.hide_until(change.visible_at_ms)
            if change.visible_at_ms <= command.now_ms:
                session.topics.add(("queue", queue.number))
    values = [
        value for row, is_changed in zip(wanted, results, strict=True) if is_changed for value in (row, until[row])
    ]
    _HIDE.run(session.connection, values)
    return tuple(results)


def _count(session: Session, command: CountMessages) -> MessageCounts:
    queue = session.queue(command.queue)
    due = delayed = 0
    if promote(session, queue, command.now_ms):
        # Many at once (a long backlog of one delay): they are counted now and promoted by those who receive.
        row = session.execute(_COUNT_ALL_DUE, (queue.number, command.now_ms, queue.first_id)).fetchone()
        due, delayed = row[0], int(row[1])
    return MessageCounts(queue.ready + due, queue.in_flight - (due - delayed), queue.delayed - delayed)


def _change_retention(session: Session, command: ChangeRetention) -> int | None:
    queue = session.queue(command.queue)
    before = max(queue.first_id - 1, queue.number << QUEUE_SHIFT | command.after)
    last, count = session.execute(
        "SELECT max(id), count(*) FROM (SELECT id FROM message WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)",
        (before, queue.last_id, command.limit + 1),
    ).fetchone()
    if not count:
        return None
    if count > command.limit:
        # One more was looked for, to know whether this is the end.
        last -= 1
    session.execute(
        "UPDATE message SET expires_at = sent_at + ? WHERE id > ? AND id <= ?", (command.retention_ms, before, last)
    )
    return last & POSITION_MAX if count > command.limit else None


def _purge(session: Session, number: int) -> int:
    queue = session.change_queue(number)
    purged = queue.ready + queue.delayed + queue.in_flight
    queue.ready = queue.delayed = queue.in_flight = 0
    queue.purged_through = session.take_positions(1)
    queue.is_swept = False
    session.needs_sweep = True
    queue.next_due = None
    if queue.is_fifo or queue.has_tenants:
        session.groups.drop(number)
    return purged


def _expire(session: Session, command: ExpireMessages) -> int:
    rows = session.execute(
        "SELECT id, state, order_key, group_id FROM message WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (command.now_ms, command.limit),
    ).fetchall()
    _leave_groups(session, rows)
    return delete_rows(session, [(row, state) for row, state, *_ in rows])


def _leave_groups(session: Session, rows: Sequence[tuple[int, int, int, str | None]]) -> None:
    """Count messages out of their groups, those that have one and were not purged."""
    left: list[tuple[int, int]] = []
    of_tenants: list[fair.Left] = []
    for row, state, group, tenant in rows:
        queue = session.queue(row >> QUEUE_SHIFT)
        if row < queue.first_id:
            continue
        if queue.is_fifo:
            left.append((group, state))
        elif queue.has_tenants and tenant is not None:
            of_tenants.append((queue.number, tenant, state))
    fair.count_left(session, of_tenants)
    session.groups.load({group for group, _ in left})
    for identity, state in left:
        group = session.groups.change(identity)
        group.leave(state)
        if group.ready and not group.in_flight:
            session.topics.add(("queue", group.queue))
