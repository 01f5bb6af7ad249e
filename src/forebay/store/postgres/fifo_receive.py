"""Receiving from FIFO queues, group by group: the group whose first message is the oldest comes first.

A group is closed while any of its messages is in flight. `fifo.py` says how a queue's lock and a group's row keep that.
"""

from collections import deque
from collections.abc import Sequence

from forebay.store.commands import DeadLetterRule, Received, ReceivedMessage, ReceiveMessages
from forebay.store.message_group import Group
from forebay.store.postgres.connection import Row, Statement
from forebay.store.postgres.fifo import PURGED, find_group, mark_fifo, take_positions
from forebay.store.postgres.messages import COUNTS, MESSAGE_COLUMNS, add_counted
from forebay.store.postgres.promotion import promote_fifo
from forebay.store.postgres.session import Session

# Messages that one receive looks at and does not hand out (expired, dead-lettered) before it answers what it has.
_PASSED_MAX = 1000

# Groups, and messages of each, that are read at once for all receives of a batch.
_GROUPS_FETCHED_MAX = 64
_MESSAGES_FETCHED_MAX = 10

# Receives whose clocks differ by more are not taken together, for due messages are promoted for all of them at once.
_APART_MS_MAX = 2000

# The first messages of the open groups whose first message is the oldest.
_HEADS = Statement(
    "SELECT opened.queue, opened.id, opened.head, found.* FROM (SELECT queue, id, head FROM message_group"  # noqa: S608
    f" WHERE queue = $1::int8 AND in_flight = 0 AND head >= $2::int8 AND head > {PURGED.format('$1::int8')}"
    " ORDER BY head LIMIT $3::int8) AS opened"
    f" CROSS JOIN LATERAL (SELECT {MESSAGE_COLUMNS} FROM message WHERE message.queue = opened.queue AND state < 0"
    " AND order_key = opened.id ORDER BY position LIMIT $4::int8) AS found",
    *["int8"] * 4,
)
_MORE = Statement(
    f"SELECT {MESSAGE_COLUMNS} FROM message WHERE queue = $1::int8 AND state < 0 AND order_key = $2::int8"  # noqa: S608
    " AND position > $3::int8 ORDER BY position LIMIT $4::int8",
    *["int8"] * 4,
)
_HIDE = Statement(
    "UPDATE message SET state = 2, visible_at = taken.visible_at, first_received_at = taken.first_received_at,"
    " receive_count = receive_count + 1 FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])"
    " AS taken (queue, position, visible_at, first_received_at)"
    " WHERE message.queue = taken.queue AND message.position = taken.position",
    *["int8[]"] * 4,
)
_BURY = Statement(
    "INSERT INTO message (queue, position, state, order_key, visible_at, expires_at, sent_at, receive_count,"
    " message_id, group_id, deduplication_id, attributes, body, dead_letter_source)"
    " SELECT $1::int8, moved.place, -1, $2::int8, $3::int8, $3::int8 + $4::int8, $3::int8, 0, message_id, group_id,"
    # Its deduplication id there, see store/sqlite/fifo.py.
    " message_id, attributes, body, $5::int8 FROM unnest($6::int8[], $7::int8[]) AS moved (position, place)"
    " JOIN message ON message.queue = $5::int8 AND message.position = moved.position",
    *["int8"] * 5,
    "int8[]",
    "int8[]",
)
_DELETE = Statement(
    "DELETE FROM message USING unnest($1::int8[], $2::int8[]) AS gone (queue, position)"
    " WHERE message.queue = gone.queue AND message.position = gone.position",
    "int8[]",
    "int8[]",
)
_ATTEMPT = Statement(
    "SELECT received_at, positions, receive_counts FROM receive_attempt"
    " WHERE queue = $1::int8 AND attempt = $2::text AND until_ms > $3::int8",
    "int8",
    "text",
    "int8",
)
_REMEMBER_ATTEMPT = Statement(
    "INSERT INTO receive_attempt (queue, attempt, until_ms, received_at, positions, receive_counts)"
    " VALUES ($1::int8, $2::text, $3::int8, $4::int8, $5::int8[], $6::int8[]) ON CONFLICT (queue, attempt)"
    " DO UPDATE SET until_ms = excluded.until_ms, received_at = excluded.received_at,"
    " positions = excluded.positions, receive_counts = excluded.receive_counts",
    "int8",
    "text",
    "int8",
    "int8",
    "int8[]",
    "int8[]",
)
_HELD = Statement(
    f"SELECT {MESSAGE_COLUMNS} FROM message WHERE queue = $1::int8 AND position = ANY ($2::int8[]) AND state = 2"  # noqa: S608
    f" AND position > {PURGED.format('$1::int8')}",
    "int8",
    "int8[]",
)
_HIDE_AGAIN = Statement(
    "UPDATE message SET visible_at = $3::int8 WHERE queue = $1::int8 AND position = ANY ($2::int8[])",
    "int8",
    "int8[]",
    "int8",
)
_FIRST_HIDDEN = Statement(
    "SELECT visible_at FROM message WHERE queue = $1::int8 AND state > 0 AND visible_at >= $2::int8"  # noqa: S608
    f" AND position > {PURGED.format('$1::int8')} ORDER BY visible_at LIMIT 1",
    "int8",
    "int8",
)


