"""State machines, versions, aliases and activities as resources of stacks, plain and as SAM has them."""

import json
from typing import Any

from tests.aws.cloudformation.stacks import create, delete, outputs, update
from tests.harness import RunningNode, wait_until

ROLE = "arn:aws:iam::000000000000:role/states"
SERVERLESS = "AWS::Serverless-2016-10-31"


def passing(result: Any) -> dict[str, Any]:
    return {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": result, "End": True}}}


def machine(**properties: Any) -> dict[str, Any]:
    return {
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {"StateMachineName": "orders", "RoleArn": ROLE, **properties},
        }
    }


OUTPUTS = {
    "Outputs": {
        "Arn": {"Value": {"Ref": "Machine"}},
        "Name": {"Value": {"Fn::GetAtt": ["Machine", "Name"]}},
        "Revision": {"Value": {"Fn::GetAtt": ["Machine", "StateMachineRevisionId"]}},
    }
}


def test_machine_is_made_changed_and_deleted(node: RunningNode) -> None:
    client, states = node.client("cloudformation"), node.client("stepfunctions")
    first = machine(
        DefinitionString=json.dumps(passing("${Word}")),
        DefinitionSubstitutions={"Word": 'a "word"'},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    stack = create(client, "machines", first, **OUTPUTS)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    found = outputs(stack)
    arn = "arn:aws:states:us-east-1:000000000000:stateMachine:orders"
    assert (found["Arn"], found["Name"], found["Revision"]) == (arn, "orders", "INITIAL")
    described = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    assert described == passing('a "word"')
    logging = {"Level": "OFF", "IncludeExecutionData": True}
    stack = update(client, "machines", machine(Definition=passing(2), LoggingConfiguration=logging), **OUTPUTS)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert outputs(stack)["Revision"] != "INITIAL"
    shown = states.describe_state_machine(stateMachineArn=arn)
    assert json.loads(shown["definition"]) == passing(2)
    assert shown["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": True}
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == []
    assert delete(client, "machines") == "DELETE_COMPLETE"
    assert states.list_state_machines()["stateMachines"] == []


def test_definition_comes_from_a_bucket_also_in_yaml(node: RunningNode) -> None:
    client, states, s3 = node.client("cloudformation"), node.client("stepfunctions"), node.client("s3")
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="m.yaml", Body=b"StartAt: A\nStates:\n  A: {Type: Pass, Result: 5, End: true}\n")
    stack = create(client, "stored", machine(DefinitionS3Location={"Bucket": "code", "Key": "m.yaml"}), **OUTPUTS)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    shown = states.describe_state_machine(stateMachineArn=outputs(stack)["Arn"])
    assert json.loads(shown["definition"]) == passing(5)


def test_definition_with_a_fault_fails_the_stack_with_its_words(node: RunningNode) -> None:
    client = node.client("cloudformation")
    stack = create(client, "faulty", machine(Definition={"StartAt": "B", "States": passing(1)["States"]}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = [
        event.get("ResourceStatusReason", "")
        for event in client.describe_stack_events(StackName="faulty")["StackEvents"]
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    assert any("Invalid State Machine Definition" in reason for reason in reasons), reasons


def test_versions_and_aliases_follow_the_machine(node: RunningNode) -> None:
    client, states = node.client("cloudformation"), node.client("stepfunctions")

    def resources(result: int) -> dict[str, Any]:
        return {
            **machine(Definition=passing(result)),
            "Version": {
                "Type": "AWS::StepFunctions::StateMachineVersion",
                "Properties": {
                    "StateMachineArn": {"Ref": "Machine"},
                    "StateMachineRevisionId": {"Fn::GetAtt": ["Machine", "StateMachineRevisionId"]},
                },
            },
            "Live": {
                "Type": "AWS::StepFunctions::StateMachineAlias",
                "Properties": {
                    "Name": "live",
                    "RoutingConfiguration": [{"StateMachineVersionArn": {"Ref": "Version"}, "Weight": 100}],
                },
            },
            "Work": {"Type": "AWS::StepFunctions::Activity", "Properties": {"Name": "work"}},
        }

    alias_output = {"Outputs": {"Live": {"Value": {"Ref": "Live"}}, "Work": {"Value": {"Ref": "Work"}}}}
    stack = create(client, "versions", resources(1), **alias_output)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    alias = outputs(stack)["Live"]
    stack = update(client, "versions", resources(2), **alias_output)
    assert stack["StackStatus"] == "UPDATE_COMPLETE", stack
    execution = states.start_execution(stateMachineArn=alias)["executionArn"]
    ended = wait_until(
        lambda: (shown := states.describe_execution(executionArn=execution))["status"] == "SUCCEEDED" and shown
    )
    assert (ended["output"], ended["stateMachineVersionArn"].rpartition(":")[2]) == ("2", "2")
    assert delete(client, "versions") == "DELETE_COMPLETE"


def test_serverless_machine_is_started_by_its_events(node: RunningNode) -> None:
    client, states, events = node.client("cloudformation"), node.client("stepfunctions"), node.client("events")
    resources = {
        "Machine": {
            "Type": "AWS::Serverless::StateMachine",
            "Properties": {
                "Definition": passing("${Word}"),
                "DefinitionSubstitutions": {"Word": "hello"},
                "Policies": [{"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}],
                "Events": {"Made": {"Type": "EventBridgeRule", "Properties": {"Pattern": {"source": ["shop"]}}}},
            },
        }
    }
    given = {"Transform": SERVERLESS, "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]}
    stack = create(client, "serverless", resources, **given, **OUTPUTS)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    arn = outputs(stack)["Arn"]
    events.put_events(Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}"}])
    (execution,) = wait_until(lambda: states.list_executions(stateMachineArn=arn)["executions"])
    shown = states.describe_execution(executionArn=execution["executionArn"])
    assert (shown["output"], json.loads(shown["input"])["source"]) == ('"hello"', "shop")
