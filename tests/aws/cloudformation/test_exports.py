import pytest
from botocore.exceptions import ClientError

from tests.aws.cloudformation.stacks import create, delete, events, outputs, queue, settled, update
from tests.harness import RunningNode

EXPORTS = {"Outputs": {"Url": {"Value": {"Ref": "A"}, "Export": {"Name": "main-url"}}}}
IMPORTS = {"Outputs": {"Seen": {"Value": {"Fn::ImportValue": "main-url"}}}}


def test_value_is_exported_and_imported(node: RunningNode) -> None:
    client = node.client("cloudformation")
    url = outputs(create(client, "giver", {"A": queue()}, **EXPORTS))["Url"]
    assert outputs(create(client, "taker", {"B": queue()}, **IMPORTS))["Seen"] == url
    (export,) = client.list_exports()["Exports"]
    assert (export["Name"], export["Value"]) == ("main-url", url)
    assert client.list_imports(ExportName="main-url")["Imports"] == ["taker"]


def test_export_in_use_keeps_its_stack(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "giver", {"A": queue()}, **EXPORTS)
    create(client, "taker", {"B": queue()}, **IMPORTS)
    client.delete_stack(StackName="giver")
    stack = settled(client, "giver")
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert stack["StackStatusReason"] == "Export main-url cannot be deleted as it is in use by taker"
    assert delete(client, "taker") == "DELETE_COMPLETE"
    assert delete(client, "giver") == "DELETE_COMPLETE"
    assert client.list_exports()["Exports"] == []


def test_export_in_use_cannot_change(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "giver", {"A": queue()}, **EXPORTS)
    create(client, "taker", {"B": queue()}, **IMPORTS)
    stack = update(client, "giver", {"A": queue(QueueName="other")}, **EXPORTS)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    text = "Export main-url cannot be updated as it is in use by taker"
    assert ("giver", "UPDATE_ROLLBACK_IN_PROGRESS", text) in events(client, "giver")


def test_export_of_another_stack_is_refused(node: RunningNode) -> None:
    client = node.client("cloudformation")
    create(client, "first", {"A": queue()}, **EXPORTS)
    stack = create(client, "second", {"A": queue()}, **EXPORTS)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reasons = [reason for name, status, reason in events(client, "second") if status == "ROLLBACK_IN_PROGRESS"]
    assert reasons == ["Export with name main-url is already exported by stack first Rollback requested by user."]


def test_import_of_nothing_fails(node: RunningNode) -> None:
    client = node.client("cloudformation")
    stack = create(client, "taker", {"B": queue(QueueName={"Fn::ImportValue": "main-url"})})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("B", "CREATE_FAILED", "No export named main-url found.") in events(client, "taker")
    with pytest.raises(ClientError, match="is not imported by any stack"):
        client.list_imports(ExportName="main-url")
