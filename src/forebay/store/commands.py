"""The hot path's verbs as values: what can be asked of queues, logs and timers.

A command is plural (it takes many entries), never fails by a SQL error (guards instead), and names its result type
as its type parameter. The same command runs grouped with others through `Store.submit` or inside a transaction
through `Transaction.apply`. Times are integers in milliseconds since the epoch (`_ms`), always given by the caller:
the store has no clock.
"""

from typing import Generic, TypeVar

import msgspec

R_co = TypeVar("R_co", covariant=True)


class Command(msgspec.Struct, Generic[R_co], frozen=True, gc=False):
    """Something to do in the store, answered by an `R_co`."""


class Query(Command[R_co], Generic[R_co], frozen=True, gc=False):
    """A command that changes nothing; it also runs in a `View`."""


# --- Messages: queues ---------------------------------------------------------------------------------------------


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message to be put on a queue. `body_bytes` is what AWS counts: body and attributes.

    `attributes` is opaque to the store (the queue service encodes user and system attributes in it).
    `group` is the message group (FIFO order, or the tenant of a fair queue); `deduplication` the deduplication id.
    With `deduplication_key` a FIFO queue remembers the message under that key until `deduplication_until_ms`, whatever
    becomes of the message or the queue's others, and takes no second one with the same key meanwhile.
    """

    message_id: str
    body: str
    attributes: bytes
    sent_at_ms: int
    visible_at_ms: int
    expires_at_ms: int
    group: str | None = None
    deduplication: str | None = None
    deduplication_key: str | None = None
    deduplication_until_ms: int = 0


class SentMessage(msgspec.Struct, frozen=True, gc=False):
    """Where a message stands. Positions grow within a queue and are never given twice, in all queues of a store.

    For a duplicate, which was not put on the queue, this is position and id of the message that came first.
    """

    position: int
    message_id: str
    is_duplicate: bool = False


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Names one delivery of one message: its position and the how-manieth receive it was."""

    position: int
    receive_count: int


class ReceivedMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as one receive (or a peek) sees it; `receive_count` includes this receive."""

    position: int
    message_id: str
    body: str
    attributes: bytes
    sent_at_ms: int
    visible_at_ms: int
    expires_at_ms: int
    first_received_at_ms: int | None
    receive_count: int
    group: str | None = None
    deduplication: str | None = None
    # The queue (by number) from which the message was dead-lettered here, if it was.
    dead_letter_source: int | None = None


class Received(msgspec.Struct, frozen=True, gc=False):
    """What a receive got. When it got nothing, `next_visible_at_ms` says when a known message will become visible."""

    messages: tuple[ReceivedMessage, ...]
    next_visible_at_ms: int | None = None
    dead_lettered_count: int = 0
    # Nothing was received because `in_flight_max` messages are in flight (never said of FIFO queues).
    is_over_limit: bool = False
    # The answer of an earlier receive with the same `attempt`, given again: when that receive was.
    repeats_ms: int | None = None


class DeadLetterRule(msgspec.Struct, frozen=True, gc=False):
    """Where messages go that were received `receives_max` times already, instead of being received once more."""

    queue: int
    receives_max: int
    # Standard queues keep the original expiry, counted from the first send (AWS: SQS dead-letter queues);
    # the retention of the dead-letter queue counts from there. On FIFO queues both begin anew at the move, and the
    # message's own id becomes its deduplication id.
    retention_ms: int


class MessageCounts(msgspec.Struct, frozen=True, gc=False):
    """Exact numbers of messages: receivable, received and hidden, sent with a delay that still runs."""

    visible: int
    in_flight: int
    delayed: int


# A standard queue's messages with a group belong to a tenant of that name. A tenant turns noisy when a receive leaves
# it with at least this many messages in flight, which are more than this share of all the queue's messages in flight,
# or when it is called so.
# It is quiet again when none of its messages waits (visible or delayed) or when it has sent nothing for this long.
# (SQS developer guide, "Amazon SQS fair queues".)
NOISY_IN_FLIGHT_MIN = 30
NOISY_SHARE_PERCENT = 10
QUIET_AFTER_MS = 300_000


class SendMessages(Command[tuple[SentMessage, ...]], frozen=True, gc=False):
    """Put messages on a queue, in order. Wakes `("queue", queue)`.

    A queue is FIFO or standard for all its life, and every command that has `is_fifo` says which. On a FIFO queue
    every message has a group. It hands out the messages of a group in order of position; while any message of a group
    is in flight the group is closed: no other of its messages is received.
    """

    queue: int
    messages: tuple[NewMessage, ...]
    is_fifo: bool = False


class ReceiveMessages(Command[Received], frozen=True, gc=False):
    """Hide up to `limit` visible messages until `visible_until_ms` and return them, oldest first.

    Messages that are expired at `now_ms` are never returned. Those that `dead_letter` applies to move to its queue in
    the same commit and are not returned; they keep `message_id`, body, attributes and `sent_at_ms`.

    While a standard queue has noisy tenants (see above), messages of all others come first, oldest first; then those of
    the noisy tenant with the fewest messages in flight (of equals, the first by name), one after another.

    On a FIFO queue the open group whose first visible message is the oldest comes first, with as many of its messages
    as fit, then the next group. Dead letters keep their group and their order in it.

    With `attempt` the answer is remembered until `attempt_until_ms`. A receive with the same one, while all messages of
    that answer are still in flight by that very receive, gives the same answer (`repeats_ms` says so) and hides the
    messages until its own `visible_until_ms`; in all other cases it receives as if it were the first.
    """

    queue: int
    now_ms: int
    visible_until_ms: int
    limit: int
    dead_letter: DeadLetterRule | None = None
    # Above this many in flight nothing more is received (the caller answers OverLimit, for standard queues).
    in_flight_max: int | None = None
    is_fifo: bool = False
    # FIFO queues only.
    attempt: str | None = None
    attempt_until_ms: int = 0


class DeleteMessages(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Delete by receipt, whatever receive the receipt is of; a result says whether the message was still there.

    On a FIFO queue only messages that are in flight at `now_ms` by the very receive that the receipt is of are
    deleted. Wakes the queue where that opens a group that has more messages.
    """

    queue: int
    receipts: tuple[Receipt, ...]
    is_fifo: bool = False
    # FIFO queues only.
    now_ms: int = 0


