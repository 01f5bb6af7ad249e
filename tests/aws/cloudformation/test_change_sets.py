from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import body, create, events, queue, settled
from tests.harness import RunningNode


def change_set(
    client: Any, name: str, resources: dict[str, Any], kind: str = "UPDATE", **options: Any
) -> dict[str, Any]:
    template = body(resources)
    client.create_change_set(StackName="one", ChangeSetName=name, ChangeSetType=kind, TemplateBody=template, **options)
    return client.describe_change_set(StackName="one", ChangeSetName=name)


def summary(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    changes = [change["ResourceChange"] for change in found["Changes"]]
    return [(item["Action"], item["LogicalResourceId"], item.get("Replacement")) for item in changes]


def test_stack_is_created_by_a_change_set(node: RunningNode) -> None:
    client = node.client("cloudformation")
    found = change_set(client, "first", {"A": queue()}, "CREATE")
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert summary(found) == [("Add", "A", None)]
    (stack,) = client.describe_stacks(StackName="one")["Stacks"]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    client.execute_change_set(StackName="one", ChangeSetName="first")
    stack = settled(client, "one")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["ChangeSetId"] == found["ChangeSetId"]
    assert events(client, "one")[:2] == [
        ("one", "REVIEW_IN_PROGRESS", "User Initiated"),
        ("one", "CREATE_IN_PROGRESS", "User Initiated"),
    ]
    done = client.describe_change_set(ChangeSetName=found["ChangeSetId"])
    assert done["ExecutionStatus"] == "EXECUTE_COMPLETE"


def test_changes_are_told_apart(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(
        client, "one", {"Kept": queue(), "Moved": queue(QueueName="a"), "Slow": queue(DelaySeconds=1), "Gone": queue()}
    )
    found = change_set(
        client,
        "next",
        {
            "Kept": queue(),
            "Moved": queue(QueueName="b"),
            "Slow": queue(DelaySeconds=2),
            "New": queue(QueueName={"Fn::Sub": "${Moved.QueueName}-2"}),
        },
    )
    assert summary(found) == [
        ("Remove", "Gone", None),
        ("Modify", "Moved", "True"),
        ("Add", "New", None),
        ("Modify", "Slow", "False"),
    ]
    moved = next(
        item["ResourceChange"] for item in found["Changes"] if item["ResourceChange"]["LogicalResourceId"] == "Moved"
    )
    assert moved["Scope"] == ["Properties"]
    assert moved["Details"][0]["Target"] == {
        "Attribute": "Properties",
        "Name": "QueueName",
        "RequiresRecreation": "Always",
    }
    client.execute_change_set(ChangeSetName=found["ChangeSetId"])
    assert settled(client, "one")["StackStatus"] == "UPDATE_COMPLETE"


def test_change_set_without_changes_fails(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()})
    found = change_set(client, "same", {"A": queue()})
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"] == (
        "The submitted information didn't contain changes. Submit different information to create a change set."
    )
    with pytest.raises(client.exceptions.InvalidChangeSetStatusException):
        client.execute_change_set(StackName="one", ChangeSetName="same")


def test_name_is_free_again_after_execution(node: RunningNode) -> None:
    client = node.client("cloudformation")
    change_set(client, "deploy", {"A": queue()}, "CREATE")
    with pytest.raises(client.exceptions.AlreadyExistsException):
        change_set(client, "deploy", {"A": queue()}, "CREATE")
    client.execute_change_set(StackName="one", ChangeSetName="deploy")
    settled(client, "one")
    found = change_set(client, "deploy", {"A": queue(DelaySeconds=3)})
    assert summary(found) == [("Modify", "A", "False")]


def test_execution_drops_the_other_change_sets(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "one", {"A": queue()})
    change_set(client, "x", {"A": queue(DelaySeconds=1)})
    change_set(client, "y", {"A": queue(DelaySeconds=2)})
    client.execute_change_set(StackName="one", ChangeSetName="y")
    assert [item["ChangeSetName"] for item in client.list_change_sets(StackName="one")["Summaries"]] == ["y"]


def test_deleted_change_set_is_not_found(node: RunningNode) -> None:
    client = node.client("cloudformation")
    change_set(client, "x", {"A": queue()}, "CREATE")
    client.delete_change_set(StackName="one", ChangeSetName="x")
    client.delete_change_set(StackName="one", ChangeSetName="x")
    with pytest.raises(ClientError) as raised:
        client.describe_change_set(StackName="one", ChangeSetName="x")
    error = raised.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ChangeSetNotFound", "ChangeSet [x] does not exist")


def test_type_must_fit_the_stack(node: RunningNode) -> None:
    client = node.client("cloudformation")
    with pytest.raises(ClientError, match=r"Stack \[one\] does not exist"):
        change_set(client, "x", {"A": queue()})
    create(client, "one", {"A": queue()})
    with pytest.raises(ClientError, match=r"Stack \[one\] already exists and cannot be created again"):
        change_set(client, "x", {"A": queue()}, "CREATE")
