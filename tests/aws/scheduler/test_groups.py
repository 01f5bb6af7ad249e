from collections.abc import Callable
from typing import Any

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

GROUP = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/g"


def names(scheduler: Any, **params: Any) -> list[str]:
    return [group["Name"] for group in scheduler.list_schedule_groups(**params)["ScheduleGroups"]]


def test_default_group_is_there_and_stays(scheduler: Any) -> None:
    assert names(scheduler) == ["default"]
    group = scheduler.get_schedule_group(Name="default")
    assert (group["State"], group["Arn"]) == ("ACTIVE", GROUP[:-1] + "default")
    assert refusal(lambda: scheduler.create_schedule_group(Name="default"))[0] == "ConflictException"
    assert refusal(lambda: scheduler.delete_schedule_group(Name="default"))[0] == "ValidationException"


def test_groups_are_made_once_and_listed(scheduler: Any) -> None:
    assert scheduler.create_schedule_group(Name="g", ClientToken="t")["ScheduleGroupArn"] == GROUP
    assert scheduler.create_schedule_group(Name="g", ClientToken="t")["ScheduleGroupArn"] == GROUP
    expected = ("ConflictException", "Schedule group g already exists.")
    assert refusal(lambda: scheduler.create_schedule_group(Name="g")) == expected
    scheduler.create_schedule_group(Name="h")
    assert names(scheduler) == ["default", "g", "h"]
    assert names(scheduler, NamePrefix="g") == ["g"]
    page = scheduler.list_schedule_groups(MaxResults=2)
    rest = scheduler.list_schedule_groups(MaxResults=2, NextToken=page["NextToken"])
    assert [group["Name"] for group in rest["ScheduleGroups"]] == ["h"]
    assert "NextToken" not in rest


def test_group_goes_with_its_schedules(
    node: RunningNode, scheduler: Any, create: Callable[..., str], queue: Inbox
) -> None:
    node.clock.freeze(1_800_057_600.0)
    scheduler.create_schedule_group(Name="g")
    create("cron(* * * * ? *)", "doomed", GroupName="g")
    create("cron(* * * * ? *)", "kept")
    scheduler.delete_schedule_group(Name="g")
    wait_until(lambda: names(scheduler) == ["default"])
    expected = ("ResourceNotFoundException", "Schedule group g does not exist.")
    assert refusal(lambda: scheduler.get_schedule_group(Name="g")) == expected
    assert [each["Name"] for each in scheduler.list_schedules()["Schedules"]] == ["kept"]
    node.clock.advance(60)
    assert len(wait_until(queue.bodies)) == 1


def test_tags_of_a_group_are_set_and_taken(scheduler: Any) -> None:
    scheduler.create_schedule_group(Name="g", Tags=[{"Key": "a", "Value": "1"}])
    scheduler.tag_resource(ResourceArn=GROUP, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    scheduler.untag_resource(ResourceArn=GROUP, TagKeys=["b", "c"])
    assert scheduler.list_tags_for_resource(ResourceArn=GROUP)["Tags"] == [{"Key": "a", "Value": "2"}]
    missing = GROUP + "2"
    assert refusal(lambda: scheduler.list_tags_for_resource(ResourceArn=missing))[0] == "ResourceNotFoundException"
