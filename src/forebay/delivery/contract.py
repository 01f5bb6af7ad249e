"""What a delivery is, and what those who take part in one promise: `Target`, `Sender`, `Source`."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from forebay.core.arn import Arn
from forebay.store.commands import Command


class MessageAttribute(msgspec.Struct, frozen=True):
    """A typed attribute beside a payload; `data_type` is `String`, `Number`, `Binary` or one with a suffix."""

    data_type: str
    string_value: str | None = None
    binary_value: bytes | None = None


class RetryPolicy(msgspec.Struct, frozen=True):
    """How long a delivery is tried: at most `attempts_max` times again, while it is younger than `age_seconds_max`."""

    attempts_max: int
    age_seconds_max: float
    # Back-off before the second attempt, doubled for each further one up to the maximum, with full jitter.
    backoff_seconds_min: float = 1.0
    backoff_seconds_max: float = 300.0


class Throttle(msgspec.Struct, frozen=True):
    """How many deliveries a second a target takes from one sender, and how many at once; None: any number."""

    per_second: float | None = None
    concurrency: int | None = None


class Delivery(msgspec.Struct, frozen=True):
    """Something on its way from a source to a target: the payload is already shaped by the source.

    `source` is the ARN of what sends (a rule, a topic's subscription, a function) and names the `Sender`;
    `event_id` names the event whose path is traced. `parameters` are the target's own, by its service's names.
    """

    delivery_id: str
    source: str
    target: str
    payload: str
    created_at: float
    retry: RetryPolicy
    event_id: str | None = None
    trace_header: str | None = None
    attributes: Mapping[str, MessageAttribute] = {}
    group: str | None = None
    deduplication: str | None = None
    parameters: Mapping[str, str] = {}
    dead_letter: str | None = None
    # Attempts made so far, and how the last one failed.
    attempts: int = 0
    last_code: str = ""
    last_message: str = ""
    # What the target takes at most, and the turn that this delivery has been given for its next attempt.
    throttle: Throttle | None = None
    turn_at: float | None = None
    # Whether the sender is told also where the target takes it at once, as it is of what had to wait.
    is_reported: bool = False

    def account(self) -> str:
        """Return the account that sends."""
        return Arn.parse(self.source).account

    def region(self) -> str:
        """Return the region of the sender."""
        return Arn.parse(self.source).region


class Delivered(msgspec.Struct, frozen=True):
    """The target has it. `detail` is for the sender (a function's answer, for destinations), never logged."""

    detail: bytes = b""


class Retry(msgspec.Struct, frozen=True):
    """The target could not take it now; try again, no sooner than `after_seconds`."""

    code: str
    message: str
    after_seconds: float = 0.0
    detail: bytes = b""
    # Throttling and the like do not use up an attempt; only age ends such retries.
    counts: bool = True


class Rejected(msgspec.Struct, frozen=True):
    """The target will never take it (not there, not allowed, malformed): dead letter at once."""

    code: str
    message: str
    detail: bytes = b""


class Exhausted(msgspec.Struct, frozen=True):
    """Retries are used up. `condition` is EventBridge's word: MaximumRetryAttempts or MaximumEventAgeInSeconds."""

    condition: str
    code: str
    message: str
    detail: bytes = b""


Outcome = Delivered | Retry | Rejected
Settled = Delivered | Rejected | Exhausted


class Accepted(msgspec.Struct, frozen=True):
    """The target takes the delivery with these commands, in the sender's own commit: exactly once, no hop."""

    commands: Sequence[Command[Any]]


class Deferred(msgspec.Struct, frozen=True):
    """The target is outside the store (code, network): the delivery goes to the outbox, `deliver` is called later."""


class Target(Protocol):
    """What can be delivered to; one for each service, chosen by the service in the target's ARN."""

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Say how the delivery is taken. Reads the store, changes nothing."""
        ...

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Hand over one delivery that was deferred. At least once: it may come again after a crash."""
        ...


class Sender(Protocol):
    """The source's side, chosen by the service in the source's ARN: what follows when a delivery is settled."""

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the deliveries that follow: the dead letter in the source's own form, or a destination's record.

        They are accepted in the commit that settles the delivery. A follow-up's own failure is traced and logged.
        """
        ...


class SourceRecord(msgspec.Struct, frozen=True):
    """One record that a poller took from a source: its id in batch answers, and the JSON that a function sees."""

    record_id: str
    data: Mapping[str, Any]
    group: str | None = None
    # The source's own handle for settling.
    token: object = None


class Source(Protocol):
    """What a poller reads: a queue or a stream, opened by ARN."""

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[SourceRecord]:
        """Take up to `limit` records, waiting for the first at most `wait_seconds`. They stay taken until settled."""
        ...

    async def settle(self, succeeded: Sequence[SourceRecord], failed: Sequence[SourceRecord]) -> None:
        """Finish the ones that succeeded (and were filtered out) and give back the ones that failed."""
        ...


class SourceOpener(Protocol):
    """Opens sources of one service by ARN."""

    async def open(self, arn: Arn) -> Source | None:
        """Return the source, or None where there is no such resource."""
        ...
