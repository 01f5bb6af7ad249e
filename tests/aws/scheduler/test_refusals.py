"""Schedule expressions, and what Scheduler says of what is not there, on one node that all cases share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.events.inboxes import refusal
from tests.aws.scheduler.conftest import ROLE
from tests.harness import ACCOUNT, RunningNode

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    node = RunningNode(tmp_path_factory.mktemp("data")).start()
    yield node.client("scheduler")
    node.stop()


def put(scheduler: Any, expression: str, operation: str = "create_schedule", **settings: Any) -> Any:
    given = {
        "Name": "s",
        "State": "DISABLED",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": QUEUE, "RoleArn": ROLE},
    }
    return getattr(scheduler, operation)(**{**given, **settings})


@pytest.mark.parametrize(
    "expression",
    [
        "rate(10 seconds)",
        "rate(10 years)",
        "rate(0 hours)",
        "rate(-1 hours)",
        "rate(1)",
        "rate()",
        "rate(10 minutess)",
        "rate(ten minutes)",
        "RATE(1 hour)",
        "at(2031-01-01)",
        "at(2031-01-01T00:00:00Z)",
        "at(2031-01-01T00:00:00+00:00)",
        "at(2031-01-01 00:00:00)",
        "at(2031-02-30T00:00:00)",
        "at(2031-01-01T24:00:00)",
        "at(2031-01-01T00:00)",
        "cron()",
        "cron(0 1 * * * *)",
        "cron(0 1 ? * ? *)",
        "cron(7 20 * * NOT *)",
        "cron(0 dummy ? * MON-FRI *)",
        "cron(71 8 1 * ? *)",
        "cron(0 8 1 * ?)",
        "0 8 1 * ? *",
        "every day",
    ],
)
def test_expression_is_refused(scheduler: Any, expression: str) -> None:
    answer = ("ValidationException", f"Invalid Schedule Expression {expression}.")
    assert refusal(lambda: put(scheduler, expression)) == answer


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minute)",
        "rate(5 minute)",
        "at(2031-01-01T23:59:59)",
        "cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)",
        "cron(0 8 L * ? 2030-2040)",
    ],
)
def test_expression_is_taken(scheduler: Any, expression: str) -> None:
    put(scheduler, expression)
    assert scheduler.get_schedule(Name="s")["ScheduleExpression"] == expression
    scheduler.delete_schedule(Name="s")


@pytest.mark.parametrize(
    ("operation", "given", "code", "text"),
    [
        ("get_schedule", {"Name": "none"}, "ResourceNotFoundException", "Schedule none does not exist."),
        ("delete_schedule", {"Name": "none"}, "ResourceNotFoundException", "Schedule none does not exist."),
        ("get_schedule_group", {"Name": "none"}, "ResourceNotFoundException", "Schedule group none does not exist."),
        (
            "delete_schedule_group",
            {"Name": "none"},
            "ResourceNotFoundException",
            "Schedule group none does not exist.",
        ),
        ("list_schedules", {"GroupName": "none"}, "ResourceNotFoundException", "Schedule group none does not exist."),
        (
            "create_schedule_group",
            {"Name": "default"},
            "ConflictException",
            "Schedule group default already exists.",
        ),
        # In which words AWS refuses to delete it is not known.
        (
            "delete_schedule_group",
            {"Name": "default"},
            "ValidationException",
            "The default schedule group cannot be deleted.",
        ),
        (
            "tag_resource",
            {
                "ResourceArn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/none",
                "Tags": [{"Key": "k", "Value": "v"}],
            },
            "ResourceNotFoundException",
            "Schedule group none does not exist.",
        ),
    ],
)
def test_resource_is_refused(scheduler: Any, operation: str, given: Any, code: str, text: str) -> None:
    assert refusal(lambda: getattr(scheduler, operation)(**given)) == (code, text)


def test_group_and_schedule_must_be_there(scheduler: Any) -> None:
    missing = "ResourceNotFoundException"
    created = refusal(lambda: put(scheduler, "rate(1 hour)", GroupName="none"))
    assert created == (missing, "Schedule group none does not exist.")
    updated = refusal(lambda: put(scheduler, "rate(1 hour)", "update_schedule", Name="none"))
    assert updated == (missing, "Schedule none does not exist.")
