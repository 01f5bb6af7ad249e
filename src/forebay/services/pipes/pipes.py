"""Operations on pipes."""

from typing import TypeVar

from msgspec.structs import replace

from forebay.api import pipes as api
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.pipes.errors import conflict, invalid
from forebay.services.pipes.pipe import PIPE, Pipe, check_pipe, load_pipe
from forebay.services.pipes.source_parameters import source_parameters, with_source
from forebay.services.pipes.workers import KIND
from forebay.store.commands import PutTimers, Timer
from forebay.store.records import key_prefix

_PAGE_MAX = 100
# From these a pipe can be changed; the others are on their way somewhere.
_SETTLED = frozenset({"RUNNING", "STOPPED", "CREATE_FAILED", "UPDATE_FAILED", "START_FAILED", "STOP_FAILED"})

Answer = TypeVar("Answer", api.CreatePipeResponse, api.UpdatePipeResponse, api.StartPipeResponse, api.StopPipeResponse)


@operation
async def create_pipe(call: Call, request: api.CreatePipeRequest) -> api.CreatePipeResponse:
    """Begin to make a pipe; it is `CREATING` until it runs or stands still.

    Raises:
        ConflictException: there is a pipe of that name.
    """
    pipe = Pipe(
        account=call.account,
        region=call.region,
        name=request.name,
        source=request.source,
        target=request.target,
        role=request.role_arn,
        desired_state=request.desired_state or "RUNNING",
        description=request.description,
        enrichment=request.enrichment or None,
        enrichment_parameters=request.enrichment_parameters,
        target_parameters=request.target_parameters,
        log_configuration=request.log_configuration,
        kms_key=request.kms_key_identifier,
        tags=request.tags or {},
        created_at=call.now,
        modified_at=call.now,
    )
    pipe = await with_source(call, pipe, request.source_parameters)
    await check_pipe(call, pipe)

    def create(inner: Call) -> None:
        if inner.records.find(PIPE, pipe.key()) is not None:
            raise conflict(pipe.name, f"Pipe {pipe.name} already exists.")
        _put(inner, pipe)

    await call.transact(create)
    return _answer(pipe, api.CreatePipeResponse)


@operation
async def update_pipe(call: Call, request: api.UpdatePipeRequest) -> api.UpdatePipeResponse:
    """Begin to change a pipe; what the request does not name stays as it is."""
    before = await call.look(lambda inner: load_pipe(inner, request.name))
    pipe = replace(
        before,
        role=request.role_arn,
        desired_state=request.desired_state or before.desired_state,
        current_state="UPDATING",
        description=before.description if request.description is None else request.description or None,
        enrichment=before.enrichment if request.enrichment is None else request.enrichment or None,
        enrichment_parameters=request.enrichment_parameters or before.enrichment_parameters,
        target=request.target or before.target,
        target_parameters=request.target_parameters or before.target_parameters,
        log_configuration=request.log_configuration or before.log_configuration,
        kms_key=before.kms_key if request.kms_key_identifier is None else request.kms_key_identifier or None,
        modified_at=call.now,
    )
    pipe = await with_source(call, pipe, request.source_parameters)
    await check_pipe(call, pipe)

    def update(inner: Call) -> None:
        current = load_pipe(inner, request.name)
        _check_settled(current)
        # Tags are not of this operation, and may have changed since the look.
        _put(inner, replace(pipe, tags=current.tags))

    await call.transact(update)
    return _answer(pipe, api.UpdatePipeResponse)


@operation
def start_pipe(call: Call, request: api.StartPipeRequest) -> api.StartPipeResponse:
    """Begin to start a pipe."""
    pipe = _move(call, request.name, "RUNNING", "STARTING")
    return _answer(pipe, api.StartPipeResponse)


@operation
def stop_pipe(call: Call, request: api.StopPipeRequest) -> api.StopPipeResponse:
    """Begin to stop a pipe; what it has read already still goes to the target."""
    pipe = _move(call, request.name, "STOPPED", "STOPPING")
    return _answer(pipe, api.StopPipeResponse)


@operation
def delete_pipe(call: Call, request: api.DeletePipeRequest) -> api.DeletePipeResponse:
    """Begin to delete a pipe."""
    pipe = load_pipe(call, request.name)
    pipe = replace(pipe, desired_state="DELETED", current_state="DELETING", modified_at=call.now)
    _put(call, pipe)
    return api.DeletePipeResponse(
        arn=pipe.arn(),
        name=pipe.name,
        desired_state="DELETED",
        current_state=pipe.current_state,
        creation_time=pipe.created_at,
        last_modified_time=pipe.modified_at,
    )


