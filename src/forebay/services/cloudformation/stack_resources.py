"""Operations on a stack's resources and events: describe, list."""

from typing import cast

import msgspec

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.lookup import find_stack, list_resources, load_stack
from forebay.services.cloudformation.stack import RESOURCE, Stack, StackEvent, StackResource, event_stream
from forebay.services.cloudformation.template.errors import invalid
from forebay.store.commands import ReadLog
from forebay.store.records import key_parts, key_prefix

_EVENTS_A_PAGE = 100
_DRIFT = "NOT_CHECKED"


@operation(readonly=True)
def describe_stack_events(call: Call, request: api.DescribeStackEventsInput) -> api.DescribeStackEventsOutput:
    """Return a stack's events, the newest first, a hundred at a time."""
    stack = find_stack(call.reader, call.account, call.region, request.stack_name)
    if stack is None:
        raise invalid(f"Stack [{request.stack_name}] does not exist")
    before = _position(request.next_token)
    query = ReadLog(event_stream(stack.uuid), _EVENTS_A_PAGE, before=before, newest_first=True)
    entries = call.ask(query)
    events = [_event(stack, msgspec.json.decode(entry.data, type=StackEvent)) for entry in entries]
    more = len(entries) == _EVENTS_A_PAGE and entries[-1].position > 1
    return api.DescribeStackEventsOutput(stack_events=events, next_token=str(entries[-1].position) if more else None)


def _position(token: str | None) -> int | None:
    if token is None:
        return None
    if not token.isdecimal():
        raise invalid("NextToken is not valid")
    return int(token)


def _event(stack: Stack, event: StackEvent) -> api.StackEvent:
    return api.StackEvent(
        stack_id=stack.id,
        stack_name=stack.name,
        event_id=event.id,
        timestamp=event.at,
        logical_resource_id=event.logical_id,
        physical_resource_id=event.physical_id,
        resource_type=event.type,
        resource_status=cast("api.ResourceStatus", event.status),
        resource_status_reason=event.reason,
        resource_properties=event.properties,
        client_request_token=event.token,
    )


@operation(readonly=True)
def describe_stack_resource(call: Call, request: api.DescribeStackResourceInput) -> api.DescribeStackResourceOutput:
    """Describe one resource of a stack."""
    stack = _stack(call, request.stack_name)
    resource = list_resources(call.reader, stack).get(request.logical_resource_id)
    if resource is None:
        raise invalid(f"Resource {request.logical_resource_id} does not exist for stack {request.stack_name}")
    return api.DescribeStackResourceOutput(
        stack_resource_detail=api.StackResourceDetail(
            stack_name=stack.name,
            stack_id=stack.id,
            logical_resource_id=resource.logical_id,
            physical_resource_id=resource.physical_id,
            resource_type=resource.type,
            last_updated_timestamp=resource.changed_at,
            resource_status=cast("api.ResourceStatus", resource.status),
            resource_status_reason=resource.reason,
            metadata=resource.metadata or "{}",
            drift_information=api.StackResourceDriftInformation(stack_resource_drift_status=_DRIFT),
        )
    )


@operation(readonly=True)
def describe_stack_resources(call: Call, request: api.DescribeStackResourcesInput) -> api.DescribeStackResourcesOutput:
    """Describe a stack's resources; the stack may be named by the physical id of one of them."""
    if (request.stack_name is None) == (request.physical_resource_id is None):
        raise invalid("Exactly one of StackName and PhysicalResourceId must be specified")
    if request.physical_resource_id is not None:
        stack = _owner(call, request.physical_resource_id)
    else:
        stack = _stack(call, request.stack_name or "")
    resources = _in_order(list_resources(call.reader, stack))
    wanted = request.logical_resource_id
    if wanted is not None:
        resources = [item for item in resources if item.logical_id == wanted]
        if not resources:
            raise invalid(f"Resource {wanted} does not exist for stack {stack.name}")
    return api.DescribeStackResourcesOutput(
        stack_resources=[
            api.StackResource(
                stack_name=stack.name,
                stack_id=stack.id,
                logical_resource_id=item.logical_id,
                physical_resource_id=item.physical_id,
                resource_type=item.type,
                timestamp=item.changed_at,
                resource_status=cast("api.ResourceStatus", item.status),
                resource_status_reason=item.reason,
                drift_information=api.StackResourceDriftInformation(stack_resource_drift_status=_DRIFT),
            )
            for item in resources
        ]
    )


@operation(readonly=True)
def list_stack_resources(call: Call, request: api.ListStackResourcesInput) -> api.ListStackResourcesOutput:
    """List a stack's resources in short."""
    stack = _stack(call, request.stack_name)
    return api.ListStackResourcesOutput(
        stack_resource_summaries=[
            api.StackResourceSummary(
                logical_resource_id=item.logical_id,
                physical_resource_id=item.physical_id,
                resource_type=item.type,
                last_updated_timestamp=item.changed_at,
                resource_status=cast("api.ResourceStatus", item.status),
                resource_status_reason=item.reason,
                drift_information=api.StackResourceDriftInformationSummary(stack_resource_drift_status=_DRIFT),
            )
            for item in _in_order(list_resources(call.reader, stack))
        ]
    )


def _stack(call: Call, name: str) -> Stack:
    return load_stack(call.reader, call.account, call.region, name)


def _owner(call: Call, physical_id: str) -> Stack:
    for key, resource in call.reader.list(RESOURCE, key_prefix(call.account, call.region)):
        if resource.physical_id == physical_id:
            return _stack(call, str(call.arn(f"stack/-/{key_parts(key)[2]}")))
    raise invalid(f"Stack for {physical_id} does not exist")


def _in_order(resources: dict[str, StackResource]) -> list[StackResource]:
    return [resources[name] for name in sorted(resources)]
