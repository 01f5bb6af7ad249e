"""The message groups of FIFO queues: a row each, read by the batch that needs them, changed in memory, written once.

A group is open while none of its messages is in flight. Open groups stand in an index by their first message, so that
the next one to be served is found in one step however many there are. Whoever reads groups holds their queue's lock
alone until the commit, so what is in memory is true for the batch, and forgotten after it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from forebay.store.message_group import Group
from forebay.store.postgres.connection import Reply, Row, Statement

_COLUMNS = "message_group.id, queue, name, ready, delayed, in_flight, head"
_NOT_PURGED = "message_group.id > coalesce((SELECT purged_through FROM queue WHERE number = message_group.queue), 0)"
_BY_NAME = Statement(
    f"SELECT {_COLUMNS} FROM unnest($1::int8[], $2::text[]) AS wanted (queue, name)"  # noqa: S608 constants
    f" JOIN message_group USING (queue, name) WHERE {_NOT_PURGED}",
    "int8[]",
    "text[]",
)
_BY_ID = Statement(
    f"SELECT {_COLUMNS} FROM unnest($1::int8[], $2::int8[]) AS wanted (queue, id)"  # noqa: S608 constants
    " JOIN message_group USING (queue, id)",
    "int8[]",
    "int8[]",
)
# A row of the same name can only be one that a purge has left.
_CREATE = Statement(
    "INSERT INTO message_group (queue, id, name, ready, delayed, in_flight, head)"
    " SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])"
    " ON CONFLICT (queue, name) DO UPDATE SET id = excluded.id, ready = excluded.ready, delayed = excluded.delayed,"
    " in_flight = excluded.in_flight, head = excluded.head",
    "int8[]",
    "int8[]",
    "text[]",
    *["int8[]"] * 3,
    "int8?[]",
)
_UPDATE = Statement(
    "UPDATE message_group SET ready = change.ready, delayed = change.delayed, in_flight = change.in_flight,"
    " head = change.head FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[])"
    " AS change (queue, id, ready, delayed, in_flight, head)"
    " WHERE message_group.queue = change.queue AND message_group.id = change.id",
    *["int8[]"] * 5,
    "int8?[]",
)
_FIND_HEADS = Statement(
    "UPDATE message_group SET head = (SELECT position FROM message WHERE message.queue = message_group.queue"
    " AND state < 0 AND order_key = message_group.id ORDER BY position LIMIT 1)"
    " FROM unnest($1::int8[], $2::int8[]) AS wanted (queue, id)"
    " WHERE message_group.queue = wanted.queue AND message_group.id = wanted.id"
    " RETURNING message_group.queue, message_group.id, message_group.head",
    "int8[]",
    "int8[]",
)
_DELETE = Statement(
    "DELETE FROM message_group USING unnest($1::int8[], $2::int8[]) AS gone (queue, id)"
    " WHERE message_group.queue = gone.queue AND message_group.id = gone.id",
    "int8[]",
    "int8[]",
)


class _Changer(Protocol):
    def __call__(self, statement: Statement, *values: Any) -> Reply: ...


class _Fetcher(Protocol):
    def __call__(self, statement: Statement, *values: Any) -> list[Row]: ...


class Groups:
    """The groups that a batch has to do with; `reopen` is told the queue and head of each group that is open."""

    def __init__(self, change: _Changer, fetch: _Fetcher, reopen: Callable[[int, int], None]) -> None:
        self._change = change
        self._fetch = fetch
        self._reopen = reopen
        self._by_id: dict[tuple[int, int], Group] = {}
        self._by_name: dict[tuple[int, str], Group] = {}
        self._changed: dict[tuple[int, int], Group] = {}

    def load_named(self, names: Iterable[tuple[int, str]]) -> None:
        """Read the groups (by queue and name) that are not known yet, all at once."""
        missing = sorted(name for name in names if name not in self._by_name)
        if missing:
            self._keep(self._fetch(_BY_NAME, *zip(*missing, strict=True)))

    def load(self, ids: Iterable[tuple[int, int]]) -> None:
        """Read the groups (by queue and id) that are not known yet, all at once."""
        missing = sorted(identity for identity in ids if identity not in self._by_id)
        if missing:
            self._keep(self._fetch(_BY_ID, *zip(*missing, strict=True)))

    def change_named(self, queue: int, name: str) -> Group | None:
        """Return a loaded group for changing, None where there is none."""
        group = self._by_name.get((queue, name))
        if group is not None:
            self._changed[queue, group.id] = group
        return group

    def change(self, queue: int, identity: int) -> Group:
        """Return a loaded group for changing."""
        group = self._changed[queue, identity] = self._by_id[queue, identity]
        return group

    def create(self, identity: int, queue: int, name: str) -> Group:
        """Return a new group without messages."""
        group = Group(identity, queue, name, is_new=True)
        self._by_id[queue, identity] = self._by_name[queue, name] = self._changed[queue, identity] = group
        return group

    def drop(self, queue: int) -> None:
        """Forget the groups of a queue that was purged; their rows are behind its watermark."""
        for group in [group for group in self._by_id.values() if group.queue == queue]:
            self._remove(group)
            self._changed.pop((queue, group.id), None)

    def flush(self) -> None:
        """Write what is only in memory, so that SQL sees it."""
        if not self._changed:
            return
        rows: dict[Statement, list[Row]] = {_CREATE: [], _UPDATE: [], _DELETE: []}
        headless: list[Row] = []
        for name, group in sorted(self._changed.items()):
            if not group.is_empty and group.lose_head():
                headless.append(name)
            self._save(group, rows)
        self._changed.clear()
        for statement, values in rows.items():
            if values:
                self._change(statement, *zip(*values, strict=True))
        if headless:
            for queue, identity, head in self._fetch(_FIND_HEADS, *zip(*headless, strict=True)):
                group = self._by_id[queue, identity]
                group.head = head
                self._tell(group)

    def _save(self, group: Group, rows: "dict[Statement, list[Row]]") -> None:
        name = (group.queue, group.id)
        if group.is_empty:
            self._remove(group)
            if not group.is_new:
                rows[_DELETE].append(name)
            return
        self._tell(group)
        counters = (group.ready, group.delayed, group.in_flight, group.head)
        if group.is_new:
            group.is_new = False
            rows[_CREATE].append((*name, group.name, *counters))
        else:
            rows[_UPDATE].append((*name, *counters))

    def forget(self) -> None:
        """Forget everything; what was not written is undone."""
        self._by_id.clear()
        self._by_name.clear()
        self._changed.clear()

    def _tell(self, group: Group) -> None:
        if group.head is not None and not group.in_flight:
            self._reopen(group.queue, group.head)

    def _keep(self, rows: Iterable[Row]) -> None:
        for row in rows:
            group = Group(*row)
            self._by_id[group.queue, group.id] = self._by_name[group.queue, group.name] = group

    def _remove(self, group: Group) -> None:
        del self._by_id[group.queue, group.id]
        if self._by_name.get((group.queue, group.name)) is group:
            del self._by_name[group.queue, group.name]
