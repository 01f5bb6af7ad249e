import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import body, create, delete, events, outputs, queue, settled
from tests.harness import RunningNode


def test_create_makes_resources_in_order_and_evaluates_outputs(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    dead = {"Fn::GetAtt": ["Dead", "Arn"]}
    stack = create(
        client,
        "one",
        {
            "Main": queue(VisibilityTimeout="45", RedrivePolicy={"deadLetterTargetArn": dead, "maxReceiveCount": 3}),
            "Dead": queue(QueueName="letters"),
        },
        Outputs={
            "Url": {"Value": {"Ref": "Main"}, "Description": "the queue"},
            "Name": {"Value": {"Fn::GetAtt": ["Main", "QueueName"]}},
        },
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    found = outputs(stack)
    attributes = sqs.get_queue_attributes(QueueUrl=found["Url"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "45"
    assert attributes["QueueArn"].endswith(found["Name"])
    assert ":letters" in attributes["RedrivePolicy"]
    assert found["Name"].startswith("one-Main-")
    assert events(client, "one") == [
        ("one", "CREATE_IN_PROGRESS", "User Initiated"),
        ("Dead", "CREATE_IN_PROGRESS", None),
        ("Dead", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("Dead", "CREATE_COMPLETE", None),
        ("Main", "CREATE_IN_PROGRESS", None),
        ("Main", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("Main", "CREATE_COMPLETE", None),
        ("one", "CREATE_COMPLETE", None),
    ]


def test_failed_create_rolls_back(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    bad = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"PolicyDocument": {}, "Queues": ["http://x/1/none"]}}
    stack = create(client, "bad", {"Good": queue(QueueName="good"), "Bad": {**bad, "DependsOn": "Good"}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    with pytest.raises(ClientError):
        sqs.get_queue_url(QueueName="good")
    history = events(client, "bad")
    failure = next(reason for name, status, reason in history if (name, status) == ("Bad", "CREATE_FAILED"))
    assert failure is not None
    assert failure.startswith("Resource handler returned message: ")
    rollback = (
        "bad",
        "ROLLBACK_IN_PROGRESS",
        "The following resource(s) failed to create: [Bad]. Rollback requested by user.",
    )
    assert rollback in history
    assert history[-1] == ("bad", "ROLLBACK_COMPLETE", None)


def test_failed_create_stays_without_rollback(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    bad = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"PolicyDocument": {}, "Queues": ["http://x/1/none"]}}
    stack = create(
        client, "bad", {"Good": queue(QueueName="good"), "Bad": {**bad, "DependsOn": "Good"}}, OnFailure="DO_NOTHING"
    )
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert stack["StackStatusReason"] == "The following resource(s) failed to create: [Bad]. "
    assert sqs.get_queue_url(QueueName="good")


def test_failed_create_deletes_the_stack_when_told_so(node: RunningNode) -> None:
    client = node.client("cloudformation")
    bad = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"PolicyDocument": {}, "Queues": ["http://x/1/none"]}}
    stack_id = client.create_stack(StackName="bad", TemplateBody=body({"Bad": bad}), OnFailure="DELETE")["StackId"]
    assert settled(client, stack_id)["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="Stack with id bad does not exist"):
        client.describe_stacks(StackName="bad")


def test_delete_removes_resources_and_frees_the_name(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    stack = create(client, "one", {"A": queue(QueueName="a"), "B": {**queue(QueueName="b"), "DependsOn": "A"}})
    assert delete(client, "one") == "DELETE_COMPLETE"
    assert "QueueUrls" not in sqs.list_queues()
    gone = [name for name, status, _ in events(client, stack["StackId"]) if status == "DELETE_COMPLETE"]
    assert gone == ["B", "A", "one"]
    assert create(client, "one", {"A": queue()})["StackStatus"] == "CREATE_COMPLETE"


def test_retained_resources_stay(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    create(client, "one", {"A": {**queue(QueueName="kept"), "DeletionPolicy": "Retain"}, "B": queue(QueueName="gone")})
    assert delete(client, "one") == "DELETE_COMPLETE"
    (url,) = sqs.list_queues()["QueueUrls"]
    assert url.endswith("/kept")


def test_termination_protection_refuses_deletion(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()}, EnableTerminationProtection=True)
    with pytest.raises(ClientError) as raised:
        client.delete_stack(StackName="one")
    text = "Stack [one] cannot be deleted while TerminationProtection is enabled"
    assert raised.value.response["Error"] == {"Type": "Sender", "Code": "ValidationError", "Message": text}
    client.update_termination_protection(StackName="one", EnableTerminationProtection=False)
    assert delete(client, "one") == "DELETE_COMPLETE"


def test_second_stack_of_a_name_is_refused(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()})
    with pytest.raises(client.exceptions.AlreadyExistsException, match=r"Stack \[one\] already exists"):
        client.create_stack(StackName="one", TemplateBody=body({"A": queue()}))


def test_waiters_and_pages_work(node: RunningNode) -> None:
    client = node.client("cloudformation")
    resources = {f"Q{number}": queue() for number in range(40)}
    client.create_stack(StackName="wide", TemplateBody=body(resources))
    client.get_waiter("stack_create_complete").wait(StackName="wide", WaiterConfig={"Delay": 1})
    assert len(events(client, "wide")) == 2 + 3 * 40
    listed = client.list_stack_resources(StackName="wide")["StackResourceSummaries"]
    assert [item["ResourceStatus"] for item in listed] == ["CREATE_COMPLETE"] * 40


def test_described_stack_has_the_members_that_clients_expect(node: RunningNode) -> None:
    client = node.client("cloudformation")
    parameters = {
        "Secret": {"Type": "String", "NoEcho": True, "Default": "hidden"},
        "Plain": {"Type": "String", "Default": "x"},
    }
    stack = create(client, "one", {"A": queue()}, Parameters=parameters, Tags=[{"Key": "team", "Value": "a"}])
    assert stack["RollbackConfiguration"] == {}
    assert stack["NotificationARNs"] == []
    assert stack["DisableRollback"] is False
    assert stack["EnableTerminationProtection"] is False
    assert stack["DriftInformation"] == {"StackDriftStatus": "NOT_CHECKED"}
    assert stack["Tags"] == [{"Key": "team", "Value": "a"}]
    assert {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]} == {
        "Secret": "****",
        "Plain": "x",
    }
    assert "Outputs" not in stack
    assert "Capabilities" not in stack
    detail = client.describe_stack_resource(StackName="one", LogicalResourceId="A")["StackResourceDetail"]
    assert detail["StackName"] == "one"
    assert detail["PhysicalResourceId"].startswith("http")


def test_iam_needs_its_capability(node: RunningNode) -> None:
    client = node.client("cloudformation")
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}
    named = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}, "RoleName": "r"}}
    refused = client.exceptions.InsufficientCapabilitiesException
    with pytest.raises(refused, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        client.create_stack(StackName="one", TemplateBody=body({"R": role}))
    with pytest.raises(refused, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        client.create_stack(StackName="one", TemplateBody=body({"R": named}), Capabilities=["CAPABILITY_IAM"])


def test_unknown_types_and_properties_are_refused_by_name(node: RunningNode) -> None:
    client = node.client("cloudformation")

    def refusal(resources: dict) -> str:
        with pytest.raises(ClientError) as raised:
            client.create_stack(StackName="one", TemplateBody=body(resources))
        return raised.value.response["Error"]["Message"]

    assert (
        refusal({"A": {"Type": "AWS::Nope::Thing"}})
        == "Template format error: Unrecognized resource types: [AWS::Nope::Thing]"
    )
    assert (
        refusal({"A": {"Type": "AWS::EC2::Instance"}})
        == "Resource types that Forebay does not have: [AWS::EC2::Instance]"
    )
    assert refusal({"A": queue(Colour="red")}) == (
        "Properties validation failed for resource A with message: #: extraneous key [Colour] is not permitted"
    )
    assert refusal({"A": queue(), "B": queue(QueueName={"Fn::GetAtt": ["A", "Weight"]})}) == (
        "Template error: resource A does not support attribute type Weight in Fn::GetAtt"
    )
    assert not client.list_stacks()["StackSummaries"]


def test_ignored_things_are_listed_when_allowed(node: RunningNode) -> None:
    client = node.client("cloudformation")
    resources = {
        "A": queue(Colour="red", KmsMasterKeyId="alias/aws/sqs"),
        "B": {"Type": "AWS::EC2::Instance", "Properties": {"ImageId": "x"}},
    }
    stack = create(
        client,
        "one",
        resources,
        Outputs={"B": {"Value": {"Ref": "B"}}},
        Tags=[{"Key": "forebay:allow-ignored", "Value": "true"}],
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    notices = {name: reason for name, status, reason in events(client, "one") if status == "CREATE_COMPLETE"}
    assert notices["A"] == (
        "Ignored properties that Forebay does not have: Colour. Accepted without effect: KmsMasterKeyId."
    )
    assert notices["B"] == "Ignored: Forebay has no resource type AWS::EC2::Instance; nothing was created."


def test_property_without_effect_is_listed(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue(SqsManagedSseEnabled=True)})
    assert ("A", "CREATE_COMPLETE", "Accepted without effect: SqsManagedSseEnabled.") in events(client, "one")


def test_conditions_and_mappings_choose_resources(node: RunningNode) -> None:
    client, sqs = node.client("cloudformation"), node.client("sqs")
    sections = {
        "Parameters": {"Stage": {"Type": "String", "AllowedValues": ["dev", "prod"], "Default": "dev"}},
        "Mappings": {"Delay": {"dev": {"Seconds": 1}, "prod": {"Seconds": 5}}},
        "Conditions": {"IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}},
    }
    delay = {"Fn::FindInMap": ["Delay", {"Ref": "Stage"}, "Seconds"]}
    resources = {"A": queue(QueueName="a", DelaySeconds=delay), "B": {**queue(QueueName="b"), "Condition": "IsProd"}}
    create(client, "one", resources, **sections)
    (url,) = sqs.list_queues()["QueueUrls"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"] == {
        "DelaySeconds": "1"
    }


def test_pseudo_parameters_are_known(node: RunningNode) -> None:
    client = node.client("cloudformation", region="eu-west-1", account="111122223333")
    text = "${AWS::AccountId} ${AWS::Region} ${AWS::StackName} ${AWS::Partition} ${AWS::URLSuffix}"
    stack = create(client, "one", {"A": queue()}, Outputs={"O": {"Value": {"Fn::Sub": text}}})
    assert outputs(stack)["O"] == "111122223333 eu-west-1 one aws amazonaws.com"


def test_missing_nested_property_fails_its_resource(node: RunningNode) -> None:
    client = node.client("cloudformation")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    role = {"AssumeRolePolicyDocument": trust, "Policies": [{"PolicyDocument": {}}]}
    resources = {"R": {"Type": "AWS::IAM::Role", "Properties": role}}
    stack = create(client, "one", resources, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = [reason for name, status, reason in events(client, "one") if (name, status) == ("R", "CREATE_FAILED")]
    assert "PolicyName" in str(reasons)
    assert node.client("iam").list_roles()["Roles"] == []
