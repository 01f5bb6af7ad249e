"""The one loop that reads a source: take a batch, filter it, hand it to a target, settle.

Event source mappings are this loop with a function as its target; pipes are it with an enrichment before theirs.
How many batches run at once is `pace`'s to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec
import structlog

from forebay.background.supervisor import Duty, Spawn
from forebay.background.worker import IDLE
from forebay.core.clock import Clock
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.delivery.contract import Source, SourceRecord
from forebay.delivery.opened import OpenedSource
from forebay.delivery.pace import Pace
from forebay.delivery.stopping import unless_stopped
from forebay.delivery.trace import Step, Trace
from forebay.languages.event_pattern import Pattern, matches
from forebay.store.commands import AppendLog
from forebay.store.contract import Store

log = structlog.get_logger()

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
# Around the records of a batch and between them.
_PAYLOAD_OVERHEAD_BYTES = 64

_POLL_SECONDS = 20.0
# At most so many messages of up to 1 MiB each are taken at once before their sizes are looked at.
_RECEIVE_MAX = 100
_PROBLEM_SECONDS = 5.0
_BUSY_SECONDS_MIN, _BUSY_SECONDS_MAX = 1.0, 20.0


class Batch(msgspec.Struct, frozen=True):
    """Records for one call of a target, each with its data as JSON."""

    records: tuple[SourceRecord, ...]
    texts: tuple[msgspec.Raw, ...]


class Taken(msgspec.Struct, frozen=True):
    """The target has taken the batch, but for the records with the ids in `failed`.

    `answer` is what it said; `context` is for those who are told of records that are given up: request id, version.
    """

    failed: frozenset[str] = frozenset()
    answer: bytes = b""
    context: Mapping[str, str] = {}


class Failed(msgspec.Struct, frozen=True):
    """The target has failed on the batch as a whole; `code` and `message` say how, without payloads.

    `context` is as in `Taken`, with the function's error.
    """

    code: str
    message: str = ""
    context: Mapping[str, str] = {}


class Busy(msgspec.Struct, frozen=True):
    """The target cannot take a batch now; the same one is offered again."""

    code: str


BatchOutcome = Taken | Failed | Busy


class BatchTarget(Protocol):
    """What a poller hands its batches to."""

    async def find_problem(self) -> str | None:
        """Return why no batch can be taken at present (the function is gone), or None. Nothing is read then."""
        ...

    async def take(self, batch: Batch) -> BatchOutcome:
        """Hand over one batch. At least once: its records come again where settling them fails."""
        ...


class PollerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one source is read. `source` and `target` are ARNs, for traces and logs.

    `patterns`: a record must match one of them, if there are any. `hold_seconds` is how long the source keeps taken
    records from others: a batch that a busy target does not take is given back then. `json_fields` of a record's data
    are texts that patterns see as JSON where they are objects.
    """

    name: str
    source: str
    target: str
    batch_size: int = 10
    window_seconds: float = 0.0
    patterns: tuple[Pattern, ...] = ()
    concurrency_max: int | None = None
    hold_seconds: float = 30.0
    json_fields: tuple[str, ...] = ("body",)


