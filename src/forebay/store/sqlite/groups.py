"""Message groups of FIFO queues and tenants of standard ones: a row each, changed in memory, written once a commit.

A group is open while none of its messages is in flight. Open groups stand in an index by their first message, so that
the next one to be served is found in one step however many there are. What is said of tenants is in `fair.py`.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from forebay.store.message_group import Group
from forebay.store.sqlite.rows import Statements

# Groups that stay in memory between commits.
_GROUPS_MAX = 20_000

_COLUMNS = "id, queue, name, ready, delayed, in_flight, head, is_noisy, sent_at"
_BY_NAME = Statements(
    f"WITH wanted (queue, name) AS (VALUES {{rows}}) SELECT {_COLUMNS} FROM wanted"  # noqa: S608 constants
    " CROSS JOIN message_group USING (queue, name)",
    "(?,?)",
)
_BY_ID = Statements(f"SELECT {_COLUMNS} FROM message_group WHERE id IN ({{rows}})", "?")  # noqa: S608 constants
# A row of the same name can only be one that a purge has left.
_CREATE = Statements("INSERT OR REPLACE INTO message_group VALUES {rows}", "(?,?,?,?,?,?,?,?,?)")
_UPDATE = Statements(
    "WITH change (id, ready, delayed, in_flight, head, is_noisy, sent_at) AS (VALUES {rows}) UPDATE message_group SET"
    " ready = change.ready, delayed = change.delayed, in_flight = change.in_flight, head = change.head,"
    " is_noisy = change.is_noisy, sent_at = change.sent_at FROM change WHERE message_group.id = change.id",
    "(?,?,?,?,?,?,?)",
)
_FIND_HEADS = Statements(
    "UPDATE message_group SET head = (SELECT message.id FROM message WHERE state < 0 AND order_key = message_group.id"
    " ORDER BY message.id LIMIT 1) WHERE id IN ({rows}) RETURNING id, head",
    "?",
)
_NOISY = f"SELECT {_COLUMNS} FROM message_group WHERE queue = ? AND is_noisy = 1"  # noqa: S608 constants
_DELETE = Statements("DELETE FROM message_group WHERE id IN ({rows})", "?")


class Groups:
    """Reads groups through one connection, keeps them, and writes those that changed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._by_id: dict[int, Group] = {}
        self._by_name: dict[tuple[int, str], Group] = {}
        self._changed: dict[int, Group] = {}
        # Noisy tenants by name, of the queues that were asked for.
        self._noisy: dict[int, dict[str, Group]] = {}

    def load_named(self, names: Iterable[tuple[int, str]]) -> None:
        """Read the groups (by queue and name) that are not known yet, all at once."""
        missing = [value for name in names if name not in self._by_name for value in name]
        if missing:
            self._keep(_BY_NAME.fetch(self._connection, missing))

    def load(self, ids: Iterable[int]) -> None:
        """Read the groups that are not known yet, all at once."""
        missing = [identity for identity in ids if identity not in self._by_id]
        if missing:
            self._keep(_BY_ID.fetch(self._connection, missing))

    def change_named(self, queue: int, name: str, first_id: int) -> Group | None:
        """Return a loaded group for changing; None where there is none, or only one from before a purge."""
        group = self._by_name.get((queue, name))
        if group is None or group.id < first_id:
            return None
        self._changed[group.id] = group
        return group

    def change(self, identity: int) -> Group:
        """Return a loaded group for changing."""
        group = self._changed[identity] = self._by_id[identity]
        return group

    def create(self, identity: int, queue: int, name: str, is_noisy: int | None = None) -> Group:
        """Return a new group without messages."""
        group = Group(identity, queue, name, is_noisy=is_noisy, is_new=True)
        self._by_id[identity] = self._by_name[queue, name] = self._changed[identity] = group
        return group

    def noisy(self, queue: int, first_id: int) -> dict[str, Group]:
        """Return the noisy tenants of a queue by name."""
        noisy = self._noisy.get(queue)
        if noisy is None:
            noisy = self._noisy[queue] = {}
            rows = [row for row in self._connection.execute(_NOISY, (queue,)) if row[0] >= first_id]
            names = [(row[1], row[2]) for row in rows]
            self._keep(row for row in rows if (row[1], row[2]) not in self._by_name)
            noisy.update({name: self._by_name[number, name] for number, name in names})
        return noisy

    def set_noisy(self, group: Group, *, is_noisy: bool) -> None:
        """Call a loaded tenant noisy or quiet."""
        group.is_noisy = int(is_noisy)
        self._changed[group.id] = group
        noisy = self._noisy.get(group.queue)
        if noisy is not None and is_noisy:
            noisy[group.name] = group
        elif noisy is not None:
            noisy.pop(group.name, None)

    def calm(self, group: Group) -> None:
        """Call a tenant quiet of whom nothing waits."""
        if group.is_noisy and not (group.ready or group.delayed):
            self.set_noisy(group, is_noisy=False)

    def drop(self, queue: int) -> None:
        """Forget the groups of a queue that was purged; their rows are behind its watermark."""
        self._noisy.pop(queue, None)
        for group in [group for group in self._by_id.values() if group.queue == queue]:
            self._remove(group)
            self._changed.pop(group.id, None)

    def flush(self) -> None:
        """Write what is only in memory, so that SQL sees it."""
        if not self._changed:
            return
        created: list[object] = []
        updated: list[object] = []
        headless: list[int] = []
        gone: list[int] = []
        for group in self._changed.values():
            if group.is_empty:
                self._remove(group)
                if not group.is_new:
                    gone.append(group.id)
                continue
            if group.lose_head():
                headless.append(group.id)
            counters = (group.ready, group.delayed, group.in_flight, group.head, group.is_noisy, group.sent_at)
            if group.is_new:
                group.is_new = False
                created += (group.id, group.queue, group.name, *counters)
            else:
                updated += (group.id, *counters)
        self._changed.clear()
        _CREATE.run(self._connection, created)
        _UPDATE.run(self._connection, updated)
        _DELETE.run(self._connection, gone)
        self._find_heads(headless)
        if len(self._by_id) > _GROUPS_MAX:
            self.forget()

    def _find_heads(self, ids: Sequence[int]) -> None:
        for identity, head in _FIND_HEADS.fetch(self._connection, ids):
            self._by_id[identity].head = head

    def forget(self) -> None:
        """Forget everything: a rollback has undone it, or it is too much."""
        self._noisy.clear()
        self._by_id.clear()
        self._by_name.clear()
        self._changed.clear()

    def _keep(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            group = Group(*row)
            self._by_id[group.id] = self._by_name[group.queue, group.name] = group

    def _remove(self, group: Group) -> None:
        del self._by_id[group.id]
        if self._by_name.get((group.queue, group.name)) is group:
            del self._by_name[group.queue, group.name]
