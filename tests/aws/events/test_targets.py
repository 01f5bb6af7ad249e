import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
PATTERN = '{"source": ["shop"]}'
ENTRY = {
    "Source": "shop",
    "DetailType": "Order Placed",
    "Detail": '{"order": {"id": 7, "total": 12.50, "items": ["a", "b"]}, "note": null}',
    "Resources": ["arn:aws:s3:::orders"],
}


@pytest.fixture
def rule(events: Any) -> str:
    events.put_rule(Name="orders", EventPattern=PATTERN)
    return "orders"


def put_target(events: Any, rule: str, **target: Any) -> Any:
    return events.put_targets(Rule=rule, Targets=[{"Id": "t", "Arn": QUEUE, **target}])


def test_targets_are_listed_as_they_were_put(events: Any, rule: str) -> None:
    targets = [
        {
            "Id": "b",
            "Arn": QUEUE,
            "InputTransformer": {"InputPathsMap": {"id": "$.detail.order.id"}, "InputTemplate": '{"id": <id>}'},
            "SqsParameters": {"MessageGroupId": "g"},
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60},
            "DeadLetterConfig": {"Arn": QUEUE + "-dead"},
        },
        {"Id": "a", "Arn": QUEUE, "Input": '{"constant": 1}'},
    ]
    answer = events.put_targets(Rule=rule, Targets=targets)
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == [targets[1], targets[0]]


def test_targets_are_listed_by_pages(events: Any, rule: str) -> None:
    events.put_targets(Rule=rule, Targets=[{"Id": name, "Arn": QUEUE} for name in ("c", "a", "b")])
    first = events.list_targets_by_rule(Rule=rule, Limit=2)
    second = events.list_targets_by_rule(Rule=rule, Limit=2, NextToken=first["NextToken"])
    assert [target["Id"] for page in (first, second) for target in page["Targets"]] == ["a", "b", "c"]
    assert "NextToken" not in second


def test_target_that_is_put_again_is_replaced(events: Any, rule: str) -> None:
    put_target(events, rule, Input="1")
    put_target(events, rule, InputPath="$.detail")
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert targets == [{"Id": "t", "Arn": QUEUE, "InputPath": "$.detail"}]


def test_rule_takes_five_targets(events: Any, rule: str) -> None:
    events.put_targets(Rule=rule, Targets=[{"Id": str(number), "Arn": QUEUE} for number in range(5)])
    text = "The requested resource exceeds the maximum number allowed."
    assert refusal(lambda: put_target(events, rule)) == ("LimitExceededException", text)
    assert len(events.list_targets_by_rule(Rule=rule)["Targets"]) == 5
    many = [{"Id": str(number), "Arn": QUEUE} for number in range(11)]
    assert refusal(lambda: events.put_targets(Rule=rule, Targets=many))[0] == "ValidationException"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({"Arn": "queue"}, "Parameter queue is not valid. Reason: Provided Arn is not in correct format."),
        (
            {"Input": "env:dev"},
            'JSON syntax error in input for target t: [Source: (String)"env:dev"; line: 1, column: 4]',
        ),
        (
            {"Input": "1", "InputPath": "$.detail"},
            "Only one of Input, InputPath, or InputTransformer must be provided for target t.",
        ),
        ({"InputPath": "detail"}, "Invalid InputPath for target t : detail."),
        ({"Arn": QUEUE + ".fifo"}, "Parameter(s) SqsParameters must be specified for target: t."),
        (
            {"Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"},
            f"RoleArn is required for target arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m.",
        ),
        (
            {"Arn": f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/other", "Input": "{}"},
            "Input, InputPath, and InputTransformer are not supported for target t.",
        ),
        (
            {"InputTransformer": {"InputPathsMap": {}, "InputTemplate": '"<missing>"'}},
            "InputTemplate for target t contains invalid placeholder missing.",
        ),
    ],
)
def test_target_that_is_wrong_is_refused(events: Any, rule: str, target: dict[str, Any], text: str) -> None:
    assert refusal(lambda: put_target(events, rule, **target)) == ("ValidationException", text)
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []


def test_target_of_a_kind_that_is_not_there_is_a_failed_entry(events: Any, rule: str) -> None:
    stream = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    targets = [{"Id": "q", "Arn": QUEUE}, {"Id": "s", "Arn": stream, "RoleArn": role}]
    answer = events.put_targets(Rule=rule, Targets=targets)
    assert answer["FailedEntryCount"] == 1
    (failed,) = answer["FailedEntries"]
    assert (failed["TargetId"], failed["ErrorCode"]) == ("s", "NotImplemented")
    assert "kinesis" in failed["ErrorMessage"]
    assert [target["Id"] for target in events.list_targets_by_rule(Rule=rule)["Targets"]] == ["q"]