@operation(readonly=True)
def describe_pipe(call: Call, request: api.DescribePipeRequest) -> api.DescribePipeResponse:
    """Return a pipe."""
    pipe = load_pipe(call, request.name)
    logs = pipe.log_configuration
    return api.DescribePipeResponse(
        arn=pipe.arn(),
        name=pipe.name,
        description=pipe.description,
        desired_state=pipe.desired_state,
        current_state=pipe.current_state,
        state_reason=pipe.state_reason,
        source=pipe.source,
        source_parameters=source_parameters(pipe),
        enrichment=pipe.enrichment,
        enrichment_parameters=pipe.enrichment_parameters,
        target=pipe.target,
        target_parameters=pipe.target_parameters,
        role_arn=pipe.role,
        tags=pipe.tags or None,
        creation_time=pipe.created_at,
        last_modified_time=pipe.modified_at,
        log_configuration=None if logs is None else _shown_logs(logs),
        kms_key_identifier=pipe.kms_key,
    )


@operation(readonly=True)
def list_pipes(call: Call, request: api.ListPipesRequest) -> api.ListPipesResponse:
    """List pipes by name: by the beginnings of names, sources and targets, and by state."""
    prefix = key_prefix(call.account, call.region) + (request.name_prefix or "")
    pipes = [pipe for _, pipe in call.reader.list(PIPE, prefix) if _is_asked(pipe, request)]
    try:
        shown, token = page_of(pipes, lambda pipe: pipe.name, request.next_token, request.limit or _PAGE_MAX)
    except ValueError:
        raise invalid("NextToken", "Invalid token.") from None
    return api.ListPipesResponse(pipes=[_summary(pipe) for pipe in shown], next_token=token)


def _move(call: Call, name: str, desired: api.RequestedPipeState, current: api.PipeState) -> Pipe:
    pipe = load_pipe(call, name)
    _check_settled(pipe)
    pipe = replace(pipe, desired_state=desired, current_state=current, modified_at=call.now)
    _put(call, pipe)
    return pipe


def _put(call: Call, pipe: Pipe) -> None:
    """Keep a pipe that is on its way to another state, and have a worker bring it there."""
    call.records.put(PIPE, pipe.key(), pipe)
    call.apply(PutTimers((Timer(KIND, pipe.key(), call.now_ms, b""),)))


def _check_settled(pipe: Pipe) -> None:
    if pipe.current_state not in _SETTLED:
        raise conflict(pipe.name, f"Pipe {pipe.name} is {pipe.current_state} and cannot be changed now.")


def _shown_logs(logs: api.PipeLogConfigurationParameters) -> api.PipeLogConfiguration:
    given = logs.cloudwatch_logs_log_destination
    group = None if given is None else api.CloudwatchLogsLogDestination(log_group_arn=given.log_group_arn)
    return api.PipeLogConfiguration(
        level=logs.level, cloudwatch_logs_log_destination=group, include_execution_data=logs.include_execution_data
    )


def _is_asked(pipe: Pipe, request: api.ListPipesRequest) -> bool:
    return (
        (request.desired_state is None or pipe.desired_state == request.desired_state)
        and (request.current_state is None or pipe.current_state == request.current_state)
        and pipe.source.startswith(request.source_prefix or "")
        and pipe.target.startswith(request.target_prefix or "")
    )


def _summary(pipe: Pipe) -> api.Pipe:
    return api.Pipe(
        name=pipe.name,
        arn=pipe.arn(),
        desired_state=_requested(pipe),
        current_state=pipe.current_state,
        state_reason=pipe.state_reason,
        creation_time=pipe.created_at,
        last_modified_time=pipe.modified_at,
        source=pipe.source,
        target=pipe.target,
        enrichment=pipe.enrichment,
    )


def _answer(pipe: Pipe, answer: type[Answer]) -> Answer:
    return answer(
        arn=pipe.arn(),
        name=pipe.name,
        desired_state=_requested(pipe),
        current_state=pipe.current_state,
        creation_time=pipe.created_at,
        last_modified_time=pipe.modified_at,
    )


def _requested(pipe: Pipe) -> api.RequestedPipeState | None:
    return None if pipe.desired_state == "DELETED" else pipe.desired_state
