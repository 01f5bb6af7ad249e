"""Operations on stacks: create, update, delete, describe, list, cancel, termination protection."""

from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec.structs import replace

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.launch import (
    OnFailure,
    begin_create,
    begin_delete,
    begin_update,
    check_name,
    check_types_kept,
    check_updatable,
    differs,
    linger,
    new_stack,
    new_stack_id,
    put_stack,
    take_name,
)
from forebay.services.cloudformation.lookup import find_deployment, find_stack, load_live_stack, load_stack
from forebay.services.cloudformation.preparation import Source, prepare, read_given, read_source
from forebay.services.cloudformation.stack import DEPLOYMENT, STACK, Revision, Stack, stack_key
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.parameters import MASK, Bound
from forebay.services.cloudformation.workers import deploy_timer
from forebay.store.records import key_prefix


@operation
async def create_stack(call: Call, request: api.CreateStackInput) -> api.CreateStackOutput:
    """Create a stack; its resources are made in the background."""
    name = request.stack_name
    check_name(name)
    if request.disable_rollback is not None and request.on_failure is not None:
        raise invalid("You may not specify both DisableRollback and OnFailure")
    if await call.look(lambda inner: find_stack(inner.reader, call.account, call.region, name)) is not None:
        raise api.AlreadyExistsException(f"Stack [{name}] already exists")
    stack_id = new_stack_id(call, name)
    source = Source(
        stack_id=stack_id,
        stack_name=name,
        body=request.template_body,
        url=request.template_url,
        parameters=read_given(request.parameters),
        tags=read_tags(request.tags),
        capabilities=tuple(request.capabilities or ()),
        notification_arns=tuple(request.notification_arns or ()),
        role_arn=request.role_arn,
        rollback_configuration=builtins_of(request.rollback_configuration),
        acknowledges_macros=True,
    )
    revision, _ = await prepare(call, source, await read_source(call, source))
    stack = replace(
        new_stack(call, name, revision, stack_id),
        disable_rollback=bool(request.disable_rollback) or request.on_failure == "DO_NOTHING",
        retain_except_on_create=bool(request.retain_except_on_create),
        timeout_minutes=request.timeout_in_minutes,
        termination_protection=bool(request.enable_termination_protection),
        policy=request.stack_policy_body,
    )
    on_failure: OnFailure = "DO_NOTHING" if request.disable_rollback else request.on_failure or "ROLLBACK"

    def work(inner: Call) -> None:
        take_name(inner, stack)
        begin_create(inner, stack, on_failure=on_failure, token=request.client_request_token)

    await call.transact(work)
    await linger(call, stack_id)
    return api.CreateStackOutput(stack_id=stack_id)


@operation
async def update_stack(call: Call, request: api.UpdateStackInput) -> api.UpdateStackOutput:
    """Bring a stack to a new template or new parameters; what changes is made in the background."""
    stack = await call.look(lambda inner: load_live_stack(inner.reader, call.account, call.region, request.stack_name))
    check_updatable(stack)
    source = Source(
        stack_id=stack.id,
        stack_name=stack.name,
        body=request.template_body,
        url=request.template_url,
        use_previous=bool(request.use_previous_template),
        parameters=read_given(request.parameters),
        tags=stack.revision.tags if request.tags is None else read_tags(request.tags),
        capabilities=tuple(request.capabilities or ()),
        notification_arns=stack.revision.notification_arns
        if request.notification_arns is None
        else tuple(request.notification_arns),
        role_arn=request.role_arn or stack.revision.role_arn,
        rollback_configuration=builtins_of(request.rollback_configuration) or stack.revision.rollback_configuration,
        previous=stack.revision,
        acknowledges_macros=True,
    )
    revision, _ = await prepare(call, source, await read_source(call, source))
    on_failure: OnFailure = "DO_NOTHING" if request.disable_rollback else "ROLLBACK"

    def work(inner: Call) -> None:
        current = load_live_stack(inner.reader, call.account, call.region, stack.id)
        check_updatable(current)
        if not differs(current.revision, revision) and current.status not in {"UPDATE_FAILED", "CREATE_FAILED"}:
            raise invalid("No updates are to be performed.")
        check_types_kept(inner, current, revision)
        if request.stack_policy_body is not None:
            current = replace(current, policy=request.stack_policy_body)
        begin_update(inner, current, revision, on_failure=on_failure, token=request.client_request_token)

    await call.transact(work)
    await linger(call, stack.id)
    return api.UpdateStackOutput(stack_id=stack.id)


