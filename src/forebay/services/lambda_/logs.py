"""Where functions' log lines go: to the log service, by a worker, and to whoever follows the live view.

Taking lines never waits. Those that the log service cannot take fast enough are dropped; they are counted, and a line
in the stream says how many.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import structlog

from forebay.background.supervisor import Duty
from forebay.background.worker import IDLE
from forebay.core.errors import ServiceError
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.runtimes.contract import FunctionSpec, LogLine
from forebay.services.lambda_ import limits

log = structlog.get_logger()

# CloudWatch Logs counts this much for each event beside its text (PutLogEvents, API reference).
_EVENT_OVERHEAD_BYTES = 26
_STREAMS_MAX = 10_000


class _Stream(NamedTuple):
    account: str
    region: str
    group: str
    name: str


class TailLine(NamedTuple):
    """One line in the live view."""

    number: int
    at: float
    function: str
    text: str


class LogShipper:
    """Takes the lines of all instances (a `LogSink`) and brings them to the log service (a `Worker`)."""

    name = "lambda.logs"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lines: deque[tuple[_Stream, LogLine]] = deque()
        self._dropped: dict[_Stream, int] = {}
        self._known: dict[_Stream, None] = {}
        self._tail: deque[TailLine] = deque(maxlen=limits.TAIL_LINES_MAX)
        self._next_number = 1
        self._followers: set[asyncio.Event] = set()
        self._is_draining = False
        self._is_resting = True
        self.duty: Duty | None = None

    def take(self, spec: FunctionSpec, log_stream: str, lines: list[LogLine]) -> None:
        """Take lines of one instance, without waiting."""
        stream = _Stream(spec.account, spec.region, spec.log_group_name, log_stream)
        for line in lines:
            self._tail.append(TailLine(self._next_number, line.at, spec.name, line.text))
            self._next_number += 1
            if not line.text:
                # CloudWatch Logs has no empty events.
                continue
            if len(self._lines) < limits.LOG_LINES_MAX:
                self._lines.append((stream, line))
            else:
                self._dropped[stream] = self._dropped.get(stream, 0) + 1
        for follower in self._followers:
            follower.set()
        if self._is_resting and self.duty is not None:
            self._is_resting = False
            self.duty.wake()

    async def run_once(self) -> float:
        """Bring what has come together to the log service; look again soon, as long as there is something."""
        if not self._lines and not self._dropped:
            self._is_resting = True
            return IDLE
        await self.ship()
        return limits.LOG_PAUSE_SECONDS

    async def ship(self) -> None:
        """Bring everything that has been taken to the log service."""
        while self._lines or self._dropped:
            batch = self._next_batch()
            for stream, lines in batch.items():
                for part in _parts(lines):
                    await self._put(stream, part)

    def _next_batch(self) -> Mapping[_Stream, list[LogLine]]:
        batch: dict[_Stream, list[LogLine]] = {}
        for _ in range(min(len(self._lines), limits.LOG_BATCH_LINES_MAX)):
            stream, line = self._lines.popleft()
            batch.setdefault(stream, []).append(line)
        dropped, self._dropped = self._dropped, {}
        now = self._platform.clock.now()
        for stream, count in dropped.items():
            log.warning("function.log_lines_dropped", group=stream.group, stream=stream.name, count=count)
            text = f"[forebay] {count} log lines were dropped: the log service could not keep up."
            batch.setdefault(stream, []).append(LogLine(now, text))
        return batch

    async def _put(self, stream: _Stream, lines: list[LogLine]) -> None:
        from forebay.api import logs as logs_api  # noqa: PLC0415 - large; needed once a function has written

        table, caller = self._platform.table, self._caller(stream)
        events = [logs_api.InputLogEvent(timestamp=int(line.at * 1000), message=line.text) for line in lines]
        request = logs_api.PutLogEventsRequest(
            log_group_name=stream.group, log_stream_name=stream.name, log_events=events
        )
        try:
            if stream not in self._known:
                await self._open(stream, caller)
            try:
                await table.run(caller, "logs", "PutLogEvents", request)
            except logs_api.ResourceNotFoundException:
                # Someone deleted it meanwhile; AWS's Lambda makes it anew as well.
                await self._open(stream, caller)
                await table.run(caller, "logs", "PutLogEvents", request)
        except ServiceError as error:
            log.warning("function.log_refused", group=stream.group, code=error.code, lines=len(lines))

    async def _open(self, stream: _Stream, caller: Caller) -> None:
        from forebay.api import logs as logs_api  # noqa: PLC0415 - large; needed once a function has written

        table = self._platform.table
        group = logs_api.CreateLogGroupRequest(log_group_name=stream.group)
        named = logs_api.CreateLogStreamRequest(log_group_name=stream.group, log_stream_name=stream.name)
        for operation, request in (("CreateLogGroup", group), ("CreateLogStream", named)):
            try:
                await table.run(caller, "logs", operation, request)
            except logs_api.ResourceAlreadyExistsException:
                continue
        if len(self._known) >= _STREAMS_MAX:
            del self._known[next(iter(self._known))]
        self._known[stream] = None

    def _caller(self, stream: _Stream) -> Caller:
        platform = self._platform
        return new_caller(stream.region, stream.account, platform.ids, platform.endpoint(), "lambda")

    async def tail(self, caller: Caller, query: Mapping[str, str]) -> object:
        """Answer `/_forebay/lambda/tail`: lines behind `after`, waiting `wait` seconds for the first.

        Without `after`, only say where to begin.
        """
        del caller
        if "after" not in query:
            return {"next": self._next_number - 1, "lines": []}
        after = _number(query, "after")
        if not self._has_after(after):
            await self._follow(min(float(_number(query, "wait")), limits.TAIL_WAIT_SECONDS_MAX))
        lines = [line for line in self._tail if line.number > after][: limits.TAIL_PAGE_LINES_MAX]
        return {
            "next": lines[-1].number if lines else min(after, self._next_number - 1),
            "lines": [{"at": line.at, "function": line.function, "line": line.text} for line in lines],
        }

    def _has_after(self, after: int) -> bool:
        return self._next_number - 1 > after

    def drain(self) -> None:
        """Answer whoever follows lines now: the node is about to stop."""
        self._is_draining = True
        for arrived in self._followers:
            arrived.set()

    async def _follow(self, wait_seconds: float) -> None:
        if self._is_draining:
            return
        arrived = asyncio.Event()
        self._followers.add(arrived)
        try:
            await self._platform.clock.wait(arrived, wait_seconds)
        finally:
            self._followers.discard(arrived)


def _parts(lines: list[LogLine]) -> Iterator[list[LogLine]]:
    """Cut lines into parts that one PutLogEvents takes; it wants them in order of time."""
    part: list[LogLine] = []
    size = 0
    for line in sorted(lines, key=lambda line: line.at):
        cost = len(line.text) * 4 + _EVENT_OVERHEAD_BYTES
        if part and size + cost > limits.LOG_BATCH_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(line)
        size += cost
    if part:
        yield part


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ServiceError.of("ValidationException", f"{name} is not a number: {text}", 400)
    return int(text)
