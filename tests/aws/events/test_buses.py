import json
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.harness import ACCOUNT, RunningNode

ARN = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/claims"
DEFAULT_ARN = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"


def test_default_bus_is_there_from_the_start(events: Any) -> None:
    bus = events.describe_event_bus()
    assert (bus["Name"], bus["Arn"]) == ("default", DEFAULT_ARN)
    assert "Policy" not in bus
    assert "Description" not in bus
    assert bus["CreationTime"] == bus["LastModifiedTime"]
    assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == ["default"]


def test_bus_is_described_by_name_and_by_arn(events: Any) -> None:
    created = events.create_event_bus(Name="claims", Description="Claims of all kinds")
    assert created["EventBusArn"] == ARN
    by_name, by_arn = events.describe_event_bus(Name="claims"), events.describe_event_bus(Name=ARN)
    for bus in (by_name, by_arn):
        assert (bus["Name"], bus["Arn"], bus["Description"]) == ("claims", ARN, "Claims of all kinds")
        assert bus["CreationTime"] == bus["LastModifiedTime"]


def test_empty_description_is_not_shown(events: Any) -> None:
    assert "Description" not in events.create_event_bus(Name="claims", Description="")
    assert "Description" not in events.describe_event_bus(Name="claims")


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("default", "ResourceAlreadyExistsException", "Event bus default already exists."),
        ("claims", "ResourceAlreadyExistsException", "Event bus claims already exists."),
        ("a/b", "ValidationException", "Event bus name must not contain '/'."),
        ("aws.mine", "ValidationException", "EventBus name starting with 'aws.' is not valid."),
    ],
)
def test_name_that_is_taken_or_wrong_is_refused(events: Any, name: str, code: str, text: str) -> None:
    events.create_event_bus(Name="claims")
    assert refusal(lambda: events.create_event_bus(Name=name)) == (code, text)


def test_partner_bus_is_refused_by_name(events: Any) -> None:
    source = "aws.partner/example.com/1"
    refused = refusal(lambda: events.create_event_bus(Name=source, EventSourceName=source))
    assert refused == ("ResourceNotFoundException", f"Event source {source} does not exist.")


def test_bus_with_rules_is_not_deleted(events: Any) -> None:
    events.create_event_bus(Name="claims")
    events.put_rule(Name="all", EventBusName="claims", EventPattern='{"source": ["a"]}')
    text = "EventBus can't be deleted since it has rules."
    assert refusal(lambda: events.delete_event_bus(Name="claims")) == ("ValidationException", text)
    events.delete_rule(Name="all", EventBusName="claims")
    events.delete_event_bus(Name="claims")
    missing = ("ResourceNotFoundException", "Event bus claims does not exist.")
    assert refusal(lambda: events.describe_event_bus(Name="claims")) == missing


def test_default_bus_is_not_deleted_and_a_missing_one_is_as_good_as_deleted(events: Any) -> None:
    assert refusal(lambda: events.delete_event_bus(Name="default"))[0] == "ValidationException"
    events.delete_event_bus(Name="never")


def test_update_changes_what_it_names(events: Any) -> None:
    dead_letter = {"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"}
    events.create_event_bus(Name="claims", Description="old", DeadLetterConfig=dead_letter)
    events.update_event_bus(Name="claims", Description="new", LogConfig={"Level": "ERROR", "IncludeDetail": "FULL"})
    bus = events.describe_event_bus(Name="claims")
    assert (bus["Description"], bus["DeadLetterConfig"]) == ("new", dead_letter)
    assert bus["LogConfig"] == {"Level": "ERROR", "IncludeDetail": "FULL"}
    events.update_event_bus(Name="claims", Description="")
    assert "Description" not in events.describe_event_bus(Name="claims")


def test_buses_are_listed_by_pages(events: Any) -> None:
    for number in range(5):
        events.create_event_bus(Name=f"bus-{number}")
    first = events.list_event_buses(NamePrefix="bus-", Limit=2)
    second = events.list_event_buses(NamePrefix="bus-", Limit=3, NextToken=first["NextToken"])
    names = [bus["Name"] for page in (first, second) for bus in page["EventBuses"]]
    assert names == [f"bus-{number}" for number in range(5)]
    assert "NextToken" not in second
    assert refusal(lambda: events.list_event_buses(NextToken="forged!"))[0] == "ValidationException"


