from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until

MIDNIGHT = 1_800_057_600.0  # 2027-01-16T00:00:00Z, a Saturday
TARGET = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}


@pytest.fixture
def queue(node: RunningNode, inbox: Callable[[str], Inbox]) -> Inbox:
    node.clock.freeze(MIDNIGHT)
    return inbox("q")


def schedule(events: Any, expression: str, **params: Any) -> None:
    events.put_rule(Name="tick", ScheduleExpression=expression, **params)
    events.put_targets(Rule="tick", Targets=[TARGET])


def fires(node: RunningNode, queue: Inbox, seconds: float) -> Any:
    """Step the clock and return the event that then arrives."""
    node.clock.advance(seconds)
    (event,) = wait_until(queue.events)
    return event


def test_rate_fires_after_each_interval(node: RunningNode, events: Any, queue: Inbox) -> None:
    schedule(events, "rate(5 minutes)")
    event = fires(node, queue, 300)
    del event["id"]
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": "2027-01-16T00:05:00Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/tick"],
        "detail": {},
    }
    assert fires(node, queue, 300)["time"] == "2027-01-16T00:10:00Z"


def test_cron_fires_at_its_minutes(node: RunningNode, events: Any, queue: Inbox) -> None:
    schedule(events, "cron(30 8 ? * MON *)")
    assert fires(node, queue, 3 * 86_400)["time"] == "2027-01-18T08:30:00Z"


def test_schedule_of_a_disabled_rule_stands_still(node: RunningNode, events: Any, queue: Inbox) -> None:
    schedule(events, "rate(1 hour)", State="DISABLED")
    node.clock.advance(7_200)
    events.enable_rule(Name="tick")
    # It counts from where it was enabled; had it run before, there would be another event.
    assert fires(node, queue, 3_600)["time"] == "2027-01-16T03:00:00Z"
    events.disable_rule(Name="tick")
    node.clock.advance(3_600)
    events.put_rule(Name="tick", ScheduleExpression="rate(1 minute)")
    assert fires(node, queue, 60)["time"] == "2027-01-16T04:01:00Z"


def test_deleted_rule_fires_no_more(node: RunningNode, events: Any, queue: Inbox) -> None:
    schedule(events, "rate(1 minute)")
    events.remove_targets(Rule="tick", Ids=["t"])
    events.delete_rule(Name="tick")
    events.put_rule(Name="other", ScheduleExpression="rate(10 minutes)")
    events.put_targets(Rule="other", Targets=[TARGET])
    assert fires(node, queue, 600)["resources"] == [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/other"]


def test_schedule_goes_on_after_a_restart_and_makes_up_for_lost_time_once(
    node: RunningNode, events: Any, queue: Inbox
) -> None:
    schedule(events, "rate(1 minute)")
    node.restart()
    queue = Inbox(node.client("sqs"), "q")
    assert fires(node, queue, 3_600)["time"] == "2027-01-16T00:01:00Z"
    assert fires(node, queue, 60)["time"] == "2027-01-16T01:01:00Z"


def test_rule_with_pattern_and_schedule_does_both(node: RunningNode, events: Any, queue: Inbox) -> None:
    schedule(events, "rate(1 day)", EventPattern='{"source": ["shop"]}')
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}])
    (event,) = queue.events()
    assert event["source"] == "shop"
    assert fires(node, queue, 86_400)["source"] == "aws.events"
