import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/claims"
ARN = f"arn:aws:events:us-east-1:{ACCOUNT}:archive/kept"
NOON = 1_800_100_800.0


@pytest.fixture(autouse=True)
def bus(node: RunningNode, events: Any) -> None:
    node.clock.freeze(NOON)
    events.create_event_bus(Name="claims")


def create(events: Any, name: str = "kept", **members: Any) -> Any:
    return events.create_archive(ArchiveName=name, EventSourceArn=BUS, **members)


def put(events: Any, detail: Any, **members: Any) -> None:
    entry = {"Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail), "EventBusName": "claims", **members}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def count(events: Any, name: str = "kept") -> int:
    return events.describe_archive(ArchiveName=name)["EventCount"]


def test_archive_is_created_and_described(events: Any) -> None:
    created = create(events, Description="All", EventPattern='{"source": ["shop"]}', RetentionDays=7)
    assert (created["ArchiveArn"], created["State"]) == (ARN, "ENABLED")
    described = events.describe_archive(ArchiveName="kept")
    del described["ResponseMetadata"]
    assert described == {
        "ArchiveArn": ARN,
        "ArchiveName": "kept",
        "EventSourceArn": BUS,
        "Description": "All",
        "EventPattern": '{"source": ["shop"]}',
        "State": "ENABLED",
        "RetentionDays": 7,
        "SizeBytes": 0,
        "EventCount": 0,
        "CreationTime": datetime.fromtimestamp(NOON, UTC),
    }


def test_empty_description_and_pattern_are_not_shown(events: Any) -> None:
    create(events, Description="", EventPattern="")
    described = events.describe_archive(ArchiveName="kept")
    assert "Description" not in described
    assert "EventPattern" not in described
    assert described["RetentionDays"] == 0


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"EventPattern": "{"}, "InvalidEventPatternException", "Event pattern is not valid. Reason: "),
        ({"EventSourceArn": BUS + "s"}, "ResourceNotFoundException", "Event bus claimss does not exist."),
        ({}, "ResourceAlreadyExistsException", "Archive kept already exists."),
        (
            {"EventSourceArn": ARN},
            "ValidationException",
            "Parameter EventSourceArn is not valid. Reason: Must contain an event bus ARN.",
        ),
        (
            {"ArchiveName": "a" * 49},
            "ValidationException",
            (
                f"1 validation error detected: Value '{'a' * 49}' at 'archiveName' failed to satisfy constraint: "
                "Member must have length less than or equal to 48"
            ),
        ),
    ],
)
def test_archive_that_cannot_be_is_refused(events: Any, members: Any, code: str, text: str) -> None:
    create(events)
    given = {"ArchiveName": "kept", "EventSourceArn": BUS, **members}
    found = refusal(lambda: events.create_archive(**given))
    assert found[0] == code
    assert found[1].startswith(text)


def test_pattern_is_checked_before_bus_and_bus_before_name(events: Any) -> None:
    create(events)
    wrong = {"ArchiveName": "kept", "EventSourceArn": BUS + "s"}
    assert refusal(lambda: events.create_archive(**wrong, EventPattern="[]"))[0] == "InvalidEventPatternException"
    assert refusal(lambda: events.create_archive(**wrong))[0] == "ResourceNotFoundException"


def test_unknown_archive_is_not_found(events: Any) -> None:
    expected = ("ResourceNotFoundException", "Archive kept does not exist.")
    for operation in (events.describe_archive, events.update_archive, events.delete_archive):
        assert refusal(lambda operation=operation: operation(ArchiveName="kept")) == expected


def test_archive_counts_what_matches_its_pattern(events: Any) -> None:
    create(events, EventPattern='{"detail": {"kind": ["car"]}}')
    create(events, "all")
    put(events, {"kind": "car"})
    put(events, {"kind": "boat"})
    put(events, {"kind": "car"}, EventBusName="default")
    assert (count(events), count(events, "all")) == (1, 2)
    sizes = [archive["SizeBytes"] for archive in events.list_archives()["Archives"]]
    assert sizes[0] > sizes[1] > len('{"kind":"car"}')


def test_archive_follows_its_pattern_when_it_changes(events: Any) -> None:
    create(events)
    put(events, {"kind": "car"})
    updated = events.update_archive(ArchiveName="kept", EventPattern='{"source": ["else"]}', Description="Few")
    assert (updated["ArchiveArn"], updated["State"]) == (ARN, "ENABLED")
    put(events, {"kind": "car"})
    assert count(events) == 1
    events.update_archive(ArchiveName="kept", EventPattern="")
    put(events, {"kind": "car"})
    assert count(events) == 2
    assert events.describe_archive(ArchiveName="kept")["Description"] == "Few"
    found = refusal(lambda: events.update_archive(ArchiveName="kept", EventPattern="no"))
    assert found[0] == "InvalidEventPatternException"


def test_deleted_archive_takes_nothing_and_a_namesake_begins_anew(events: Any) -> None:
    create(events)
    put(events, {})
    events.delete_archive(ArchiveName="kept")
    put(events, {})
    create(events)
    put(events, {})
    assert count(events) == 1


def test_events_leave_the_archive_after_their_retention(node: RunningNode, events: Any) -> None:
    create(events, RetentionDays=1)
    create(events, "ever")
    put(events, {})
    node.clock.advance(86_300)
    put(events, {})
    node.clock.advance(200)
    # What looks after logs has been woken by the clock.
    wait_until(lambda: (count(events), count(events, "ever")) == (1, 2))


def test_archives_are_listed_by_one_filter(events: Any) -> None:
    for name in ("b1", "a1", "a2"):
        create(events, name)
    default = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    events.create_archive(ArchiveName="c1", EventSourceArn=default)

    def names(**members: Any) -> list[str]:
        return [archive["ArchiveName"] for archive in events.list_archives(**members)["Archives"]]

    assert names() == ["a1", "a2", "b1", "c1"]
    assert names(NamePrefix="a") == ["a1", "a2"]
    assert names(EventSourceArn=default) == ["c1"]
    assert names(State="DISABLED") == []
    first = events.list_archives(Limit=3)
    assert names(NextToken=first["NextToken"]) == ["c1"]
    assert refusal(lambda: events.list_archives(NamePrefix="a", State="ENABLED")) == (
        "ValidationException",
        "At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix.",
    )


def test_bus_with_an_archive_stays(events: Any) -> None:
    create(events)
    assert refusal(lambda: events.delete_event_bus(Name="claims")) == (
        "ValidationException",
        "EventBus can't be deleted since it has rules.",
    )
    events.delete_archive(ArchiveName="kept")
    events.delete_event_bus(Name="claims")


def test_archives_outlive_a_restart(node: RunningNode, events: Any) -> None:
    create(events)
    put(events, {})
    node.restart()
    again = node.client("events")
    put(again, {})
    assert count(again) == 2
