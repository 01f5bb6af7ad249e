"""What executions log to CloudWatch Logs: history events, as the state machine's level asks for.

Best effort, as with AWS: lines wait in memory for the log service, a bounded number of them.
"""

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import structlog

from forebay.api import stepfunctions as api
from forebay.background.supervisor import Duty
from forebay.background.worker import IDLE
from forebay.core.errors import ServiceError
from forebay.core.shapes import shape_to_wire
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.stepfunctions.configuration import log_group_of
from forebay.services.stepfunctions.execution import Execution
from forebay.services.stepfunctions.payload import as_object
from forebay.services.stepfunctions.state_machine import Revision

log = structlog.get_logger()

_LINES_MAX = 50_000
_BATCH_LINES = 500
_BATCH_BYTES = 900_000
_LINE_BYTES_MAX = 250_000

FATAL_TYPES = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"})
# Developer guide, "Log levels for Step Functions execution events".
ERROR_TYPES = FATAL_TYPES | {
    "ActivityFailed", "ActivityScheduleFailed", "ActivityTimedOut", "EvaluationFailed", "FailStateEntered",
    "LambdaFunctionFailed", "LambdaFunctionScheduleFailed", "LambdaFunctionStartFailed", "LambdaFunctionTimedOut",
    "MapIterationAborted", "MapIterationFailed", "MapRunAborted", "MapRunFailed", "MapStateAborted", "MapStateFailed",
    "ParallelStateAborted", "ParallelStateFailed", "TaskFailed", "TaskStartFailed", "TaskStateAborted",
    "TaskSubmitFailed", "TaskTimedOut", "WaitStateAborted",
}  # fmt: skip
_DATA_MEMBERS = frozenset({
    "input", "inputDetails", "output", "outputDetails", "parameters", "assignedVariables", "assignedVariablesDetails",
})  # fmt: skip


class _Stream(NamedTuple):
    account: str
    region: str
    group: str
    name: str


class ExecutionLog:
    """Takes history events and brings them to the log service. A `Worker`."""

    name = "stepfunctions.log"

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lines: deque[tuple[_Stream, int, str]] = deque()
        self._suffix = platform.ids.hex(8)
        self._known: set[_Stream] = set()
        self._dropped = 0
        self.duty: Duty | None = None

    def take(self, execution: Execution, revision: Revision, history: Sequence[api.HistoryEvent]) -> None:
        """Take the events of an execution that its level asks for, without waiting."""
        group = log_group_of(revision.logging)
        if group is None:
            return
        name = group.resource.removeprefix("log-group:").removesuffix(":*")
        level = revision.logging.level
        stream = _Stream(group.account, group.region, name, self._stream_name(execution))
        for event in history:
            if not is_logged(level, event.type):
                continue
            if len(self._lines) >= _LINES_MAX:
                self._dropped += 1
                continue
            line = log_line(execution, event, with_data=revision.logging.include_execution_data or False)
            self._lines.append((stream, int(event.timestamp * 1000), line))
        if self._lines and self.duty is not None:
            self.duty.wake()

    async def run_once(self) -> float:
        """Bring what has come together to the log service."""
        if self._dropped:
            log.warning("execution.log_lines_dropped", count=self._dropped)
            self._dropped = 0
        if not self._lines:
            return IDLE
        await self.ship()
        return 0.0 if self._lines else IDLE

    async def ship(self) -> None:
        """Bring everything that has been taken to the log service."""
        while self._lines:
            batches: dict[_Stream, list[tuple[int, str]]] = {}
            size = 0
            while self._lines and size < _BATCH_BYTES and sum(map(len, batches.values())) < _BATCH_LINES:
                stream, at_ms, line = self._lines.popleft()
                batches.setdefault(stream, []).append((at_ms, line))
                size += len(line)
            for stream, lines in batches.items():
                await self._put(stream, lines)

    async def _put(self, stream: _Stream, lines: Sequence[tuple[int, str]]) -> None:
        from forebay.api import logs as logs_api  # noqa: PLC0415 - large; needed once a state machine logs

        events = [logs_api.InputLogEvent(timestamp=at_ms, message=line) for at_ms, line in lines]
        request = logs_api.PutLogEventsRequest(
            log_group_name=stream.group, log_stream_name=stream.name, log_events=events
        )
        table, platform = self._platform.table, self._platform
        caller = new_caller(stream.region, stream.account, platform.ids, platform.endpoint(), "stepfunctions")
        try:
            if stream not in self._known:
                named = logs_api.CreateLogStreamRequest(log_group_name=stream.group, log_stream_name=stream.name)
                with contextlib.suppress(logs_api.ResourceAlreadyExistsException):
                    await table.run(caller, "logs", "CreateLogStream", named)
                self._known = {each for each in self._known if each.group != stream.group} | {stream}
            await table.run(caller, "logs", "PutLogEvents", request)
        except ServiceError as error:
            self._known.discard(stream)
            log.warning("execution.log_refused", group=stream.group, code=error.code, lines=len(lines))

    def _stream_name(self, execution: Execution) -> str:
        moment = datetime.fromtimestamp(execution.started_at, UTC)
        return f"states/{execution.machine.name}/{moment:%Y-%m-%d-%H-%M}/{self._suffix}"


def is_logged(level: str | None, type_: str) -> bool:
    """Tell whether a level asks for an event."""
    if level == "ALL":
        return True
    return type_ in (ERROR_TYPES if level == "ERROR" else FATAL_TYPES)


def log_line(execution: Execution, event: api.HistoryEvent, *, with_data: bool) -> str:
    """Return an event as a line of the log (developer guide, "Using CloudWatch Logs to log execution history")."""
    shown = shape_to_wire(event)
    found: Any = next((value for name, value in shown.items() if name.endswith("EventDetails")), None)
    details: Mapping[str, Any] = as_object(found)
    if not with_data:
        details = {name: value for name, value in details.items() if name not in _DATA_MEMBERS}
    line: dict[str, object] = {
        "id": str(event.id),
        "type": event.type,
        "details": details,
        "previous_event_id": str(event.previous_event_id or 0),
        "event_timestamp": str(int(event.timestamp * 1000)),
        "execution_arn": execution.name.arn(),
        "redrive_count": str(execution.redrive_count),
    }
    text = msgspec.json.encode(line).decode()
    if len(text) <= _LINE_BYTES_MAX:
        return text
    cut = {name: value for name, value in details.items() if name not in _DATA_MEMBERS}
    return msgspec.json.encode({**line, "details": {**cut, "truncated": True}}).decode()
