"""Messages, except receiving them: send, delete, change visibility, count, purge, peek, expire.

Each function takes many commands of one type and answers their results in order. A message is ready, delayed or in
flight; time moves it, so those that have become due are promoted when a receive or a count looks (each once). Whoever
touches a queue holds its lock shared (`Session.lock_queues`); a purge holds it alone, so that its watermark is exact.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from forebay.store.commands import (
    CallNoisy,
    ChangeDelay,
    ChangeRetention,
    ChangeVisibility,
    Command,
    CountGroup,
    CountMessages,
    DeleteMessages,
    ExpireMessages,
    MessageCounts,
    PeekMessages,
    PurgeQueue,
    Receipt,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    SentMessage,
)
from forebay.store.postgres import fair
from forebay.store.postgres.connection import Connection, Row, Statement
from forebay.store.postgres.promotion import promote, promote_fifo
from forebay.store.postgres.session import TIME_MIN, Session

# Purged rows that one sweep deletes: a few milliseconds, for which the next batch waits.
SWEPT_MAX = 500

_POSITION_MAX = (1 << 63) - 1

MESSAGE_COLUMNS = (
    "position, message_id, body, attributes, sent_at, visible_at, expires_at, first_received_at, receive_count, "
    "group_id, deduplication_id, dead_letter_source"
)

_INSERT = Statement(
    "INSERT INTO message (queue, position, order_key, state, visible_at, expires_at, sent_at, receive_count,"
    " message_id, group_id, deduplication_id, attributes, body)"
    " SELECT queue, position, position, (visible_at > sent_at)::int, visible_at, expires_at, sent_at, 0, message_id,"
    " group_id, deduplication_id, attributes, body"
    " FROM (SELECT nextval('position') AS position, given.* FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[],"
    " $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[]) AS given (queue, visible_at, expires_at, sent_at,"
    " message_id, group_id, deduplication_id, attributes, body)) AS placed RETURNING position",
    *["int8[]"] * 4,
    *["text[]"] * 3,
    *["bytea[]"] * 2,
)
_PURGED = "coalesce((SELECT purged_through FROM queue WHERE number = {}), 0)"
_WANTED = "unnest($1::int8[], $2::int8[]) AS wanted (queue, position)"
_IS_WANTED = (
    "message.queue = wanted.queue AND message.position = wanted.position"
    f" AND message.position > {_PURGED.format('wanted.queue')}"
)
_DELETE = Statement(
    f"DELETE FROM message USING {_WANTED} WHERE {_IS_WANTED}"  # noqa: S608 constants
    " RETURNING message.queue, message.position, message.state, message.group_id",
    "int8[]",
    "int8[]",
)
_IN_FLIGHT = Statement(
    f"SELECT message.queue, message.position, message.visible_at, message.receive_count FROM {_WANTED}"  # noqa: S608
    f" JOIN message ON {_IS_WANTED} WHERE message.state = 2 FOR UPDATE OF message",
    "int8[]",
    "int8[]",
)
_HIDE = Statement(
    "UPDATE message SET visible_at = change.visible_at FROM unnest($1::int8[], $2::int8[], $3::int8[])"
    " AS change (queue, position, visible_at)"
    " WHERE message.queue = change.queue AND message.position = change.position",
    *["int8[]"] * 3,
)
COUNTS = Statement(
    "SELECT queue, sum(ready)::int8, sum(delayed)::int8, sum(in_flight)::int8 FROM queue_count"
    " WHERE queue = ANY($1::int8[]) GROUP BY queue",
    "int8[]",
)
_KINDS = Statement(
    "SELECT asked, coalesce((SELECT is_fifo FROM queue WHERE number = asked), false),"
    " EXISTS (SELECT FROM queue_count WHERE queue = asked) FROM unnest($1::int8[]) AS asked",
    "int8[]",
)
_COUNT_DUE = Statement(
    "SELECT count(*), count(*) FILTER (WHERE state = 1) FROM message"  # noqa: S608 constants
    " WHERE queue = $1::int8 AND state > 0 AND visible_at <= $2::int8"
    f" AND position > {_PURGED.format('$1::int8')}",
    "int8",
    "int8",
)
_COUNT_GROUP = Statement(
    "SELECT coalesce(sum(ready), 0)::int8, coalesce(sum(in_flight), 0)::int8, coalesce(sum(delayed), 0)::int8 FROM ("  # noqa: S608
    " SELECT ready, in_flight, delayed FROM message_group"
    f" WHERE queue = $1::int8 AND name = $2::text AND id > {_PURGED.format('$1::int8')}"
    " UNION ALL SELECT ready, in_flight, delayed FROM tenant_count WHERE queue = $1::int8 AND name = $2::text"
    ") AS counted",
    "int8",
    "text",
)
_PEEK = Statement(
    f"SELECT {MESSAGE_COLUMNS} FROM message WHERE queue = $1::int8"  # noqa: S608 constants
    f" AND position > greatest($2::int8, {_PURGED.format('$1::int8')}) ORDER BY position LIMIT $3::int8",
    *["int8"] * 3,
)
_RESET_COUNTS = Statement(
    "DELETE FROM queue_count WHERE queue = $1::int8 RETURNING ready + delayed + in_flight", "int8"
)
_RESET_TENANTS = Statement("DELETE FROM tenant_count WHERE queue = $1::int8", "int8")
_RESET_NOISY = Statement("DELETE FROM noisy_tenant WHERE queue = $1::int8", "int8")
_PURGE = Statement(
    "INSERT INTO queue VALUES ($1::int8, nextval('position'), false, false) ON CONFLICT (number)"
    " DO UPDATE SET purged_through = excluded.purged_through, is_swept = false",
    "int8",
)
_EXPIRED = Statement(
    "SELECT queue, position, coalesce((SELECT is_fifo FROM queue WHERE number = message.queue), false)"
    " FROM message WHERE expires_at <= $1::int8 ORDER BY expires_at LIMIT $2::int8",
    "int8",
    "int8",
)
# Purged ones go too, but are not counted again.
DELETE_ROWS = Statement(
    f"DELETE FROM message USING {_WANTED} WHERE message.queue = wanted.queue AND message.position = wanted.position"  # noqa: S608
    " AND expires_at <= $3::int8 RETURNING message.queue, message.state, message.order_key, message.group_id,"
    f" message.position > {_PURGED.format('message.queue')}",
    "int8[]",
    "int8[]",
    "int8",
)
_UNSWEPT = Statement("SELECT number, purged_through FROM queue WHERE NOT is_swept LIMIT 1 FOR UPDATE SKIP LOCKED")
_SWEEP = Statement(
    "WITH purged AS MATERIALIZED (SELECT position FROM message WHERE queue = $1::int8 AND position <= $2::int8"
    " ORDER BY position LIMIT $3::int8 FOR UPDATE SKIP LOCKED)"
    " DELETE FROM message USING purged WHERE queue = $1::int8 AND message.position = purged.position"
    " RETURNING message.position",
    *["int8"] * 3,
)
_SWEEP_GROUPS = Statement(
    "WITH purged AS MATERIALIZED (SELECT id FROM message_group WHERE queue = $1::int8 AND id <= $2::int8"
    " ORDER BY id LIMIT $3::int8 FOR UPDATE SKIP LOCKED)"
    " DELETE FROM message_group USING purged WHERE queue = $1::int8 AND message_group.id = purged.id"
    " RETURNING message_group.id",
    *["int8"] * 3,
)
_SWEPT = Statement("UPDATE queue SET is_swept = true WHERE number = $1::int8", "int8")


_OF_ONE_QUEUE = (
    SendMessages,
    DeleteMessages,
    ChangeVisibility,
    ChangeRetention,
    ChangeDelay,
    CountMessages,
    CallNoisy,
)


def queues_of(command: Command[Any]) -> tuple[int, ...]:
    """Return the queues whose shared lock a command needs."""
    if isinstance(command, _OF_ONE_QUEUE):
        return (command.queue,)
    if isinstance(command, ReceiveMessages):
        rule = command.dead_letter
        return (command.queue,) if rule is None else (command.queue, rule.queue)
    return ()


def send(session: Session, commands: Sequence[SendMessages]) -> list[tuple[SentMessage, ...]]:
    """Put messages on their queues."""
    rows: list[tuple[Any, ...]] = []
    for command in commands:
        number = command.queue
        for message in command.messages:
            is_delayed = message.visible_at_ms > message.sent_at_ms
            session.count(number, int(is_delayed), 1)
            if message.group is not None:
                session.count_tenant(number, message.group, int(is_delayed), 1, message.sent_at_ms)
            if is_delayed:
                session.lower_hidden(number, message.visible_at_ms)
            rows.append(
                (
                    number,
                    message.visible_at_ms,
                    message.expires_at_ms,
                    message.sent_at_ms,
                    message.message_id,
                    message.group,
                    message.deduplication,
                    message.attributes,
                    message.body.encode(),
                )
            )
        session.topics.add(("queue", number))
    positions = iter(session.fetch_changed(_INSERT, *zip(*rows, strict=True)) if rows else ())
    return [
        tuple([SentMessage(next(positions)[0], message.message_id) for message in command.messages])
        for command in commands
    ]


def delete(session: Session, commands: Sequence[DeleteMessages]) -> list[tuple[bool, ...]]:
    """Delete messages by their receipts."""
    rows = session.fetch_changed(
        _DELETE, *_names((command.queue, receipt) for command in commands for receipt in command.receipts)
    )
    states = {(queue, position): state for queue, position, state, _ in rows}
    left = [(queue, tenant, state) for queue, _, state, tenant in rows]
    fair.count_left(session, left)
    results: list[tuple[bool, ...]] = []
    for command in commands:
        found: list[bool] = []
        for receipt in command.receipts:
            # Popped, so that of two receipts for one message only the first deletes it.
            state = states.pop((command.queue, receipt.position), None)
            found.append(state is not None)
            if state is not None:
                session.count(command.queue, state, -1)
        results.append(tuple(found))
    fair.calm_idle(session, left)
    return results


def change_visibility(session: Session, commands: Sequence[ChangeVisibility]) -> list[tuple[bool, ...]]:
    """Change when messages in flight become visible again."""
    rows = session.fetch(
        _IN_FLIGHT, *_names((command.queue, change.receipt) for command in commands for change in command.changes)
    )
    until = {(queue, position): visible_at for queue, position, visible_at, _ in rows}
    receives = {(queue, position): receive_count for queue, position, _, receive_count in rows}
    changed: dict[tuple[int, int], int] = {}
    results: list[tuple[bool, ...]] = []
    for command in commands:
        answers: list[bool] = []
        for change in command.changes:
            name = (command.queue, change.receipt.position)
            is_in_flight = until.get(name, TIME_MIN) > command.now_ms
            if command.is_fifo and receives.get(name) != change.receipt.receive_count:
                is_in_flight = False
            answers.append(is_in_flight)
            if is_in_flight:
                until[name] = changed[name] = change.visible_at_ms
                session.lower_hidden(command.queue, change.visible_at_ms)
                if change.visible_at_ms <= command.now_ms:
                    session.topics.add(("queue", command.queue))
        results.append(tuple(answers))
    if changed:
        values = sorted((queue, position, visible_at) for (queue, position), visible_at in changed.items())
        session.change(_HIDE, *map(list, zip(*values, strict=True)))
    return results


def count(session: Session, commands: Sequence[CountMessages]) -> list[MessageCounts]:
    """Count the messages of queues."""
    now_ms: dict[int, int] = {}
    for command in commands:
        now_ms[command.queue] = max(command.now_ms, now_ms.get(command.queue, TIME_MIN))
    _learn_kinds(session, now_ms)
    unlocked = {queue for queue in now_ms if session.is_fifo.get(queue) and not session.has_alone(queue)}
    fifo = {queue: now for queue, now in now_ms.items() if session.is_fifo.get(queue) and queue not in unlocked}
    unfinished = unlocked | promote_fifo(session, fifo)
    unfinished |= promote(session, {queue: now for queue, now in now_ms.items() if not session.is_fifo.get(queue)})
    stored = stored_counts(session, list(now_ms))
    counted: dict[int, MessageCounts] = {}
    for queue, now in now_ms.items():
        ready, delayed, in_flight = stored[queue]
        if queue in unfinished:
            # Many at once (a long backlog of one delay): they are counted now and promoted by those who receive.
            ((due, due_delayed),) = session.fetch(_COUNT_DUE, queue, now)
            ready += due
            delayed -= due_delayed
            in_flight -= due - due_delayed
        counted[queue] = MessageCounts(ready, in_flight, delayed)
    return [counted[command.queue] for command in commands]


def _learn_kinds(session: Session, queues: Iterable[int]) -> None:
    """Find out which queues are FIFO, where no command has told this node."""
    unknown = [queue for queue in queues if queue not in session.is_fifo]
    if unknown:
        for queue, is_fifo, has_counts in session.fetch(_KINDS, unknown):
            # Of a queue that never had a message nobody knows.
            if is_fifo or has_counts:
                session.is_fifo[queue] = is_fifo


def stored_counts(session: Session, queues: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Return ready, delayed and in-flight counts, with what this transaction has changed."""
    found = {row[0]: row[1:] for row in session.fetch(COUNTS, queues)}
    return {queue: add_counted(session, queue, found.get(queue, (0, 0, 0))) for queue in queues}


