"""Operations on schedules."""

import math
from collections.abc import Iterator

from msgspec.structs import replace

from forebay.api import scheduler as api
from forebay.operations.call import Call
from forebay.operations.pages import decode_token, encode_token
from forebay.operations.service import operation
from forebay.services.scheduler import limits
from forebay.services.scheduler.errors import invalid
from forebay.services.scheduler.firing import KIND, timer_of
from forebay.services.scheduler.group import GroupAddress, load_group
from forebay.services.scheduler.schedule import SCHEDULE, Schedule, check_timing, first_due_at, load_schedule
from forebay.services.scheduler.schedule_target import check_target, with_defaults
from forebay.store.commands import DeleteTimers, PutTimers
from forebay.store.records import key_prefix


@operation
async def create_schedule(call: Call, request: api.CreateScheduleInput) -> api.CreateScheduleOutput:
    """Make a schedule. The same request with the same client token is answered as the first one was.

    Raises:
        ConflictException: there is a schedule of that name in the group.
        ResourceNotFoundException: there is no such group.
    """
    schedule = _new_schedule(call, request)
    check_timing(schedule, call.now)
    await check_target(call, request.target)
    await call.transact(lambda inner: _create(inner, schedule))
    return api.CreateScheduleOutput(schedule_arn=schedule.arn())


@operation
async def update_schedule(call: Call, request: api.UpdateScheduleInput) -> api.UpdateScheduleOutput:
    """Replace a schedule: what the request does not name gets its default, as with AWS."""
    schedule = _new_schedule(call, request)
    before = await call.look(lambda inner: load_schedule(inner, schedule.group, schedule.name))
    check_timing(schedule, call.now, before)
    await check_target(call, request.target)
    await call.transact(lambda inner: _update(inner, schedule))
    return api.UpdateScheduleOutput(schedule_arn=schedule.arn())


@operation
def delete_schedule(call: Call, request: api.DeleteScheduleInput) -> api.DeleteScheduleOutput:
    """Delete a schedule; what it has already sent goes on."""
    group = GroupAddress.of(call, request.group_name)
    schedule = load_schedule(call, group, request.name)
    call.records.delete(SCHEDULE, schedule.key())
    call.apply(DeleteTimers(KIND, (schedule.key(),)))
    return api.DeleteScheduleOutput()


@operation(readonly=True)
def get_schedule(call: Call, request: api.GetScheduleInput) -> api.GetScheduleOutput:
    """Return a schedule."""
    schedule = load_schedule(call, GroupAddress.of(call, request.group_name), request.name)
    return api.GetScheduleOutput(
        arn=schedule.arn(),
        group_name=schedule.group.name,
        name=schedule.name,
        schedule_expression=schedule.expression,
        start_date=schedule.start_date,
        end_date=schedule.end_date,
        description=schedule.description,
        schedule_expression_timezone=schedule.zone,
        state=schedule.state,
        creation_date=schedule.created_at,
        last_modification_date=schedule.modified_at,
        kms_key_arn=schedule.kms_key,
        target=schedule.target,
        flexible_time_window=schedule.window,
        action_after_completion=schedule.after_completion,
    )


@operation
def list_schedules(call: Call, request: api.ListSchedulesInput) -> api.ListSchedulesOutput:
    """List schedules by group and name: of one group or all, by the beginning of their names and by state."""
    if request.group_name is not None:
        load_group(call, GroupAddress.of(call, request.group_name))
    limit = request.max_results or limits.PAGE_MAX
    found: list[Schedule] = []
    for schedule in _matching(call, request):
        if len(found) == limit:
            return api.ListSchedulesOutput(
                schedules=[_summary(each) for each in found], next_token=encode_token(found[-1].key())
            )
        found.append(schedule)
    return api.ListSchedulesOutput(schedules=[_summary(each) for each in found])


def _new_schedule(call: Call, request: api.CreateScheduleInput | api.UpdateScheduleInput) -> Schedule:
    return Schedule(
        group=GroupAddress.of(call, request.group_name),
        name=request.name,
        expression=request.schedule_expression,
        target=with_defaults(request.target),
        window=request.flexible_time_window,
        zone=request.schedule_expression_timezone or "UTC",
        state=request.state or "ENABLED",
        start_date=request.start_date,
        end_date=request.end_date,
        description=request.description,
        kms_key=request.kms_key_arn,
        after_completion=request.action_after_completion or "NONE",
        created_at=call.now,
        modified_at=call.now,
        counted_from=float(math.floor(call.now)),
        client_token=request.client_token,
    )


def _create(call: Call, schedule: Schedule) -> None:
    existing = call.records.find(SCHEDULE, schedule.key())
    if existing is not None:
        if schedule.client_token is not None and _is_same(existing, schedule):
            return
        raise api.ConflictException(f"Schedule {schedule.name} already exists.")
    group = load_group(call, schedule.group)
    if group.state != "ACTIVE":
        raise api.ConflictException(f"Schedule group {group.address.name} is being deleted.")
    _put(call, schedule)
    _set_timer(call, schedule)


def _update(call: Call, schedule: Schedule) -> None:
    before = load_schedule(call, schedule.group, schedule.name)
    schedule = replace(schedule, created_at=before.created_at, client_token=before.client_token)
    if schedule.timing() == before.timing():
        # It stays due when it was: also what is due just now and has not been fired yet.
        _put(call, replace(schedule, counted_from=before.counted_from))
        return
    _put(call, schedule)
    _set_timer(call, schedule)


def _put(call: Call, schedule: Schedule) -> None:
    call.records.put(SCHEDULE, schedule.key(), schedule)


def _set_timer(call: Call, schedule: Schedule) -> None:
    due_at = first_due_at(schedule)
    if due_at is None:
        call.apply(DeleteTimers(KIND, (schedule.key(),)))
    else:
        call.apply(PutTimers((timer_of(schedule, due_at, call.ids),)))


def _is_same(existing: Schedule, schedule: Schedule) -> bool:
    times = {"created_at": 0.0, "modified_at": 0.0, "counted_from": 0.0}
    return replace(existing, **times) == replace(schedule, **times)


def _matching(call: Call, request: api.ListSchedulesInput) -> Iterator[Schedule]:
    prefix = key_prefix(call.account, call.region)
    if request.group_name is not None:
        prefix = key_prefix(call.account, call.region, request.group_name) + (request.name_prefix or "")
    after = _after(request.next_token)
    while True:
        batch = call.reader.list(SCHEDULE, prefix, after=after, limit=limits.SCAN_BATCH)
        for _, schedule in batch:
            has_name = schedule.name.startswith(request.name_prefix or "")
            if has_name and (request.state is None or schedule.state == request.state):
                yield schedule
        if len(batch) < limits.SCAN_BATCH:
            return
        after = batch[-1][0]


def _after(token: str | None) -> str:
    try:
        return decode_token(token) if token else ""
    except ValueError:
        raise invalid("Invalid NextToken.") from None


def _summary(schedule: Schedule) -> api.ScheduleSummary:
    return api.ScheduleSummary(
        arn=schedule.arn(),
        name=schedule.name,
        group_name=schedule.group.name,
        state=schedule.state,
        creation_date=schedule.created_at,
        last_modification_date=schedule.modified_at,
        target=api.TargetSummary(arn=schedule.target.arn),
    )
