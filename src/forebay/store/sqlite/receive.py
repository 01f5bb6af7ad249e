"""Receiving messages: those that are ready are hidden, counted, and handed out; the hopeless go to the dead letters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

from forebay.store.commands import DeadLetterRule, Received, ReceivedMessage, ReceiveMessages
from forebay.store.sqlite import fair
from forebay.store.sqlite.messages import MESSAGE_COLUMNS, delete_rows
from forebay.store.sqlite.promotion import promote
from forebay.store.sqlite.rows import Statements
from forebay.store.sqlite.session import POSITION_MAX, QUEUE_SHIFT, QueueState, Session

# A message received this often without a delete goes behind the others (AWS: SQS metrics, age of the oldest message).
_RECEIVES_IN_FRONT = 3

# Messages that one receive looks at and does not hand out (expired, dead-lettered) before it answers what it has.
_PASSED_MAX = 1000

# Ready messages that are read at once for all receives of a batch.
_FETCHED_MAX = 256
_FETCHED_CHARACTERS_MAX = 4 * 1024 * 1024

# So many queues, of each of which so few messages are wanted, are read in one step instead of one each.
_QUEUES_AT_ONCE_MIN = 4
_OF_EACH_MAX = 10

_READY = f"SELECT {MESSAGE_COLUMNS}, order_key FROM message WHERE state = 0"  # noqa: S608 constants
_COLUMNS_OF_MANY = ", ".join(f"message.{name}" for name in (*MESSAGE_COLUMNS.split(", "), "order_key"))
_SELECT = f"{_READY} AND order_key BETWEEN ? AND ? ORDER BY order_key LIMIT ?"
_HIDE = Statements(
    "WITH change (id, visible_at, order_key, first_received_at) AS (VALUES {rows})"
    " UPDATE message SET state = 2, visible_at = change.visible_at, order_key = change.order_key,"
    " first_received_at = change.first_received_at, receive_count = receive_count + 1"
    " FROM change WHERE message.id = change.id",
    "(?,?,?,?)",
)
_BURY = (
    "INSERT INTO message SELECT ?, 0, ?, ?, ?, sent_at + ?, 0, NULL, sent_at, ?, message_id, ?,"
    " deduplication_id, attributes, body FROM message WHERE id = ?"
)

# A row of _SELECT: MESSAGE_COLUMNS, then the order key.
_Row = tuple[int, str, str, bytes, int, int, int, int | None, int, str | None, str | None, int | None, int]


class _Supply:
    """The ready messages of a queue, in order, for all receives of a batch: read together and hidden together."""

    def __init__(self, session: Session, queue: QueueState, hidden: list[object]) -> None:
        self.wanted = 0
        self._session = session
        self._queue = queue
        self._hidden = hidden
        # Rows that were read, and how many of them were taken.
        self._rows: list[_Row] = []
        self._taken = 0

    def take(self, count: int) -> list[_Row]:
        """Return up to `count` rows, none only when there are none; the caller hides or deletes them all."""
        if self._taken >= len(self._rows):
            self._fetch(count)
        taken = self._rows[self._taken : self._taken + count]
        self._taken += len(taken)
        return taken

    def take_fairly(self, noisy: set[str], count: int) -> list[_Row]:
        """Return up to `count` rows, noisy tenants' last; the caller hides or deletes them all."""
        _hide(self._session, self._hidden)
        self._session.groups.flush()
        self._forget()
        return fair.next_rows(self._session, self._queue, noisy, _READY, count)

    def begin_with(self, rows: Iterable[_Row]) -> None:
        """Take messages that were read ahead, the queue's first ones."""
        self._rows.extend(rows)

    def _forget(self) -> None:
        self._rows.clear()
        self._taken = 0

    def _fetch(self, count: int) -> None:
        # What was handed out before must be hidden, or it would be found again.
        _hide(self._session, self._hidden)
        self._forget()
        limit = min(max(count, self.wanted), _FETCHED_MAX)
        size = 0
        for row in self._session.execute(_SELECT, (self._queue.first_id, self._queue.last_id, limit)):
            self._rows.append(row)
            size += len(row[2])
            if size > _FETCHED_CHARACTERS_MAX:
                break


def receive(session: Session, commands: Sequence[ReceiveMessages]) -> list[Received]:
    """Receive messages for each command in turn."""
    hidden: list[object] = []
    supplies: dict[int, _Supply] = {}
    for command in commands:
        supply = supplies.get(command.queue)
        if supply is None:
            supply = supplies[command.queue] = _Supply(session, session.queue(command.queue), hidden)
        supply.wanted += command.limit
    if len(supplies) >= _QUEUES_AT_ONCE_MIN:
        _read_ahead(session, supplies, max(command.now_ms for command in commands))
    results = [_receive(session, command, supplies[command.queue], hidden) for command in commands]
    _hide(session, hidden)
    return results


def _read_ahead(session: Session, supplies: Mapping[int, _Supply], now_ms: int) -> None:
    """Read the first messages of many queues in few steps, of those whose order nothing is about to change."""
    by_count: dict[int, list[QueueState]] = {}
    for number, supply in supplies.items():
        queue = session.queue(number)
        is_due = queue.next_due is not None and queue.next_due <= now_ms
        if queue.ready and not is_due and not queue.has_tenants and supply.wanted <= _OF_EACH_MAX:
            by_count.setdefault(supply.wanted, []).append(queue)
    for count, queues in by_count.items():
        if len(queues) < _QUEUES_AT_ONCE_MIN:
            continue
        bounds = [bound for queue in queues for bound in (queue.first_id, queue.last_id)]
        found: dict[int, list[_Row]] = {}
        for row in first_of_many(count).fetch(session.connection, bounds):
            found.setdefault(row[0] >> QUEUE_SHIFT, []).append(row)
        for number, rows in found.items():
            # They come in the order of their ids; a message that was received often has moved behind others.
            supplies[number].begin_with(sorted(rows, key=lambda row: row[-1]))