@operation
async def delete_stack(call: Call, request: api.DeleteStackInput) -> None:
    """Delete a stack and its resources in the background; one that is not there is deleted already."""
    stack_id = await call.transact(lambda inner: _begin_delete(inner, request))
    if stack_id is not None:
        await linger(call, stack_id)


def _begin_delete(call: Call, request: api.DeleteStackInput) -> str | None:
    """Begin a deletion and return the stack's id; None where there is nothing to delete."""
    stack = find_stack(call.reader, call.account, call.region, request.stack_name)
    if stack is None or not stack.is_live or stack.status == "DELETE_IN_PROGRESS":
        return None
    if stack.termination_protection:
        raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
    if stack.is_busy and stack.status not in {"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"}:
        raise invalid(f"Stack [{stack.id}] cannot be deleted while in status {stack.status}")
    retain = tuple(request.retain_resources or ())
    if retain and stack.status != "DELETE_FAILED":
        raise invalid(
            f"Invalid operation on stack [{stack.id}]. RetainResources is only valid when the stack is in "
            "DELETE_FAILED state."
        )
    begin_delete(call, stack, retain=retain, token=request.client_request_token)
    return stack.id


@operation(readonly=True)
def describe_stacks(call: Call, request: api.DescribeStacksInput) -> api.DescribeStacksOutput:
    """Describe one stack (a deleted one by its id), or all live ones."""
    if request.stack_name is not None:
        stack = load_stack(call.reader, call.account, call.region, request.stack_name)
        return api.DescribeStacksOutput(stacks=[_describe(stack)])
    stacks = [stack for stack in _all_stacks(call) if stack.is_live]
    return api.DescribeStacksOutput(stacks=[_describe(stack) for stack in stacks])


@operation(readonly=True)
def list_stacks(call: Call, request: api.ListStacksInput) -> api.ListStacksOutput:
    """List stacks in short, deleted ones of the last 90 days too."""
    wanted = set(request.stack_status_filter or ())
    stacks = [stack for stack in _all_stacks(call) if not wanted or stack.status in wanted]
    return api.ListStacksOutput(stack_summaries=[_summarise(stack) for stack in stacks])


def _all_stacks(call: Call) -> Sequence[Stack]:
    found = [stack for _, stack in call.reader.list(STACK, key_prefix(call.account, call.region))]
    return sorted(found, key=lambda stack: -stack.created_at)


@operation
def cancel_update_stack(call: Call, request: api.CancelUpdateStackInput) -> None:
    """Cancel the update that runs on a stack; what it changed is rolled back."""
    stack = load_live_stack(call.reader, call.account, call.region, request.stack_name)
    if stack.status != "UPDATE_IN_PROGRESS":
        raise invalid(f"CancelUpdateStack cannot be called from current stack status [{stack.status}]")
    deployment = find_deployment(call.reader, stack)
    if deployment is not None:
        call.records.put(DEPLOYMENT, stack_key(stack), replace(deployment, cancelled=True))


@operation
def continue_update_rollback(call: Call, request: api.ContinueUpdateRollbackInput) -> api.ContinueUpdateRollbackOutput:
    """Take up a rollback that failed, leaving out the resources to skip."""
    stack = load_live_stack(call.reader, call.account, call.region, request.stack_name)
    deployment = find_deployment(call.reader, stack)
    if stack.status != "UPDATE_ROLLBACK_FAILED" or deployment is None:
        raise invalid(
            f"Stack:{stack.id} is in {stack.status} state and can not continue rolling back the stack update. "
            "UPDATE_ROLLBACK_FAILED state is required."
        )
    skip = tuple(request.resources_to_skip or ())
    call.records.put(DEPLOYMENT, stack_key(stack), replace(deployment, skip=skip, token=call.ids.uuid()))
    put_stack(
        call,
        replace(stack, status="UPDATE_ROLLBACK_IN_PROGRESS", reason="User Initiated"),
        request.client_request_token,
    )
    call.apply(deploy_timer(stack_key(stack), call.now))
    return api.ContinueUpdateRollbackOutput()


