"""What the tests of stacks share: waiting, reading events, small templates."""

import json
import time
from typing import Any

_PATIENCE_SECONDS = 30.0


def settled(client: Any, name: str) -> dict[str, Any]:
    """Return a stack when no operation runs on it any more."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        assert time.monotonic() < deadline, f"{name} is still {stack['StackStatus']}"
        time.sleep(0.02)


def create(client: Any, name: str, resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Create a stack and return it when it is settled."""
    options = {key: sections.pop(key) for key in list(sections) if key in OPTIONS}
    client.create_stack(StackName=name, TemplateBody=body(resources, **sections), **options)
    return settled(client, name)


def update(client: Any, name: str, resources: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Update a stack and return it when it is settled."""
    options = {key: sections.pop(key) for key in list(sections) if key in OPTIONS}
    client.update_stack(StackName=name, TemplateBody=body(resources, **sections), **options)
    return settled(client, name)


def delete(client: Any, name: str) -> str:
    """Delete a stack and return its last status."""
    stack_id = client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    client.delete_stack(StackName=name)
    return settled(client, stack_id)["StackStatus"]


OPTIONS = {"Capabilities", "DisableRollback", "EnableTerminationProtection", "OnFailure", "Tags", "TimeoutInMinutes"}


def body(resources: dict[str, Any], **sections: Any) -> str:
    """Return a template as text."""
    return json.dumps({"Resources": resources, **sections})


def events(client: Any, name: str) -> list[tuple[str, str, str | None]]:
    """Return a stack's events, oldest first: logical id, status, reason."""
    pages = client.get_paginator("describe_stack_events").paginate(StackName=name)
    found = [event for page in pages for event in page["StackEvents"]]
    return [(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason")) for e in reversed(found)]


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    """Return a stack's outputs."""
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def parameter(value: Any, **properties: Any) -> dict[str, Any]:
    """Return a small resource: an SSM parameter."""
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **properties}}


def queue(**properties: Any) -> dict[str, Any]:
    """Return a queue."""
    return {"Type": "AWS::SQS::Queue", "Properties": properties}
