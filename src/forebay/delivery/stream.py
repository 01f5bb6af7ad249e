"""Streams that are read in order: what a source of them promises, how one is read, and how far a reader has come.

A stream is a sequence of records at growing positions. Its records are spread over lanes by their group (an item's
key): each lane is read in order, one batch at a time, and its progress is a row of the store. Everything here is pure.
"""

from collections.abc import Sequence
from typing import Any, Protocol
from zlib import crc32

import msgspec

from forebay.core.arn import Arn
from forebay.core.timestamps import format_iso8601
from forebay.delivery.contract import Delivery, RetryPolicy, SourceRecord
from forebay.delivery.poller import Batch, BatchOutcome, Failed, Taken
from forebay.languages.event_pattern import Pattern
from forebay.store.commands import DeleteTimers
from forebay.store.contract import Topic

FOREVER = -1

# What is told of discarded records is tried for a day.
TOLD = RetryPolicy(185, 86_400)

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
AGE_EXCEEDED = "RecordAgeExceeded"


class Streamed(msgspec.Struct, frozen=True):
    """A record of a stream: where it stands, since when, in which shard; and what functions see of it."""

    position: int
    at_ms: int
    shard: str
    record: SourceRecord


class StreamSource(Protocol):
    """A stream, opened by ARN."""

    @property
    def topic(self) -> Topic:
        """What the store tells when there are new records."""
        ...

    async def read(self, after: int, limit: int, from_ms: int) -> Sequence[Streamed]:
        """Return records behind a position that are no older than `from_ms`, in order.

        Raises:
            ServiceError: the stream is gone.
        """
        ...

    async def last_position(self) -> int:
        """Return the position of the latest record, 0 while there was none."""
        ...