@operation
def update_termination_protection(
    call: Call, request: api.UpdateTerminationProtectionInput
) -> api.UpdateTerminationProtectionOutput:
    """Protect a stack from deletion, or no longer."""
    stack = load_live_stack(call.reader, call.account, call.region, request.stack_name)
    protected = replace(stack, termination_protection=request.enable_termination_protection)
    call.records.put(STACK, stack_key(stack), protected)
    return api.UpdateTerminationProtectionOutput(stack_id=stack.id)


def read_tags(tags: Sequence[api.Tag] | None) -> dict[str, str]:
    """Return a request's tags as a map."""
    return {tag.key: tag.value for tag in tags or ()}


def show_tags(tags: dict[str, str]) -> list[api.Tag]:
    """Return tags as answers give them."""
    return [api.Tag(key=key, value=value) for key, value in tags.items()]


def show_parameters(parameters: dict[str, Bound]) -> list[api.Parameter] | None:
    """Return parameters as answers give them: the values of NoEcho ones are masked; None where there are none."""
    return [
        api.Parameter(
            parameter_key=key,
            parameter_value=MASK if item.no_echo else item.value,
            resolved_value=MASK if item.no_echo and item.resolved is not None else item.resolved,
        )
        for key, item in parameters.items()
    ] or None


def builtins_of(configuration: api.RollbackConfiguration | None) -> dict[str, object] | None:
    """Return a rollback configuration as it is kept."""
    return None if configuration is None else msgspec.to_builtins(configuration)


def show_rollback_configuration(revision: Revision) -> api.RollbackConfiguration:
    """Return the rollback configuration of a revision; AWS answers an empty one where there is none."""
    return msgspec.convert(revision.rollback_configuration or {}, api.RollbackConfiguration)


def _describe(stack: Stack) -> api.Stack:
    revision = stack.revision
    return api.Stack(
        stack_name=stack.name,
        stack_id=stack.id,
        change_set_id=stack.change_set_id,
        creation_time=stack.created_at,
        last_updated_time=stack.updated_at,
        deletion_time=stack.deleted_at,
        stack_status=cast("api.StackStatus", stack.status),
        stack_status_reason=stack.reason,
        description=revision.description or None,
        parameters=show_parameters(revision.parameters),
        rollback_configuration=show_rollback_configuration(revision),
        disable_rollback=stack.disable_rollback,
        notification_arns=list(revision.notification_arns),
        timeout_in_minutes=stack.timeout_minutes,
        capabilities=cast("list[api.Capability]", list(revision.capabilities)) or None,
        outputs=[
            api.Output(
                output_key=item.key,
                output_value=item.value,
                description=item.description or None,
                export_name=item.export,
            )
            for item in stack.outputs
        ]
        or None,
        role_arn=revision.role_arn,
        tags=show_tags(revision.tags),
        enable_termination_protection=stack.termination_protection,
        parent_id=stack.parent_id,
        root_id=stack.root_id,
        drift_information=api.StackDriftInformation(stack_drift_status="NOT_CHECKED"),
    )


def _summarise(stack: Stack) -> api.StackSummary:
    return api.StackSummary(
        stack_name=stack.name,
        stack_id=stack.id,
        template_description=stack.revision.description or None,
        creation_time=stack.created_at,
        last_updated_time=stack.updated_at,
        deletion_time=stack.deleted_at,
        stack_status=cast("api.StackStatus", stack.status),
        stack_status_reason=stack.reason,
        parent_id=stack.parent_id,
        root_id=stack.root_id,
        drift_information=api.StackDriftInformationSummary(stack_drift_status="NOT_CHECKED"),
    )
