"""Operations on schedule groups."""

from msgspec.structs import replace

from forebay.api import scheduler as api
from forebay.operations.call import Call
from forebay.operations.pages import page_of
from forebay.operations.service import operation
from forebay.services.scheduler import limits
from forebay.services.scheduler.errors import invalid
from forebay.services.scheduler.group import DEFAULT, GROUP, GroupAddress, ScheduleGroup, find_group, load_group
from forebay.services.scheduler.tags import merge_tags
from forebay.services.scheduler.workers import DELETE_KIND
from forebay.store.commands import PutTimers, Timer
from forebay.store.records import key_prefix


@operation
def create_schedule_group(call: Call, request: api.CreateScheduleGroupInput) -> api.CreateScheduleGroupOutput:
    """Make a schedule group. The same request with the same client token is answered as the first one was.

    Raises:
        ConflictException: there is a group of that name.
    """
    address = GroupAddress.of(call, request.name)
    group = ScheduleGroup(
        address=address,
        created_at=call.now,
        modified_at=call.now,
        tags=merge_tags({}, request.tags),
        client_token=request.client_token,
    )
    existing = find_group(call, address)
    if existing is not None:
        is_repeated = request.client_token is not None and existing.client_token == request.client_token
        if not is_repeated or existing.tags != group.tags or existing.state != group.state:
            raise api.ConflictException(f"Schedule group {request.name} already exists.")
    else:
        call.records.put(GROUP, address.key(), group)
    return api.CreateScheduleGroupOutput(schedule_group_arn=address.arn())


@operation
def get_schedule_group(call: Call, request: api.GetScheduleGroupInput) -> api.GetScheduleGroupOutput:
    """Return a schedule group."""
    group = load_group(call, GroupAddress.of(call, request.name))
    return api.GetScheduleGroupOutput(
        arn=group.address.arn(),
        name=group.address.name,
        state=group.state,
        creation_date=group.created_at,
        last_modification_date=group.modified_at,
    )


@operation
def list_schedule_groups(call: Call, request: api.ListScheduleGroupsInput) -> api.ListScheduleGroupsOutput:
    """List schedule groups by name."""
    find_group(call, GroupAddress.of(call, DEFAULT))
    prefix = key_prefix(call.account, call.region) + (request.name_prefix or "")
    groups = [group for _, group in call.reader.list(GROUP, prefix)]
    limit = request.max_results or limits.PAGE_MAX
    try:
        shown, next_token = page_of(groups, lambda group: group.address.name, request.next_token, limit)
    except ValueError:
        raise invalid("Invalid NextToken.") from None
    return api.ListScheduleGroupsOutput(schedule_groups=[_summary(group) for group in shown], next_token=next_token)


@operation
def delete_schedule_group(call: Call, request: api.DeleteScheduleGroupInput) -> api.DeleteScheduleGroupOutput:
    """Begin to delete a group with all its schedules; it is `DELETING` until the last of them has gone."""
    if request.name == DEFAULT:
        raise invalid("The default schedule group cannot be deleted.")
    group = load_group(call, GroupAddress.of(call, request.name))
    deleting = replace(group, state="DELETING", modified_at=call.now)
    call.records.put(GROUP, group.address.key(), deleting)
    call.apply(PutTimers((Timer(DELETE_KIND, group.address.key(), call.now_ms, b""),)))
    return api.DeleteScheduleGroupOutput()


def _summary(group: ScheduleGroup) -> api.ScheduleGroupSummary:
    return api.ScheduleGroupSummary(
        arn=group.address.arn(),
        name=group.address.name,
        state=group.state,
        creation_date=group.created_at,
        last_modification_date=group.modified_at,
    )
