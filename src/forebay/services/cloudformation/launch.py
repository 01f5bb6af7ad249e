"""Begins deployments: the records and the timer that hand a stack's operation to the deployer, in one transaction."""

import re
from typing import Literal

from msgspec.structs import replace

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.services.cloudformation.event import append_events, stack_event
from forebay.services.cloudformation.lookup import find_stack, list_resources
from forebay.services.cloudformation.scope import template_of
from forebay.services.cloudformation.stack import (
    DEPLOYMENT,
    STACK,
    STACK_NAME,
    Deployment,
    Revision,
    Stack,
    stack_key,
)
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.workers import deploy_timer
from forebay.store.records import record_key

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}\Z")
_UPDATABLE = {
    "CREATE_COMPLETE",
    "CREATE_FAILED",
    "IMPORT_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED",
    "UPDATE_ROLLBACK_COMPLETE",
}

# Clients look again after 5 seconds (SAM) or 30 (the AWS CLI), and most deployments here take less than one.
_LINGER_SECONDS = 2.0
_LOOK_SECONDS = 0.01

OnFailure = Literal["ROLLBACK", "DELETE", "DO_NOTHING"]


def check_name(name: str) -> None:
    """Check a new stack's name.

    Raises:
        ServiceError: `ValidationError` in the text of CloudFormation's model.
    """
    if not _NAME.match(name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )


def new_stack(call: Call, name: str, revision: Revision, stack_id: str) -> Stack:
    """Return a stack that is about to be; `stack_id` was chosen before, because templates can name it."""
    uuid = stack_id.rpartition("/")[2]
    return Stack(stack_id, name, uuid, "REVIEW_IN_PROGRESS", call.now, revision, reason="User Initiated")


def new_stack_id(call: Call, name: str) -> str:
    """Return the id of a new stack."""
    return str(call.arn(f"stack/{name}/{call.ids.uuid()}"))


def take_name(call: Call, stack: Stack) -> None:
    """Give a new stack its name.

    Raises:
        AlreadyExistsException: a live stack bears it.
    """
    if find_stack(call.reader, call.account, call.region, stack.name) is not None:
        raise api.AlreadyExistsException(f"Stack [{stack.name}] already exists")
    call.records.put(STACK_NAME, record_key(stack.account, stack.region, stack.name), stack.uuid)


def put_stack(call: Call, stack: Stack, token: str | None = None) -> None:
    """Put a stack's record and the event that tells of its status."""
    call.records.put(STACK, stack_key(stack), stack)
    call.apply(append_events(stack.uuid, [stack_event(stack, call.now, call.ids, token)]))


def check_updatable(stack: Stack) -> None:
    """Check that a stack's status allows an update.

    Raises:
        ServiceError: `ValidationError`: it does not.
    """
    if stack.status not in _UPDATABLE:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")


def check_types_kept(call: Call, stack: Stack, revision: Revision) -> None:
    """Check that no resource changes its type.

    Raises:
        ServiceError: `ValidationError` that names those that do.
    """
    template = template_of(revision)
    resources = list_resources(call.reader, stack)
    changed = [
        name
        for name, item in resources.items()
        if item.physical_id is not None and name in template.resources and template.resources[name].type != item.type
    ]
    if changed:
        raise invalid(
            "Update of resource type is not permitted. The new template modifies resource type of the following "
            f"resources: [{', '.join(sorted(changed))}]"
        )


def differs(old: Revision, new: Revision) -> bool:
    """Return whether an update to a revision would have anything to do."""

    def essence(revision: Revision) -> tuple[object, ...]:
        values = {key: item.in_template for key, item in revision.parameters.items()}
        return revision.processed, values, revision.tags, revision.notification_arns, revision.role_arn

    return essence(old) != essence(new)


def begin_create(
    call: Call,
    stack: Stack,
    *,
    on_failure: OnFailure,
    token: str | None,
    change_set_id: str | None = None,
) -> None:
    """Have a stack created."""
    stack = replace(
        stack, status="CREATE_IN_PROGRESS", reason="User Initiated", deployments=1, change_set_id=change_set_id
    )
    put_stack(call, stack, token)
    deadline = None if stack.timeout_minutes is None else call.now + 60.0 * stack.timeout_minutes
    _begin(call, stack, _deployment(call, stack, "CREATE", token, on_failure=on_failure, deadline=deadline))


def begin_update(
    call: Call,
    stack: Stack,
    revision: Revision,
    *,
    on_failure: OnFailure,
    token: str | None,
    change_set_id: str | None = None,
) -> None:
    """Have a stack brought to a new revision."""
    deployment = _deployment(call, stack, "UPDATE", token, on_failure=on_failure)
    deployment = replace(
        deployment,
        number=stack.deployments + 1,
        previous=stack.revision,
        previous_outputs=stack.outputs,
    )
    stack = replace(
        stack,
        status="UPDATE_IN_PROGRESS",
        reason="User Initiated",
        updated_at=call.now,
        revision=revision,
        deployments=stack.deployments + 1,
        change_set_id=change_set_id,
    )
    put_stack(call, stack, token)
    _begin(call, stack, deployment)


def begin_delete(call: Call, stack: Stack, *, retain: tuple[str, ...], token: str | None) -> None:
    """Have a stack deleted; whatever runs on it stops at its next step."""
    deployment = replace(_deployment(call, stack, "DELETE", token), retain=retain, number=stack.deployments + 1)
    stack = replace(
        stack,
        status="DELETE_IN_PROGRESS",
        reason="User Initiated",
        deployments=stack.deployments + 1,
    )
    put_stack(call, stack, token)
    _begin(call, stack, deployment)


async def linger(call: Call, stack_id: str) -> None:
    """Hold an answer back until what was begun is over, for two seconds at most, so that clients find it finished."""
    key = record_key(call.account, call.region, stack_id.rpartition("/")[2])
    due_at = call.clock.now() + _LINGER_SECONDS
    while not call.clock.is_frozen and call.clock.now() < due_at:
        if await call.find(DEPLOYMENT, key) is None:
            return
        await call.clock.sleep(_LOOK_SECONDS)


def _deployment(
    call: Call,
    stack: Stack,
    kind: Literal["CREATE", "UPDATE", "DELETE"],
    client_token: str | None,
    *,
    on_failure: OnFailure = "ROLLBACK",
    deadline: float | None = None,
) -> Deployment:
    caller = call.caller
    return Deployment(
        kind=kind,
        number=stack.deployments,
        token=call.ids.uuid(),
        access_key=caller.access_key,
        principal=caller.principal,
        endpoint=caller.endpoint,
        on_failure=on_failure,
        deadline=deadline,
        client_token=client_token,
    )


def _begin(call: Call, stack: Stack, deployment: Deployment) -> None:
    key = stack_key(stack)
    call.records.put(DEPLOYMENT, key, deployment)
    call.apply(deploy_timer(key, call.now))
