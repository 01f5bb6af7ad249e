"""FIFO queues: sending with deduplication, receiving group by group, deleting what is still held.

A message's group stands in `order_key`, and all that must be known of a group in its row (`groups.py`), so nothing here
costs more when a queue is deep or has many groups.
"""

import json
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from forebay.store.commands import (
    DeadLetterRule,
    DeleteMessages,
    ForgetDuplicates,
    NewMessage,
    Received,
    ReceivedMessage,
    ReceiveMessages,
    SendMessages,
    SentMessage,
)
from forebay.store.message_group import Group
from forebay.store.sqlite.messages import INSERT, MESSAGE_COLUMNS, message_rows
from forebay.store.sqlite.promotion import promote
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import POSITION_MAX, QUEUE_SHIFT, QueueState, Session

# Messages that one receive looks at and does not hand out (expired, dead-lettered) before it answers what it has.
_PASSED_MAX = 1000

# Groups whose first messages are read at once for all receives of a batch.
_FETCHED_MAX = 64

_KNOWN = Statements(
    "WITH wanted (queue, key) AS (VALUES {rows}) SELECT queue, key, until_ms, position, message_id"
    " FROM wanted CROSS JOIN duplicate USING (queue, key)",
    "(?,?)",
)
_REMEMBER = Statements("INSERT OR REPLACE INTO duplicate VALUES {rows}", "(?,?,?,?,?)")

_OF_MESSAGE = ", ".join(f"message.{name}" for name in MESSAGE_COLUMNS.split(", "))
_HEADS = (
    f"SELECT {_OF_MESSAGE}, order_key FROM message_group JOIN message ON message.id = head"  # noqa: S608 constants
    " WHERE message_group.in_flight = 0 AND is_noisy IS NULL AND head BETWEEN ? AND ? ORDER BY head LIMIT ?"
)
_MORE = (
    f"SELECT {MESSAGE_COLUMNS}, order_key FROM message"  # noqa: S608 constants
    " WHERE state < 0 AND order_key = ? AND id > ? ORDER BY id LIMIT ?"
)
_HIDE = Statements(
    "WITH change (id, visible_at, first_received_at) AS (VALUES {rows})"
    " UPDATE message SET state = 2, visible_at = change.visible_at,"
    " first_received_at = change.first_received_at, receive_count = receive_count + 1"
    " FROM change WHERE message.id = change.id",
    "(?,?,?)",
)
# Its id is its deduplication id there, so that two messages of one id can both be dead letters (developer guide, "Learn
# how to configure a dead-letter queue redrive").
_BURY = (
    "INSERT INTO message SELECT ?, -1, ?, ?, ?, ?, 0, NULL, ?, ?, message_id, group_id,"
    " message_id, attributes, body FROM message WHERE id = ?"
)
_DELETE_HELD = Statements(
    "WITH held (id, receive_count, now) AS (VALUES {rows}) DELETE FROM message WHERE id IN (SELECT message.id FROM held"
    " JOIN message ON message.id = held.id AND message.receive_count = held.receive_count"
    " WHERE state = 2 AND visible_at > now) RETURNING id, receive_count, order_key",
    "(?,?,?)",
)
_DELETE = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"
_HELD = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE state = 2 AND id IN (SELECT value FROM json_each(?))"  # noqa: S608 constants
_HIDE_AGAIN = "UPDATE message SET visible_at = ? WHERE id IN (SELECT value FROM json_each(?))"

# A row of _HEADS and _MORE: MESSAGE_COLUMNS, then the group.
_Row = tuple[int, str, str, bytes, int, int, int, int | None, int, str | None, str | None, int | None, int]


# --- sending ---