def test_targets_of_a_missing_rule_are_refused(events: Any) -> None:
    missing = ("ResourceNotFoundException", "Rule none does not exist on EventBus default.")
    assert refusal(lambda: put_target(events, "none")) == missing
    assert refusal(lambda: events.remove_targets(Rule="none", Ids=["t"])) == missing


def test_unknown_targets_are_removed_without_complaint(events: Any, rule: str) -> None:
    put_target(events, rule)
    answer = events.remove_targets(Rule=rule, Ids=["t", "unknown"])
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])
    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []


TEMPLATE = {
    "InputPathsMap": {"id": "$.detail.order.id", "items": "$.detail.order.items", "no": "$.detail.no"},
    "InputTemplate": '{"o": "no. <id>", "items": <items>, "none": "<no>", "by": "<aws.events.rule-name>"}',
}


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ({"Input": '{"constant": [1]}'}, '{"constant": [1]}'),
        ({"InputPath": "$.detail.order.items[1]"}, '"b"'),
        ({"InputPath": "$.detail.order"}, '{"id":7,"total":12.5,"items":["a","b"]}'),
        ({"InputPath": "$.detail.note"}, "null"),
        ({"InputTransformer": TEMPLATE}, '{"o":"no. 7","items":["a","b"],"none":"","by":"orders"}'),
        (
            {"InputTransformer": {"InputPathsMap": {"id": "$.detail.order.id"}, "InputTemplate": '"Order <id>"'}},
            '"Order 7"',
        ),
    ],
)
def test_input_is_what_the_target_gets(
    events: Any, inbox: Callable[[str], Inbox], rule: str, target: dict[str, Any], body: str
) -> None:
    queue = inbox("q")
    put_target(events, rule, **target)
    events.put_events(Entries=[ENTRY])
    assert queue.bodies() == [body]


def test_template_knows_the_whole_event(events: Any, inbox: Callable[[str], Inbox], rule: str) -> None:
    queue = inbox("q")
    template = (
        '{"event": <aws.events.event.json>, "rule": <aws.events.rule-arn>, "at": <aws.events.event.ingestion-time>}'
    )
    put_target(events, rule, InputTransformer={"InputTemplate": template})
    event_id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    (sent,) = queue.events()
    assert sent["event"]["id"] == event_id
    assert sent["event"]["detail"]["order"]["id"] == 7
    assert sent["rule"] == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/orders"
    assert sent["at"] == sent["event"]["time"]


def test_message_group_and_trace_header_reach_the_queue(events: Any, inbox: Callable[[str], Inbox], rule: str) -> None:
    queue = inbox("q")
    put_target(events, rule, SqsParameters={"MessageGroupId": "tenant-1"})
    header = "Root=1-5759e988-bd862e3fe1be46a994272793"
    events.put_events(Entries=[{**ENTRY, "TraceHeader": header}])
    (message,) = queue.messages()
    assert message["Attributes"]["MessageGroupId"] == "tenant-1"
    assert message["Attributes"]["AWSTraceHeader"] == header


def test_event_is_in_the_log_group_that_is_a_target(node: RunningNode, events: Any, rule: str) -> None:
    logs = node.client("logs")
    logs.create_log_group(logGroupName="/aws/events/orders")
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/events/orders"
    assert put_target(events, rule, Arn=arn)["FailedEntryCount"] == 0
    event_id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    (logged,) = wait_until(lambda: logs.filter_log_events(logGroupName="/aws/events/orders")["events"])
    assert json.loads(logged["message"])["id"] == event_id


@pytest.mark.parametrize("depth", [100, 500, 900, 970, 980, 990, 1_000])
def test_event_that_is_nested_deeply_is_transformed_or_a_dead_letter(
    events: Any, inbox: Callable[[str], Inbox], rule: str, depth: int
) -> None:
    queue, dead = inbox("q"), inbox("dead")
    template = {"InputPathsMap": {"detail": "$.detail"}, "InputTemplate": '"<detail>"'}
    put_target(events, rule, InputTransformer=template, DeadLetterConfig={"Arn": dead.arn})
    detail = '{"a":' * depth + "1" + "}" * depth
    (entry,) = events.put_events(Entries=[{**ENTRY, "Detail": detail}])["Entries"]
    if "ErrorCode" in entry:
        assert entry["ErrorCode"] == "MalformedDetail"
        assert depth > 900
        return
    bodies, letters = queue.bodies(), dead.messages()
    assert len(bodies) + len(letters) == 1
    if letters:
        assert letters[0]["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "INVALID_JSON"
        assert letters[0]["Body"].endswith(f'"detail":{detail}}}')
