"""A pipe's log: what became of each batch, in the log group that its log configuration names.

Source: user guide, "Log Amazon EventBridge Pipes": the levels, and which message types each has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.operations.platform import Platform
from forebay.services.pipes.pipe import Pipe

_RETRY = RetryPolicy(10, 3_600.0)

_LEVELS = {"OFF": 0, "ERROR": 1, "INFO": 2, "TRACE": 3}
# From which level on a message type is logged.
_MESSAGE_LEVELS = {
    "ExecutionStarted": "INFO",
    "ExecutionSucceeded": "INFO",
    "ExecutionFailed": "ERROR",
    "ExecutionPartiallyFailed": "ERROR",
    "ExecutionThrottled": "ERROR",
    "EnrichmentStageEntered": "INFO",
    "EnrichmentStageExited": "INFO",
    "EnrichmentInvocationFailed": "ERROR",
    "TargetStageEntered": "INFO",
    "TargetStageExited": "INFO",
    "TargetInvocationFailed": "ERROR",
    "TargetInvocationStarted": "TRACE",
    "TargetInvocationSucceeded": "TRACE",
}


class PipeLog:
    """Collects the entries about one batch, and writes them at its end in one commit."""

    def __init__(self, pipe: Pipe, platform: Platform) -> None:
        configuration = pipe.log_configuration
        self._pipe = pipe
        self._platform = platform
        self._level = 0 if configuration is None else _LEVELS[configuration.level]
        destination = None if configuration is None else configuration.cloudwatch_logs_log_destination
        self._group = None if destination is None else destination.log_group_arn
        self._has_payloads = configuration is not None and bool(configuration.include_execution_data)
        self._execution_id = platform.ids.uuid()
        self._entries: list[dict[str, Any]] = []

    def note(self, message_type: str, payloads: Sequence[str] = (), error: Mapping[str, str] | None = None) -> None:
        """Note a step, where the pipe's level has it."""
        level = _MESSAGE_LEVELS[message_type]
        if self._group is None or _LEVELS[level] > self._level:
            return
        entry: dict[str, Any] = {
            "resourceArn": self._pipe.arn(),
            "timestamp": str(int(self._platform.clock.now() * 1000)),
            "executionId": self._execution_id,
            "messageType": message_type,
            "logLevel": level,
        }
        if error is not None:
            entry["error"] = dict(error)
        if self._has_payloads and payloads:
            entry["payload"] = f"[{','.join(payloads)}]"
        self._entries.append(entry)

    async def write(self) -> None:
        """Write what was noted."""
        if self._group is None or not self._entries:
            return
        platform = self._platform
        now = platform.clock.now()
        deliveries = [
            Delivery(
                platform.ids.uuid(), self._pipe.arn(), self._group, msgspec.json.encode(entry).decode(), now, _RETRY
            )
            for entry in self._entries
        ]
        self._entries = []
        await platform.store.submit(await platform.deliveries.commands_for(deliveries))