def add_counted(session: Session, queue: int, stored: Sequence[int]) -> tuple[int, int, int]:
    """Add what the transaction has changed and not yet sent."""
    ready, delayed, in_flight = session.counted(queue)
    return stored[0] + ready, stored[1] + delayed, stored[2] + in_flight


def purge(session: Session, commands: Sequence[PurgeQueue]) -> list[int]:
    """Empty queues at once: what stands before a watermark is gone, and `sweep` deletes its rows little by little."""
    results: list[int] = []
    for command in commands:
        session.lock_queues((), (command.queue,))
        unsaved = sum(session.counted(command.queue))
        session.uncount(command.queue)
        session.groups.drop(command.queue)
        rows = session.fetch(_RESET_COUNTS, command.queue)
        session.change(_RESET_TENANTS, command.queue)
        session.change(_RESET_NOISY, command.queue)
        session.change(_PURGE, command.queue)
        session.needs_sweep = True
        results.append(unsaved + sum(row[0] for row in rows))
    return results


def sweep(session: Session) -> bool:
    """Delete some rows of purged messages; return whether there may be more of them."""
    rows = session.fetch(_UNSWEPT)
    if not rows:
        return False
    queue, purged_through = rows[0]
    swept = session.fetch_changed(_SWEEP, queue, purged_through, SWEPT_MAX)
    if (
        len(swept) < SWEPT_MAX
        and len(session.fetch_changed(_SWEEP_GROUPS, queue, purged_through, SWEPT_MAX)) < SWEPT_MAX
    ):
        session.change(_SWEPT, queue)
    return True


