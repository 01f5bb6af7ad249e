"""Operations on executions: start, stop, describe, list, redrive."""

import base64
import binascii
import heapq

import msgspec

from forebay.api import stepfunctions as api
from forebay.languages.asl import contract as asl
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions.address import (
    ExecutionName,
    map_run_name,
    standard_execution_name,
    unlabelled,
)
from forebay.services.stepfunctions.definition import part_of, references_of
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.execution import Execution, redrive_refusal
from forebay.services.stepfunctions.inbox import Redriven
from forebay.services.stepfunctions.pages import page_size
from forebay.services.stepfunctions.rows import ExecutionRows, Listing, executions_of, position_of
from forebay.services.stepfunctions.starting import Order, Starter
from forebay.services.stepfunctions.state_machine import STATE_MACHINE, load_machine, load_revision, no_resource

_STATUSES: tuple[api.ExecutionStatus, ...] = (
    "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE",
)  # fmt: skip
_INCLUDED = api.CloudWatchEventsExecutionDataDetails(included=True)
_BILLED_MEMORY_MB = 64
_BILLED_STEP_MS = 100


@operation
async def start_execution(call: Call, request: api.StartExecutionInput) -> api.StartExecutionOutput:
    """Start an execution. The same name and input again is answered as the first time, as long as it runs.

    Raises:
        ExecutionAlreadyExists: there is one of that name that has ended, or has another input.
    """
    order = Order(request.state_machine_arn, request.name, request.input, _trace(call, request.trace_header))
    execution = await call.part(Starter).start(order, call.account, call.region)
    return api.StartExecutionOutput(execution_arn=execution.name.arn(), start_date=execution.started_at)


