"""One node for the tests of a module, and helpers that speak to it through boto3."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode, wait_until

ROLE = "arn:aws:iam::000000000000:role/states"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


class States:
    """State machines of one node."""

    def __init__(self, node: RunningNode) -> None:
        self.node = node
        # StartSyncExecution and TestState would go to `sync-127.0.0.1`, which no resolver knows.
        self.client = node.client("stepfunctions", inject_host_prefix=False)
        self._count = 0

    def name(self) -> str:
        """Return a name that was not there before."""
        self._count += 1
        return f"machine-{self._count}"

    def create(self, definition: dict[str, Any], **more: Any) -> str:
        """Make a state machine and return its ARN."""
        given = {"name": self.name(), "roleArn": ROLE, "definition": json.dumps(definition), **more}
        return self.client.create_state_machine(**given)["stateMachineArn"]

    def start(self, machine: str, data: Any = None, **more: Any) -> str:
        """Start an execution and return its ARN."""
        answer = self.client.start_execution(stateMachineArn=machine, input=json.dumps(data or {}), **more)
        return answer["executionArn"]

    def run(self, definition: dict[str, Any], data: Any = None) -> dict[str, Any]:
        """Run a definition to its end and return the execution."""
        return self.ended(self.start(self.create(definition), data))

    def ended(self, execution: str) -> dict[str, Any]:
        """Return an execution once it has ended."""

        def look() -> dict[str, Any] | None:
            shown = self.client.describe_execution(executionArn=execution)
            return None if shown["status"] == "RUNNING" else shown

        return wait_until(look)

    def history(self, execution: str, **more: Any) -> list[dict[str, Any]]:
        """Return the events of an execution."""
        return self.client.get_execution_history(executionArn=execution, **more)["events"]

    def types(self, execution: str) -> list[str]:
        """Return the types of an execution's events."""
        return [event["type"] for event in self.history(execution)]

    def wait_for(self, execution: str, type_: str) -> dict[str, Any]:
        """Return the first event of a type, once it is there."""

        def look() -> dict[str, Any] | None:
            return next((event for event in self.history(execution) if event["type"] == type_), None)

        return wait_until(look)

    def refusal(self, operation: str, **params: Any) -> tuple[str, str]:
        """Return the code and the text with which an operation is refused."""
        with pytest.raises(ClientError) as caught:
            getattr(self.client, operation)(**params)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    """A node with Step Functions."""
    running = RunningNode(tmp_path_factory.mktemp("states") / "data").start()
    yield States(running)
    running.stop()