@cache
def first_of_many(count: int) -> Statements:
    """Return the statement that reads the first `count` ready messages of many queues, each given by its bounds."""
    return Statements(
        f"WITH wanted (first, last) AS (VALUES {{rows}}) SELECT {_COLUMNS_OF_MANY} FROM wanted CROSS JOIN message"  # noqa: S608
        " ON message.id IN (SELECT id FROM message WHERE state = 0 AND order_key BETWEEN first AND last"
        f" ORDER BY order_key LIMIT {count})",
        "(?,?)",
    )


def _hide(session: Session, hidden: list[object]) -> None:
    if hidden:
        _HIDE.run(session.connection, hidden)
        hidden.clear()


def _receive(session: Session, command: ReceiveMessages, supply: _Supply, hidden: list[object]) -> Received:
    queue = session.queue(command.queue)
    supply.wanted -= command.limit
    if queue.next_due is not None and queue.next_due <= command.now_ms:
        _hide(session, hidden)
        promote(session, queue, command.now_ms)
    limit = command.limit
    if command.in_flight_max is not None:
        limit = min(limit, command.in_flight_max - queue.in_flight)
        if limit <= 0:
            return Received((), is_over_limit=True)
    if queue.has_tenants:
        noisy = fair.find_noisy(session, queue, command.now_ms)
        take = partial(supply.take_fairly, noisy) if noisy else supply.take
        taken, buried = _collect(session, command, take, limit, hidden)
        fair.judge(session, queue, [message.group for message in taken])
    else:
        taken, buried = _collect(session, command, supply.take, limit, hidden)
    next_visible_at = None
    if not taken and queue.next_due is not None:
        _hide(session, hidden)
        next_visible_at = session.first_hidden(queue)
    return Received(tuple(taken), next_visible_at, buried)


def _collect(
    session: Session, command: ReceiveMessages, take: Callable[[int], list[_Row]], limit: int, hidden: list[object]
) -> tuple[list[ReceivedMessage], int]:
    """Return up to `limit` messages, and how many went to the dead letters on the way."""
    queue = session.queue(command.queue)
    taken: list[ReceivedMessage] = []
    passed = buried = 0
    while queue.ready and len(taken) < limit and passed < _PASSED_MAX:
        rows = found = take(limit - len(taken))
        if not found:
            # Only a wrong counter can lead here; a receive must end all the same.
            break
        expired = [(row[0], 0) for row in rows if row[6] <= command.now_ms]
        if expired:
            delete_rows(session, expired)
            rows = [row for row in rows if row[6] > command.now_ms]
        rule = command.dead_letter
        if rule is not None:
            dead = [row for row in rows if row[8] >= rule.receives_max]
            _bury(session, queue, dead, rule, command.now_ms)
            rows = [row for row in rows if row[8] < rule.receives_max]
            buried += len(dead)
        taken += _take(session, queue, rows, command, hidden)
        passed += len(found) - len(rows)
        if queue.has_tenants:
            fair.count_received(session, queue, found, {row[0] for row in rows})
    return taken, buried


def _take(
    session: Session, queue: QueueState, rows: Sequence[_Row], command: ReceiveMessages, hidden: list[object]
) -> list[ReceivedMessage]:
    if not rows:
        return []
    queue = session.change_queue(queue.number)
    taken: list[ReceivedMessage] = []
    shifted = queue.number << QUEUE_SHIFT
    visible_at = command.visible_until_ms
    for row in rows:
        (
            identity,
            message_id,
            body,
            attributes,
            sent_at,
            _,
            expires_at,
            first_at,
            receives,
            group,
            dedup,
            source,
            order,
        ) = row
        receives += 1
        first_at = command.now_ms if first_at is None else first_at
        if receives >= _RECEIVES_IN_FRONT:
            order = shifted | session.take_positions(1)
        hidden += (identity, visible_at, order, first_at)
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
                receives,
                # '' where there is none, on a queue with tenants.
                group or None,
                dedup,
                source,
            )
        )
    queue.ready -= len(rows)
    queue.in_flight += len(rows)
    queue.hide_until(visible_at)
    return taken


def _bury(session: Session, queue: QueueState, rows: Sequence[_Row], rule: DeadLetterRule, now_ms: int) -> None:
    if not rows:
        return
    grave = session.change_queue(rule.queue)
    shifted = grave.number << QUEUE_SHIFT
    of_tenants = fair.SentMessages(session)
    for row in rows:
        identity = shifted | session.take_positions(1)
        group = row[9] or None
        if group or grave.has_tenants:
            group = of_tenants.add(grave, group, identity, 0, now_ms)
        values = (identity, identity, grave.number, now_ms, rule.retention_ms, queue.number, group, row[0])
        session.execute(_BURY, values)
    of_tenants.count()
    grave.ready += len(rows)
    delete_rows(session, [(row[0], 0) for row in rows])
    session.topics.add(("queue", grave.number))