class StreamOpener(Protocol):
    """Opens streams of one service by ARN."""

    async def open(self, arn: Arn) -> StreamSource | None:
        """Return the stream, or None where there is no such resource."""
        ...


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream is read, as it is kept with a mapping or a pipe; `FOREVER` for limits that are none.

    `starts_after` and `starts_at_ms` are where reading began, found out when it was set up.
    """

    starting_position: str
    starting_timestamp: float | None = None
    starts_after: int = 0
    starts_at_ms: int = 0
    lanes: int = 1
    bisects: bool = False
    retries_max: int = FOREVER
    age_seconds_max: int = FOREVER
    on_failure: str = ""
    tumbling_seconds: int = 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One stream's reading for one target. `id` names the rows of its progress; `target` is an ARN, for logs."""

    id: str
    source: str
    target: str
    stream: StreamSettings
    batch_size: int
    window_seconds: float = 0.0
    patterns: tuple[Pattern, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of timer that keeps how far each lane is."""
        return f"stream.lane/{self.id}"


def lane_key(lanes: int, lane: int) -> str:
    """Return the key of a lane's timer."""
    return f"{lanes:03}/{lane:03}"


def parse_lane(key: str) -> tuple[int, int]:
    """Return how many lanes there are and which one a timer's key names."""
    lanes, _, lane = key.partition("/")
    return int(lanes), int(lane)


def forgetting(reading_id: str, lanes: int) -> DeleteTimers:
    """Return the command that forgets how far a reading was: it is no more."""
    keys = tuple(lane_key(lanes, lane) for lane in range(lanes))
    return DeleteTimers(f"stream.lane/{reading_id}", keys)


def lane_of(group: str | None, lanes: int) -> int:
    """Return the lane of a group's records."""
    return crc32((group or "").encode()) % lanes


class Window(msgspec.Struct, frozen=True):
    """A tumbling window that is open: its beginning, what the function keeps of it, whether it must end early."""

    start_ms: int
    state: msgspec.Raw = msgspec.Raw(b"{}")
    is_too_large: bool = False


class Progress(msgspec.Struct, frozen=True):
    """How far a lane is: all up to `after` is done.

    `ends` are the positions at which the batches end that are tried again, the next one first; `attempts` is how often
    the next one has failed.
    """

    after: int
    ends: tuple[int, ...] = ()
    attempts: int = 0
    window: Window | None = None


class WindowCall(msgspec.Struct, frozen=True):
    """What a call within a tumbling window tells the function besides its records."""

    start_ms: int
    end_ms: int
    state: msgspec.Raw
    shard: str
    is_final: bool = False
    is_early: bool = False


class Discarded(msgspec.Struct, frozen=True):
    """Records that will not be tried again; `condition` is AWS's word for why, `outcome` the last one, if any."""

    records: tuple[Streamed, ...]
    condition: str
    attempts: int
    outcome: BatchOutcome | None = None


class StreamTarget(Protocol):
    """What a reader hands its batches to."""

    async def find_problem(self) -> str | None:
        """Return why no batch can be taken at present, or None. Nothing is read then."""
        ...

    async def take(self, batch: Batch, window: WindowCall | None = None) -> BatchOutcome:
        """Hand over one batch. At least once: it may come again after a crash."""
        ...

    async def tell(self, discarded: Discarded, destination: str) -> Sequence[Delivery]:
        """Return the deliveries that tell an on-failure destination of discarded records.

        They go into the commit that discards them. A destination that takes no deliveries is told at once.
        """
        ...


class Step(msgspec.Struct, frozen=True):
    """What follows from a batch's outcome: the lane's progress, what is discarded, and the failures in a row."""

    progress: Progress
    discarded: Discarded | None = None


def step_after(
    progress: Progress, records: Sequence[Streamed], end: int, outcome: Taken | Failed, settings: StreamSettings
) -> Step:
    """Return what follows from the outcome of a batch, which ends at position `end`.

    Sources: "Retain discarded records for a DynamoDB event source" and "Configuring partial batch response": the lowest
    failed record is where it is tried again from; halving a batch is no retry.
    """
    rest = progress.ends[1:]
    done = Progress(end, rest, 0, progress.window)
    if isinstance(outcome, Taken):
        first = next((place for place, one in enumerate(records) if one.record.record_id in outcome.failed), None)
        if first is None:
            return Step(done)
        attempts = 1 if first else progress.attempts + 1
        again = Progress(records[first].position - 1, (end, *rest), attempts, progress.window)
        left = records[first:]
    elif settings.bisects and len(records) > 1:
        middle = records[(len(records) - 1) // 2].position
        return Step(Progress(progress.after, (middle, end, *rest), progress.attempts, progress.window))
    else:
        again = Progress(progress.after, (end, *rest), progress.attempts + 1, progress.window)
        left = records
    if settings.retries_max == FOREVER or again.attempts <= settings.retries_max:
        return Step(again)
    return Step(done, Discarded(tuple(left), RETRIES_EXHAUSTED, again.attempts, outcome))


def too_old(records: Sequence[Streamed], now_ms: int, settings: StreamSettings) -> Sequence[Streamed]:
    """Return the first records of a batch, as far as they are older than any that is handed over."""
    if settings.age_seconds_max == FOREVER:
        return ()
    oldest_ms = now_ms - settings.age_seconds_max * 1000
    count = next((place for place, one in enumerate(records) if one.at_ms >= oldest_ms), len(records))
    return records[:count]


def window_start(at_ms: int, settings: StreamSettings) -> int:
    """Return when the tumbling window of a moment begins."""
    span_ms = settings.tumbling_seconds * 1000
    return at_ms // span_ms * span_ms


def batch_info(discarded: Discarded, stream_arn: str) -> dict[str, Any]:
    """Return where discarded records are found in their stream, as AWS tells destinations (`DDBStreamBatchInfo`)."""
    first, last = discarded.records[0], discarded.records[-1]
    return {
        "shardId": first.shard,
        "startSequenceNumber": first.record.record_id,
        "endSequenceNumber": last.record.record_id,
        "approximateArrivalOfFirstRecord": format_iso8601(first.at_ms // 1000),
        "approximateArrivalOfLastRecord": format_iso8601(last.at_ms // 1000),
        "batchSize": len(discarded.records),
        "streamArn": stream_arn,
    }