def test_buses_of_another_region_are_other_buses(node: RunningNode, events: Any) -> None:
    events.create_event_bus(Name="claims")
    elsewhere = node.client("events", region="eu-west-1")
    assert [bus["Name"] for bus in elsewhere.list_event_buses()["EventBuses"]] == ["default"]


def test_permissions_make_a_policy(events: Any) -> None:
    events.put_permission(Action="events:PutEvents", Principal="111122223333", StatementId="one")
    organisation = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1"}
    events.put_permission(Action="events:PutEvents", Principal="*", StatementId="all", Condition=organisation)
    policy = json.loads(events.describe_event_bus()["Policy"])
    assert policy == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "one",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": "events:PutEvents",
                "Resource": DEFAULT_ARN,
            },
            {
                "Sid": "all",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "events:PutEvents",
                "Resource": DEFAULT_ARN,
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
            },
        ],
    }
    assert events.list_event_buses()["EventBuses"][0]["Policy"] == events.describe_event_bus()["Policy"]


def test_permissions_are_removed_one_by_one_and_all_at_once(events: Any) -> None:
    no_policy = ("ResourceNotFoundException", "EventBus does not have a policy.")
    assert refusal(lambda: events.remove_permission(StatementId="one")) == no_policy
    for name in ("one", "two", "three"):
        events.put_permission(Action="events:PutEvents", Principal="*", StatementId=name)
    unknown = ("ResourceNotFoundException", "Statement with the provided id does not exist.")
    assert refusal(lambda: events.remove_permission(StatementId="four")) == unknown
    events.remove_permission(StatementId="two")
    statements = json.loads(events.describe_event_bus()["Policy"])["Statement"]
    assert [statement["Sid"] for statement in statements] == ["one", "three"]
    events.remove_permission(RemoveAllPermissions=True)
    assert "Policy" not in events.describe_event_bus()


def test_whole_policy_is_set(events: Any) -> None:
    events.create_event_bus(Name="claims")
    statement = {"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "events:*", "Resource": ARN}
    events.put_permission(EventBusName="claims", Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    assert json.loads(events.describe_event_bus(Name="claims")["Policy"])["Statement"] == [statement]
    assert refusal(lambda: events.put_permission(EventBusName="claims", Policy="{"))[0] == "ValidationException"
    other_action = {"Action": "events:PutRule", "Principal": "*", "StatementId": "b"}
    text = "Provided value in parameter 'action' is not supported."
    assert refusal(lambda: events.put_permission(**other_action)) == ("ValidationException", text)


def test_tags_of_buses_and_rules(events: Any) -> None:
    bus_arn = events.create_event_bus(Name="claims", Tags=[{"Key": "team", "Value": "a"}])["EventBusArn"]
    rule_arn = events.put_rule(
        Name="all", EventBusName="claims", EventPattern='{"source": ["a"]}', Tags=[{"Key": "team", "Value": "b"}]
    )["RuleArn"]
    for arn in (bus_arn, rule_arn):
        events.tag_resource(ResourceARN=arn, Tags=[{"Key": "stage", "Value": "test"}])
        tags = events.list_tags_for_resource(ResourceARN=arn)["Tags"]
        assert {"Key": "stage", "Value": "test"} in tags
        assert len(tags) == 2
        events.untag_resource(ResourceARN=arn, TagKeys=["team", "unknown"])
        assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
    missing = rule_arn.replace("/all", "/none")
    text = "Rule none does not exist on EventBus claims."
    assert refusal(lambda: events.list_tags_for_resource(ResourceARN=missing)) == ("ResourceNotFoundException", text)


def test_nobody_is_a_partner(events: Any) -> None:
    source = "aws.partner/example.com/1"
    missing = ("ResourceNotFoundException", f"Event source {source} does not exist.")
    assert events.list_event_sources()["EventSources"] == []
    assert events.list_partner_event_sources(NamePrefix="aws.partner/example.com/")["PartnerEventSources"] == []
    for ask in (events.describe_event_source, events.activate_event_source, events.deactivate_event_source):
        assert refusal(lambda ask=ask: ask(Name=source)) == missing
    assert refusal(lambda: events.describe_partner_event_source(Name=source)) == missing
    assert refusal(lambda: events.list_partner_event_source_accounts(EventSourceName=source)) == missing
    made = {"Name": source, "Account": "111122223333"}
    assert refusal(lambda: events.create_partner_event_source(**made))[0] == "AccessDeniedException"
    assert refusal(lambda: events.put_partner_events(Entries=[{"Source": source}]))[0] == "AccessDeniedException"