class _Supply:
    """The open groups of a queue, each with its first messages, for all receives of a batch."""

    def __init__(self, session: Session, queue: int) -> None:
        self.wanted = 0
        self.depth = 1
        # The queue's counters as the database knew them when the batch began.
        self.stored: Sequence[int] = (0, 0, 0)
        self.hidden: list[Row] = []
        self._session = session
        self._queue = queue
        self._groups: deque[tuple[int, list[Row]]] = deque()
        self._may_have_more = True

    def take(self) -> tuple[int, list[Row]] | None:
        """Return the next group and its first messages, or None when no group is open."""
        if not self._groups and self._may_have_more:
            self._fetch()
        return self._groups.popleft() if self._groups else None

    def _fetch(self) -> None:
        self.settle()
        floor = self._session.floors(self._queue).ready
        limit = min(max(self.wanted, 1), _GROUPS_FETCHED_MAX)
        begin = self._session.start_at(floor)
        for row in self._session.fetch(_HEADS, self._queue, begin, limit, self.depth):
            if not self._groups or self._groups[-1][0] != row[1]:
                self._groups.append((row[1], []))
                if len(self._groups) == 1:
                    floor.at = row[2]
            self._groups[-1][1].append(row[3:])
        self._may_have_more = len(self._groups) == limit
        self._session.groups.load({(self._queue, identity) for identity, _ in self._groups})

    def settle(self) -> None:
        """Write what was received, so that it is not found again; what was read ahead is read anew."""
        if self.hidden:
            self._session.change(_HIDE, *zip(*self.hidden, strict=True))
            self.hidden.clear()
        self._session.groups.flush()
        self._groups.clear()
        self._may_have_more = True


