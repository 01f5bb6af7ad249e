"""What buses log; levels of records are AWS's as far as logs of others show them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until

GROUP = "/aws/vendedlogs/events/event-bus/claims"
BUS = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/claims"


@pytest.fixture
def logs(node: RunningNode, events: Any) -> Any:
    client = node.client("logs")
    client.create_log_group(logGroupName=GROUP)
    events.create_event_bus(Name="claims")
    return client


def put_rule(events: Any, target: str, **settings: Any) -> str:
    arn = events.put_rule(Name="all", EventBusName="claims", EventPattern='{"source": ["shop"]}')["RuleArn"]
    events.put_targets(Rule="all", EventBusName="claims", Targets=[{"Id": "t", "Arn": target, **settings}])
    return arn


def put(events: Any, source: str = "shop") -> str:
    entry = {"Source": source, "DetailType": "t", "Detail": '{"n": 1}', "EventBusName": "claims"}
    return events.put_events(Entries=[entry])["Entries"][0]["EventId"]


def records(logs: Any, count: int) -> list[Any]:
    """Return the bus's records by their message types, as soon as there are so many."""

    def found() -> list[Any]:
        messages = logs.filter_log_events(logGroupName=GROUP)["events"]
        return [json.loads(message["message"]) for message in messages]

    wait_until(lambda: len(found()) == count)
    return sorted(found(), key=_message_type)


def _message_type(record: Any) -> str:
    return record["message_type"]


def test_level_info_logs_what_was_matched_and_delivered(events: Any, logs: Any, inbox: Callable[[str], Inbox]) -> None:
    queue = inbox("q")
    rule = put_rule(events, queue.arn)
    events.update_event_bus(Name="claims", LogConfig={"Level": "INFO", "IncludeDetail": "FULL"})
    event_id = put(events)
    came, success, matched = records(logs, 3)
    assert [record["message_type"] for record in (came, matched, success)] == [
        "EVENT_INGEST_SUCCESS",
        "RULE_MATCH",
        "INVOCATION_SUCCESS",
    ]
    assert {record["event_id"] for record in (came, matched, success)} == {event_id}
    assert (came["resource_arn"], came["event_bus_name"], came["log_level"]) == (BUS, "claims", "INFO")
    assert came["details"]["event_detail"] == '{"n":1}'
    assert matched["details"]["target_arns"] == [queue.arn]
    assert matched["details"]["invocation_ids"] == [success["invocation_id"]]
    (body,) = queue.bodies()
    assert success["details"]["target_input"] == body
    assert (success["details"]["rule_arn"], success["details"]["final_invocation_status"]) == (rule, "SUCCESS")


def test_level_error_logs_failures_only(events: Any, logs: Any, inbox: Callable[[str], Inbox]) -> None:
    dead = inbox("dead")
    put_rule(events, f"arn:aws:sqs:us-east-1:{ACCOUNT}:none", DeadLetterConfig={"Arn": dead.arn})
    events.update_event_bus(Name="claims", LogConfig={"Level": "ERROR"})
    put(events, "nobody")
    put(events)
    letter, failure = records(logs, 2)
    assert (letter["message_type"], failure["message_type"]) == ("INVOCATION_DLQ", "INVOCATION_FAILURE")
    assert failure["error"]["error_message"]
    assert "target_input" not in failure["details"]
    assert len(dead.bodies()) == 1


def test_level_trace_logs_each_step_and_off_none(events: Any, logs: Any) -> None:
    events.update_event_bus(Name="claims", LogConfig={"Level": "TRACE"})
    put(events, "nobody")
    steps = ["EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "NO_STANDARD_RULES_MATCHED", "RULE_MATCH_START"]
    assert [record["message_type"] for record in records(logs, 4)] == steps
    events.update_event_bus(Name="claims", LogConfig={"Level": "OFF"})
    put(events)
    events.update_event_bus(Name="claims", LogConfig={"Level": "INFO"})
    event_id = put(events, "nobody")
    assert [record["event_id"] for record in records(logs, 6)].count(event_id) == 2


def test_bus_without_a_log_group_delivers_as_ever(events: Any, inbox: Callable[[str], Inbox]) -> None:
    events.create_event_bus(Name="claims", LogConfig={"Level": "TRACE"})
    queue = inbox("q")
    put_rule(events, queue.arn)
    put(events)
    assert len(wait_until(queue.bodies)) == 1
