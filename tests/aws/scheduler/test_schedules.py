from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.aws.scheduler.conftest import ROLE
from tests.harness import ACCOUNT, RunningNode

Create = Callable[..., str]
NOW = 1_800_057_600.0  # 2027-01-16T00:00:00Z
ARN = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/s"


def test_created_schedule_is_shown_with_its_defaults(scheduler: Any, create: Create, queue: Inbox) -> None:
    assert create("rate(1 hour)") == ARN
    answer = scheduler.get_schedule(Name="s")
    del answer["ResponseMetadata"]
    created, modified = answer.pop("CreationDate"), answer.pop("LastModificationDate")
    assert created == modified
    assert answer == {
        "ActionAfterCompletion": "NONE",
        "Arn": ARN,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "GroupName": "default",
        "Name": "s",
        "ScheduleExpression": "rate(1 hour)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "Target": {
            "Arn": queue.arn,
            "Input": "<aws.scheduler.scheduled-time>",
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
            "RoleArn": ROLE,
        },
    }


def test_part_of_a_retry_policy_is_completed(scheduler: Any, create: Create) -> None:
    create("rate(1 hour)", target={"RetryPolicy": {"MaximumRetryAttempts": 0}})
    policy = scheduler.get_schedule(Name="s")["Target"]["RetryPolicy"]
    assert policy == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 0}


def test_invalid_expression_is_refused(create: Create) -> None:
    expected = ("ValidationException", "Invalid Schedule Expression rate(10 seconds).")
    assert refusal(lambda: create("rate(10 seconds)")) == expected


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"StartDate": NOW - 301}, "The StartDate you specify cannot be earlier than 5 minutes ago."),
        ({"EndDate": NOW - 1}, "The EndDate you specify cannot be in the past."),
        ({"StartDate": NOW + 60, "EndDate": NOW + 60}, "The EndDate you specify must be later than the StartDate."),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid Schedule Expression Timezone Mars/Olympus."),
        (
            {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
            "MaximumWindowInMinutes must be specified when the FlexibleTimeWindow mode is FLEXIBLE.",
        ),
        (
            {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}},
            "MaximumWindowInMinutes must not be specified when the FlexibleTimeWindow mode is OFF.",
        ),
    ],
)
def test_impossible_timing_is_refused(node: RunningNode, create: Create, params: Any, text: str) -> None:
    node.clock.freeze(NOW)
    assert refusal(lambda: create("rate(1 hour)", **params)) == ("ValidationException", text)