class Poller:
    """Reads one source for one target. A `Worker`.

    Batches run beside it, as many as its pace allows; each settles on its own. `stopping` ends the wait for records.
    """

    def __init__(  # noqa: PLR0913 - what a node gives, and the two ends
        self,
        settings: PollerSettings,
        open_source: Callable[[], Awaitable[Source | None]],
        target: BatchTarget,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        spawn: Spawn,
        trace: Trace,
    ) -> None:
        self._settings = settings
        self._opened = OpenedSource(settings.name, settings.source, open_source, target.find_problem)
        self._target = target
        self._store = store
        self._clock = clock
        self._ids = ids
        self._spawn = spawn
        self._trace = trace
        self._pace = Pace(settings.concurrency_max)
        self._in_flight = 0
        self._has_room = asyncio.Event()
        self.stopping = asyncio.Event()

    @property
    def name(self) -> str:
        """What logs call this poller."""
        return self._settings.name

    @property
    def problem(self) -> str:
        """Why nothing is read at present; empty when all is well."""
        return self._opened.problem

    @property
    def in_flight(self) -> int:
        """How many batches are with the target."""
        return self._in_flight

    def begin(self, duty: Duty) -> None:
        """Learn from a duty when to stop."""
        self.stopping = duty.stopping

    async def run_once(self) -> float:
        """Read one batch and start it; return at once while there may be more."""
        if self.stopping.is_set():
            return IDLE
        source = await self._opened.find()
        if source is None:
            return _PROBLEM_SECONDS
        if self._in_flight >= self._pace.allowed:
            self._has_room.clear()
            await unless_stopped(self.stopping, self._has_room.wait())
            return 0.0
        try:
            records, is_full = await self._gather(source)
        except ServiceError as error:
            self._opened.lose(error)
            return _PROBLEM_SECONDS
        if not records:
            self._pace.is_quiet()
        if is_full and self._in_flight + 1 >= self._pace.allowed:
            self._pace.more_is_waiting(self._clock.now())
        for batch in cut(records, self._settings.batch_size):
            await self._start(source, batch)
        return 0.0

    async def _gather(self, source: Source) -> tuple[list[SourceRecord], bool]:
        """Collect a batch: what there is, or what comes within the window; and whether there seems to be more."""
        settings = self._settings
        limit = settings.batch_size
        records: list[SourceRecord] = []
        deadline: float | None = None
        size = 0
        while len(records) < limit and size < PAYLOAD_BYTES_MAX:
            wait_seconds = _POLL_SECONDS if deadline is None else deadline - self._clock.now()
            if wait_seconds <= 0:
                break
            asked = min(limit - len(records), _RECEIVE_MAX)
            received = await self._receive(source, asked, wait_seconds)
            if not received:
                break
            wanted = await self._sift(source, received)
            records += wanted
            size += sum(_weight(record) for record in wanted)
            if deadline is None and wanted:
                deadline = self._clock.now() + settings.window_seconds
            elif deadline is None:
                break
        return records, len(records) >= limit

    async def _receive(self, source: Source, limit: int, wait_seconds: float) -> Sequence[SourceRecord]:
        return await unless_stopped(self.stopping, source.receive(limit, wait_seconds)) or ()

    async def _sift(self, source: Source, received: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
        """Return the records that match the filters; the others are finished, as AWS deletes them."""
        patterns = self._settings.patterns
        if not patterns:
            return received
        wanted = [record for record in received if is_wanted(record, patterns, self._settings.json_fields)]
        if len(wanted) < len(received):
            kept = {id(record) for record in wanted}
            others = [record for record in received if id(record) not in kept]
            tracing = self._record(others, "filtered")
            await source.settle(others, ())
            await tracing
        return wanted

    async def _start(self, source: Source, batch: Batch) -> None:
        self._in_flight += 1
        if self.stopping.is_set():
            # Nothing is spawned any more; what is at hand is finished in this last step.
            await self._process(source, batch)
        else:
            self._spawn(self._process(source, batch))

    async def _process(self, source: Source, batch: Batch) -> None:
        try:
            outcome = await self._offer(batch)
            await self._settle(source, batch.records, outcome)
        finally:
            self._in_flight -= 1
            self._has_room.set()

    async def _offer(self, batch: Batch) -> BatchOutcome:
        """Hand a batch over; to a busy target again and again, until the source would give it to others."""
        give_up_at = self._clock.now() + self._settings.hold_seconds
        pause_seconds = _BUSY_SECONDS_MIN
        while True:
            outcome = await self._target.take(batch)
            if not isinstance(outcome, Busy):
                return outcome
            self._pace.is_throttled()
            due_at = self._clock.now() + pause_seconds * self._ids.uniform(0.5, 1.0)
            if due_at >= give_up_at or self.stopping.is_set():
                return outcome
            await unless_stopped(self.stopping, self._clock.sleep_until(due_at))
            pause_seconds = min(pause_seconds * 2, _BUSY_SECONDS_MAX)

    async def _settle(self, source: Source, records: Sequence[SourceRecord], outcome: BatchOutcome) -> None:
        match outcome:
            case Taken(failed):
                done = [record for record in records if record.record_id not in failed]
                rest = [record for record in records if record.record_id in failed]
                tracing = [self._record(done, "delivered"), self._record(rest, "rejected", "BatchItemFailure")]
                await source.settle(done, rest)
            case Failed(code, message):
                self._pace.has_failed()
                tracing = [self._record(records, "rejected", code, message)]
                await source.settle((), records)
                log.info("poller.batch_failed", poller=self.name, target=self._settings.target, code=code)
            case Busy(code):
                tracing = [self._record(records, "retried", code)]
                await source.settle((), records)
                log.info("poller.batch_given_back", poller=self.name, target=self._settings.target, code=code)
        for recorded in tracing:
            await recorded

    def _record(self, records: Sequence[SourceRecord], what: str, code: str = "", message: str = "") -> Awaitable[Any]:
        """Begin to trace a step of each record; it goes into the same commit as what is submitted next."""
        now, settings = self._clock.now(), self._settings
        commands: list[AppendLog] = []
        for record in records:
            step = Step(now, what, settings.source, settings.target, _receive_count(record), code, message)
            commands += self._trace.record(record.record_id, [step])
        return self._store.submit(commands) if commands else _nothing()


def is_wanted(record: SourceRecord, patterns: Sequence[Pattern], json_fields: Collection[str]) -> bool:
    """Tell whether a record matches one of the patterns.

    A field that holds a JSON object is matched as one; any other text is a text ("Using event filtering with an Amazon
    SQS event source": plain strings match plain string patterns only, JSON matches JSON patterns only).
    """
    event = {name: _as_seen(name, value, json_fields) for name, value in record.data.items()}
    return any(matches(pattern, event) for pattern in patterns)


def cut(records: Sequence[SourceRecord], batch_size: int) -> list[Batch]:
    """Make batches of records, in order, none above the size or the payload that a target takes."""
    batches: list[Batch] = []
    held: list[SourceRecord] = []
    texts: list[msgspec.Raw] = []
    size = _PAYLOAD_OVERHEAD_BYTES
    for record in records:
        text = msgspec.Raw(msgspec.json.encode(record.data))
        if held and (len(held) >= batch_size or size + len(text) > PAYLOAD_BYTES_MAX):
            batches.append(Batch(tuple(held), tuple(texts)))
            held, texts, size = [], [], _PAYLOAD_OVERHEAD_BYTES
        held.append(record)
        texts.append(text)
        size += len(text) + 1
    if held:
        batches.append(Batch(tuple(held), tuple(texts)))
    return batches


def parse_failures(answer: bytes, record_ids: Collection[str]) -> frozenset[str] | None:
    """Return the ids that a partial batch response names; None where it is such that the whole batch has failed.

    Source: "Reporting batch item failures". A batch has succeeded where the list is empty, null or absent; it has
    failed where the answer is no JSON object, or an identifier is missing, empty, null or not of this batch.
    """
    try:
        decoded = _decode_response(answer) if answer.strip() else None
    except (msgspec.DecodeError, RecursionError):
        return None
    failed: set[str] = set()
    for item in (decoded.batchItemFailures if decoded else None) or ():
        if item.itemIdentifier not in record_ids:
            return None
        failed.add(item.itemIdentifier)
    return frozenset(failed)


class _FailedItem(msgspec.Struct):
    itemIdentifier: str  # noqa: N815 - the wire's name


class _BatchResponse(msgspec.Struct):
    batchItemFailures: list[_FailedItem] | None = None  # noqa: N815 - the wire's name


_decode_response = msgspec.json.Decoder(_BatchResponse | None).decode


def _as_seen(name: str, value: object, json_fields: Collection[str]) -> object:
    if name not in json_fields or not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def _weight(record: SourceRecord) -> int:
    """Return about how many bytes a record takes in a payload."""
    return sum(len(value) for value in record.data.values() if isinstance(value, str)) + 512


def _receive_count(record: SourceRecord) -> int:
    attributes: object = record.data.get("attributes")
    count = (
        cast("dict[str, object]", attributes).get("ApproximateReceiveCount") if isinstance(attributes, dict) else None
    )
    return int(count) if isinstance(count, str) and count.isdecimal() else 0


async def _nothing() -> None:
    return None
