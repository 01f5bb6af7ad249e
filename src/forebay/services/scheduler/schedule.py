"""A schedule as it is kept, what may be in one, and when it is due. Pure but for the loads."""

import math

import msgspec

from forebay.api import scheduler as api
from forebay.core.arn import Arn
from forebay.languages.cron import At, Cron, InvalidSchedule, Rate, parse_zoned_schedule
from forebay.languages.cron import Schedule as Expression
from forebay.operations.call import Call
from forebay.services.scheduler import limits
from forebay.services.scheduler.errors import invalid, no_schedule
from forebay.services.scheduler.group import GroupAddress
from forebay.store.records import Kind, record_key

UTC = "UTC"
FLEXIBLE = "FLEXIBLE"
DISABLED = "DISABLED"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule. `counted_from` is where a rate counts from when no start date says so."""

    group: GroupAddress
    name: str
    expression: str
    target: api.Target
    window: api.FlexibleTimeWindow
    zone: str = UTC
    state: api.ScheduleState = "ENABLED"
    start_date: float | None = None
    end_date: float | None = None
    description: str | None = None
    kms_key: str | None = None
    after_completion: api.ActionAfterCompletion = "NONE"
    created_at: float = 0.0
    modified_at: float = 0.0
    counted_from: float = 0.0
    client_token: str | None = None

    def key(self) -> str:
        """Return the key of the schedule's record and of its timer."""
        return schedule_key(self.group, self.name)

    def arn(self) -> str:
        """Return the schedule's ARN."""
        resource = f"schedule/{self.group.name}/{self.name}"
        return str(Arn.of("scheduler", self.group.region, self.group.account, resource))

    @property
    def is_enabled(self) -> bool:
        """Whether the schedule runs."""
        return self.state != DISABLED

    @property
    def window_seconds(self) -> float:
        """How much later than scheduled the target may be invoked."""
        if self.window.mode != FLEXIBLE:
            return 0.0
        return (self.window.maximum_window_in_minutes or 0) * 60.0

    def timing(self) -> tuple[object, ...]:
        """Return all that decides when the schedule is due."""
        window = (self.window.mode, self.window.maximum_window_in_minutes)
        return (self.expression, self.zone, self.start_date, self.end_date, self.state, window)


SCHEDULE = Kind("scheduler.schedule", Schedule)


def schedule_key(group: GroupAddress, name: str) -> str:
    """Return the key of a schedule's record."""
    return record_key(group.key(), name)


def load_schedule(call: Call, group: GroupAddress, name: str) -> Schedule:
    """Return a schedule inside a transaction or view.

    Raises:
        ResourceNotFoundException: there is no such schedule.
    """
    schedule = call.reader.find(SCHEDULE, schedule_key(group, name))
    if schedule is None:
        raise no_schedule(name)
    return schedule


def first_due_at(schedule: Schedule) -> float | None:
    """Return when a schedule that has just been made, changed or enabled is due, if it ever is.

    A rate without a start date begins at once ("Schedule types", rate-based schedules).
    """
    counted_from = schedule.counted_from
    if isinstance(_expression(schedule), Rate) and schedule.start_date is None:
        return next_due_at(schedule, math.nextafter(counted_from, -math.inf))
    return next_due_at(schedule, counted_from)


def next_due_at(schedule: Schedule, after: float) -> float | None:
    """Return the first moment later than `after` for which an enabled schedule is scheduled, if there is one.

    Start and end dates are ignored for one-time schedules (CreateSchedule, API reference).
    """
    if not schedule.is_enabled:
        return None
    match _expression(schedule):
        case At() as once:
            return once.next_after(after)
        case Rate() as rate:
            start = schedule.counted_from if schedule.start_date is None else schedule.start_date
            due_at = rate.next_after(after, start)
        case Cron() as cron:
            due_at = cron.next_after(after, schedule.start_date or 0.0)
    if due_at is None or (schedule.end_date is not None and due_at > schedule.end_date):
        return None
    return due_at


def due_after(schedule: Schedule, scheduled_at: float, now: float) -> float | None:
    """Return what comes after an occurrence that is fired `now`.

    Occurrences that can still be on time are not left out; older ones, from when no node ran, are: the one that is
    fired stands for them.
    """
    late_seconds = max(schedule.window_seconds, limits.PRECISION_SECONDS)
    return next_due_at(schedule, max(scheduled_at, now - late_seconds))


def check_timing(schedule: Schedule, now: float, before: Schedule | None = None) -> None:
    """Check when a schedule is to run; dates that it had `before` may have passed.

    Raises:
        ValidationException: in AWS's words where they are known.
    """
    try:
        parse_zoned_schedule("rate(1 minute)", schedule.zone)
    except InvalidSchedule:
        raise invalid(f"Invalid Schedule Expression Timezone {schedule.zone}.") from None
    try:
        once = isinstance(_expression(schedule), At)
    except InvalidSchedule:
        raise invalid(f"Invalid Schedule Expression {schedule.expression}.") from None
    if not once:
        _check_dates(schedule, now, before)
    window = schedule.window
    if window.mode == FLEXIBLE and window.maximum_window_in_minutes is None:
        raise invalid("MaximumWindowInMinutes must be specified when the FlexibleTimeWindow mode is FLEXIBLE.")
    if window.mode != FLEXIBLE and window.maximum_window_in_minutes is not None:
        raise invalid("MaximumWindowInMinutes must not be specified when the FlexibleTimeWindow mode is OFF.")


def _check_dates(schedule: Schedule, now: float, before: Schedule | None) -> None:
    start, end = schedule.start_date, schedule.end_date
    has_new_start = before is None or start != before.start_date
    has_new_end = before is None or end != before.end_date
    if start is not None and has_new_start and start < now - limits.START_DATE_AGE_SECONDS_MAX:
        raise invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and has_new_end and end <= now:
        raise invalid("The EndDate you specify cannot be in the past.")
    if start is not None and end is not None and end <= start:
        raise invalid("The EndDate you specify must be later than the StartDate.")


def _expression(schedule: Schedule) -> Expression:
    return parse_zoned_schedule(schedule.expression, schedule.zone)
