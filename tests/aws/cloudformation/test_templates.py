import json

import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import body, create, events, outputs, queue, settled
from tests.harness import RunningNode

YAML = """
AWSTemplateFormatVersion: 2010-09-09
Description: a queue
Parameters:
  Name: {Type: String, Default: jobs, Description: the name, AllowedValues: [jobs, tasks]}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Ref Name}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {}}
"""


def test_validate_says_what_a_template_asks_for(node: RunningNode) -> None:
    found = node.client("cloudformation").validate_template(TemplateBody=YAML)
    assert found["Description"] == "a queue"
    assert found["Parameters"] == [
        {"ParameterKey": "Name", "DefaultValue": "jobs", "NoEcho": False, "Description": "the name"}
    ]
    assert found["Capabilities"] == ["CAPABILITY_IAM"]
    assert found["CapabilitiesReason"] == "The following resource(s) require capabilities: [AWS::IAM::Role]"


def test_validate_refuses_what_is_wrong(node: RunningNode) -> None:
    client = node.client("cloudformation")
    with pytest.raises(ClientError) as raised:
        client.validate_template(TemplateBody=body({"A": queue(QueueName={"Ref": "Gone"})}))
    error = raised.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert "Unresolved resource dependencies [Gone] in the Resources block" in error["Message"]


def test_summary_lists_types_and_constraints(node: RunningNode) -> None:
    found = node.client("cloudformation").get_template_summary(TemplateBody=YAML)
    assert found["ResourceTypes"] == ["AWS::SQS::Queue", "AWS::IAM::Role"]
    assert found["Parameters"][0]["ParameterConstraints"] == {"AllowedValues": ["jobs", "tasks"]}
    assert found["Version"] == "2010-09-09"
    assert found["ResourceIdentifierSummaries"][0] == {
        "ResourceType": "AWS::SQS::Queue",
        "LogicalResourceIds": ["Queue"],
        "ResourceIdentifiers": ["QueueUrl"],
    }


def test_template_is_returned_as_it_was_given(node: RunningNode) -> None:
    client = node.client("cloudformation")
    client.create_stack(
        StackName="one", TemplateBody=YAML.replace("{AssumeRolePolicyDocument: {}}", "{}").split("  Role")[0]
    )
    settled(client, "one")
    found = client.get_template(StackName="one")
    assert "Properties: {QueueName: !Ref Name}" in found["TemplateBody"]
    assert found["StagesAvailable"] == ["Original", "Processed"]


def test_template_is_read_from_a_bucket(node: RunningNode) -> None:
    client, s3 = node.client("cloudformation"), node.client("s3")
    s3.create_bucket(Bucket="templates")
    s3.put_object(Bucket="templates", Key="dir/a.json", Body=body({"A": queue(QueueName="from-s3")}))
    client.create_stack(StackName="one", TemplateURL="https://templates.s3.us-east-1.amazonaws.com/dir/a.json")
    assert settled(client, "one")["StackStatus"] == "CREATE_COMPLETE"
    client.create_stack(StackName="two", TemplateURL=f"{node.url}/templates/dir/a.json")
    assert settled(client, "two")["StackStatus"] in {"CREATE_COMPLETE", "ROLLBACK_COMPLETE"}
    with pytest.raises(ClientError, match="S3 error: The specified key does not exist"):
        client.create_stack(StackName="three", TemplateURL="https://s3.amazonaws.com/templates/none.json")
    with pytest.raises(ClientError, match="TemplateURL must be a supported URL"):
        client.create_stack(StackName="three", TemplateURL="https://example.amazonaws.com/x")


def test_macros_must_be_acknowledged(node: RunningNode) -> None:
    client = node.client("cloudformation")
    loop = {"Fn::ForEach::L": ["N", ["a", "b"], {"Queue${N}": queue(QueueName={"Fn::Sub": "${N}-queue"})}]}
    template = json.dumps({"Transform": "AWS::LanguageExtensions", "Resources": loop})
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_AUTO_EXPAND\]"):
        client.create_stack(StackName="one", TemplateBody=template)
    client.create_stack(StackName="one", TemplateBody=template, Capabilities=["CAPABILITY_AUTO_EXPAND"])
    assert settled(client, "one")["StackStatus"] == "CREATE_COMPLETE"
    urls = node.client("sqs").list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in urls] == ["a-queue", "b-queue"]


def test_included_snippets_are_read_from_a_bucket(node: RunningNode) -> None:
    client, s3 = node.client("cloudformation"), node.client("s3")
    s3.create_bucket(Bucket="snippets")
    s3.put_object(Bucket="snippets", Key="queue.yaml", Body=b"QueueName: included\nDelaySeconds: 4\n")
    snippet = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://snippets/queue.yaml"}}}
    create(client, "one", {"A": {"Type": "AWS::SQS::Queue", "Properties": snippet}})
    assert node.client("sqs").get_queue_url(QueueName="included")


def test_dynamic_references_are_looked_up_and_not_kept(node: RunningNode) -> None:
    client, ssm = node.client("cloudformation"), node.client("ssm")
    ssm.put_parameter(Name="/delay", Type="String", Value="9")
    stack = create(
        client, "one", {"A": queue(QueueName="a-{{resolve:ssm:/delay}}")}, Outputs={"U": {"Value": {"Ref": "A"}}}
    )
    assert outputs(stack)["U"].endswith("/a-9")
    history = client.describe_stack_events(StackName="one")["StackEvents"]
    texts = [event.get("ResourceProperties", "") for event in history]
    assert any("{{resolve:ssm:/delay}}" in text for text in texts)


def test_parameters_of_ssm_type_are_looked_up(node: RunningNode) -> None:
    client, ssm = node.client("cloudformation"), node.client("ssm")
    ssm.put_parameter(Name="/name", Type="String", Value="looked-up")
    parameters = {"Name": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/name"}}
    stack = create(client, "one", {"A": queue(QueueName={"Ref": "Name"})}, Parameters=parameters)
    assert stack["Parameters"] == [{"ParameterKey": "Name", "ParameterValue": "/name", "ResolvedValue": "looked-up"}]
    assert node.client("sqs").get_queue_url(QueueName="looked-up")
    assert not [reason for _, status, reason in events(client, "one") if status == "CREATE_FAILED"]
