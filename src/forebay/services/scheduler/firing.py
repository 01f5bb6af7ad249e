"""One firing of a schedule: what is sent to the target, and the timer that says when.

A schedule has one timer. Settling it and taking the delivery are one transaction, so that each occurrence is delivered
once whoever fires it, and not at all where somebody else has.
"""

from collections.abc import Mapping

import msgspec

from forebay.core.ids import Ids
from forebay.core.timestamps import format_iso8601
from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.operations.universal import ROLE, is_universal
from forebay.services.scheduler import limits
from forebay.services.scheduler.schedule import Schedule
from forebay.services.scheduler.schedule_target import render
from forebay.store.commands import Timer

KIND = "scheduler.fire"

# Parameters of a delivery that this service itself reads: for dead letters and universal targets.
SCHEDULED_TIME = "ScheduledTime"
EXECUTION_ID = "ExecutionId"

ATTEMPT_NUMBER = "<aws.scheduler.attempt-number>"


class Occurrence(msgspec.Struct, frozen=True):
    """What a timer holds: the moment that the expression gives, which the window may put off."""

    scheduled_at: float


_decode = msgspec.json.Decoder(Occurrence).decode


def timer_of(schedule: Schedule, scheduled_at: float, ids: Ids) -> Timer:
    """Return the timer for an occurrence, due at some moment of the flexible window."""
    due_at = scheduled_at + ids.uniform(0.0, schedule.window_seconds)
    return Timer(KIND, schedule.key(), int(due_at * 1000), msgspec.json.encode(Occurrence(scheduled_at)))


def occurrence_of(data: bytes) -> Occurrence:
    """Return what `timer_of` put in a timer."""
    return _decode(data)


def delivery_of(schedule: Schedule, scheduled_at: float, now: float, ids: Ids) -> Delivery:
    """Return the delivery of one occurrence."""
    target = schedule.target
    execution_id, event_id = ids.hex(16), ids.uuid()
    scheduled_time = format_iso8601(int(scheduled_at))
    context = {
        "<aws.scheduler.schedule-arn>": schedule.arn(),
        "<aws.scheduler.scheduled-time>": scheduled_time,
        "<aws.scheduler.execution-id>": execution_id,
    }
    if not is_universal(target.arn):
        # Targets in the node take what they are given at the first attempt; universal ones are told which it is.
        context[ATTEMPT_NUMBER] = "1"
    retry = target.retry_policy
    attempts = None if retry is None else retry.maximum_retry_attempts
    age_seconds = None if retry is None else retry.maximum_event_age_in_seconds
    return Delivery(
        ids.uuid(),
        schedule.arn(),
        target.arn,
        _payload(schedule, scheduled_time, event_id, context),
        now,
        RetryPolicy(
            limits.RETRY_ATTEMPTS if attempts is None else attempts,
            limits.EVENT_AGE_SECONDS if age_seconds is None else age_seconds,
        ),
        event_id,
        group=None if target.sqs_parameters is None else target.sqs_parameters.message_group_id,
        parameters={
            SCHEDULED_TIME: scheduled_time,
            EXECUTION_ID: execution_id,
            ROLE: target.role_arn,
            **_event_parameters(schedule),
        },
        dead_letter=None if target.dead_letter_config is None else target.dead_letter_config.arn,
    )


def _payload(schedule: Schedule, scheduled_time: str, event_id: str, context: Mapping[str, str]) -> str:
    if schedule.target.input is not None:
        return render(schedule.target.input, context)
    if schedule.target.event_bridge_parameters is not None:
        return "{}"
    # "If you do not specify anything for this field, EventBridge Scheduler delivers a default notification"
    # (API reference, Target).
    notification = {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": schedule.group.account,
        "time": scheduled_time,
        "region": schedule.group.region,
        "resources": [schedule.arn()],
        "detail": "{}",
    }
    return msgspec.json.encode(notification).decode()


def _event_parameters(schedule: Schedule) -> dict[str, str]:
    given = schedule.target.event_bridge_parameters
    if given is None:
        return {}
    resources = msgspec.json.encode([schedule.arn()]).decode()
    return {"Source": given.source, "DetailType": given.detail_type, "Resources": resources}