def send(session: Session, commands: Sequence[SendMessages]) -> list[tuple[SentMessage, ...]]:
    """Put messages on their queues, except duplicates."""
    known = _load_known(session, commands)
    session.groups.load_named({(command.queue, new.group or "") for command in commands for new in command.messages})
    values: list[object] = []
    remembered: list[object] = []
    results: list[tuple[SentMessage, ...]] = []
    for command in commands:
        queue = session.change_queue(command.queue)
        queue.is_fifo = True
        sent: list[SentMessage] = []
        for new in command.messages:
            name = (command.queue, new.deduplication_key or "")
            first, until_ms = known.get(name, (None, 0))
            if first is not None and until_ms > new.sent_at_ms:
                sent.append(SentMessage(first.position, first.message_id, is_duplicate=True))
                continue
            one = SentMessage(session.take_positions(1), new.message_id)
            sent.append(one)
            _put(session, queue, new, one.position, values)
            if new.deduplication_key is not None:
                known[name] = one, new.deduplication_until_ms
                remembered += (*name, new.deduplication_until_ms, one.position, one.message_id)
        session.topics.add(("queue", command.queue))
        results.append(tuple(sent))
    INSERT.run(session.connection, values)
    _REMEMBER.run(session.connection, remembered)
    return results


def _load_known(
    session: Session, commands: Sequence[SendMessages]
) -> dict[tuple[int, str], tuple[SentMessage | None, int]]:
    """Return what is remembered of the keys that are sent now."""
    keys: list[object] = []
    for command in commands:
        for new in command.messages:
            if new.deduplication_key is not None:
                keys += (command.queue, new.deduplication_key)
    return {
        (queue, key): (SentMessage(position, message_id), until_ms)
        for queue, key, until_ms, position, message_id in _KNOWN.fetch(session.connection, keys)
    }


def _put(session: Session, queue: QueueState, new: NewMessage, position: int, values: list[object]) -> None:
    group = _group(session, queue, new.group or "")
    row = queue.number << QUEUE_SHIFT | position
    if new.visible_at_ms > new.sent_at_ms:
        state = 1
        queue.delayed += 1
        group.delayed += 1
        queue.hide_until(new.visible_at_ms)
    else:
        state = -1
        queue.ready += 1
        group.add_ready(row)
    values += (
        row,
        state,
        group.id,
        queue.number,
        new.visible_at_ms,
        new.expires_at_ms,
        new.sent_at_ms,
        new.message_id,
        new.group,
        new.deduplication,
        new.attributes,
        new.body,
    )


def _group(session: Session, queue: QueueState, name: str) -> Group:
    """Return a group for changing, created when it is not there; it must have been looked for by `load_named`."""
    group = session.groups.change_named(queue.number, name, queue.first_id)
    if group is None:
        group = session.groups.create(queue.number << QUEUE_SHIFT | session.take_positions(1), queue.number, name)
    return group


# --- receiving ---


class _Supply:
    """The open groups of a queue, each by its first message, for all receives of a batch."""

    def __init__(self, session: Session, number: int) -> None:
        self.wanted = 0
        self.hidden: list[object] = []
        self._session = session
        self._number = number
        self._rows: deque[_Row] = deque()

    def take(self, room: int) -> _Row | None:
        """Return the first message of the next group, or None when no group is open."""
        if not self._rows:
            self.settle()
            queue = self._session.queue(self._number)
            bounds = (queue.first_id, queue.last_id, min(max(self.wanted, room), _FETCHED_MAX))
            self._rows.extend(self._session.execute(_HEADS, bounds))
            self._session.groups.load({row[-1] for row in self._rows})
        return self._rows.popleft() if self._rows else None

    def settle(self) -> None:
        """Write what was received, so that it is not found again; what was read ahead is read anew."""
        if self.hidden:
            _HIDE.run(self._session.connection, self.hidden)
            self.hidden.clear()
        self._session.groups.flush()
        self._rows.clear()


def receive(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    """Receive messages for each command in turn."""
    supplies: dict[int, _Supply] = {}
    for command in commands:
        supply = supplies.setdefault(command.queue, _Supply(session, command.queue))
        supply.wanted += 1
    results = [_receive(session, command, supplies[command.queue]) for command in commands]
    for supply in supplies.values():
        supply.settle()
    return results


def _receive(session: Session, command: ReceiveMessages, supply: _Supply) -> Received:
    queue = session.queue(command.queue)
    if queue.next_due is not None and queue.next_due <= command.now_ms:
        supply.settle()
        promote(session, queue, command.now_ms)
    again = None if command.attempt is None else _repeat(session, command, supply)
    if again is not None:
        return again
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - queue.in_flight)
    taken, buried = _collect(session, command, supply, limit)
    supply.wanted -= 1
    next_visible_at = None
    if not taken and queue.next_due is not None:
        supply.settle()
        next_visible_at = session.first_hidden(queue)
    if command.attempt is not None and taken:
        _remember_attempt(session, command, taken)
    return Received(tuple(taken), next_visible_at, buried)


