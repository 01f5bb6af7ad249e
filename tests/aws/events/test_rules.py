from pathlib import Path
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

PATTERN = '{"source": ["shop"]}'


def test_rule_is_described_with_what_was_put(events: Any) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/events"
    arn = events.put_rule(Name="orders", EventPattern=PATTERN, Description="All orders", RoleArn=role)["RuleArn"]
    assert arn == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/orders"
    rule = events.describe_rule(Name="orders")
    del rule["ResponseMetadata"]
    assert rule == {
        "Name": "orders",
        "Arn": arn,
        "EventPattern": PATTERN,
        "State": "ENABLED",
        "Description": "All orders",
        "RoleArn": role,
        "EventBusName": "default",
        "CreatedBy": ACCOUNT,
    }


def test_rule_on_a_custom_bus_has_its_name_in_the_arn(events: Any) -> None:
    bus_arn = events.create_event_bus(Name="claims")["EventBusArn"]
    arn = events.put_rule(Name="auto", EventBusName=bus_arn, EventPattern=PATTERN)["RuleArn"]
    assert arn == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/claims/auto"
    assert events.describe_rule(Name="auto", EventBusName="claims")["EventBusName"] == "claims"


def test_rule_that_is_put_again_loses_what_is_not_given(events: Any) -> None:
    events.put_rule(Name="orders", EventPattern=PATTERN, Description="All orders", State="DISABLED")
    events.put_rule(Name="orders", EventPattern='{"source": ["other"]}')
    rule = events.describe_rule(Name="orders")
    assert (rule["EventPattern"], rule["State"]) == ('{"source": ["other"]}', "ENABLED")
    assert "Description" not in rule


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({}, "ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."),
        (
            {"EventBusName": "claims", "ScheduleExpression": "rate(1 minute)"},
            "ValidationException",
            "ScheduleExpression is supported only on the default event bus.",
        ),
        (
            {"ScheduleExpression": "rate(1 minutes)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"ScheduleExpression": "cron(0 12 * * * *)"},
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            {"EventBusName": "none", "EventPattern": PATTERN},
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        ),
        (
            {"EventPattern": PATTERN, "RoleArn": "nobody"},
            "ValidationException",
            "Parameter nobody is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (
            {"EventPattern": '{"detail": {"slug": "some"}}'},
            "InvalidEventPatternException",
            (
                'Event pattern is not valid. Reason: "slug" must be an object or an array\n'
                ' at [Source: (String)"{"detail": {"slug": "some"}}"; line: 1, column: 22]'
            ),
        ),
    ],
)
def test_rule_that_is_wrong_is_refused(events: Any, params: dict[str, str], code: str, text: str) -> None:
    events.create_event_bus(Name="claims")
    assert refusal(lambda: events.put_rule(Name="rule", **params)) == (code, text)


def test_missing_rule_is_named_with_its_bus(events: Any) -> None:
    events.create_event_bus(Name="claims")
    missing = ("ResourceNotFoundException", "Rule none does not exist on EventBus claims.")
    for call in (events.describe_rule, events.enable_rule, events.disable_rule):
        assert refusal(lambda: call(Name="none", EventBusName="claims")) == missing  # noqa: B023 run at once
    assert refusal(lambda: events.list_targets_by_rule(Rule="none", EventBusName="claims")) == missing


def test_rule_with_targets_is_not_deleted(events: Any) -> None:
    events.put_rule(Name="orders", EventPattern=PATTERN)
    events.put_targets(Rule="orders", Targets=[{"Id": "q", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}])
    text = "Rule can't be deleted since it has targets."
    assert refusal(lambda: events.delete_rule(Name="orders", Force=True)) == ("ValidationException", text)
    events.remove_targets(Rule="orders", Ids=["q"])
    events.delete_rule(Name="orders")
    events.delete_rule(Name="orders")
    assert events.list_rules()["Rules"] == []


def test_rules_are_listed_by_pages_and_prefix(events: Any) -> None:
    for name in ("b-2", "a-1", "b-1", "b-3"):
        events.put_rule(Name=name, EventPattern=PATTERN)
    first = events.list_rules(NamePrefix="b-", Limit=2)
    second = events.list_rules(NamePrefix="b-", Limit=2, NextToken=first["NextToken"])
    assert [rule["Name"] for page in (first, second) for rule in page["Rules"]] == ["b-1", "b-2", "b-3"]
    assert "NextToken" not in second
    assert "Description" not in second["Rules"][0]


def test_rules_are_found_by_their_target(events: Any) -> None:
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
    for name in ("one", "two", "three"):
        events.put_rule(Name=name, EventPattern=PATTERN)
    for name in ("one", "three"):
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    assert events.list_rule_names_by_target(TargetArn=arn)["RuleNames"] == ["one", "three"]


def test_bus_takes_as_many_rules_as_the_node_allows(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "few", events_rules_max=3).start()
    try:
        events = node.client("events")
        for number in range(3):
            events.put_rule(Name=f"rule-{number}", EventPattern=PATTERN)
        text = "The requested resource exceeds the maximum number allowed."
        one_more = refusal(lambda: events.put_rule(Name="rule-3", EventPattern=PATTERN))
        assert one_more == ("LimitExceededException", text)
        events.put_rule(Name="rule-2", EventPattern=PATTERN, State="DISABLED")
        events.delete_rule(Name="rule-0")
        events.put_rule(Name="rule-3", EventPattern=PATTERN)
        assert refusal(lambda: events.put_rule(Name="rule-4", EventPattern=PATTERN))[0] == "LimitExceededException"
    finally:
        node.stop()


@pytest.mark.parametrize("pattern", ['{"source": ["shop"]}', '{"detail": {"n": [{"numeric": [">", 5]}]}}'])
def test_pattern_is_tested_against_an_event(events: Any, pattern: str) -> None:
    event = (
        '{"id": "1", "account": "1", "source": "shop", "time": "2026-01-01T00:00:00Z", "region": "us-east-1",'
        ' "resources": [], "detail-type": "t", "detail": {"n": 6}}'
    )
    assert events.test_event_pattern(EventPattern=pattern, Event=event)["Result"] is True
    other = event.replace('"shop"', '"other"').replace("6", "5")
    assert events.test_event_pattern(EventPattern=pattern, Event=other)["Result"] is False


def test_pattern_test_refuses_what_is_no_event_or_no_pattern(events: Any) -> None:
    test = events.test_event_pattern
    assert refusal(lambda: test(EventPattern=PATTERN, Event='{"source": "shop"}'))[0] == "ValidationException"
    assert refusal(lambda: test(EventPattern=PATTERN, Event="[]"))[0] == "ValidationException"
    assert refusal(lambda: test(EventPattern="{}", Event="{}"))[0] == "InvalidEventPatternException"