class VisibilityChange(msgspec.Struct, frozen=True, gc=False):
    """When one received message becomes visible again."""

    receipt: Receipt
    visible_at_ms: int


class ChangeVisibility(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Change the moment at which messages in flight become visible again. Wakes the queue where that is now.

    A result is False where the message is gone or not in flight at `now_ms` (on a FIFO queue: by the very receive that
    the receipt is of); nothing is changed then.
    """

    queue: int
    now_ms: int
    changes: tuple[VisibilityChange, ...]
    is_fifo: bool = False


class PurgeQueue(Command[int], frozen=True, gc=False):
    """Delete every message of a queue, in flight or not; answers how many. What it remembers of duplicates stays."""

    queue: int


class CountMessages(Command[MessageCounts], frozen=True, gc=False):
    """Count a queue's messages at `now_ms`, from counters that are kept with every change: cost is free of depth."""

    queue: int
    now_ms: int


class CountGroup(Query[MessageCounts], frozen=True, gc=False):
    """Count the messages of one group (or tenant) of a queue, from counters that are kept with every change.

    Counted is what the last `CountMessages` or receive has found to be visible: time alone moves nothing here.
    """

    queue: int
    group: str


class PeekMessages(Query[tuple[ReceivedMessage, ...]], frozen=True, gc=False):
    """Look at messages behind position `after`, in order of position, without receiving them."""

    queue: int
    after: int
    limit: int


class ExpireMessages(Command[int], frozen=True, gc=False):
    """Delete up to `limit` messages (of all queues) whose retention has ended; answers how many."""

    now_ms: int
    limit: int


class ChangeRetention(Command[int | None], frozen=True, gc=False):
    """Let the retention of up to `limit` messages behind position `after` end `retention_ms` after they were sent.

    Answers the last one's position, or None when none is left behind them.
    """

    queue: int
    retention_ms: int
    after: int
    limit: int


class ChangeDelay(Command[None], frozen=True, gc=False):
    """Let the delay of all messages that are still delayed end `delay_ms` after they were sent. Wakes the queue."""

    queue: int
    delay_ms: int


class CallNoisy(Command[None], frozen=True, gc=False):
    """Call tenants of a standard queue noisy, because of the consumers' time that they take.

    Those of whom nothing waits stay quiet; the others are quiet again as all noisy tenants are (see above).
    """

    queue: int
    tenants: tuple[str, ...]


class ForgetDuplicates(Command[int], frozen=True, gc=False):
    """Delete up to `limit` memories (of deduplication keys and of receive attempts) that have ended; answers how many.

    Only gives back their room: what has ended is not looked at.
    """

    now_ms: int
    limit: int


# --- Log: append-only streams -------------------------------------------------------------------------------------


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry to append; `expires_at_ms` None keeps it until its stream is dropped."""

    at_ms: int
    data: bytes
    expires_at_ms: int | None = None


class StoredEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry of a log and its position (1, 2, 3 ... within its stream)."""

    position: int
    at_ms: int
    data: bytes


class AppendLog(Command[int], frozen=True, gc=False):
    """Append entries to a stream, which begins with its first entry; answers the last one's position.

    Wakes `("log", stream)`.
    """

    stream: str
    entries: tuple[LogEntry, ...]


class ReadLog(Query[tuple[StoredEntry, ...]], frozen=True, gc=False):
    """Read entries with `position > after` (newest first: `position < before`) and `from_ms <= at_ms < until_ms`."""

    stream: str
    limit: int
    after: int = 0
    before: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    newest_first: bool = False


class ReadLogByTime(Query[tuple[StoredEntry, ...]], frozen=True, gc=False):
    """Read entries with `from_ms <= at_ms < until_ms` in the order of their times, those of one time by position.

    `after` is the time and position of the last entry that was read before.
    """

    stream: str
    limit: int
    from_ms: int
    until_ms: int
    after: tuple[int, int] | None = None


class LogSize(msgspec.Struct, frozen=True, gc=False):
    """How many entries a stream has, and the bytes of their data."""

    entries: int
    data_bytes: int


class MeasureLog(Query[LogSize], frozen=True, gc=False):
    """Measure a stream. Entries and bytes are counted with every change: it looks at none of them."""

    stream: str


class DropLog(Command[int], frozen=True, gc=False):
    """Delete a stream with all its entries; answers how many."""

    stream: str


class ExpireLog(Command[int], frozen=True, gc=False):
    """Delete up to `limit` entries (of all streams) whose time to live has ended; answers how many."""

    now_ms: int
    limit: int


# --- Timers: everything that is due at some moment, and the delivery outbox ----------------------------------------


class Timer(msgspec.Struct, frozen=True, gc=False):
    """Something due. `kind` names the duty (`delivery`, `scheduler.fire`), `key` is unique within it."""

    kind: str
    key: str
    due_at_ms: int
    data: bytes


class ClaimedTimer(msgspec.Struct, frozen=True, gc=False):
    """A timer that the caller holds until its lease lapses; `epoch` is the fence that settling must show."""

    key: str
    due_at_ms: int
    data: bytes
    epoch: int


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a claimed timer: gone (`due_at_ms` None), or due again with `data` (None keeps the old)."""

    key: str
    epoch: int
    due_at_ms: int | None = None
    data: bytes | None = None


class PutTimers(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Create timers, or replace those with the same kind and key (which ends a lease on them).

    With `only_new`, a timer that exists stays as it is and its result is False: so a tick fires once.
    Wakes `("timers", kind)`.
    """

    timers: tuple[Timer, ...]
    only_new: bool = False


class ClaimTimers(Command[tuple[ClaimedTimer, ...]], frozen=True, gc=False):
    """Take up to `limit` due timers, earliest first, and hide them from others until `lease_until_ms`.

    A timer whose lease has lapsed is due again: so work of a dead node is found by another.
    """

    kind: str
    now_ms: int
    lease_until_ms: int
    limit: int


class ExtendTimers(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Extend the leases of claimed timers, given as settlements' keys and epochs; False where the lease is lost."""

    kind: str
    held: tuple[tuple[str, int], ...]
    lease_until_ms: int


class SettleTimers(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Settle claimed timers; False (and nothing changed) where the epoch is not the latest: the lease was lost."""

    kind: str
    settlements: tuple[Settlement, ...]


class DeleteTimers(Command[tuple[bool, ...]], frozen=True, gc=False):
    """Delete timers whether claimed or not; a result says whether it was there."""

    kind: str
    keys: tuple[str, ...]


class NextTimer(Query[int | None], frozen=True, gc=False):
    """Return when the earliest timer of a kind is due (or its lease lapses), or None."""

    kind: str


class CountTimers(Query[int], frozen=True, gc=False):
    """Return how many timers of a kind exist, claimed ones included."""

    kind: str


class ListTimers(Query[tuple[ClaimedTimer, ...]], frozen=True, gc=False):
    """Look at timers of a kind with `key > after_key`, in key order, without claiming them."""

    kind: str
    limit: int
    after_key: str = ""
