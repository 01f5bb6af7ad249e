"""The rules that AWS lists for archives, and preset rates by tags. AWS's text about managed rules is not known."""

import json
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
NAME = "Events-Archive-kept"


@pytest.fixture
def archive(events: Any) -> None:
    events.create_archive(ArchiveName="kept", EventSourceArn=BUS, EventPattern='{"source": ["shop"]}')


def test_archive_has_a_rule_of_its_own(events: Any, archive: None) -> None:
    events.put_rule(Name="own", EventPattern='{"source": ["a"]}')
    rules = events.list_rules()["Rules"]
    assert [(rule["Name"], rule.get("ManagedBy")) for rule in rules] == [
        (NAME, "prod.vhs.events.aws.internal"),
        ("own", None),
    ]
    described = events.describe_rule(Name=NAME)
    assert json.loads(described["EventPattern"]) == {"source": ["shop"], "replay-name": [{"exists": False}]}
    assert described["ManagedBy"] == "prod.vhs.events.aws.internal"
    (target,) = events.list_targets_by_rule(Rule=NAME)["Targets"]
    assert (target["Id"], target["Arn"]) == (NAME, "arn:aws:events:us-east-1:::")
    assert "<aws.events.event.json>" in target["InputTransformer"]["InputTemplate"]


def test_managed_rule_is_not_changed(events: Any, archive: None) -> None:
    target = {"Id": "t", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}
    for change in (
        lambda: events.put_rule(Name=NAME, EventPattern='{"source": ["a"]}'),
        lambda: events.disable_rule(Name=NAME),
        lambda: events.delete_rule(Name=NAME),
        lambda: events.put_targets(Rule=NAME, Targets=[target]),
        lambda: events.remove_targets(Rule=NAME, Ids=[NAME]),
    ):
        assert refusal(change)[0] == "ManagedRuleException"
    text = f"{NAME} is a managed rule. Set 'force' parameter to true to override."
    assert refusal(lambda: events.delete_rule(Name=NAME)) == ("ManagedRuleException", text)
    assert refusal(lambda: events.remove_targets(Rule=NAME, Ids=[NAME])) == ("ManagedRuleException", text)
    assert refusal(lambda: events.delete_rule(Name=NAME, Force=True))[0] == "ManagedRuleException"
    events.delete_archive(ArchiveName="kept")
    assert events.list_rules()["Rules"] == []


def test_target_gets_no_more_a_second_than_its_rules_tag_says(node: RunningNode, events: Any, sqs: Any) -> None:
    node.clock.freeze()
    slow, free = Inbox(sqs, "slow"), Inbox(sqs, "free")
    tags = [{"Key": "forebay:max-per-second/slow", "Value": "1"}]
    events.put_rule(Name="all", EventPattern='{"source": ["shop"]}', Tags=tags)
    events.put_targets(Rule="all", Targets=[{"Id": "slow", "Arn": slow.arn}, {"Id": "free", "Arn": free.arn}])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}] * 3)
    assert len(free.bodies()) == 3
    for _ in range(3):
        assert len(wait_until(slow.bodies)) == 1
        node.clock.advance(1)


def test_tag_that_presets_nonsense_is_refused(events: Any) -> None:
    tags = [{"Key": "forebay:max-concurrency", "Value": "many"}]
    given = {"Name": "r", "EventPattern": '{"source": ["a"]}', "Tags": tags}
    assert refusal(lambda: events.put_rule(**given))[0] == "ValidationException"
