"""When a rule's schedule is due: one timer for each enabled rule that has one, kept with the rule."""

from forebay.operations.call import Call
from forebay.services.events.rule import Rule, schedule_of
from forebay.store.commands import DeleteTimers, PutTimers, Timer

KIND = "events.schedule"


def keep_schedule(call: Call, before: Rule, rule: Rule | None) -> None:
    """Set the timer of a rule that has changed, or delete it where the rule is gone or has no schedule that runs."""
    due_at = None if rule is None else next_due_at(rule, call.now)
    if due_at is not None:
        call.apply(PutTimers((Timer(KIND, before.key(), int(due_at * 1000), b""),)))
    elif before.schedule:
        call.apply(DeleteTimers(KIND, (before.key(),)))


def next_due_at(rule: Rule, after: float) -> float | None:
    """Return the first moment later than `after` at which a rule's schedule is due, if there is one.

    A rate counts from the moment at which the schedule began to run, and does not fire at that moment itself.
    """
    schedule = schedule_of(rule)
    return None if schedule is None else schedule.next_after(after, rule.scheduled_from)
