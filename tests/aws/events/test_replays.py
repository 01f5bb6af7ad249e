import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

PREFIX = f"arn:aws:events:us-east-1:{ACCOUNT}:"
BUS, ARCHIVE, ARN = PREFIX + "event-bus/claims", PREFIX + "archive/kept", PREFIX + "replay/again"
NOON = 1_800_100_800.0
ENDED = {"COMPLETED", "CANCELLED", "FAILED"}


@pytest.fixture(autouse=True)
def queue(node: RunningNode, events: Any, inbox: Callable[[str], Inbox]) -> Inbox:
    """A bus with an archive of everything and a rule that sends everything to a queue."""
    node.clock.freeze(NOON)
    events.create_event_bus(Name="claims")
    events.create_archive(ArchiveName="kept", EventSourceArn=BUS)
    queue = inbox("q")
    send_to(events, "all", queue)
    return queue


def send_to(events: Any, rule: str, queue: Inbox, pattern: Any = None) -> None:
    pattern = json.dumps(pattern or {"source": ["shop"]})
    events.put_rule(Name=rule, EventBusName="claims", EventPattern=pattern)
    events.put_targets(Rule=rule, EventBusName="claims", Targets=[{"Id": "t", "Arn": queue.arn}])


def put(events: Any, *numbers: int, **members: Any) -> None:
    for start in range(0, len(numbers), 10):
        entries = [
            {
                "Source": "shop",
                "DetailType": "Order",
                "Detail": json.dumps({"n": number}),
                "EventBusName": "claims",
                "Time": NOON + number,
                **members,
            }
            for number in numbers[start : start + 10]
        ]
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0


def start(events: Any, name: str = "again", **members: Any) -> Any:
    given = {
        "ReplayName": name,
        "EventSourceArn": ARCHIVE,
        "EventStartTime": NOON,
        "EventEndTime": NOON + 86_400,
        "Destination": {"Arn": BUS},
    }
    return events.start_replay(**{**given, **members})


def end_of(events: Any, name: str = "again") -> Any:
    """Wait until a replay has ended and return it."""

    def ended() -> Any:
        replay = events.describe_replay(ReplayName=name)
        return replay if replay["State"] in ENDED else None

    return wait_until(ended)


def numbers(queue: Inbox) -> list[int]:
    return sorted(event["detail"]["n"] for event in queue.events())


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON + seconds, UTC)


def test_events_are_replayed_in_the_order_of_their_times(events: Any, queue: Inbox) -> None:
    put(events, 7200, 5, 3600, 61)
    # Those of one second come as they were archived.
    put(events, *range(20), Time=NOON + 30)
    queue.events()
    start(events)
    end_of(events)
    assert [event["detail"]["n"] for event in queue.events()] == [5, *range(20), 61, 3600, 7200]


def test_replayed_event_is_the_event_with_the_replays_name(events: Any, queue: Inbox) -> None:
    put(events, 1)
    (before,) = queue.events()
    started = start(events)
    assert (started["ReplayArn"], started["State"], started["ReplayStartTime"]) == (ARN, "STARTING", at(0))
    assert end_of(events)["State"] == "COMPLETED"
    assert queue.events() == [{**before, "replay-name": "again"}]


def test_replay_is_described_with_its_progress(events: Any) -> None:
    put(events, 1, 2, 3)
    start(events, Description="Once more", EventEndTime=NOON + 3)
    replay = end_of(events)
    del replay["ResponseMetadata"]
    assert replay == {
        "ReplayName": "again",
        "ReplayArn": ARN,
        "Description": "Once more",
        "State": "COMPLETED",
        "EventSourceArn": ARCHIVE,
        "Destination": {"Arn": BUS},
        "EventStartTime": at(0),
        "EventEndTime": at(3),
        "EventLastReplayedTime": at(2),
        "ReplayStartTime": at(0),
        "ReplayEndTime": at(0),
    }


def test_replay_takes_events_of_its_time_only(events: Any, queue: Inbox) -> None:
    # Not in the order of their times.
    put(events, 5, 1, 9, 2, 7)
    assert numbers(queue) == [1, 2, 5, 7, 9]
    start(events, EventStartTime=NOON + 2, EventEndTime=NOON + 7)
    end_of(events)
    assert numbers(queue) == [2, 5]


def test_replay_of_many_batches_sends_each_event_once(events: Any, queue: Inbox) -> None:
    put(events, *range(90))
    assert len(numbers(queue)) == 90
    start(events)
    end_of(events)
    assert numbers(queue) == list(range(90))


