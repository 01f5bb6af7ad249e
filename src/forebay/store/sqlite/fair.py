"""Fair queues: what the writer knows of a standard queue's tenants, and which message is next while some are noisy.

A queue that never saw a message group has no tenants and pays nothing for them. On one that did, every change of a
message is counted with its tenant, and messages stand in an index by tenant, so that those of a noisy one can be passed
over however many they are.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from forebay.store.commands import NOISY_IN_FLIGHT_MIN, NOISY_SHARE_PERCENT, QUIET_AFTER_MS, CallNoisy
from forebay.store.message_group import Group
from forebay.store.sqlite.session import QUEUE_SHIFT, QueueState, Session

# Tenants whose `head` one look puts right, before it takes any quiet message.
_HEADS_MOVED_MAX = 100

_QUIET = "SELECT id FROM message_group WHERE is_noisy = 0 AND ready > 0 AND head BETWEEN ? AND ? ORDER BY head LIMIT 1"

# (queue, tenant, state that the message had)
Left = tuple[int, str, int]


class SentMessages:
    """Messages that are being sent to standard queues and belong to a tenant: counted together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sent: list[tuple[QueueState, str, int, int, int]] = []

    def add(self, queue: QueueState, group: str | None, row: int, state: int, sent_at: int) -> str:
        """Add a message and return its tenant; the first group gives a queue tenants."""
        queue.has_tenants = True
        tenant = group or ""
        self._sent.append((queue, tenant, row, state, sent_at))
        return tenant

    def count(self) -> None:
        """Count all messages that were added."""
        if not self._sent:
            return
        session = self._session
        session.groups.load_named({(queue.number, tenant) for queue, tenant, *_ in self._sent})
        for queue, tenant, row, state, sent_at in self._sent:
            group = _tenant(session, queue, tenant)
            group.sent_at = sent_at
            if state == 1:
                group.delayed += 1
            else:
                _make_ready(group, row)
        self._sent.clear()


def count_left(session: Session, left: Sequence[Left]) -> None:
    """Count messages out that are gone for good; those of queues without tenants must not be among them."""
    session.groups.load_named({(queue, tenant) for queue, tenant, _ in left})
    for number, tenant, state in left:
        group = _tenant(session, session.queue(number), tenant)
        if state == 0:
            group.ready -= 1
        elif state == 1:
            group.delayed -= 1
        else:
            group.in_flight -= 1
        session.groups.calm(group)


def count_promoted(session: Session, queue: QueueState, promoted: Iterable[tuple[int, str | None, int, int]]) -> None:
    """Count messages that became ready: state that they had, tenant, how many, the least order key."""
    counted = [(state, tenant, number, key) for state, tenant, number, key in promoted if tenant is not None]
    session.groups.load_named({(queue.number, tenant) for _, tenant, *_ in counted})
    for state, tenant, number, order_key in counted:
        group = _tenant(session, queue, tenant)
        if state == 1:
            group.delayed -= number
        else:
            group.in_flight -= number
        _make_ready(group, order_key, number)


def count_received(session: Session, queue: QueueState, rows: Iterable[Sequence[Any]], taken: set[int]) -> None:
    """Count messages that were ready and are in flight now, or gone."""
    served = [(row[0], row[9]) for row in rows if row[9] is not None]
    session.groups.load_named({(queue.number, tenant) for _, tenant in served})
    for row, tenant in served:
        group = _tenant(session, queue, tenant)
        group.ready -= 1
        if row in taken:
            group.in_flight += 1
        session.groups.calm(group)


def find_noisy(session: Session, queue: QueueState, now_ms: int) -> set[str]:
    """Return the tenants that are noisy at `now_ms`."""
    noisy = session.groups.noisy(queue.number, queue.first_id)
    for group in list(noisy.values()):
        if now_ms - group.sent_at >= QUIET_AFTER_MS:
            session.groups.set_noisy(group, is_noisy=False)
    return set(noisy)


def judge(session: Session, queue: QueueState, tenants: Iterable[str | None]) -> None:
    """Call noisy those from whom messages were just received, if they hold too many and have more waiting."""
    names = {tenant for tenant in tenants if tenant}
    session.groups.load_named({(queue.number, name) for name in names})
    for name in names:
        group = session.groups.change_named(queue.number, name, queue.first_id)
        if (
            group is not None
            and group.in_flight >= NOISY_IN_FLIGHT_MIN
            and group.in_flight * 100 > queue.in_flight * NOISY_SHARE_PERCENT
            and (group.ready or group.delayed)
        ):
            session.groups.set_noisy(group, is_noisy=True)


def call_noisy(session: Session, commands: Sequence[CallNoisy]) -> list[None]:
    """Call tenants noisy, those of whom something waits."""
    for command in commands:
        queue, groups = session.queue(command.queue), session.groups
        if not queue.has_tenants:
            continue
        # The noisy ones are read before there are more, which only memory knows.
        groups.noisy(queue.number, queue.first_id)
        groups.load_named((queue.number, name) for name in command.tenants)
        for name in command.tenants:
            group = groups.change_named(queue.number, name, queue.first_id)
            if group is not None and (group.ready or group.delayed):
                groups.set_noisy(group, is_noisy=True)
    return [None] * len(commands)


def next_rows(session: Session, queue: QueueState, noisy: set[str], select: str, room: int) -> list[Any]:
    """Return the next messages of a queue with noisy tenants; `select` reads ready ones by a condition and a limit.

    What was changed must have been written before.
    """
    bounds = (queue.first_id, queue.last_id)
    front = session.execute(f"{select} AND order_key BETWEEN ? AND ? ORDER BY order_key LIMIT ?", (*bounds, room))
    rows: list[Any] = []
    for row in front.fetchall():
        if row[9] in noisy:
            break
        rows.append(row)
    if rows:
        return rows
    quiet = _next_quiet(session, bounds, select)
    if quiet is not None:
        return [quiet]
    loud = [group for group in session.groups.noisy(queue.number, queue.first_id).values() if group.ready]
    if not loud:
        return []
    row = _first_of(session, min(loud, key=lambda group: (group.in_flight, group.name)), select)
    return [] if row is None else [row]


def _next_quiet(session: Session, bounds: tuple[int, int], select: str) -> Any | None:
    """Return the oldest message of all quiet tenants."""
    groups = session.groups
    row = None
    for _ in range(_HEADS_MOVED_MAX):
        found = session.execute(_QUIET, bounds).fetchone()
        if found is None:
            return None
        groups.load(found)
        group = groups.change(found[0])
        row = _first_of(session, group, select)
        if row is None or group.head == row[12]:
            return row
        # Its older messages were taken in the queue's order.
        group.head = row[12]
        groups.flush()
    return row


def _first_of(session: Session, group: Group, select: str) -> Any | None:
    statement = f"{select} AND queue = ? AND group_id = ? ORDER BY order_key LIMIT 1"
    return session.execute(statement, (group.queue, group.name)).fetchone()


def _make_ready(group: Group, order_key: int, number: int = 1) -> None:
    if group.ready == 0 or group.head is None or order_key < group.head:
        group.head = order_key
    group.ready += number


def _tenant(session: Session, queue: QueueState, name: str) -> Group:
    """Return a tenant for changing, created when it is not there; it must have been looked for by `load_named`."""
    group = session.groups.change_named(queue.number, name, queue.first_id)
    if group is None:
        identity = queue.number << QUEUE_SHIFT | session.take_positions(1)
        group = session.groups.create(identity, queue.number, name, is_noisy=0)
    return group
