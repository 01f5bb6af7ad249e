"""Operations on change sets: create, describe, execute, delete, list."""

from typing import cast

import msgspec
from msgspec.structs import replace

from forebay.api import cloudformation as api
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.change_set import CHANGE_SET, ChangeSet, find_changes
from forebay.services.cloudformation.launch import (
    OnFailure,
    begin_create,
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
from forebay.services.cloudformation.lookup import find_stack, list_exports, list_resources, load_live_stack
from forebay.services.cloudformation.preparation import Source, prepare, read_given, read_source
from forebay.services.cloudformation.scope import parameter_values, pseudo_parameters, template_of
from forebay.services.cloudformation.stack import Revision, Stack
from forebay.services.cloudformation.stacks import (
    builtins_of,
    read_tags,
    show_parameters,
    show_rollback_configuration,
    show_tags,
)
from forebay.services.cloudformation.template.errors import invalid
from forebay.store.records import RecordReader, key_prefix, record_key

_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


@operation
async def create_change_set(call: Call, request: api.CreateChangeSetInput) -> api.CreateChangeSetOutput:
    """Work out what a template would change in a stack (or that it would create), without changing it."""
    if request.change_set_type == "IMPORT":
        raise ServiceError.of("NotImplemented", "Change sets of type IMPORT are not implemented by Forebay.", 501)
    creates = request.change_set_type == "CREATE"
    stack = await call.look(lambda inner: _find_stack(inner, request, creates=creates))
    name = request.stack_name if stack is None else stack.name
    stack_id = new_stack_id(call, name) if stack is None else stack.id
    old = None if stack is None or stack.status == "REVIEW_IN_PROGRESS" else stack.revision
    source = _source(request, stack_id, name, old)
    body = await read_source(call, source)
    revision, problem = await _prepare(call, source, body)
    change_set = _new_change_set(call, request, stack_id, name, revision)

    def work(inner: Call) -> None:
        holder = stack
        if holder is None:
            holder = new_stack(inner, name, revision, stack_id)
            take_name(inner, holder)
            put_stack(inner, holder)
        _check_name_free(inner, holder, change_set.name)
        finished = _compare(inner, holder, change_set, problem)
        inner.records.put(CHANGE_SET, _key(holder, change_set.uuid), finished)

    await call.transact(work)
    return api.CreateChangeSetOutput(id=change_set.id, stack_id=stack_id)


def _find_stack(call: Call, request: api.CreateChangeSetInput, *, creates: bool) -> Stack | None:
    """Return the stack that the change set is for; None where it will make one.

    Raises:
        ServiceError: `ValidationError`: the stack exists and may not, or the other way round.
    """
    stack = find_stack(call.reader, call.account, call.region, request.stack_name)
    if stack is not None and not stack.is_live:
        stack = None
    if creates:
        if stack is None:
            check_name(request.stack_name)
        elif stack.status != "REVIEW_IN_PROGRESS":
            raise invalid(
                f"Stack [{stack.name}] already exists and cannot be created again with the changeSet "
                f"[{request.change_set_name}]."
            )
        return stack
    if stack is None:
        raise invalid(f"Stack [{request.stack_name}] does not exist")
    check_updatable(stack)
    return stack


def _source(request: api.CreateChangeSetInput, stack_id: str, name: str, old: Revision | None) -> Source:
    kept_tags = {} if old is None else old.tags
    kept_arns = () if old is None else old.notification_arns
    return Source(
        stack_id=stack_id,
        stack_name=name,
        body=request.template_body,
        url=request.template_url,
        use_previous=bool(request.use_previous_template),
        parameters=read_given(request.parameters),
        tags=kept_tags if request.tags is None else read_tags(request.tags),
        capabilities=tuple(request.capabilities or ()),
        notification_arns=kept_arns if request.notification_arns is None else tuple(request.notification_arns),
        role_arn=request.role_arn or (None if old is None else old.role_arn),
        rollback_configuration=builtins_of(request.rollback_configuration)
        or (None if old is None else old.rollback_configuration),
        previous=old,
    )


async def _prepare(call: Call, source: Source, body: str) -> tuple[Revision, str | None]:
    """Return the revision, or, where a macro of the template fails, an empty one and why.

    CloudFormation runs macros after it has answered, so their failures are the change set's and not the call's.
    """
    try:
        revision, _ = await prepare(call, source, body)
    except ServiceError as error:
        if not error.message.startswith("Transform "):
            raise
        return Revision(body, "{}", tags=source.tags, capabilities=source.capabilities), error.message
    return revision, None


def _new_change_set(
    call: Call, request: api.CreateChangeSetInput, stack_id: str, name: str, revision: Revision
) -> ChangeSet:
    uuid = call.ids.uuid()
    return ChangeSet(
        id=str(call.arn(f"changeSet/{request.change_set_name}/{uuid}")),
        name=request.change_set_name,
        uuid=uuid,
        stack_id=stack_id,
        stack_name=name,
        type=request.change_set_type or "UPDATE",
        created_at=call.now,
        status="CREATE_COMPLETE",
        execution_status="AVAILABLE",
        revision=revision,
        description=request.description,
        on_stack_failure=request.on_stack_failure,
        include_nested_stacks=bool(request.include_nested_stacks),
    )


def _check_name_free(call: Call, stack: Stack, name: str) -> None:
    # A name is free again when its change set has been executed or deleted.
    taken = [item for item in _change_sets(call.reader, stack) if item.name == name]
    if any(item.execution_status in {"AVAILABLE", "UNAVAILABLE"} for item in taken):
        raise api.AlreadyExistsException(f"ChangeSet [{name}] already exists")


def _compare(call: Call, stack: Stack, change_set: ChangeSet, problem: str | None) -> ChangeSet:
    """Return the change set with its changes, or as failed."""
    if problem is None:
        try:
            return _with_changes(call, stack, change_set)
        except ServiceError as error:
            problem = error.message
    return replace(change_set, status="FAILED", execution_status="UNAVAILABLE", reason=problem)


def _with_changes(call: Call, stack: Stack, change_set: ChangeSet) -> ChangeSet:
    revision = change_set.revision
    if change_set.type == "UPDATE":
        if not differs(stack.revision, revision) and stack.status not in {"UPDATE_FAILED", "CREATE_FAILED"}:
            raise invalid(_NO_CHANGES)
        check_types_kept(call, stack, revision)
    values = {
        **pseudo_parameters(stack.id, stack.name, revision.notification_arns),
        **parameter_values(revision.parameters),
    }
    resources = list_resources(call.reader, stack)
    exports = list_exports(call.reader, call.account, call.region)
    changes = find_changes(template_of(revision), values, resources, exports)
    return replace(change_set, changes=tuple(msgspec.to_builtins(item) for item in changes))


def _key(stack: Stack, uuid: str) -> str:
    return record_key(stack.account, stack.region, stack.uuid, uuid)


def _change_sets(reader: RecordReader, stack: Stack) -> list[ChangeSet]:
    return [item for _, item in reader.list(CHANGE_SET, key_prefix(stack.account, stack.region, stack.uuid))]


def load_change_set(call: Call, name: str, stack_name: str | None) -> tuple[Stack, ChangeSet]:
    """Return a change set by its id, or by its name and its stack's, with its stack.

    Raises:
        ChangeSetNotFoundException: there is none.
    """
    is_id = name.startswith("arn:")
    if not is_id and stack_name is None:
        raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
    if stack_name is not None:
        stacks = [find_stack(call.reader, call.account, call.region, stack_name)]
        if stacks[0] is None and not is_id:
            raise invalid(f"Stack [{stack_name}] does not exist")
    else:
        stacks = []
    if is_id and not any(stacks):
        return _by_id(call, name)
    for stack in stacks:
        assert stack is not None
        found = [item for item in _change_sets(call.reader, stack) if name in {item.id, item.name}]
        if found:
            return stack, max(found, key=lambda item: item.created_at)
    raise api.ChangeSetNotFoundException(f"ChangeSet [{name}] does not exist")


def _by_id(call: Call, change_set_id: str) -> tuple[Stack, ChangeSet]:
    uuid = change_set_id.rpartition("/")[2]
    for _, item in call.reader.list(CHANGE_SET, key_prefix(call.account, call.region)):
        if item.uuid == uuid:
            stack = find_stack(call.reader, call.account, call.region, item.stack_id)
            if stack is not None:
                return stack, item
    raise api.ChangeSetNotFoundException(f"ChangeSet [{change_set_id}] does not exist")


@operation(readonly=True)
def describe_change_set(call: Call, request: api.DescribeChangeSetInput) -> api.DescribeChangeSetOutput:
    """Describe a change set and its changes."""
    stack, change_set = load_change_set(call, request.change_set_name, request.stack_name)
    revision = change_set.revision
    return api.DescribeChangeSetOutput(
        change_set_name=change_set.name,
        change_set_id=change_set.id,
        stack_id=change_set.stack_id,
        stack_name=change_set.stack_name,
        description=change_set.description,
        parameters=show_parameters(revision.parameters),
        creation_time=change_set.created_at,
        execution_status=_execution_status(stack, change_set),
        status=cast("api.ChangeSetStatus", change_set.status),
        status_reason=change_set.reason,
        notification_arns=list(revision.notification_arns),
        rollback_configuration=show_rollback_configuration(revision),
        capabilities=cast("list[api.Capability]", list(revision.capabilities)) or None,
        tags=show_tags(revision.tags) or None,
        changes=[msgspec.convert(item, api.Change) for item in change_set.changes],
        include_nested_stacks=change_set.include_nested_stacks,
        on_stack_failure=cast("api.OnStackFailure | None", change_set.on_stack_failure),
    )


def _execution_status(stack: Stack, change_set: ChangeSet) -> api.ExecutionStatus:
    """Return how far the execution is: the stack it runs on knows."""
    status = cast("api.ExecutionStatus", change_set.execution_status)
    if status != "EXECUTE_IN_PROGRESS" or (stack.change_set_id == change_set.id and stack.is_busy):
        return status
    failed = stack.change_set_id == change_set.id and ("ROLLBACK" in stack.status or stack.status.endswith("FAILED"))
    return "EXECUTE_FAILED" if failed else "EXECUTE_COMPLETE"


@operation
async def execute_change_set(call: Call, request: api.ExecuteChangeSetInput) -> api.ExecuteChangeSetOutput:
    """Have a change set's changes made; the stack's other change sets are gone with it."""
    stack_id = await call.transact(lambda inner: _begin_execution(inner, request))
    await linger(call, stack_id)
    return api.ExecuteChangeSetOutput()


def _begin_execution(call: Call, request: api.ExecuteChangeSetInput) -> str:
    stack, change_set = load_change_set(call, request.change_set_name, request.stack_name)
    if change_set.execution_status != "AVAILABLE":
        status = change_set.status if change_set.status == "FAILED" else change_set.execution_status
        raise api.InvalidChangeSetStatusException(
            f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{status}]"
        )
    for other in _change_sets(call.reader, stack):
        if other.uuid != change_set.uuid:
            call.records.delete(CHANGE_SET, _key(stack, other.uuid))
    executed = replace(change_set, execution_status="EXECUTE_IN_PROGRESS")
    call.records.put(CHANGE_SET, _key(stack, change_set.uuid), executed)
    on_failure = _on_failure(request, change_set)
    token = request.client_request_token
    if change_set.type == "CREATE":
        stack = replace(
            stack,
            revision=change_set.revision,
            disable_rollback=on_failure == "DO_NOTHING",
            retain_except_on_create=bool(request.retain_except_on_create),
        )
        begin_create(call, stack, on_failure=on_failure, token=token, change_set_id=change_set.id)
    else:
        check_updatable(stack)
        begin_update(call, stack, change_set.revision, on_failure=on_failure, token=token, change_set_id=change_set.id)
    return stack.id


