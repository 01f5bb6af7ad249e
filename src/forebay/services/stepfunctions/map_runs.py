"""Operations on map runs: describe, list, update."""

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.pages import encode_token
from forebay.operations.service import operation
from forebay.services.stepfunctions.address import map_run_name, standard_execution_name
from forebay.services.stepfunctions.engine import Engine
from forebay.services.stepfunctions.executions import no_execution
from forebay.services.stepfunctions.map_run import Count, MapRun
from forebay.services.stepfunctions.pages import page_size, token_text
from forebay.services.stepfunctions.rows import ExecutionRows
from forebay.services.stepfunctions.state_machine import no_resource


@operation(readonly=True)
def describe_map_run(call: Call, request: api.DescribeMapRunInput) -> api.DescribeMapRunOutput:
    """Return a map run with its counts."""
    run = _load(call, request.map_run_arn)
    return api.DescribeMapRunOutput(
        map_run_arn=run.name.arn(),
        execution_arn=run.execution_arn,
        status=run.status,
        start_date=run.started_at,
        stop_date=run.stopped_at,
        max_concurrency=run.max_concurrency,
        tolerated_failure_percentage=run.tolerated_failure_percentage or 0.0,
        tolerated_failure_count=run.tolerated_failure_count or 0,
        item_counts=_item_counts(run),
        execution_counts=_execution_counts(run),
        redrive_count=run.redrive_count,
        redrive_date=run.redriven_at,
    )


@operation
async def list_map_runs(call: Call, request: api.ListMapRunsInput) -> api.ListMapRunsOutput:
    """List the map runs that an execution has started, the newest first."""
    name = standard_execution_name(request.execution_arn)
    if await call.part(Engine).find(name.key()) is None:
        raise no_execution(name)
    rows = call.part(ExecutionRows)
    runs = await call.look(lambda inner: rows.map_runs_of(inner.ask, name.key()))
    after = token_text(request.next_token)
    rest = [run for run in runs if not after or f"{run.started_at:.6f}" < after]
    shown = rest[: page_size(request.max_results)]
    return api.ListMapRunsOutput(
        map_runs=[
            api.MapRunListItem(
                execution_arn=run.execution_arn,
                map_run_arn=run.name.arn(),
                state_machine_arn=f"{run.machine.arn()}/{run.name.label}",
                start_date=run.started_at,
                stop_date=run.stopped_at,
            )
            for run in shown
        ],
        next_token=encode_token(f"{shown[-1].started_at:.6f}") if len(rest) > len(shown) else None,
    )


@operation
async def update_map_run(call: Call, request: api.UpdateMapRunInput) -> api.UpdateMapRunOutput:
    """Change how many children of a map run may run at once, and how many may fail.

    Raises:
        ValidationException: nothing is to be changed, or the map run has ended.
    """
    given = {
        "max_concurrency": request.max_concurrency,
        "tolerated_failure_count": request.tolerated_failure_count,
        "tolerated_failure_percentage": request.tolerated_failure_percentage,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    rows = call.part(ExecutionRows)
    while True:
        run = await call.look(lambda inner: _load(inner, request.map_run_arn))
        if not changes:
            raise api.ValidationException(
                "Either maxConcurrency, toleratedFailureCount or toleratedFailurePercentage must be specified.",
                reason="MISSING_REQUIRED_PARAMETER",
            )
        if run.status != "RUNNING":
            raise api.ValidationException(
                f"Map Run '{run.name.arn()}' has completed and cannot be updated.",
                reason="CANNOT_UPDATE_COMPLETED_MAP_RUN",
            )
        written = await call.run(rows.write_map_run(replace(run, **changes), ()))
        if written.is_written:
            return api.UpdateMapRunOutput()


def _load(call: Call, arn: str) -> MapRun:
    run = call.part(ExecutionRows).find_map_run(call.ask, map_run_name(arn).key())
    if run is None:
        raise no_resource(arn)
    return run


def _item_counts(run: MapRun) -> api.MapRunItemCounts:
    ended = sum(count.items for count in _ended(run))
    return api.MapRunItemCounts(
        pending=run.total.items - run.begun_items,
        running=max(0, run.begun_items - ended),
        succeeded=run.succeeded.items,
        failed=run.failed.items,
        timed_out=run.timed_out.items,
        aborted=run.aborted.items,
        total=run.total.items,
        results_written=run.written.items,
        failures_not_redrivable=0,
        pending_redrive=0,
    )


def _execution_counts(run: MapRun) -> api.MapRunExecutionCounts:
    return api.MapRunExecutionCounts(
        pending=run.total.executions - run.begun,
        running=max(0, run.running),
        succeeded=run.succeeded.executions,
        failed=run.failed.executions,
        timed_out=run.timed_out.executions,
        aborted=run.aborted.executions,
        total=run.total.executions,
        results_written=run.written.executions,
        failures_not_redrivable=0,
        pending_redrive=0,
    )


def _ended(run: MapRun) -> tuple[Count, ...]:
    return run.succeeded, run.failed, run.timed_out, run.aborted
