"""What the writer holds in memory: the connection, each queue's counters, the next position, and what a commit tells.

Counters change in Python and are written once a commit, so that a batch of sixty sends costs one more statement
instead of sixty. After a rollback everything here is forgotten and read again.
"""

import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from forebay.store.contract import Topic
from forebay.store.sqlite.groups import Groups
from forebay.store.sqlite.rows import Statements

# A message's row id is its queue's number shifted by this many bits, plus its position: 2 million queue numbers
# and 4 trillion positions in the life of a store.
QUEUE_SHIFT = 42
POSITION_MAX = (1 << QUEUE_SHIFT) - 1
_QUEUE_MAX = (1 << (63 - QUEUE_SHIFT)) - 1

# Positions are reserved in blocks; a crash skips at most one block.
_POSITIONS_RESERVED = 1 << 16

# Queues whose counters stay in memory between commits.
_QUEUES_MAX = 50_000

# The rows of queues lie together by number, so a commit that changes many queues would write as many pages for them.
# From this many on their counters are gathered in one row instead ...
_GATHERED_MIN = 8
# ... and go to the queues' own rows when so many queues or commits wait for it: for some milliseconds, all at once.
_GATHERED_QUEUES_MAX = 4096
_GATHERED_ROWS_MAX = 256

_SAVE_QUEUES = Statements("INSERT OR REPLACE INTO queue VALUES {rows}", "(?,?,?,?,?,?,?,?)")
_SAVE_COUNTERS = Statements(
    "WITH change (number, ready, delayed, in_flight) AS (VALUES {rows}) UPDATE queue SET"
    " ready = change.ready, delayed = change.delayed, in_flight = change.in_flight"
    " FROM change WHERE queue.number = change.number",
    "(?,?,?,?)",
)
_COUNTERS = struct.Struct("<4q")
_SAVE_ITEM_COUNTS = Statements(
    "INSERT INTO item_count VALUES {rows} ON CONFLICT (item_table, item_index)"
    " DO UPDATE SET items = items + excluded.items, size = size + excluded.size",
    "(?,?,?,?)",
)


@dataclass(slots=True)
class QueueState:
    """A queue's counters. `next_due` is at or before the first moment a hidden message becomes visible."""

    number: int
    ready: int = 0
    delayed: int = 0
    in_flight: int = 0
    purged_through: int = 0
    is_swept: bool = True
    is_fifo: bool = False
    has_tenants: bool = False
    next_due: int | None = None
    # `flags` as they stand in the queue's row; None while it has none.
    kept_flags: tuple[int, bool, bool, bool] | None = None

    @property
    def flags(self) -> tuple[int, bool, bool, bool]:
        """What of the queue's row is not counters."""
        return (self.purged_through, self.is_swept, self.is_fifo, self.has_tenants)

    @property
    def first_id(self) -> int:
        """The lowest row id that a live message of the queue can have."""
        return (self.number << QUEUE_SHIFT) + self.purged_through + 1

    @property
    def last_id(self) -> int:
        """The highest row id that a message of the queue can have."""
        return (self.number << QUEUE_SHIFT) | POSITION_MAX

    def hide_until(self, visible_at: int) -> None:
        """Note that a message becomes visible then."""
        if self.next_due is None or visible_at < self.next_due:
            self.next_due = visible_at

    def count(self, state: int, change: int) -> None:
        """Change the counter of a state."""
        if state <= 0:
            self.ready += change
        elif state == 1:
            self.delayed += change
        else:
            self.in_flight += change