def test_dates_of_one_time_schedules_are_ignored(node: RunningNode, create: Create) -> None:
    node.clock.freeze(NOW)
    create("at(2028-01-01T00:00:00)", StartDate=NOW - 86_400, EndDate=NOW - 1)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"Arn": "queue"}, "Provided Arn is not in correct format."),
        ({"Arn": "arn:aws:s3:::bucket"}, "s3 is not a supported service for a target."),
        (
            {"Arn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:aws-sdk:sqs:sendMessage"},
            "scheduler is not a supported service for a target.",
        ),
        (
            {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:getQueueUrl", "Input": "{}"},
            "getQueueUrl API is not supported.",
        ),
        (
            {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:frobnicate", "Input": "{}"},
            "frobnicate API is not supported.",
        ),
        (
            {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": None},
            "You must provide an input to set this target for your schedule.",
        ),
        (
            {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "Input": "text"},
            "The Input you provide for the target must be well-formed JSON.",
        ),
        (
            {"Arn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default", "Input": "{}"},
            "EventBridgeParameters must be specified for an Amazon EventBridge target.",
        ),
        (
            {"KinesisParameters": {"PartitionKey": "k"}},
            "KinesisParameters is not valid for a target of sqs.",
        ),
    ],
)
def test_wrong_target_is_refused(create: Create, target: Any, text: str) -> None:
    assert refusal(lambda: create("rate(1 hour)", target=target)) == ("ValidationException", text)


@pytest.mark.parametrize(
    ("arn", "text"),
    [
        (
            f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s",
            "Schedules with targets of kinesis are not implemented by Forebay.",
        ),
        ("arn:aws:scheduler:::aws-sdk:ec2:startInstances", "Service ec2 is not part of Forebay."),
    ],
)
def test_target_that_the_node_has_not_is_named(create: Create, arn: str, text: str) -> None:
    target = {"Arn": arn, "Input": "{}"}
    assert refusal(lambda: create("rate(1 hour)", target=target)) == ("NotImplemented", text)


@pytest.mark.parametrize(
    "policy", [{"MaximumRetryAttempts": 186}, {"MaximumEventAgeInSeconds": 59}, {"MaximumEventAgeInSeconds": 86_401}]
)
def test_retry_policy_out_of_range_is_refused(create: Create, policy: Any) -> None:
    code, text = refusal(lambda: create("rate(1 hour)", target={"RetryPolicy": policy}))
    assert code == "ValidationException"
    assert text.startswith("1 validation error detected: Value '")


def test_name_is_taken_once_in_each_group(scheduler: Any, create: Create) -> None:
    create("rate(1 hour)")
    scheduler.create_schedule_group(Name="g")
    create("rate(1 hour)", GroupName="g")
    expected = ("ConflictException", "Schedule s already exists.")
    assert refusal(lambda: create("rate(1 hour)", GroupName="g")) == expected


def test_client_token_makes_creation_repeatable(create: Create) -> None:
    arn = create("rate(1 hour)", ClientToken="t")
    assert create("rate(1 hour)", ClientToken="t") == arn
    assert refusal(lambda: create("rate(2 hours)", ClientToken="t"))[0] == "ConflictException"
    assert refusal(lambda: create("rate(1 hour)", ClientToken="u"))[0] == "ConflictException"


def test_update_replaces_what_it_does_not_name(scheduler: Any, create: Create, queue: Inbox) -> None:
    create("rate(1 hour)", Description="old", State="DISABLED", ScheduleExpressionTimezone="Europe/Berlin")
    before = scheduler.get_schedule(Name="s")
    answer = scheduler.update_schedule(
        Name="s",
        ScheduleExpression="rate(2 hours)",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
        Target={"Arn": queue.arn, "RoleArn": ROLE},
    )
    assert answer["ScheduleArn"] == ARN
    after = scheduler.get_schedule(Name="s")
    assert after["CreationDate"] == before["CreationDate"]
    assert "Description" not in after
    assert "Input" not in after["Target"]
    assert after["State"] == "ENABLED"
    assert after["ScheduleExpressionTimezone"] == "UTC"
    assert after["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}


def test_missing_schedule_is_named(scheduler: Any, create: Create) -> None:
    expected = ("ResourceNotFoundException", "Schedule x does not exist.")
    assert refusal(lambda: scheduler.get_schedule(Name="x")) == expected
    assert refusal(lambda: scheduler.delete_schedule(Name="x")) == expected
    create("rate(1 hour)")
    scheduler.delete_schedule(Name="s")
    assert refusal(lambda: scheduler.get_schedule(Name="s"))[0] == "ResourceNotFoundException"
    missing = ("ResourceNotFoundException", "Schedule group g does not exist.")
    assert refusal(lambda: create("rate(1 hour)", GroupName="g")) == missing
    assert refusal(lambda: scheduler.list_schedules(GroupName="g")) == missing


def test_schedules_are_listed_by_group_prefix_and_state(scheduler: Any, create: Create) -> None:
    scheduler.create_schedule_group(Name="g")
    for name, group in [("a1", "default"), ("a2", "default"), ("b", "default"), ("a3", "g")]:
        create("rate(1 hour)", name, GroupName=group, State="DISABLED" if name == "a2" else "ENABLED")

    def names(**params: Any) -> list[str]:
        return [each["Name"] for each in scheduler.list_schedules(**params)["Schedules"]]

    assert names() == ["a1", "a2", "b", "a3"]
    assert names(GroupName="default") == ["a1", "a2", "b"]
    assert names(NamePrefix="a") == ["a1", "a2", "a3"]
    assert names(GroupName="default", NamePrefix="a", State="ENABLED") == ["a1"]
    first = scheduler.list_schedules(MaxResults=2)
    assert set(first["Schedules"][0]) == {
        "Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State", "Target",
    }  # fmt: skip
    rest = scheduler.list_schedules(MaxResults=2, NextToken=first["NextToken"])
    assert [each["Name"] for each in rest["Schedules"]] == ["b", "a3"]
    assert "NextToken" not in rest
