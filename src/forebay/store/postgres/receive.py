"""Receiving messages: those that are ready are hidden, counted, and handed out; the hopeless go to the dead letters.

All receives of a batch claim together: one statement promotes what is due, one locks the first ready messages of every
queue (skipping those that another node has locked), and one hides what was handed out.
"""

from collections import deque
from collections.abc import Sequence

from forebay.store.commands import DeadLetterRule, Received, ReceivedMessage, ReceiveMessages
from forebay.store.postgres.connection import Row, Statement
from forebay.store.postgres.fair import NOISY, Fairness
from forebay.store.postgres.messages import (
    COUNTS,
    MESSAGE_COLUMNS,
    add_counted,
    delete_rows,
)
from forebay.store.postgres.promotion import PROMOTE, count_promoted, promotion
from forebay.store.postgres.session import TIME_MIN, Floor, Session

# A message received this often without a delete goes behind the others (AWS: SQS metrics, age of the oldest message).
_RECEIVES_IN_FRONT = 3

# Messages that one receive looks at and does not hand out (expired, dead-lettered) before it answers what it has.
_PASSED_MAX = 1000

# Ready messages that are claimed at once for all receives of a batch.
_FETCHED_MAX = 256
_FETCHED_BYTES_MAX = 4 * 1024 * 1024

# How often the messages of noisy tenants are passed over from the very start, in seconds.
_QUIET_FLOOR_SECONDS = 5.0

# Receives whose clocks differ by more are not taken together, for due messages are promoted for all of them at once.
_APART_MS_MAX = 2000

_CLAIM = Statement(
    f"SELECT asked.queue, found.* FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS asked (queue, floor, wanted)"  # noqa: S608
    f" CROSS JOIN LATERAL (SELECT {MESSAGE_COLUMNS}, order_key FROM message"
    " WHERE queue = asked.queue AND state = 0 AND order_key >= asked.floor"
    " AND order_key > coalesce((SELECT purged_through FROM queue WHERE number = asked.queue), 0)"
    " ORDER BY order_key LIMIT asked.wanted FOR UPDATE SKIP LOCKED) AS found",
    *["int8[]"] * 3,
)
# The same of the tenants that are not noisy ...
_CLAIM_QUIET = Statement(
    f"SELECT queue, {MESSAGE_COLUMNS}, order_key FROM message"  # noqa: S608 constants
    " WHERE queue = $1::int8 AND state = 0 AND order_key >= $2::int8"
    " AND order_key > coalesce((SELECT purged_through FROM queue WHERE number = $1::int8), 0)"
    " AND (group_id IS NULL OR group_id <> ALL ($4::text[])) ORDER BY order_key LIMIT $3::int8 FOR UPDATE SKIP LOCKED",
    *["int8"] * 3,
    "text[]",
)
# ... and of one that is.
_CLAIM_OF = Statement(
    f"SELECT queue, {MESSAGE_COLUMNS}, order_key FROM message"  # noqa: S608 constants
    " WHERE queue = $1::int8 AND state = 0 AND group_id = $2::text"
    " AND order_key > coalesce((SELECT purged_through FROM queue WHERE number = $1::int8), 0)"
    " ORDER BY order_key LIMIT 1 FOR UPDATE SKIP LOCKED",
    "int8",
    "text",
)
_HIDE = Statement(
    "UPDATE message SET state = 2, visible_at = taken.visible_at, first_received_at = taken.first_received_at,"  # noqa: S608
    " receive_count = receive_count + 1, order_key ="
    f" CASE WHEN receive_count + 1 >= {_RECEIVES_IN_FRONT} THEN nextval('position') ELSE order_key END"
    " FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])"
    " AS taken (queue, position, visible_at, first_received_at)"
    " WHERE message.queue = taken.queue AND message.position = taken.position",
    *["int8[]"] * 4,
)
_BURY = Statement(
    "INSERT INTO message (queue, position, order_key, state, visible_at, expires_at, sent_at, receive_count,"
    " message_id, group_id, deduplication_id, attributes, body, dead_letter_source)"
    " SELECT $1::int8, place, place, 0, $2::int8, sent_at + $3::int8, sent_at, 0, message_id, group_id,"
    " deduplication_id, attributes, body, $4::int8 FROM (SELECT nextval('position') AS place, dead.* FROM"
    " (SELECT message.* FROM unnest($5::int8[]) WITH ORDINALITY AS wanted (position, turn)"
    " JOIN message ON message.queue = $4::int8 AND message.position = wanted.position ORDER BY turn) AS dead) AS moved",
    *["int8"] * 4,
    "int8[]",
)
_FIRST_HIDDEN = Statement(
    "SELECT visible_at FROM message WHERE queue = $1::int8 AND state > 0 AND visible_at >= $2::int8"
    " AND position > coalesce((SELECT purged_through FROM queue WHERE number = $1::int8), 0)"
    " ORDER BY visible_at LIMIT 1",
    "int8",
    "int8",
)