def _collect(
    session: Session, command: ReceiveMessages, supply: _Supply, limit: int
) -> tuple[list[ReceivedMessage], int]:
    """Return up to `limit` messages, group after group, and how many went to the dead letters on the way."""
    queue = session.queue(command.queue)
    taken: list[ReceivedMessage] = []
    passed = buried = 0
    while queue.ready and len(taken) < limit and passed < _PASSED_MAX:
        head = supply.take(1 if not taken else limit - len(taken))
        if head is None:
            break
        rows = [head]
        group = session.groups.change(head[-1])
        while rows:
            passed_rows, dead_count = _serve(session, command, supply, group, rows, taken)
            passed += passed_rows
            buried += dead_count
            room = limit - len(taken)
            if not room or not group.ready or passed >= _PASSED_MAX:
                break
            rows = session.execute(_MORE, (group.id, rows[-1][0], room)).fetchall()
    return taken, buried


def _serve(
    session: Session,
    command: ReceiveMessages,
    supply: _Supply,
    group: Group,
    rows: Sequence[_Row],
    taken: list[ReceivedMessage],
) -> tuple[int, int]:
    """Hand out messages of one group; return how many were passed over, and how many of those as dead letters."""
    rule = command.dead_letter
    expired = [row for row in rows if row[6] <= command.now_ms]
    live = [row for row in rows if row[6] > command.now_ms]
    dead: list[_Row] = []
    if rule is not None:
        dead = [row for row in live if row[8] >= rule.receives_max]
        live = [row for row in live if row[8] < rule.receives_max]
        _bury(session, command, dead, rule)
    gone = [row[0] for row in (*expired, *dead)]
    queue = session.change_queue(command.queue)
    if gone:
        session.execute(_DELETE, (json.dumps(gone),))
        queue.ready -= len(gone)
        group.ready -= len(gone)
        group.is_headless = True
    if live:
        taken += _take(command, live, supply.hidden)
        queue.ready -= len(live)
        queue.in_flight += len(live)
        queue.hide_until(command.visible_until_ms)
        group.ready -= len(live)
        group.in_flight += len(live)
    return len(gone), len(dead)


def _take(command: ReceiveMessages, rows: Sequence[_Row], hidden: list[object]) -> list[ReceivedMessage]:
    taken: list[ReceivedMessage] = []
    visible_at = command.visible_until_ms
    for row in rows:
        identity, message_id, body, attributes, sent_at, _, expires_at, first_at, receives, *rest, _ = row
        first_at = command.now_ms if first_at is None else first_at
        hidden += (identity, visible_at, first_at)
        group, deduplication, source = cast("tuple[str | None, str | None, int | None]", rest)
        taken.append(
            ReceivedMessage(
                identity & POSITION_MAX,
                message_id,
                body,
                attributes,
                sent_at,
                visible_at,
                expires_at,
                first_at,
                receives + 1,
                group,
                deduplication,
                source,
            )
        )
    return taken


def _bury(session: Session, command: ReceiveMessages, rows: Sequence[_Row], rule: DeadLetterRule) -> None:
    """Copy messages of one group to the end of their group in the dead-letter queue."""
    if not rows:
        return
    grave = session.change_queue(rule.queue)
    grave.is_fifo = True
    name = rows[0][9] or ""
    session.groups.load_named([(rule.queue, name)])
    group = _group(session, grave, name)
    now_ms = command.now_ms
    for row in rows:
        identity = grave.number << QUEUE_SHIFT | session.take_positions(1)
        expires_at = now_ms + rule.retention_ms
        values = (identity, group.id, grave.number, now_ms, expires_at, now_ms, command.queue, row[0])
        session.execute(_BURY, values)
        group.add_ready(identity)
    grave.ready += len(rows)
    session.topics.add(("queue", grave.number))


