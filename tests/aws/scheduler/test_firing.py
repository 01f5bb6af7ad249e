import json
from collections.abc import Callable
from typing import Any

import pytest

from forebay.node import Node
from forebay.services.scheduler.firing import KIND
from forebay.store.commands import ListTimers
from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

Create = Callable[..., str]
NOW = 1_800_057_600.0  # 2027-01-16T00:00:00Z
DAY = 86_400.0


@pytest.fixture(autouse=True)
def frozen(node: RunningNode) -> None:
    node.clock.freeze(NOW)


def fires(node: RunningNode, queue: Inbox, seconds: float) -> list[str]:
    """Step the clock and return what then arrives."""
    node.clock.advance(seconds)
    return wait_until(queue.bodies)


def test_rate_begins_at_once_and_goes_on(node: RunningNode, create: Create, queue: Inbox) -> None:
    create("rate(5 minutes)")
    assert wait_until(queue.bodies) == ["2027-01-16T00:00:00Z"]
    assert fires(node, queue, 300) == ["2027-01-16T00:05:00Z"]
    assert fires(node, queue, 300) == ["2027-01-16T00:10:00Z"]


def test_rate_begins_at_its_start_date_and_ends_at_its_end_date(
    node: RunningNode, scheduler: Any, create: Create, queue: Inbox
) -> None:
    create("rate(1 hour)", StartDate=NOW + 1_800, EndDate=NOW + 6_000, ActionAfterCompletion="DELETE")
    assert fires(node, queue, 1_800) == ["2027-01-16T00:30:00Z"]
    assert fires(node, queue, 3_600) == ["2027-01-16T01:30:00Z"]
    assert refusal(lambda: scheduler.get_schedule(Name="s"))[0] == "ResourceNotFoundException"


def test_one_time_schedule_fires_once_in_its_zone(
    node: RunningNode, scheduler: Any, create: Create, queue: Inbox
) -> None:
    create("at(2027-07-01T12:00:00)", "stays", ScheduleExpressionTimezone="Europe/Berlin")
    create("at(2027-07-01T12:00:00)", "goes", ScheduleExpressionTimezone="UTC", ActionAfterCompletion="DELETE")
    noon = 166.0 * DAY + 12 * 3_600
    assert fires(node, queue, noon - 7_200) == ["2027-07-01T10:00:00Z"]
    assert fires(node, queue, 7_200) == ["2027-07-01T12:00:00Z"]
    wait_until(lambda: [each["Name"] for each in scheduler.list_schedules()["Schedules"]] == ["stays"])


def test_cron_follows_the_clocks_of_its_zone_through_a_year(node: RunningNode, create: Create, queue: Inbox) -> None:
    create("cron(30 2 ? * SUN *)", ScheduleExpressionTimezone="Europe/Berlin", StartDate=NOW)
    fired: list[str] = []
    for week in range(53):
        node.clock.advance(7 * DAY)
        # On 28 March half past two does not exist; on 31 October it comes twice, and counts the first time.
        if week != 10:
            fired += wait_until(queue.bodies)
    assert len(fired) == 52
    assert [text for text in fired if text.startswith("2027-03")] == [
        "2027-03-07T01:30:00Z", "2027-03-14T01:30:00Z", "2027-03-21T01:30:00Z",
    ]  # fmt: skip
    assert fired[fired.index("2027-10-24T00:30:00Z") :][:3] == [
        "2027-10-24T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-07T01:30:00Z",
    ]  # fmt: skip


def test_disabled_schedule_stands_still(node: RunningNode, create: Create, queue: Inbox) -> None:
    create("cron(0 * * * ? *)", "off", State="DISABLED")
    create("cron(0 6 * * ? *)", "on")
    assert fires(node, queue, 6 * 3_600) == ["2027-01-16T06:00:00Z"]


def test_update_of_the_target_leaves_the_rhythm(
    node: RunningNode, scheduler: Any, create: Create, queue: Inbox
) -> None:
    create("rate(1 hour)")
    wait_until(queue.bodies)
    node.clock.advance(1_800)
    given = scheduler.get_schedule(Name="s")
    target = {**given["Target"], "Input": "new"}
    scheduler.update_schedule(
        Name="s", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )
    assert fires(node, queue, 1_800) == ["new"]


def test_flexible_window_puts_off_within_bounds(node: RunningNode, create: Create, queue: Inbox) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    for number in range(8):
        create("cron(0 1 * * ? *)", f"s{number}", FlexibleTimeWindow=window)
    node.clock.advance(3_600)
    arrived = 0
    times: list[int] = []
    for minute in range(1, 16):
        node.clock.advance(60)
        wanted = _due(node)
        while arrived < wanted:
            arrived += len(wait_until(queue.bodies))
            times.append(minute)
    assert arrived == 8
    assert len(set(times)) > 1


