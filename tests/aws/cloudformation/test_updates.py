import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import body, create, events, outputs, queue, update
from tests.harness import RunningNode

BAD_POLICY = {"Type": "AWS::SQS::QueuePolicy", "Properties": {"PolicyDocument": {}, "Queues": ["http://x/1/none"]}}

ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}


def names(node: RunningNode) -> set[str]:
    return {url.rpartition("/")[2] for url in node.client("sqs").list_queues().get("QueueUrls", [])}


def delay(node: RunningNode, name: str) -> str:
    sqs = node.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]["DelaySeconds"]


def test_changed_property_is_updated_in_place(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue(QueueName="a", DelaySeconds=1), "B": queue()})
    before = len(events(client, "one"))
    assert (
        update(client, "one", {"A": queue(QueueName="a", DelaySeconds=2), "B": queue()})["StackStatus"]
        == "UPDATE_COMPLETE"
    )
    assert delay(node, "a") == "2"
    assert events(client, "one")[before:] == [
        ("one", "UPDATE_IN_PROGRESS", "User Initiated"),
        ("A", "UPDATE_IN_PROGRESS", None),
        ("A", "UPDATE_COMPLETE", None),
        ("one", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None),
        ("one", "UPDATE_COMPLETE", None),
    ]


def test_removed_property_goes_back_to_its_default(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue(QueueName="a", DelaySeconds=1)})
    update(client, "one", {"A": queue(QueueName="a")})
    assert delay(node, "a") == "0"


def test_fixed_property_replaces_and_references_follow(node: RunningNode) -> None:
    client = node.client("cloudformation")
    sections = {"Outputs": {"Url": {"Value": {"Ref": "A"}}}}
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": [{"Ref": "A"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [ALLOW]}},
    }
    create(client, "one", {"A": queue(QueueName="a"), "P": policy}, **sections)
    before = len(events(client, "one"))
    stack = update(client, "one", {"A": queue(QueueName="b"), "P": policy}, **sections)
    assert names(node) == {"b"}
    assert outputs(stack)["Url"].endswith("/b")
    history = events(client, "one")[before:]
    replacing = "Requested update requires the creation of a new physical resource; hence creating one."
    assert history[1] == ("A", "UPDATE_IN_PROGRESS", replacing)
    assert ("P", "UPDATE_COMPLETE", None) in history
    cleanup = history.index(("one", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", None))
    assert history[cleanup + 1 :] == [
        ("A", "DELETE_IN_PROGRESS", None),
        ("A", "DELETE_COMPLETE", None),
        ("one", "UPDATE_COMPLETE", None),
    ]


def test_added_and_removed_resources(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue(QueueName="a"), "B": queue(QueueName="b")})
    update(client, "one", {"B": queue(QueueName="b"), "C": queue(QueueName="c")})
    assert names(node) == {"b", "c"}
    listed = client.describe_stack_resources(StackName="one")["StackResources"]
    assert [item["LogicalResourceId"] for item in listed] == ["B", "C"]


def test_failed_update_rolls_back_everything(node: RunningNode) -> None:
    client = node.client("cloudformation")
    sections = {"Outputs": {"Url": {"Value": {"Ref": "R"}}}}
    create(
        client,
        "one",
        {"A": queue(QueueName="a", DelaySeconds=1), "R": queue(QueueName="old"), "G": queue(QueueName="gone")},
        **sections,
    )
    stack = update(
        client,
        "one",
        {
            "A": queue(QueueName="a", DelaySeconds=2),
            "R": queue(QueueName="new"),
            "N": queue(QueueName="added"),
            "Bad": {**BAD_POLICY, "DependsOn": ["A", "R", "N"]},
        },
        **sections,
    )
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert names(node) == {"a", "old", "gone"}
    assert delay(node, "a") == "1"
    assert outputs(stack)["Url"].endswith("/old")
    assert ("one", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Bad]. ") in events(
        client, "one"
    )
    after = update(client, "one", {"A": queue(QueueName="a", DelaySeconds=3), "R": queue(QueueName="old")}, **sections)
    assert after["StackStatus"] == "UPDATE_COMPLETE"
    assert names(node) == {"a", "old"}


def test_failed_update_stays_without_rollback(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue(QueueName="a")})
    stack = update(client, "one", {"A": queue(QueueName="a"), "Bad": BAD_POLICY}, DisableRollback=True)
    assert stack["StackStatus"] == "UPDATE_FAILED"
    assert update(client, "one", {"A": queue(QueueName="a")})["StackStatus"] == "UPDATE_COMPLETE"


def test_update_without_changes_is_refused(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()})
    with pytest.raises(ClientError) as raised:
        client.update_stack(StackName="one", TemplateBody=body({"A": queue()}))
    assert raised.value.response["Error"]["Message"] == "No updates are to be performed."


def test_custom_named_resource_cannot_be_replaced(node: RunningNode) -> None:
    client = node.client("cloudformation")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}

    def role(path: str) -> dict:
        properties = {"AssumeRolePolicyDocument": trust, "RoleName": "worker", "Path": path}
        return {"R": {"Type": "AWS::IAM::Role", "Properties": properties}}

    create(client, "one", role("/a/"), Capabilities=["CAPABILITY_NAMED_IAM"])
    stack = update(client, "one", role("/b/"), Capabilities=["CAPABILITY_NAMED_IAM"])
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    reasons = [reason for name, status, reason in events(client, "one") if (name, status) == ("R", "UPDATE_FAILED")]
    text = "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
    assert reasons == [f"{text}Rename worker and update the stack again."]


def test_type_cannot_change(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()})
    with pytest.raises(ClientError, match=r"modifies resource type of the following resources: \[A\]"):
        client.update_stack(StackName="one", TemplateBody=body({"A": BAD_POLICY}))


def test_previous_template_and_values_are_used(node: RunningNode) -> None:
    client = node.client("cloudformation")
    parameters = {"Delay": {"Type": "Number", "Default": 1}, "Name": {"Type": "String"}}
    template = body({"A": queue(QueueName={"Ref": "Name"}, DelaySeconds={"Ref": "Delay"})}, Parameters=parameters)
    client.create_stack(
        StackName="one", TemplateBody=template, Parameters=[{"ParameterKey": "Name", "ParameterValue": "a"}]
    )
    client.get_waiter("stack_create_complete").wait(StackName="one", WaiterConfig={"Delay": 1})
    client.update_stack(
        StackName="one",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": "Name", "UsePreviousValue": True},
            {"ParameterKey": "Delay", "ParameterValue": "7"},
        ],
    )
    client.get_waiter("stack_update_complete").wait(StackName="one", WaiterConfig={"Delay": 1})
    assert delay(node, "a") == "7"


def test_rolled_back_stack_cannot_be_updated(node: RunningNode) -> None:
    client = node.client("cloudformation")
    stack = create(client, "bad", {"Bad": BAD_POLICY})
    with pytest.raises(ClientError) as raised:
        client.update_stack(StackName="bad", TemplateBody=body({"A": queue()}))
    text = f"Stack:{stack['StackId']} is in ROLLBACK_COMPLETE state and can not be updated."
    assert raised.value.response["Error"]["Message"] == text
