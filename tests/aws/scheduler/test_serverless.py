from typing import Any

from tests.aws.cloudformation.stacks import create
from tests.harness import ACCOUNT, RunningNode


def test_schedule_of_a_serverless_function_becomes_a_schedule(node: RunningNode, scheduler: Any) -> None:
    client = node.client("cloudformation")
    event = {
        "Type": "ScheduleV2",
        "Properties": {
            "Name": "tick",
            "ScheduleExpression": "rate(1 hour)",
            "ScheduleExpressionTimezone": "Europe/Berlin",
            "RetryPolicy": {"MaximumRetryAttempts": 5},
            "Input": '{"a": 1}',
            "State": "DISABLED",
        },
    }
    function = {
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "InlineCode": "def handler(event, context):\n    return None\n",
        "FunctionName": "f",
        "Events": {"Tick": event},
    }
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": function}}
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    stack = create(client, "one", resources, Transform="AWS::Serverless-2016-10-31", Capabilities=capabilities)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    schedule = scheduler.get_schedule(Name="tick")
    assert schedule["Target"]["Arn"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    assert schedule["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 5}
    assert (schedule["ScheduleExpressionTimezone"], schedule["State"]) == ("Europe/Berlin", "DISABLED")
