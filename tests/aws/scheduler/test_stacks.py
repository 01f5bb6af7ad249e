from typing import Any

from tests.aws.cloudformation.stacks import create, delete, outputs, update
from tests.aws.events.inboxes import Inbox, refusal
from tests.aws.scheduler.conftest import ROLE
from tests.harness import ACCOUNT, RunningNode, wait_until


def complete(client: Any, stack: dict[str, Any]) -> dict[str, Any]:
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, stack.get("StackStatusReason")
    return stack


def test_stack_makes_changes_and_deletes_schedules(node: RunningNode, scheduler: Any, queue: Inbox) -> None:
    client = node.client("cloudformation")

    def resources(text: str, tag: str, **properties: Any) -> dict[str, Any]:
        schedule = {
            "GroupName": {"Ref": "Group"},
            "ScheduleExpression": "cron(0 9 * * ? *)",
            "ScheduleExpressionTimezone": "Europe/Berlin",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": queue.arn, "RoleArn": ROLE, "Input": text},
            **properties,
        }
        group = {"Name": "group", "Tags": [{"Key": "a", "Value": tag}]}
        return {
            "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": group},
            "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": schedule},
        }

    sections = {
        "Outputs": {
            "Name": {"Value": {"Ref": "Schedule"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Schedule", "Arn"]}},
            "State": {"Value": {"Fn::GetAtt": ["Group", "State"]}},
        }
    }
    shown = outputs(complete(client, create(client, "one", resources("x", "1", Description="d"), **sections)))
    name = shown["Name"]
    assert shown["Arn"] == f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/group/{name}"
    assert shown["State"] == "ACTIVE"
    assert scheduler.get_schedule(GroupName="group", Name=name)["Description"] == "d"
    complete(client, update(client, "one", resources("y", "2", State="DISABLED"), **sections))
    schedule = scheduler.get_schedule(GroupName="group", Name=name)
    assert (schedule["Target"]["Input"], schedule["State"]) == ("y", "DISABLED")
    assert "Description" not in schedule
    tags = scheduler.list_tags_for_resource(ResourceArn=f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/group")
    assert {"Key": "a", "Value": "2"} in tags["Tags"]
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert refusal(lambda: scheduler.get_schedule(GroupName="group", Name=name))[0] == "ResourceNotFoundException"
    wait_until(lambda: len(scheduler.list_schedule_groups()["ScheduleGroups"]) == 1)