def _due(node: RunningNode) -> int:
    """Return how many of the schedules' first timers lie in the past; those fired stand on the next day."""

    async def look(running: Node) -> int:
        timers = await running.store.view(lambda view: view.ask(ListTimers(KIND, 100)))
        now_ms = running.clock.now() * 1000
        tomorrow_ms = (NOW + DAY) * 1000
        return sum(timer.due_at_ms <= now_ms or timer.due_at_ms >= tomorrow_ms for timer in timers)

    return node.run(look)


def test_what_was_missed_is_made_up_for_once(node: RunningNode, create: Create, queue: Inbox) -> None:
    create("rate(1 minute)", StartDate=NOW + 60)
    node.restart()
    queue = Inbox(node.client("sqs"), "q")
    assert fires(node, queue, 3_600) == ["2027-01-16T00:01:00Z", "2027-01-16T01:00:00Z"]
    assert fires(node, queue, 60) == ["2027-01-16T01:01:00Z"]


def test_target_without_input_gets_a_notification(create: Create, queue: Inbox) -> None:
    arn = create("rate(1 hour)", target={"Input": None})
    (body,) = wait_until(queue.bodies)
    event = json.loads(body)
    assert len(event.pop("id")) == 36
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": "2027-01-16T00:00:00Z",
        "region": "us-east-1",
        "resources": [arn],
        "detail": "{}",
    }


def test_context_attributes_are_filled_in(create: Create, queue: Inbox) -> None:
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    arn = create("rate(1 hour)", target={"Input": " ".join(f"<aws.scheduler.{name}>" for name in names)})
    (body,) = wait_until(queue.bodies)
    given, time, execution_id, attempt = body.split()
    assert (given, time, attempt) == (arn, "2027-01-16T00:00:00Z", "1")
    assert len(execution_id) == 16


def test_fifo_queue_gets_the_group(node: RunningNode, create: Create) -> None:
    sqs = node.client("sqs")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="q.fifo", Attributes=attributes)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q.fifo"
    create("rate(1 hour)", target={"Arn": arn, "SqsParameters": {"MessageGroupId": "g"}})

    def receive() -> Any:
        return sqs.receive_message(QueueUrl=url, AttributeNames=["All"]).get("Messages")

    (message,) = wait_until(receive)
    assert message["Attributes"]["MessageGroupId"] == "g"


def test_event_bus_gets_an_event(node: RunningNode, create: Create, queue: Inbox) -> None:
    events = node.client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["shop"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": queue.arn}])
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    parameters = {"DetailType": "tick", "Source": "shop"}
    arn = create("rate(1 hour)", target={"Arn": bus, "Input": '{"a": 1}', "EventBridgeParameters": parameters})
    (event,) = wait_until(queue.events)
    assert (event["source"], event["detail-type"], event["detail"]) == ("shop", "tick", {"a": 1})
    assert event["resources"] == [arn]


def test_universal_target_runs_an_operation(create: Create, queue: Inbox) -> None:
    text = '{"QueueUrl": "%s", "MessageBody": "at <aws.scheduler.scheduled-time>, <aws.scheduler.attempt-number>"}'
    create("rate(1 hour)", target={"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": text % queue.url})
    assert wait_until(queue.bodies) == ["at 2027-01-16T00:00:00Z, 1"]


def test_universal_target_that_fails_is_dead_lettered(create: Create, inbox: Callable[[str], Inbox]) -> None:
    dead = inbox("dead")
    text = '{"QueueUrl": "http://localhost/000000000000/missing", "MessageBody": "m"}'
    target = {
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
        "Input": text,
        "DeadLetterConfig": {"Arn": dead.arn},
    }
    arn = create("rate(1 hour)", target=target)
    (message,) = wait_until(dead.messages)
    assert message["Body"] == text
    given = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert len(given.pop("EXECUTION_ID")) == 16
    assert given == {
        "ERROR_CODE": "QueueDoesNotExist",
        "ERROR_MESSAGE": "The specified queue does not exist.",
        "IS_PAYLOAD_TRUNCATED": "false",
        "RETRY_ATTEMPTS": "0",
        "SCHEDULED_TIME": "2027-01-16T00:00:00Z",
        "SCHEDULE_ARN": arn,
        "TARGET_ARN": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
    }


def test_missing_queue_is_dead_lettered(create: Create, inbox: Callable[[str], Inbox]) -> None:
    dead = inbox("dead")
    missing = f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing"
    create("rate(1 hour)", target={"Arn": missing, "Input": "m", "DeadLetterConfig": {"Arn": dead.arn}})
    (message,) = wait_until(dead.messages)
    assert message["Body"] == "m"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_topic_gets_a_message(node: RunningNode, create: Create, queue: Inbox) -> None:
    sns = node.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"})
    create("rate(1 hour)", target={"Arn": topic, "Input": "tick"})
    assert wait_until(queue.bodies) == ["tick"]
