from typing import Any

from tests.aws.cloudformation.stacks import create, delete, outputs, update
from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until


def test_stack_makes_changes_and_deletes_pipes(node: RunningNode) -> None:
    client, pipes, sqs = node.client("cloudformation"), node.client("pipes"), node.client("sqs")
    source, target = Inbox(sqs, "source"), Inbox(sqs, "target")

    def resources(template: str, tag: str, **properties: Any) -> dict[str, Any]:
        pipe = {
            "Source": source.arn,
            "Target": target.arn,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/pipe",
            "TargetParameters": {"InputTemplate": template},
            "Tags": {"a": tag},
            **properties,
        }
        return {"Pipe": {"Type": "AWS::Pipes::Pipe", "Properties": pipe}}

    sections = {
        "Outputs": {
            "Name": {"Value": {"Ref": "Pipe"}},
            "Arn": {"Value": {"Fn::GetAtt": ["Pipe", "Arn"]}},
            "State": {"Value": {"Fn::GetAtt": ["Pipe", "CurrentState"]}},
        }
    }
    filters = {"FilterCriteria": {"Filters": [{"Pattern": '{"body": ["x"]}'}]}}
    first = resources('{"one": <$.body>}', "1", Description="d", SourceParameters=filters)
    stack = create(client, "one", first, **sections)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    shown = outputs(stack)
    name = shown["Name"]
    assert (shown["Arn"], shown["State"]) == (f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/{name}", "RUNNING")
    sqs.send_message(QueueUrl=source.url, MessageBody="filtered")
    sqs.send_message(QueueUrl=source.url, MessageBody="x")
    assert wait_until(target.events) == [{"one": "x"}]
    stack = update(client, "one", resources('{"two": <$.body>}', "2"), **sections)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", stack.get("StackStatusReason")
    pipe = pipes.describe_pipe(Name=name)
    assert "Description" not in pipe
    assert pipe["Tags"]["a"] == "2"
    sqs.send_message(QueueUrl=source.url, MessageBody="y")
    assert wait_until(target.events) == [{"two": "y"}]
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert pipes.list_pipes()["Pipes"] == []
