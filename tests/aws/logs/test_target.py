"""A log group as the target of deliveries, driven through the node's own delivery."""

from typing import Any

import pytest

from forebay.delivery.contract import Delivery, Rejected, RetryPolicy
from forebay.node import Node
from tests.harness import RunningNode, wait_until

GROUP = "/aws/events/all"


def delivery(number: int, suffix: str = ":*") -> Delivery:
    return Delivery(
        delivery_id=f"d-{number}",
        source="arn:aws:events:us-east-1:000000000000:rule/all",
        target=f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}{suffix}",
        payload=f'{{"number":{number}}}',
        created_at=0.0,
        retry=RetryPolicy(3, 3600),
    )


@pytest.fixture
def logs(node: RunningNode) -> Any:
    client = node.client("logs")
    client.create_log_group(logGroupName=GROUP)
    return client


def deliver(node: RunningNode, number: int, suffix: str = ":*") -> None:
    async def send(running: Node) -> None:
        commands = await running.platform.deliveries.commands_for([delivery(number, suffix)])
        await running.store.submit(commands)

    node.run(send)


def test_deliveries_become_events_of_one_stream(node: RunningNode, logs: Any) -> None:
    def found() -> list[str]:
        return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]]

    deliver(node, 1)
    wait_until(found)
    deliver(node, 2, suffix="")
    assert found() == ['{"number":1}', '{"number":2}']
    assert len(logs.describe_log_streams(logGroupName=GROUP)["logStreams"]) == 1


def test_group_that_is_not_there_rejects(node: RunningNode) -> None:
    async def accept(running: Node) -> object:
        parts = await running.platform.table.parts("logs")
        assert parts is not None
        assert parts.target is not None
        return await parts.target.accept(delivery(1))

    answer = node.run(accept)
    assert isinstance(answer, Rejected)
    assert answer.code == "RESOURCE_NOT_FOUND"