@operation
async def start_sync_execution(call: Call, request: api.StartSyncExecutionInput) -> api.StartSyncExecutionOutput:
    """Run an execution of an Express state machine and return how it ended."""
    order = Order(request.state_machine_arn, request.name, request.input, _trace(call, request.trace_header))
    execution = await call.part(Starter).start_sync(order)
    stopped_at = execution.stopped_at or execution.started_at
    took_ms = (stopped_at - execution.started_at) * 1000
    with_data = request.included_data != "METADATA_ONLY"
    return api.StartSyncExecutionOutput(
        execution_arn=execution.name.arn(),
        state_machine_arn=execution.machine.base().arn(),
        name=execution.name.name,
        start_date=execution.started_at,
        stop_date=stopped_at,
        status="SUCCEEDED" if execution.status == "SUCCEEDED" else _sync_status(execution),
        error=execution.error,
        cause=execution.cause,
        input=execution.input if with_data else None,
        input_details=_INCLUDED if with_data else api.CloudWatchEventsExecutionDataDetails(included=False),
        output=execution.output if with_data else None,
        output_details=_INCLUDED if execution.output is not None and with_data else None,
        trace_header=execution.trace_header,
        billing_details=api.BillingDetails(
            billed_memory_used_in_mb=_BILLED_MEMORY_MB,
            billed_duration_in_milliseconds=max(1, -int(-took_ms // _BILLED_STEP_MS)) * _BILLED_STEP_MS,
        ),
    )


@operation
async def stop_execution(call: Call, request: api.StopExecutionInput) -> api.StopExecutionOutput:
    """Stop an execution. One that has ended stays as it is; the answer is when it did."""
    name = standard_execution_name(request.execution_arn)
    engine = call.part(Engine)
    if await engine.find(name.key()) is None:
        raise no_execution(name)
    await engine.hand(name.key(), asl.Stopped(request.error, request.cause))
    execution = await engine.find(name.key())
    assert execution is not None, "executions are kept for a while after their end"
    return api.StopExecutionOutput(stop_date=execution.stopped_at or call.now)


@operation
async def describe_execution(call: Call, request: api.DescribeExecutionInput) -> api.DescribeExecutionOutput:
    """Return an execution."""
    name = standard_execution_name(request.execution_arn)
    engine = call.part(Engine)
    execution = await engine.find(name.key())
    if execution is None:
        raise no_execution(name)
    machine = await call.find(STATE_MACHINE, execution.machine.base().key())
    is_deleting = machine is not None and machine.status == "DELETING"
    refusal = redrive_refusal(execution, execution.events, call.now, is_deleting=is_deleting)
    status: api.ExecutionRedriveStatus = "REDRIVABLE" if refusal is None else "NOT_REDRIVABLE"
    if execution.map_run is not None and refusal is None:
        status = "REDRIVABLE_BY_MAP_RUN"
    with_data = request.included_data != "METADATA_ONLY"
    details = api.CloudWatchEventsExecutionDataDetails(included=with_data)
    return api.DescribeExecutionOutput(
        execution_arn=name.arn(),
        state_machine_arn=execution.machine.arn(),
        name=name.name,
        status=execution.status,
        start_date=execution.started_at,
        stop_date=execution.stopped_at,
        input=execution.input if with_data else None,
        input_details=details,
        output=execution.output if with_data else None,
        output_details=details if execution.output is not None else None,
        trace_header=execution.trace_header,
        map_run_arn=execution.map_run,
        error=execution.error,
        cause=execution.cause if with_data else None,
        state_machine_version_arn=execution.version_arn(),
        state_machine_alias_arn=execution.alias_arn(),
        redrive_count=execution.redrive_count,
        redrive_date=execution.redriven_at,
        redrive_status=status,
        redrive_status_reason=refusal,
    )


@operation
async def describe_state_machine_for_execution(
    call: Call, request: api.DescribeStateMachineForExecutionInput
) -> api.DescribeStateMachineForExecutionOutput:
    """Return the state machine as an execution runs it, whatever has become of the state machine since."""
    name = standard_execution_name(request.execution_arn)
    execution = await call.part(Engine).find(name.key())
    if execution is None:
        raise no_execution(name)
    machine = execution.machine
    revision = await call.look(lambda inner: load_revision(inner, machine.base(), execution.revision_id))
    definition = revision.definition if machine.label is None else part_of(revision.definition, machine.label) or "{}"
    is_bare = request.included_data == "METADATA_ONLY"
    return api.DescribeStateMachineForExecutionOutput(
        state_machine_arn=machine.arn(),
        name=machine.name,
        definition="{}" if is_bare else definition,
        role_arn=revision.role,
        update_date=revision.created_at,
        logging_configuration=revision.logging,
        tracing_configuration=revision.tracing,
        map_run_arn=execution.map_run,
        label=machine.label,
        revision_id=revision.shown_id(),
        encryption_configuration=revision.encryption,
        variable_references=None if is_bare else references_of(definition),
    )


@operation(readonly=True)
def list_executions(call: Call, request: api.ListExecutionsInput) -> api.ListExecutionsOutput:
    """List executions of a state machine, a version, an alias or a map run, the newest first."""
    rows = call.part(ExecutionRows)
    listing = _listing(call, rows, request)
    statuses = (request.status_filter,) if request.status_filter is not None else _STATUSES
    before = _read_token(request.next_token)
    most = page_size(request.max_results)
    asked = _Asked(listing, statuses, most + 1, request.redrive_filter)
    found = _listed(call, rows, asked, before)
    shown = found[:most]
    token = base64.urlsafe_b64encode(position_of(shown[-1])).decode() if len(found) > most else None
    return api.ListExecutionsOutput(executions=[_item(execution) for execution in shown], next_token=token)


@operation
async def redrive_execution(call: Call, request: api.RedriveExecutionInput) -> api.RedriveExecutionOutput:
    """Let an execution that did not succeed go on from where it failed.

    Raises:
        ExecutionNotRedrivable: it cannot; the text says why.
    """
    name = standard_execution_name(request.execution_arn)
    engine = call.part(Engine)
    execution = await engine.find(name.key())
    if execution is None:
        raise no_execution(name)
    token = request.client_token
    if token is not None and execution.redrive_token == token and execution.redriven_at is not None:
        return api.RedriveExecutionOutput(redrive_date=execution.redriven_at)
    machine = await call.find(STATE_MACHINE, execution.machine.base().key())
    is_deleting = machine is None or machine.status == "DELETING"
    refusal = redrive_refusal(execution, execution.events, call.now, is_deleting=is_deleting)
    if refusal is not None or execution.map_run is not None:
        reason = refusal or "Execution can only be redriven by its Map Run"
        raise api.ExecutionNotRedrivable(reason)
    await engine.hand(name.key(), Redriven(token))
    redriven = await engine.find(name.key())
    return api.RedriveExecutionOutput(redrive_date=(redriven and redriven.redriven_at) or call.now)


def no_execution(name: ExecutionName) -> api.ExecutionDoesNotExist:
    """Return the answer for an execution that is not there."""
    return api.ExecutionDoesNotExist(f"Execution Does Not Exist: '{name.arn()}'")


def _listing(call: Call, rows: ExecutionRows, request: api.ListExecutionsInput) -> Listing:
    """Return where the executions that are asked for are listed.

    Raises:
        ValidationException: both a state machine and a map run are named, or neither; a filter does not go with it.
        StateMachineTypeNotSupported: the state machine is an Express one.
    """
    arn, run = request.state_machine_arn, request.map_run_arn
    if (arn is None) == (run is None):
        raise api.ValidationException(
            "Invalid request: Must include either stateMachineArn or mapRunArn, but not both",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    if run is not None:
        if rows.find_map_run(call.ask, map_run_name(run).key()) is None:
            raise no_resource(run)
        return rows.of_map_run(run)
    assert arn is not None
    if request.status_filter == "PENDING_REDRIVE":
        raise api.ValidationException("PENDING_REDRIVE status filter is only supported with a mapRunArn")
    name = unlabelled(arn)
    machine = load_machine(call, name)
    if machine.type == "EXPRESS":
        raise api.StateMachineTypeNotSupported("This operation is not supported by this type of state machine")
    return rows.of_machine(name)


class _Asked(msgspec.Struct, frozen=True):
    """Which executions are asked for, and how many."""

    listing: Listing
    statuses: tuple[str, ...]
    most: int
    redriven: str | None


def _listed(call: Call, rows: ExecutionRows, asked: _Asked, before: bytes | None) -> list[Execution]:
    """Return executions of some statuses, merged by time, the newest first."""
    found: list[Execution] = []
    most, redriven = asked.most, asked.redriven
    while True:
        pages = [executions_of(call.ask(rows.listed(asked.listing, status, most, before))) for status in asked.statuses]
        merged = list(heapq.merge(*pages, key=position_of, reverse=True))[:most]
        found += [each for each in merged if redriven is None or (each.redrive_count > 0) == (redriven == "REDRIVEN")]
        if len(found) >= most or len(merged) < most:
            return found[:most]
        before = position_of(merged[-1])


def _item(execution: Execution) -> api.ExecutionListItem:
    return api.ExecutionListItem(
        execution_arn=execution.name.arn(),
        state_machine_arn=execution.machine.arn(),
        name=execution.name.name,
        status=execution.status,
        start_date=execution.started_at,
        stop_date=execution.stopped_at,
        map_run_arn=execution.map_run,
        item_count=execution.item_count,
        state_machine_version_arn=execution.version_arn(),
        state_machine_alias_arn=execution.alias_arn(),
        redrive_count=execution.redrive_count,
        redrive_date=execution.redriven_at,
    )


def _read_token(token: str | None) -> bytes | None:
    if not token:
        return None
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError):
        raise api.InvalidToken("Invalid Token: 'Invalid token'") from None


def _trace(call: Call, given: str | None) -> str | None:
    return call.caller.trace_header or given


def _sync_status(execution: Execution) -> api.SyncExecutionStatus:
    return "TIMED_OUT" if execution.status == "TIMED_OUT" else "FAILED"