def receive(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    """Receive messages for each command in turn."""
    times = [command.now_ms for command in commands]
    if max(times) - min(times) > _APART_MS_MAX:
        return [received for command in commands for received in _receive_together(session, (command,))]
    return _receive_together(session, commands)


def _receive_together(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    supplies: dict[int, _Supply] = {}
    now_ms: dict[int, int] = {}
    for command in commands:
        supply = supplies.get(command.queue)
        if supply is None:
            supply = supplies[command.queue] = _Supply(session, command.queue)
        # A group may hold one message each.
        supply.wanted += command.limit
        supply.depth = max(supply.depth, min(command.limit, _MESSAGES_FETCHED_MAX))
        now_ms[command.queue] = max(command.now_ms, now_ms.get(command.queue, command.now_ms))
    unfinished = set(supplies)
    while unfinished:
        unfinished = promote_fifo(session, {queue: now_ms[queue] for queue in unfinished})
    if any(command.in_flight_max is not None for command in commands):
        for row in session.fetch(COUNTS, list(supplies)):
            supplies[row[0]].stored = row[1:]
    results = [_receive(session, command, supplies[command.queue]) for command in commands]
    for supply in supplies.values():
        supply.settle()
    return results


def _receive(session: Session, command: ReceiveMessages, supply: _Supply) -> Received:
    again = None if command.attempt is None else _repeat(session, command, supply)
    if again is not None:
        return again
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - add_counted(session, command.queue, supply.stored)[2])
    taken, buried = _collect(session, command, supply, limit)
    supply.wanted -= command.limit
    next_visible_at = None
    if not taken:
        supply.settle()
        rows = session.fetch(_FIRST_HIDDEN, command.queue, session.floors(command.queue).hidden.at)
        next_visible_at = rows[0][0] if rows else None
    if command.attempt is not None and taken:
        _remember_attempt(session, command, taken)
    return Received(tuple(taken), next_visible_at, buried)


def _collect(
    session: Session, command: ReceiveMessages, supply: _Supply, limit: int
) -> tuple[list[ReceivedMessage], int]:
    """Return up to `limit` messages, group after group, and how many went to the dead letters on the way."""
    taken: list[ReceivedMessage] = []
    passed = buried = 0
    while len(taken) < limit and passed < _PASSED_MAX:
        found = supply.take()
        if found is None:
            break
        identity, ahead = found
        group = session.groups.change(command.queue, identity)
        while ahead:
            room = limit - len(taken)
            rows, ahead = ahead[:room], ahead[room:]
            passed_count, dead_count = _serve(session, command, supply, group, rows, taken)
            passed += passed_count
            buried += dead_count
            if len(taken) >= limit or not group.ready or passed >= _PASSED_MAX:
                break
            if not ahead:
                ahead = session.fetch(_MORE, command.queue, identity, rows[-1][0], limit - len(taken))
    return taken, buried


def _serve(
    session: Session,
    command: ReceiveMessages,
    supply: _Supply,
    group: Group,
    rows: Sequence[Row],
    taken: list[ReceivedMessage],
) -> tuple[int, int]:
    """Hand out messages of one group; return how many were passed over, and how many of those as dead letters."""
    rule = command.dead_letter
    queue = command.queue
    gone = [row[0] for row in rows if row[6] <= command.now_ms]
    live = [row for row in rows if row[6] > command.now_ms]
    dead: list[int] = []
    if rule is not None:
        dead = [row[0] for row in live if row[8] >= rule.receives_max]
        live = [row for row in live if row[8] < rule.receives_max]
        if dead:
            _bury(session, command, dead, rows[0][9] or "", rule)
    gone += dead
    if gone:
        session.change(_DELETE, [queue] * len(gone), gone)
        session.count(queue, 0, -len(gone))
        group.ready -= len(gone)
        group.is_headless = True
    if live:
        taken += _take(command, live, supply.hidden)
        session.count(queue, 0, -len(live))
        session.count(queue, 2, len(live))
        session.lower_hidden(queue, command.visible_until_ms)
        group.ready -= len(live)
        group.in_flight += len(live)
    return len(gone), len(dead)


def _take(command: ReceiveMessages, rows: Sequence[Row], hidden: list[Row]) -> list[ReceivedMessage]:
    taken: list[ReceivedMessage] = []
    visible_at = command.visible_until_ms
    for row in rows:
        first_at = command.now_ms if row[7] is None else row[7]
        hidden.append((command.queue, row[0], visible_at, first_at))
        taken.append(_message(row, visible_at, first_at, row[8] + 1))
    return taken


def _message(row: Row, visible_at: int, first_at: int | None, receive_count: int) -> ReceivedMessage:
    position, message_id, body, attributes, sent_at, _, expires_at, _, _, group, deduplication, source = row
    return ReceivedMessage(
        position,
        message_id,
        body.decode(),
        attributes,
        sent_at,
        visible_at,
        expires_at,
        first_at,
        receive_count,
        group,
        deduplication,
        source,
    )


def _bury(
    session: Session, command: ReceiveMessages, positions: Sequence[int], name: str, rule: DeadLetterRule
) -> None:
    """Copy messages of one group to the end of their group in the dead-letter queue."""
    mark_fifo(session, rule.queue)
    session.groups.load_named([(rule.queue, name)])
    numbers = take_positions(session, len(positions) + 1)
    group = find_group(session, rule.queue, name, numbers)
    places = [numbers.popleft() for _ in positions]
    for place in places:
        group.add_ready(place)
    session.change(_BURY, rule.queue, group.id, command.now_ms, rule.retention_ms, command.queue, positions, places)
    session.count(rule.queue, 0, len(places))
    session.topics.add(("queue", rule.queue))


# --- attempts: receiving the same again ---


def _repeat(session: Session, command: ReceiveMessages, supply: _Supply) -> Received | None:
    """Return the answer to an earlier receive with the same attempt, if it still stands."""
    known = session.fetch(_ATTEMPT, command.queue, command.attempt, command.now_ms)
    if not known:
        return None
    received_at, positions, counts = known[0]
    supply.settle()
    held = {row[0]: row for row in session.fetch(_HELD, command.queue, positions)}
    for position, receive_count in zip(positions, counts, strict=True):
        row = held.get(position)
        if row is None or row[8] != receive_count or row[5] <= command.now_ms:
            return None
    until = command.visible_until_ms
    session.change(_HIDE_AGAIN, command.queue, positions, until)
    session.lower_hidden(command.queue, until)
    again = (held[position] for position in positions)
    return Received(tuple([_message(row, until, row[7], row[8]) for row in again]), repeats_ms=received_at)


def _remember_attempt(session: Session, command: ReceiveMessages, taken: Sequence[ReceivedMessage]) -> None:
    session.change(
        _REMEMBER_ATTEMPT,
        command.queue,
        command.attempt,
        command.attempt_until_ms,
        command.now_ms,
        [message.position for message in taken],
        [message.receive_count for message in taken],
    )
