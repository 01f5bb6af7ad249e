"""What a writer holds in memory: its connection, the changes of counters, what a commit tells, and where scans begin.

Counters change in Python and are written once a commit, into the slot of this connection. After a rollback everything
here is forgotten.
"""

import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from forebay.store.contract import Topic
from forebay.store.postgres.connection import Connection, Reply, Row, Statement
from forebay.store.postgres.groups import Groups

# Counters of a queue are spread over so many rows; connections with different slots do not wait for each other.
SLOTS = 16

TIME_MIN = -(1 << 62)

# Stands for a table itself where its indexes are counted.
ITSELF = -1

# Scans begin at a lower bound, so as not to meet the dead rows before it again and again; as often as this, in
# seconds, one begins at the very start, and finds what another node has put there.
_FLOOR_SECONDS = 1.0
# So far, in milliseconds, may the clocks of nodes be apart without anyone waiting for that.
CLOCKS_APART_MS = 60_000
# Queues and kinds of timer whose bounds are remembered.
_FLOORS_MAX = 50_000

_OPEN_MARK = Statement("INSERT INTO mark (id, batch) SELECT nextval('mark_id'), 0 RETURNING id")
# Divides by zero, and so fails the transaction, when the row is gone: a successor has barred this connection.
_MARK = Statement(
    "WITH marked AS (UPDATE mark SET batch = $2::int8 WHERE id = $1::int8 RETURNING 1) SELECT 1 / count(*) FROM marked",
    "int8",
    "int8",
)
_RESOLVE = Statement("DELETE FROM mark WHERE id = $1::int8 RETURNING batch", "int8")
_FORGET_MARKS = Statement("DELETE FROM mark WHERE opened_at < now() - interval '7 days'")

_SAVE_QUEUES = Statement(
    "INSERT INTO queue_count AS kept (queue, slot, ready, delayed, in_flight)"
    " SELECT queue, $1::int8, ready, delayed, in_flight"
    " FROM unnest($2::int8[], $3::int8[], $4::int8[], $5::int8[]) AS given (queue, ready, delayed, in_flight)"
    " ON CONFLICT (queue, slot) DO UPDATE SET ready = kept.ready + excluded.ready,"
    " delayed = kept.delayed + excluded.delayed, in_flight = kept.in_flight + excluded.in_flight",
    "int8",
    *["int8[]"] * 4,
)
_SAVE_TIMERS = Statement(
    "INSERT INTO timer_count AS kept (kind, slot, total)"
    " SELECT kind, $1::int8, total FROM unnest($2::text[], $3::int8[]) AS given (kind, total)"
    " ON CONFLICT (kind, slot) DO UPDATE SET total = kept.total + excluded.total",
    "int8",
    "text[]",
    "int8[]",
)
_SAVE_ITEMS = Statement(
    "INSERT INTO item_count AS kept (slot, item_table, item_index, items, size) SELECT $1::int8, given.*"
    " FROM unnest($2::int8[], $3::int8[], $4::int8[], $5::int8[]) AS given"
    " ON CONFLICT (item_table, item_index, slot) DO UPDATE SET items = kept.items + excluded.items,"
    " size = kept.size + excluded.size",
    "int8",
    *["int8[]"] * 4,
)
_SAVE_TENANTS = Statement(
    "INSERT INTO tenant_count AS kept (slot, queue, name, ready, delayed, in_flight, sent_at) SELECT $1::int8, given.*"
    " FROM unnest($2::int8[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[]) AS given"
    " ON CONFLICT (queue, name, slot) DO UPDATE SET ready = kept.ready + excluded.ready,"
    " delayed = kept.delayed + excluded.delayed, in_flight = kept.in_flight + excluded.in_flight,"
    " sent_at = greatest(kept.sent_at, excluded.sent_at)",
    "int8",
    "int8[]",
    "text[]",
    *["int8[]"] * 4,
)
_LOCK_SHARED = Statement("SELECT pg_advisory_xact_lock_shared(key) FROM unnest($1::int8[]) AS key", "int8[]")
_LOCK = Statement("SELECT pg_advisory_xact_lock(key) FROM unnest($1::int8[]) AS key", "int8[]")
# Locks of the session and not of the transaction.
_LOCK_GATE = Statement("SELECT pg_advisory_lock($1::int8)", "int8")
_TRY_GATE = Statement("SELECT pg_try_advisory_lock($1::int8)", "int8")
_UNLOCK_GATE = Statement("SELECT pg_advisory_unlock($1::int8)", "int8")