def peek(connection: Connection, query: PeekMessages) -> tuple[ReceivedMessage, ...]:
    """Read messages in order of position."""
    rows = connection.fetch(_PEEK, query.queue, max(query.after, 0), query.limit)
    return tuple(ReceivedMessage(row[0], row[1], row[2].decode(), *row[3:]) for row in rows)


def count_group(connection: Connection, query: CountGroup) -> MessageCounts:
    """Count the messages of a group or tenant."""
    ((visible, in_flight, delayed),) = connection.fetch(_COUNT_GROUP, query.queue, query.group)
    return MessageCounts(visible, in_flight, delayed)


def expire(session: Session, commands: Sequence[ExpireMessages]) -> list[int]:
    """Delete messages whose retention is over."""
    results: list[int] = []
    for command in commands:
        rows = session.fetch(_EXPIRED, command.now_ms, command.limit)
        fifo = {queue for queue, _, is_fifo in rows if is_fifo}
        session.is_fifo.update(dict.fromkeys(fifo, True))
        session.lock_queues({row[0] for row in rows} - fifo, fifo)
        # Their retention may have been changed before they were locked.
        counted = delete_rows(session, [row[:2] for row in rows], command.now_ms)
        fair.calm_idle(session, [(row[0], row[3], row[1]) for row in counted if row[0] not in fifo])
        fair.forget_idle(session)
        results.append(len(counted))
    return results


