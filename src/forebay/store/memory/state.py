"""The oracle's state: dicts of frozen values, copied for each transaction."""

import msgspec

from forebay.store.commands import LogEntry, NewMessage, Receipt, SentMessage, Timer
from forebay.store.contract import Topic
from forebay.store.items import Item, ItemKey


class StoredMessage(msgspec.Struct, frozen=True):
    """A message on a queue. `order` is its position, until it goes behind others."""

    new: NewMessage
    order: int
    # "ready", "delayed" or "in flight"
    state: str
    visible_at_ms: int
    receive_count: int = 0
    first_received_at_ms: int | None = None
    dead_letter_source: int | None = None


class LogRow(msgspec.Struct, frozen=True):
    """An entry of a log. `ticket` grows over all logs."""

    position: int
    ticket: int
    entry: LogEntry


class TimerRow(msgspec.Struct, frozen=True):
    """A timer, when it can be claimed, and the claim that holds it (0: none)."""

    timer: Timer
    ready_at_ms: int
    epoch: int = 0


class State:
    """Everything in the store, and what the transaction in hand will tell."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.sequences: dict[str, int] = {}
        self.queues: dict[int, dict[int, StoredMessage]] = {}
        self.streams: dict[str, dict[int, LogRow]] = {}
        self.last_positions: dict[str, int] = {}
        self.timers: dict[tuple[str, str], TimerRow] = {}
        # By queue and key: the first message, and until when it is remembered.
        self.duplicates: dict[tuple[int, str], tuple[SentMessage, int]] = {}
        # By queue and attempt: what was answered, when, and until when it is remembered.
        self.attempts: dict[tuple[int, str], tuple[tuple[Receipt, ...], int, int]] = {}
        # Of standard queues: the noisy tenants, and when each tenant sent last.
        self.noisy: dict[int, frozenset[str]] = {}
        self.tenants_sent_at: dict[tuple[int, str], int] = {}
        self.tables: dict[int, dict[ItemKey, Item]] = {}
        self.position = 0
        self.topics: dict[Topic, None] = {}
        self.changes: list[tuple[str, str, object]] = []

    def copy(self) -> "State":
        """Return a copy that can be changed without this one."""
        copy = State()
        copy.records = dict(self.records)
        copy.sequences = dict(self.sequences)
        copy.queues = {number: dict(messages) for number, messages in self.queues.items()}
        copy.streams = {name: dict(entries) for name, entries in self.streams.items()}
        copy.last_positions = dict(self.last_positions)
        copy.timers = dict(self.timers)
        copy.duplicates = dict(self.duplicates)
        copy.attempts = dict(self.attempts)
        copy.noisy = dict(self.noisy)
        copy.tenants_sent_at = dict(self.tenants_sent_at)
        copy.tables = {number: dict(items) for number, items in self.tables.items()}
        copy.position = self.position
        return copy

    def take_position(self) -> int:
        """Return a number that nobody was ever given."""
        self.position += 1
        return self.position

    def queue(self, number: int) -> dict[int, StoredMessage]:
        """Return the messages of a queue by position."""
        return self.queues.setdefault(number, {})

    def table(self, number: int) -> dict[ItemKey, Item]:
        """Return the items of a table by key."""
        return self.tables.setdefault(number, {})
