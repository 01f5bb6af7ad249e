"""Who is told of an execution: the default event bus, whoever waits for its end, its log group, its metrics."""

from collections.abc import Sequence
from typing import Any

import msgspec

from forebay.api import stepfunctions as api
from forebay.core.arn import Arn
from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.languages.asl.contract import TaskKey
from forebay.operations.platform import Platform
from forebay.services.stepfunctions.execution import Execution, Parent, redrive_refusal
from forebay.services.stepfunctions.execution_log import ExecutionLog
from forebay.services.stepfunctions.inbox import TIMER, Answered, Owed, Refused, encode, timer_key
from forebay.services.stepfunctions.map_run import MAP_RUN, ChildEnded
from forebay.services.stepfunctions.measures import Measures
from forebay.services.stepfunctions.state_machine import Revision
from forebay.store.commands import Command, PutTimers, Timer
from forebay.store.records import Kind

_RETRY = RetryPolicy(185, 86_400)
_DETAIL_TYPE = "Step Functions Execution Status Change"
# "If the combined escaped input and output sizes exceed 248 KB, the input will be excluded" (developer guide,
# "Automating Step Functions event delivery with EventBridge").
_EVENT_BYTES_MAX = 248 * 1024


# What the node writes before a service is loaded for the first time.
_USED_SERVICE = Kind("node.used_service", str)


class Notices:
    """Tells others of executions of Standard state machines."""

    def __init__(self, platform: Platform, execution_log: ExecutionLog, measures: Measures) -> None:
        self._platform = platform
        self._log = execution_log
        self._measures = measures
        self._is_bus_used = False

    async def commands(self, before: Execution | None, after: Execution, revision: Revision) -> list[Command[Any]]:
        """Return what is committed with a change of an execution's status."""
        statuses: list[api.ExecutionStatus] = []
        if before is None or before.status != "RUNNING":
            statuses.append("RUNNING")
        if after.status != "RUNNING":
            statuses.append(after.status)
        commands: list[Command[Any]] = []
        if statuses and await self._has_buses():
            deliveries = [self._delivery(after, status) for status in statuses]
            commands += await self._platform.deliveries.commands_for(deliveries)
        if after.stopped_at is not None and after.parent is not None:
            commands += self._for_parent(after, after.parent, after.stopped_at)
        del revision
        return commands

    def tell(self, execution: Execution, revision: Revision, history: Sequence[api.HistoryEvent]) -> None:
        """Tell the log and the metrics of what has been committed."""
        self._log.take(execution, revision, history)
        self._measures.take(execution, history)

    async def _has_buses(self) -> bool:
        """Tell whether anyone has ever used event buses here: else no rule can be waiting."""
        if not self._is_bus_used:
            self._is_bus_used = await self._platform.store.find(_USED_SERVICE, "events") is not None
        return self._is_bus_used

    def _delivery(self, execution: Execution, status: api.ExecutionStatus) -> Delivery:
        name = execution.name
        if status == "RUNNING":
            execution = msgspec.structs.replace(
                execution, status="RUNNING", stopped_at=None, output=None, error=None, cause=None
            )
        arn = name.arn()
        now = self._platform.clock.now()
        return Delivery(
            delivery_id=self._platform.ids.uuid(),
            source=arn,
            target=str(Arn.of("events", name.region, name.account, "event-bus/default")),
            payload=_detail(execution, now),
            created_at=now,
            retry=_RETRY,
            event_id=self._platform.ids.uuid(),
            parameters={"Source": "aws.states", "DetailType": _DETAIL_TYPE, "Resources": f'["{arn}"]'},
        )

    def _for_parent(self, execution: Execution, parent: Parent, at: float) -> list[Command[Any]]:
        at_ms = int(at * 1000)
        if parent.map_run is not None:
            notice = ChildEnded(parent.map_run, execution.status, execution.item_count or 1)
            key = f"{parent.map_run.key()}\x1f{execution.key}"
            return [PutTimers((Timer(MAP_RUN, key, at_ms, encode(notice)),))]
        assert parent.execution is not None, "a parent is a task or a map run"
        key = TaskKey(parent.frame, parent.attempt)
        output = described(execution, parent.pattern, at)
        if execution.status == "SUCCEEDED":
            event: Answered | Refused = Answered(key, output)
        else:
            event = Refused(key, "States.TaskFailed", output)
        name = timer_key(parent.execution, key, "child")
        return [PutTimers((Timer(TIMER, name, at_ms, encode(Owed(parent.execution, event))),))]


def described(execution: Execution, pattern: str, now: float) -> str:
    """Return an execution as the output of a task that waited for it; `.sync:2` has its data as JSON."""
    refusal = redrive_refusal(execution, execution.events, now, is_deleting=False)
    is_text = pattern != "sync:2"
    values: dict[str, object] = {
        "Cause": execution.cause,
        "Error": execution.error,
        "ExecutionArn": execution.name.arn(),
        "Input": execution.input if is_text else msgspec.Raw(execution.input.encode()),
        "InputDetails": {"Included": True},
        "Name": execution.name.name,
        "Output": (execution.output if is_text or execution.output is None else msgspec.Raw(execution.output.encode())),
        "OutputDetails": {"Included": True} if execution.output is not None else None,
        "RedriveCount": execution.redrive_count,
        "RedriveStatus": "REDRIVABLE" if refusal is None else "NOT_REDRIVABLE",
        "RedriveStatusReason": refusal,
        "StartDate": _ms(execution.started_at),
        "StateMachineAliasArn": execution.alias_arn(),
        "StateMachineArn": execution.machine.base().arn(),
        "StateMachineVersionArn": execution.version_arn(),
        "Status": execution.status,
        "StopDate": _ms(execution.stopped_at),
    }
    return msgspec.json.encode({name: value for name, value in values.items() if value is not None}).decode()


def _detail(execution: Execution, now: float) -> str:
    refusal = redrive_refusal(execution, execution.events, now, is_deleting=False)
    is_large = len(execution.input) + len(execution.output or "") > _EVENT_BYTES_MAX
    detail: dict[str, object] = {
        "executionArn": execution.name.arn(),
        "stateMachineArn": execution.machine.base().arn(),
        "name": execution.name.name,
        "status": execution.status,
        "startDate": _ms(execution.started_at),
        "stopDate": _ms(execution.stopped_at),
        "input": None if is_large else execution.input,
        "output": None if len(execution.output or "") > _EVENT_BYTES_MAX else execution.output,
        "stateMachineVersionArn": execution.version_arn(),
        "stateMachineAliasArn": execution.alias_arn(),
        "redriveCount": execution.redrive_count,
        "redriveDate": _ms(execution.redriven_at),
        "redriveStatus": "REDRIVABLE" if refusal is None else "NOT_REDRIVABLE",
        "redriveStatusReason": refusal,
        "inputDetails": {"included": not is_large},
        "outputDetails": None if execution.output is None else {"included": True},
        "error": execution.error,
        "cause": execution.cause,
    }
    return msgspec.json.encode(detail).decode()


def _ms(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)