def delete_rows(session: Session, rows: Iterable[Sequence[int]], expired_at_ms: int = _POSITION_MAX) -> list[Row]:
    """Delete messages given as queue and position, if they are expired then; return those not purged before.

    They are returned as queue, state, group's id (on a FIFO queue), group's name.
    """
    names = sorted((queue, position) for queue, position in rows)
    if not names:
        return []
    deleted = session.fetch_changed(DELETE_ROWS, *zip(*names, strict=True), expired_at_ms)
    counted = [row[:4] for row in deleted if row[4]]
    for queue, state, *_ in counted:
        session.count(queue, max(state, 0), -1)
    _leave_groups(session, [row for row in counted if session.is_fifo.get(row[0])])
    fair.count_left(session, [(row[0], row[3], row[1]) for row in counted if not session.is_fifo.get(row[0])])
    return counted


def _leave_groups(session: Session, rows: Sequence[Row]) -> None:
    """Count messages of FIFO queues out of their groups."""
    session.groups.load({(queue, identity) for queue, _, identity, _ in rows})
    for queue, state, identity, _ in rows:
        group = session.groups.change(queue, identity)
        group.leave(state)
        if group.ready and not group.in_flight:
            session.topics.add(("queue", queue))


def _names(receipts: Iterable[tuple[int, Receipt]]) -> tuple[list[int], list[int]]:
    """Return queues and positions in the order in which every batch locks its rows."""
    names = sorted({(queue, receipt.position) for queue, receipt in receipts if 0 < receipt.position <= _POSITION_MAX})
    return [queue for queue, _ in names], [position for _, position in names]