# --- attempts: receiving the same again ---


def _repeat(session: Session, command: ReceiveMessages, supply: _Supply) -> Received | None:
    """Return the answer to an earlier receive with the same attempt, if it still stands."""
    known = session.execute(
        "SELECT received_at, receipts FROM receive_attempt WHERE queue = ? AND attempt = ? AND until_ms > ?",
        (command.queue, command.attempt, command.now_ms),
    ).fetchone()
    if known is None:
        return None
    supply.settle()
    queue = session.change_queue(command.queue)
    receipts: list[tuple[int, int]] = json.loads(known[1])
    rows = json.dumps([queue.number << QUEUE_SHIFT | position for position, _ in receipts])
    held: dict[int, Any] = {row[0] & POSITION_MAX: row for row in session.execute(_HELD, (rows,))}
    if not all(_is_held(held.get(position), receives, command.now_ms) for position, receives in receipts):
        return None
    until = command.visible_until_ms
    session.execute(_HIDE_AGAIN, (until, rows))
    queue.hide_until(until)
    again = [held[position] for position, _ in receipts]
    return Received(tuple(_hidden_again(row, until) for row in again), repeats_ms=known[0])


def _hidden_again(row: Sequence[Any], until: int) -> ReceivedMessage:
    message = ReceivedMessage(row[0] & POSITION_MAX, *row[1:])
    return msgspec.structs.replace(message, visible_at_ms=until)


def _is_held(row: Sequence[Any] | None, receives: int, now_ms: int) -> bool:
    return row is not None and row[8] == receives and row[5] > now_ms


def _remember_attempt(session: Session, command: ReceiveMessages, taken: Sequence[ReceivedMessage]) -> None:
    receipts = json.dumps([(message.position, message.receive_count) for message in taken])
    session.execute(
        "INSERT OR REPLACE INTO receive_attempt VALUES (?, ?, ?, ?, ?)",
        (command.queue, command.attempt, command.attempt_until_ms, command.now_ms, receipts),
    )


# --- deleting and forgetting ---


def delete(session: Session, commands: Sequence[DeleteMessages]) -> list[tuple[bool, ...]]:
    """Delete messages that are in flight by the receives that the receipts are of."""
    wanted = [message_rows(session.queue(command.queue), command.receipts) for command in commands]
    values: list[object] = []
    for command, rows in zip(commands, wanted, strict=True):
        for row, receipt in zip(rows, command.receipts, strict=True):
            values += (row, receipt.receive_count, command.now_ms)
    found = _DELETE_HELD.fetch(session.connection, values)
    deleted: dict[tuple[int, int], int] = {(row, receives): group for row, receives, group in found}
    session.groups.load(set(deleted.values()))
    for number, count in Counter(row >> QUEUE_SHIFT for row, _ in deleted).items():
        session.change_queue(number).in_flight -= count
    for identity in deleted.values():
        group = session.groups.change(identity)
        group.end_flight()
        if group.ready and not group.in_flight:
            session.topics.add(("queue", group.queue))
    # Popped, so that of two receipts for one message only the first deletes it.
    return [
        tuple(
            deleted.pop((row, receipt.receive_count), None) is not None
            for row, receipt in zip(rows, command.receipts, strict=True)
        )
        for command, rows in zip(commands, wanted, strict=True)
    ]


def forget_duplicates(session: Session, commands: Sequence[ForgetDuplicates]) -> list[int]:
    """Delete memories that have ended."""
    return [_forget(session, command) for command in commands]


def _forget(session: Session, command: ForgetDuplicates) -> int:
    duplicates = session.execute(
        "DELETE FROM duplicate WHERE (queue, key) IN"
        " (SELECT queue, key FROM duplicate WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
        (command.now_ms, command.limit),
    ).rowcount
    attempts = session.execute(
        "DELETE FROM receive_attempt WHERE (queue, attempt) IN"
        " (SELECT queue, attempt FROM receive_attempt WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
        (command.now_ms, command.limit - duplicates),
    ).rowcount
    return duplicates + attempts