class News:
    """What commits will tell: whom to wake, and which records changed (kind, key, value or None)."""

    def __init__(self) -> None:
        self.topics: set[Topic] = set()
        self.changes: list[tuple[str, str, object]] = []

    def take(self) -> tuple[tuple[Topic, ...], list[tuple[str, str, object]]]:
        """Return it, and start anew."""
        topics, changes = tuple(self.topics), list(self.changes)
        self.topics.clear()
        self.changes.clear()
        return topics, changes


@dataclass(slots=True)
class Floor:
    """Below this there is nothing (any more) as far as this node knows; `renew_at` says until when it relies on it."""

    at: int = TIME_MIN
    renew_at: float = 0.0


@dataclass(slots=True)
class QueueFloors:
    """Where the scans of a queue's ready and hidden messages begin, and about how large its messages are."""

    ready: Floor = field(default_factory=Floor)
    hidden: Floor = field(default_factory=Floor)
    # Of messages that are not of `noisy` tenants.
    quiet: Floor = field(default_factory=Floor)
    noisy: frozenset[str] = frozenset()
    bytes_per_message: int = 16 * 1024


class Session:
    """A writer's transaction and what belongs to it. Used by one thread."""

    def __init__(self, connection: Connection, schema: str, monotonic: Callable[[], float], news: News) -> None:
        self.connection = connection
        self.send = connection.send
        self.fetch = connection.fetch
        self.monotonic = monotonic
        self.topics = news.topics
        self.changes = news.changes
        # Purged messages or dropped streams have left rows to delete when there is nothing better to do.
        self.needs_sweep = True
        # Whether the transaction has anything to commit durably.
        self.has_changed = False
        self.mark: int = connection.fetch(_OPEN_MARK)[0][0]
        connection.synchronise()
        self.slot = self.mark % SLOTS
        self.batch = 0
        # Whether the server may have been told to commit the batch in hand, which changes something.
        self.is_committing = False
        # Advisory locks are shared by all schemas of a database.
        self._lock_base = _lock_base(schema)
        self._gate = _gate_key(schema)
        self._counts: dict[int, list[int]] = {}
        self._timer_counts: dict[str, int] = {}
        # By table and index: items and their size.
        self._item_counts: dict[tuple[int, int], list[int]] = {}
        self._tenants: dict[tuple[int, str], list[int]] = {}
        self._locked: dict[int, bool] = {}
        self.groups = Groups(self.change, self.fetch_changed, self.lower_ready)
        # Which queues are FIFO, as far as this node knows, and for which of them the database knows it.
        self.is_fifo: dict[int, bool] = {}
        self.marked_fifo: set[int] = set()
        self._queue_floors: dict[int, QueueFloors] = {}
        self._timer_floors: dict[str, Floor] = {}

    # --- Counters

    def count(self, queue: int, state: int, change: int) -> None:
        """Change a counter of a queue (0 ready, 1 delayed, 2 in flight)."""
        counts = self._counts.get(queue)
        if counts is None:
            counts = self._counts[queue] = [0, 0, 0]
        counts[state] += change

    def counted(self, queue: int) -> tuple[int, int, int]:
        """Return the changes that the database does not know yet."""
        ready, delayed, in_flight = self._counts.get(queue, (0, 0, 0))
        return ready, delayed, in_flight

    def uncount(self, queue: int) -> None:
        """Forget the changes of a queue's counters."""
        self._counts.pop(queue, None)
        for name in [name for name in self._tenants if name[0] == queue]:
            del self._tenants[name]

    def count_tenant(self, queue: int, name: str, state: int, change: int, sent_at_ms: int = TIME_MIN) -> None:
        """Change a counter of a tenant, and note when it has sent something."""
        counts = self._tenants.get((queue, name))
        if counts is None:
            counts = self._tenants[queue, name] = [0, 0, 0, TIME_MIN]
        counts[state] += change
        counts[3] = max(counts[3], sent_at_ms)

    def counted_tenant(self, queue: int, name: str) -> Sequence[int]:
        """Return the changes of a tenant's counters that the database does not know yet, and its last send."""
        return self._tenants.get((queue, name), (0, 0, 0, TIME_MIN))

    def count_timers(self, kind: str, change: int) -> None:
        """Change the number of timers of a kind."""
        if change:
            self._timer_counts[kind] = self._timer_counts.get(kind, 0) + change

    def count_items(self, table: int, index: int, items: int, size: int) -> None:
        """Change how many items a table or an index lists, and their size."""
        counts = self._item_counts.get((table, index))
        if counts is None:
            counts = self._item_counts[table, index] = [0, 0]
        counts[0] += items
        counts[1] += size

    def flush(self) -> None:
        """Send what is only in memory to the database, so that SQL sees it."""
        self.groups.flush()
        if self._counts:
            rows = sorted((queue, *counts) for queue, counts in self._counts.items() if any(counts))
            if rows:
                self.change(_SAVE_QUEUES, self.slot, *map(list, zip(*rows, strict=True)))
            self._counts.clear()
        if self._tenants:
            tenants = sorted((*name, *counts) for name, counts in self._tenants.items())
            self.change(_SAVE_TENANTS, self.slot, *map(list, zip(*tenants, strict=True)))
            self._tenants.clear()
        if self._timer_counts:
            totals = sorted(self._timer_counts.items())
            self.change(_SAVE_TIMERS, self.slot, *map(list, zip(*totals, strict=True)))
            self._timer_counts.clear()
        if self._item_counts:
            listed = sorted((*name, *counts) for name, counts in self._item_counts.items() if any(counts))
            if listed:
                self.change(_SAVE_ITEMS, self.slot, *map(list, zip(*listed, strict=True)))
            self._item_counts.clear()

    # --- Statements and locks

    def change(self, statement: Statement, *values: Any) -> Reply:
        """Send a statement that changes something for certain."""
        self.has_changed = True
        return self.send(statement, *values)

    def fetch_changed(self, statement: Statement, *values: Any) -> list[Row]:
        """Run a statement that has changed something if it returns rows."""
        rows = self.connection.fetch(statement, *values)
        if rows:
            self.has_changed = True
        return rows

    def lock_queues(self, shared: Iterable[int], exclusive: Iterable[int] = ()) -> None:
        """Keep purges out of queues until the commit; or, exclusively, everyone (FIFO queues, purges).

        What was changed in a queue before an exclusive lock is committed when it is got.
        """
        wanted = dict.fromkeys(shared, False)
        wanted.update(dict.fromkeys(exclusive, True))
        locked = self._locked
        missing = sorted(
            (queue, is_exclusive)
            for queue, is_exclusive in wanted.items()
            if queue not in locked or (is_exclusive and not locked[queue])
        )
        if not missing:
            return
        locked.update(missing)
        for is_exclusive, run in groupby(missing, key=lambda one: one[1]):
            keys = [self._lock_base + 1 + (queue & 0xFFFFFFFF) for queue, _ in run]
            self.send(_LOCK if is_exclusive else _LOCK_SHARED, keys)

    def has_alone(self, queue: int) -> bool:
        """Return whether this transaction keeps everyone else out of a queue."""
        return self._locked.get(queue, False)

    def lock_control(self) -> None:
        """Wait until this is the only transaction of all nodes that may change records."""
        self.send(_LOCK, [self._lock_base])

    def lock_gate(self) -> None:
        """Wait until nobody else commits in several databases; kept, whatever becomes of the transaction."""
        self.fetch(_LOCK_GATE, self._gate)

    def try_gate(self) -> bool:
        """Take the same lock if it is free now; outside of transactions."""
        return bool(self.connection.fetch_alone(_TRY_GATE, self._gate)[0][0])

    def unlock_gate(self) -> None:
        """Let others commit in several databases; outside of transactions."""
        self.connection.fetch_alone(_UNLOCK_GATE, self._gate)

    # --- Where scans begin

    def floors(self, queue: int) -> QueueFloors:
        """Return the lower bounds of a queue."""
        floors = self._queue_floors.get(queue)
        if floors is None:
            if len(self._queue_floors) >= _FLOORS_MAX:
                self._queue_floors.clear()
            floors = self._queue_floors[queue] = QueueFloors()
        return floors

    def lower_hidden(self, queue: int, visible_at_ms: int) -> None:
        """Note that a message becomes visible then."""
        hidden = self.floors(queue).hidden
        hidden.at = min(hidden.at, visible_at_ms)

    def lower_ready(self, queue: int, order_key: int) -> None:
        """Note that a message with this order key is ready."""
        floors = self.floors(queue)
        floors.ready.at = min(floors.ready.at, order_key)
        floors.quiet.at = min(floors.quiet.at, order_key)

    def timer_floor(self, kind: str) -> Floor:
        """Return the lower bound of a kind of timer."""
        return self._timer_floors.setdefault(kind, Floor())

    def start_at(self, floor: Floor, seconds: float = _FLOOR_SECONDS) -> int:
        """Return where a scan begins now."""
        now = self.monotonic()
        if now >= floor.renew_at:
            floor.at = TIME_MIN
            floor.renew_at = now + seconds
        return floor.at

    # --- The transaction

    def begin(self) -> None:
        """Begin a transaction."""
        self.batch += 1
        self.is_committing = False
        self.connection.begin()

    def commit(self) -> None:
        """Commit. Results are fetched before, so that they are known even if this answer is lost."""
        self.flush()
        if self.has_changed:
            self.is_committing = True
            self.send(_MARK, self.mark, self.batch)
        self.connection.commit()
        self._end()

    def prepare(self, name: str) -> None:
        """Make the transaction durable under a name, to be committed or rolled back by that, by whatever connection."""
        self.flush()
        self.connection.prepare_transaction(name)
        self._end()

    def _end(self) -> None:
        self.is_committing = False
        self.has_changed = False
        self.groups.forget()
        self._locked.clear()

    def rollback(self) -> None:
        """Undo the transaction."""
        self.forget()
        self.connection.rollback()

    def forget(self) -> None:
        """Forget what a rollback undoes."""
        self.forget_counts()
        self.has_changed = False
        self._locked.clear()

    def forget_counts(self) -> None:
        """Forget what a rollback to a savepoint undoes."""
        self._counts.clear()
        self._tenants.clear()
        self._timer_counts.clear()
        self._item_counts.clear()
        self.groups.forget()
        self.marked_fifo.clear()
        self._queue_floors.clear()
        self._timer_floors.clear()
        # Locks taken since are gone with it, and taking one twice does no harm.
        self._locked.clear()


@contextmanager
def gate_lock(connection: Connection, schema: str) -> Generator[None]:
    """Let nobody commit in several databases meanwhile; `connection` is in no transaction."""
    key = _gate_key(schema)
    connection.fetch_alone(_LOCK_GATE, key)
    try:
        yield
    finally:
        connection.fetch_alone(_UNLOCK_GATE, key)


def _lock_base(schema: str) -> int:
    return (zlib.crc32(schema.encode()) & 0x3FFFFFFF) << 33


def _gate_key(schema: str) -> int:
    """Return a key behind those of the queues."""
    return _lock_base(schema) + 1 + (1 << 32)


def forget_marks(session: Session) -> None:
    """Let go of the marks of nodes that died long ago; whoever is alive with one that old takes a new one."""
    session.change(_FORGET_MARKS)


def resolve(connection: Connection, mark: int) -> int | None:
    """Bar the connection that owned `mark` and return the last batch that it committed, None if nobody knows."""
    rows = connection.fetch(_RESOLVE, mark)
    connection.synchronise()
    return rows[0][0] if rows else None
