"""Operations of the node as targets of rules, which is Forebay's own."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/events"
SDK = "arn:aws:scheduler:::aws-sdk:"


def put_target(events: Any, arn: str, **settings: Any) -> Any:
    events.put_rule(Name="orders", EventPattern='{"source": ["shop"]}')
    return events.put_targets(Rule="orders", Targets=[{"Id": "t", "Arn": arn, "RoleArn": ROLE, **settings}])


def put_order(events: Any, detail: dict[str, Any]) -> None:
    entry = {"Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail)}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_event_becomes_the_input_of_an_operation(node: RunningNode, events: Any) -> None:
    dynamodb = node.client("dynamodb")
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    template = '{"TableName": "orders", "Item": {"id": {"S": "<id>"}, "total": {"N": "<total>"}}}'
    transformer = {"InputPathsMap": {"id": "$.detail.id", "total": "$.detail.total"}, "InputTemplate": template}
    assert put_target(events, SDK + "dynamodb:putItem", InputTransformer=transformer)["FailedEntryCount"] == 0
    put_order(events, {"id": "o-1", "total": 12.5})
    item = wait_until(lambda: dynamodb.get_item(TableName="orders", Key={"id": {"S": "o-1"}}).get("Item"))
    assert item == {"id": {"S": "o-1"}, "total": {"N": "12.5"}}


def test_operation_that_refuses_sends_the_event_to_the_dead_letter_queue(
    events: Any, inbox: Callable[[str], Inbox]
) -> None:
    dead = inbox("dead")
    put_target(events, SDK + "sqs:sendMessage", Input='{"QueueUrl": "none"}', DeadLetterConfig={"Arn": dead.arn})
    put_order(events, {"id": "o-2"})
    (letter,) = wait_until(dead.messages)
    assert json.loads(letter["Body"])["detail"] == {"id": "o-2"}
    assert letter["MessageAttributes"]["TARGET_ARN"]["StringValue"] == SDK + "sqs:sendMessage"


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("sqs:listQueues", "listQueues API is not supported."),
        ("sqs:fooBar", "fooBar API is not supported."),
        ("foo:bar", "Service foo is not part of Forebay."),
    ],
)
def test_operation_that_cannot_be_a_target_is_a_failed_entry(events: Any, action: str, text: str) -> None:
    answer = put_target(events, SDK + action)
    assert [entry["ErrorMessage"] for entry in answer["FailedEntries"]] == [text]


def test_operation_wants_a_role(events: Any) -> None:
    text = f"RoleArn is required for target {SDK}sqs:sendMessage."
    assert refusal(lambda: put_target(events, SDK + "sqs:sendMessage", RoleArn=None)) == ("ValidationException", text)