def test_replay_reaches_listed_rules_only(events: Any, queue: Inbox, inbox: Callable[[str], Inbox]) -> None:
    other = inbox("other")
    send_to(events, "odd", other, {"detail": {"n": [1, 3]}})
    put(events, 1, 2, 3)
    assert (numbers(queue), numbers(other)) == ([1, 2, 3], [1, 3])
    rules = [PREFIX + "rule/claims/odd"]
    start(events, Destination={"Arn": BUS, "FilterArns": rules})
    assert end_of(events)["Destination"] == {"Arn": BUS, "FilterArns": rules}
    assert (numbers(queue), numbers(other)) == ([], [1, 3])


def test_rules_can_tell_replayed_events(events: Any, queue: Inbox, inbox: Callable[[str], Inbox]) -> None:
    replayed = inbox("replayed")
    send_to(events, "all", queue, {"source": ["shop"], "replay-name": [{"exists": False}]})
    send_to(events, "replayed", replayed, {"replay-name": ["again"]})
    put(events, 1)
    start(events)
    end_of(events)
    assert (numbers(queue), numbers(replayed)) == ([1], [1])


def test_replayed_events_are_not_archived(events: Any) -> None:
    events.create_archive(ArchiveName="other", EventSourceArn=BUS, EventPattern='{"source": ["shop"]}')
    put(events, 1)
    start(events)
    end_of(events)
    counts = [archive["EventCount"] for archive in events.list_archives()["Archives"]]
    assert counts == [1, 1]


def test_empty_archive_is_replayed_at_once(events: Any) -> None:
    start(events)
    replay = end_of(events)
    assert replay["State"] == "COMPLETED"
    assert "EventLastReplayedTime" not in replay


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        (
            {"Destination": {"Arn": PREFIX + "rule/claims/all"}},
            "ValidationException",
            "Parameter Destination.Arn is not valid. Reason: Must contain an event bus ARN.",
        ),
        ({"Destination": {"Arn": BUS + "s"}}, "ResourceNotFoundException", "Event bus claimss does not exist."),
        (
            {"EventSourceArn": BUS},
            "ValidationException",
            "Parameter EventSourceArn is not valid. Reason: Must contain an archive ARN.",
        ),
        (
            {"EventSourceArn": ARCHIVE + "s"},
            "ValidationException",
            "Parameter EventSourceArn is not valid. Reason: Archive kepts does not exist.",
        ),
        (
            {"Destination": {"Arn": PREFIX + "event-bus/default"}},
            "ValidationException",
            "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
        ),
        (
            {"EventEndTime": NOON - 1},
            "ValidationException",
            "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
        ),
        ({}, "ResourceAlreadyExistsException", "Replay again already exists."),
    ],
)
def test_replay_that_cannot_be_is_refused(events: Any, members: Any, code: str, text: str) -> None:
    start(events)
    assert refusal(lambda: start(events, **members)) == (code, text)


def test_unknown_replay_is_not_found(events: Any) -> None:
    expected = ("ResourceNotFoundException", "Replay none does not exist.")
    assert refusal(lambda: events.describe_replay(ReplayName="none")) == expected
    assert refusal(lambda: events.cancel_replay(ReplayName="none")) == expected


def test_ended_replay_cannot_be_cancelled(events: Any) -> None:
    start(events)
    end_of(events)
    assert refusal(lambda: events.cancel_replay(ReplayName="again")) == (
        "IllegalStatusException",
        "Replay again is not in a valid state for this operation.",
    )


def test_replays_are_listed_by_one_filter(events: Any) -> None:
    for name in ("b1", "a1", "a2"):
        start(events, name)
        end_of(events, name)

    def names(**members: Any) -> list[str]:
        return [replay["ReplayName"] for replay in events.list_replays(**members)["Replays"]]

    assert names() == ["a1", "a2", "b1"]
    assert names(NamePrefix="a") == ["a1", "a2"]
    assert names(State="COMPLETED") == ["a1", "a2", "b1"]
    assert names(State="RUNNING") == []
    assert names(EventSourceArn=ARCHIVE) == ["a1", "a2", "b1"]
    assert names(EventSourceArn=ARCHIVE + "s") == []
    assert names(NextToken=events.list_replays(Limit=2)["NextToken"]) == ["b1"]
    assert refusal(lambda: events.list_replays(NamePrefix="a", State="RUNNING")) == (
        "ValidationException",
        "At most one filter is allowed for ListReplays. Use either : State, EventSourceArn, or NamePrefix.",
    )