def _on_failure(request: api.ExecuteChangeSetInput, change_set: ChangeSet) -> OnFailure:
    if request.disable_rollback:
        return "DO_NOTHING"
    return cast("OnFailure", change_set.on_stack_failure or "ROLLBACK")


@operation
def delete_change_set(call: Call, request: api.DeleteChangeSetInput) -> api.DeleteChangeSetOutput:
    """Delete a change set; one that is not there is deleted already."""
    try:
        stack, change_set = load_change_set(call, request.change_set_name, request.stack_name)
    except api.ChangeSetNotFoundException:
        return api.DeleteChangeSetOutput()
    if _execution_status(stack, change_set) == "EXECUTE_IN_PROGRESS":
        raise api.InvalidChangeSetStatusException(
            f"The change set [{change_set.id}] cannot be deleted while it is executed"
        )
    call.records.delete(CHANGE_SET, _key(stack, change_set.uuid))
    return api.DeleteChangeSetOutput()


@operation(readonly=True)
def list_change_sets(call: Call, request: api.ListChangeSetsInput) -> api.ListChangeSetsOutput:
    """List a stack's change sets."""
    stack = load_live_stack(call.reader, call.account, call.region, request.stack_name)
    summaries = [
        api.ChangeSetSummary(
            stack_id=stack.id,
            stack_name=stack.name,
            change_set_id=item.id,
            change_set_name=item.name,
            execution_status=_execution_status(stack, item),
            status=cast("api.ChangeSetStatus", item.status),
            status_reason=item.reason,
            creation_time=item.created_at,
            description=item.description,
            include_nested_stacks=item.include_nested_stacks,
        )
        for item in sorted(_change_sets(call.reader, stack), key=lambda item: -item.created_at)
    ]
    return api.ListChangeSetsOutput(summaries=summaries)