class _Supply:
    """The ready messages of one queue that this batch has claimed, in order, and the queue's counters at that time."""

    def __init__(self, session: Session, queue: int, hidden: list[Row]) -> None:
        self.queue = queue
        self.now_ms = TIME_MIN
        self.wanted = 0
        self.stored: Sequence[int] = (0, 0, 0)
        self._session = session
        self._floors = session.floors(queue)
        self._hidden = hidden
        self._rows: deque[Row] = deque()
        self._may_have_more = True
        self.fairness = Fairness(session, queue)

    @property
    def in_flight(self) -> int:
        """How many messages of the queue are in flight."""
        return add_counted(self._session, self.queue, self.stored)[2]

    @property
    def limit(self) -> int:
        """How many messages to claim at once."""
        return max(1, min(self.wanted, _FETCHED_MAX, _FETCHED_BYTES_MAX // self._floors.bytes_per_message))

    def floor(self) -> int:
        """Where the claim begins."""
        return self._session.start_at(self._floors.ready)

    def fill(self, rows: Sequence[Row], limit: int, floor: int) -> None:
        """Take what a claim of `limit` messages has found."""
        self._may_have_more = len(rows) == limit
        if rows:
            size = sum([len(row[3]) for row in rows]) // len(rows)
            self._floors.bytes_per_message = max(size, 256)
            self._rows.extend(rows)
            # Promotion may have put a message before it, or the claim begun at the very start.
            self._floors.ready.at = rows[0][-1]
        elif floor > TIME_MIN and add_counted(self._session, self.queue, self.stored)[0] > 0:
            # The counter says that there are some, so another node has put them before the floor.
            self._floors.ready.renew_at = 0.0
            self._may_have_more = True

    def take(self, count: int) -> list[Row]:
        """Return up to `count` rows, none only when there are none; the caller hides or deletes them all."""
        if self.fairness.noisy:
            return self._take_fairly(count)
        if not self._rows and self._may_have_more:
            self._claim(max(count, self.limit))
            if not self._rows and self._may_have_more:
                self._claim(count)
                self._may_have_more = False
        return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]

    def start_anew(self) -> None:
        """Let go of what was claimed and not taken: the order has changed."""
        self._rows.clear()
        self._may_have_more = True

    def _take_fairly(self, count: int) -> list[Row]:
        """Return quiet tenants' messages; only when there are none, the next one of a noisy tenant."""
        if not self._rows and self._may_have_more:
            self._claim_quiet(min(max(count, self.limit), _FETCHED_MAX))
        if self._rows:
            return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]
        hide(self._session, self._hidden)
        passed: set[str] = set()
        while (name := self.fairness.next_noisy(passed)) is not None:
            rows = self._session.fetch_changed(_CLAIM_OF, self.queue, name)
            if rows:
                return rows
            # Another node has locked them all.
            passed.add(name)
        return []

    def _claim_quiet(self, limit: int) -> None:
        hide(self._session, self._hidden)
        noisy = frozenset(self.fairness.noisy)
        if self._floors.noisy != noisy:
            self._floors.noisy = noisy
            self._floors.quiet = Floor()
        floor = self._floors.quiet
        begin = self._session.start_at(floor, _QUIET_FLOOR_SECONDS)
        rows = self._session.fetch_changed(_CLAIM_QUIET, self.queue, begin, limit, sorted(noisy))
        self._may_have_more = len(rows) == limit
        if rows:
            self._rows.extend(rows)
            floor.at = rows[0][-1]

    def _claim(self, limit: int) -> None:
        # What was handed out before must be hidden, or it would be found again.
        hide(self._session, self._hidden)
        floor = self.floor()
        limit = min(limit, _FETCHED_MAX)
        self.fill(self._session.fetch_changed(_CLAIM, [self.queue], [floor], [limit]), limit, floor)