class GatheredCounters:
    """Counters of queues that wait to be written to the queues' own rows: the writer's memory of `queue_change`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # None until it is read, at the start and after a rollback.
        self._known: dict[int, tuple[int, int, int]] | None = None
        self._rows = 0

    def __contains__(self, number: int) -> bool:
        return number in self._read()

    def apply(self, state: QueueState) -> None:
        """Give a queue that was read from its own row the counters that were gathered since."""
        counters = self._read().get(state.number)
        if counters is not None:
            state.ready, state.delayed, state.in_flight = counters

    def add(self, states: Sequence[QueueState]) -> None:
        """Gather the counters of queues, which have rows of their own."""
        known = self._read()
        pieces: list[bytes] = []
        for state in states:
            counters = known[state.number] = (state.ready, state.delayed, state.in_flight)
            pieces.append(_COUNTERS.pack(state.number, *counters))
        self._connection.execute("INSERT INTO queue_change (counters) VALUES (?)", (b"".join(pieces),))
        self._rows += 1
        if len(known) > _GATHERED_QUEUES_MAX or self._rows > _GATHERED_ROWS_MAX:
            self._spread(known)

    def forget(self) -> None:
        """Forget what a rollback has undone."""
        self._known = None

    def _read(self) -> dict[int, tuple[int, int, int]]:
        if self._known is None:
            rows = self._connection.execute("SELECT counters FROM queue_change ORDER BY id").fetchall()
            self._known = {
                number: (ready, delayed, in_flight)
                for (counters,) in rows
                for number, ready, delayed, in_flight in _COUNTERS.iter_unpack(counters)
            }
            self._rows = len(rows)
        return self._known

    def _spread(self, known: dict[int, tuple[int, int, int]]) -> None:
        values: list[object] = []
        for number in sorted(known):
            values += (number, *known[number])
        _SAVE_COUNTERS.run(self._connection, values)
        self._connection.execute("DELETE FROM queue_change")
        known.clear()
        self._rows = 0


class Session:
    """The writer's view of the database. Used by one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        # What the commit will tell: whom to wake, and which records changed (kind, key, value or None).
        self.topics: set[Topic] = set()
        self.changes: list[tuple[str, str, object]] = []
        # Purged messages or dropped streams have left rows to delete when there is nothing better to do.
        self.needs_sweep = True
        self.groups = Groups(connection)
        self._queues: dict[int, QueueState] = {}
        self._dirty: dict[int, QueueState] = {}
        self._timer_counts: dict[str, int] = {}
        self._gathered = GatheredCounters(connection)
        # By table and index: items and their size.
        self._item_counts: dict[tuple[int, int], list[int]] = {}
        self._next_item = 0
        self._next_position = 1
        self._reserved_until = 0

    def queue(self, number: int) -> QueueState:
        """Return a queue's counters for reading."""
        state = self._queues.get(number)
        return state if state is not None else self._load_queue(number)

    def change_queue(self, number: int) -> QueueState:
        """Return a queue's counters, to be written with the commit."""
        state = self._dirty.get(number)
        if state is None:
            state = self._dirty[number] = self.queue(number)
        return state

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

    def take_item(self) -> int:
        """Return a row for a new item."""
        if not self._next_item:
            self._next_item = (self.execute("SELECT max(id) FROM item").fetchone()[0] or 0) + 1
        row = self._next_item
        self._next_item += 1
        return row

    def take_positions(self, count: int) -> int:
        """Return the first of `count` positions that nobody was ever given."""
        first = self._next_position
        if first + count > self._reserved_until:
            row = self.execute("SELECT value FROM meta WHERE name = 'positions'").fetchone()
            # In memory it may be further, when a commit that reserved was rolled back.
            first = max(first, row[0] if row else 1)
            self._reserved_until = first + count + _POSITIONS_RESERVED
            if self._reserved_until > POSITION_MAX:
                raise OverflowError("the store has given out all positions")
            self.execute("INSERT OR REPLACE INTO meta VALUES ('positions', ?)", (self._reserved_until,))
        self._next_position = first + count
        return first

    def flush(self) -> None:
        """Write what is only in memory, so that SQL sees it."""
        self.groups.flush()
        if self._dirty:
            self._save_queues()
            self._dirty.clear()
        for kind, change in self._timer_counts.items():
            self.execute(
                "INSERT INTO timer_count VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET total = total + excluded.total",
                (kind, change),
            )
        self._timer_counts.clear()
        if self._item_counts:
            _SAVE_ITEM_COUNTS.run(
                self.connection, [value for name, counts in self._item_counts.items() for value in (*name, *counts)]
            )
            self._item_counts.clear()
        if len(self._queues) > _QUEUES_MAX:
            self._queues.clear()

    def forget(self) -> None:
        """Forget what a rollback has undone."""
        self.groups.forget()
        self._queues.clear()
        self._dirty.clear()
        self._timer_counts.clear()
        self._item_counts.clear()
        self._next_item = 0
        self._gathered.forget()
        self._reserved_until = 0

    def take_news(self) -> tuple[Sequence[Topic], Sequence[tuple[str, str, object]]]:
        """Return, and start anew, what the commit tells."""
        news = tuple(self.topics), self.changes
        self.topics = set()
        self.changes = []
        return news

    def _load_queue(self, number: int) -> QueueState:
        if not 0 <= number <= _QUEUE_MAX:
            raise OverflowError(f"queue number {number} is not between 0 and {_QUEUE_MAX}")
        row = self.execute("SELECT * FROM queue WHERE number = ?", (number,)).fetchone()
        state = QueueState(*row) if row else QueueState(number)
        if row:
            state.kept_flags = state.flags
            self._gathered.apply(state)
        state.next_due = self.first_hidden(state)
        self._queues[number] = state
        return state

    def _save_queues(self) -> None:
        gathered = self._gathered
        are_many = len(self._dirty) >= _GATHERED_MIN
        values: list[object] = []
        together: list[QueueState] = []
        for state in self._dirty.values():
            is_gathered = state.number in gathered
            if state.kept_flags != state.flags or not (are_many or is_gathered):
                values += (state.number, state.ready, state.delayed, state.in_flight, *state.flags)
                state.kept_flags = state.flags
            elif not is_gathered:
                together.append(state)
            if is_gathered:
                # What was gathered before would count for more than the queue's row.
                together.append(state)
        _SAVE_QUEUES.run(self.connection, values)
        if together:
            gathered.add(together)

    def first_hidden(self, state: QueueState) -> int | None:
        """Return when the first hidden message of a queue becomes visible, or None."""
        row = self.execute(
            "SELECT visible_at FROM message WHERE queue = ? AND state > 0 AND id >= ? ORDER BY visible_at LIMIT 1",
            (state.number, state.first_id),
        ).fetchone()
        return row[0] if row else None