def receive(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    """Receive messages for each command in turn."""
    times = [command.now_ms for command in commands]
    if max(times) - min(times) > _APART_MS_MAX:
        return [received for command in commands for received in _receive_together(session, (command,))]
    return _receive_together(session, commands)


def _receive_together(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    hidden: list[Row] = []
    supplies: dict[int, _Supply] = {}
    for command in commands:
        supply = supplies.get(command.queue)
        if supply is None:
            supply = supplies[command.queue] = _Supply(session, command.queue, hidden)
        supply.now_ms = max(supply.now_ms, command.now_ms)
        supply.wanted += command.limit
    _begin(session, supplies)
    results = [_receive(session, command, supplies[command.queue], hidden) for command in commands]
    hide(session, hidden)
    return results


def _begin(session: Session, supplies: dict[int, _Supply]) -> None:
    """Promote, count and claim for all queues, in one trip to the server."""
    now_ms = {queue: supply.now_ms for queue, supply in supplies.items()}
    promoted = session.send(PROMOTE, *promotion(session, now_ms))
    counts = session.send(COUNTS, list(supplies))
    noisy = session.send(NOISY, list(supplies))
    limits = [supply.limit for supply in supplies.values()]
    floors = [supply.floor() for supply in supplies.values()]
    claimed = session.fetch_changed(_CLAIM, list(supplies), floors, limits)
    rows = promoted.rows()
    if rows:
        session.has_changed = True
    count_promoted(session, now_ms, rows)
    for row in counts.rows():
        supplies[row[0]].stored = row[1:]
    for row in noisy.rows():
        supplies[row[0]].fairness.load(row)
    found: dict[int, list[Row]] = {queue: [] for queue in supplies}
    for row in claimed:
        found[row[0]].append(row)
    for supply, limit, floor in zip(supplies.values(), limits, floors, strict=True):
        supply.fairness.calm(supply.now_ms)
        # What was promoted may stand before the place where this claim began: then another one is due.
        if not supply.fairness.noisy and session.floors(supply.queue).ready.at >= floor:
            supply.fill(found[supply.queue], limit, floor)


def _receive(session: Session, command: ReceiveMessages, supply: _Supply, hidden: list[Row]) -> Received:
    supply.wanted -= command.limit
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - supply.in_flight)
        if limit <= 0:
            return Received((), is_over_limit=True)
    taken, buried = _collect(session, command, supply, limit, hidden)
    fairness = supply.fairness
    if fairness.judge([message.group for message in taken], supply.in_flight):
        supply.start_anew()
    fairness.calm(command.now_ms)
    next_visible_at = None
    if not taken:
        hide(session, hidden)
        rows = session.fetch(_FIRST_HIDDEN, command.queue, session.floors(command.queue).hidden.at)
        next_visible_at = rows[0][0] if rows else None
    return Received(tuple(taken), next_visible_at, buried)


def _collect(
    session: Session, command: ReceiveMessages, supply: _Supply, limit: int, hidden: list[Row]
) -> tuple[list[ReceivedMessage], int]:
    """Return up to `limit` messages, and how many went to the dead letters on the way."""
    taken: list[ReceivedMessage] = []
    passed = buried = 0
    while len(taken) < limit and passed < _PASSED_MAX:
        rows = supply.take(limit - len(taken))
        found = len(rows)
        if not found:
            break
        expired = [row[:2] for row in rows if row[7] <= command.now_ms]
        if expired:
            delete_rows(session, expired)
            rows = [row for row in rows if row[7] > command.now_ms]
        rule = command.dead_letter
        if rule is not None:
            dead = [row for row in rows if row[9] >= rule.receives_max]
            _bury(session, command.queue, dead, rule, command.now_ms)
            rows = [row for row in rows if row[9] < rule.receives_max]
            buried += len(dead)
        for row in rows:
            if row[10] is not None:
                session.count_tenant(row[0], row[10], 0, -1)
                session.count_tenant(row[0], row[10], 2, 1)
        _take(session, rows, command, taken, hidden)
        passed += found - len(rows)
    return taken, buried


def _take(
    session: Session,
    rows: Sequence[Row],
    command: ReceiveMessages,
    taken: list[ReceivedMessage],
    hidden: list[Row],
) -> None:
    if not rows:
        return
    visible_at = command.visible_until_ms
    for row in rows:
        queue, position, message_id, body, attributes, sent_at, _, expires_at, first_at, receives = row[:10]
        first_at = command.now_ms if first_at is None else first_at
        hidden.append((queue, position, visible_at, first_at))
        taken.append(
            ReceivedMessage(
                position,
                message_id,
                body.decode(),
                attributes,
                sent_at,
                visible_at,
                expires_at,
                first_at,
                receives + 1,
                *row[10:13],
            )
        )
    session.count(command.queue, 0, -len(rows))
    session.count(command.queue, 2, len(rows))
    session.lower_hidden(command.queue, visible_at)


def _bury(session: Session, queue: int, rows: Sequence[Row], rule: DeadLetterRule, now_ms: int) -> None:
    if not rows:
        return
    positions = [row[1] for row in rows]
    for row in rows:
        if row[10] is not None:
            session.count_tenant(rule.queue, row[10], 0, 1, now_ms)
    session.change(_BURY, rule.queue, now_ms, rule.retention_ms, queue, positions)
    session.count(rule.queue, 0, len(rows))
    delete_rows(session, [row[:2] for row in rows])
    session.topics.add(("queue", rule.queue))


def hide(session: Session, hidden: list[Row]) -> None:
    """Send what was handed out to the database."""
    if hidden:
        # Moved behind others in the order in which they were handed out.
        session.change(_HIDE, *zip(*hidden, strict=True))
        hidden.clear()
