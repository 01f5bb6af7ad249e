import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode

ENTRY = {"Source": "shop", "DetailType": "Order Placed", "Detail": '{"kind": "auto"}'}


def route(events: Any, arn: str, pattern: Any, *, bus: str = "default", rule: str = "rule", **target: Any) -> None:
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps(pattern))
    answer = events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "t", "Arn": arn, **target}])
    assert answer["FailedEntryCount"] == 0


def test_event_reaches_the_queue_before_it_is_acknowledged(events: Any, inbox: Callable[[str], Inbox]) -> None:
    queue = inbox("q")
    route(events, queue.arn, {"source": ["shop"]})
    entry = {**ENTRY, "Detail": '{ "text": "a  b", "n": 1.50 }', "Resources": ["arn:aws:s3:::b"]}
    answer = events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    (body,) = queue.bodies()
    event = json.loads(body)
    time = event.pop("time")
    assert datetime.fromisoformat(time).tzinfo is UTC
    assert event == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "Order Placed",
        "source": "shop",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::b"],
        "detail": {"text": "a  b", "n": 1.5},
    }
    # Compact, and numbers as they were written.
    assert body.endswith('"detail":{"text":"a  b","n":1.50}}')


def test_time_of_the_caller_is_the_events(events: Any, inbox: Callable[[str], Inbox]) -> None:
    queue = inbox("q")
    route(events, queue.arn, {"source": ["shop"]})
    events.put_events(Entries=[{**ENTRY, "Time": datetime(2020, 2, 29, 12, 30, 5, tzinfo=UTC)}])
    assert queue.events()[0]["time"] == "2020-02-29T12:30:05Z"


def test_rules_choose_the_queue_by_a_field(events: Any, inbox: Callable[[str], Inbox]) -> None:
    events.create_event_bus(Name="claims")
    queues = {kind: inbox(kind) for kind in ("auto", "home", "boat")}
    for kind, queue in queues.items():
        route(events, queue.arn, {"detail": {"kind": [kind]}}, bus="claims", rule=kind)
    kinds = ["auto", "boat", "auto", "other"]
    entries = [{**ENTRY, "Detail": json.dumps({"kind": kind}), "EventBusName": "claims"} for kind in kinds]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    assert {kind: len(queue.bodies()) for kind, queue in queues.items()} == {"auto": 2, "home": 0, "boat": 1}


def test_rule_counts_as_soon_as_it_is_put_and_no_longer_than_it_is_there(
    events: Any, inbox: Callable[[str], Inbox]
) -> None:
    queue = inbox("q")

    def arrives() -> bool:
        events.put_events(Entries=[ENTRY])
        return bool(queue.bodies())

    assert not arrives()
    route(events, queue.arn, {"source": ["shop"]})
    assert arrives()
    events.disable_rule(Name="rule")
    assert not arrives()
    events.enable_rule(Name="rule")
    assert arrives()
    events.put_rule(Name="rule", EventPattern='{"source": ["other"]}')
    assert not arrives()
    events.put_rule(Name="rule", EventPattern='{"source": ["shop"]}')
    assert arrives()
    events.remove_targets(Rule="rule", Ids=["t"])
    assert not arrives()


def test_rules_outlive_a_restart(node: RunningNode, events: Any, inbox: Callable[[str], Inbox]) -> None:
    queue = inbox("q")
    route(events, queue.arn, {"source": ["shop"]})
    events.put_events(Entries=[ENTRY])
    node.restart()
    node.client("events").put_events(Entries=[ENTRY])
    assert len(Inbox(node.client("sqs"), "q").bodies()) == 2


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ({}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        (
            {"Source": "shop", "Detail": "{}"},
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is a required argument.",
        ),
        (
            {"Source": "shop", "DetailType": "t"},
            "InvalidArgument",
            "Parameter Detail is not valid. Reason: Detail is a required argument.",
        ),
        ({**ENTRY, "Detail": "{"}, "MalformedDetail", "Detail is malformed."),
        ({**ENTRY, "Detail": '"text"'}, "MalformedDetail", "Detail is malformed."),
        ({**ENTRY, "Detail": '{"a":' * 5_000}, "MalformedDetail", "Detail is malformed."),
        ({**ENTRY, "Source": "aws.ec2"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
    ],
)
def test_entry_that_is_wrong_fails_alone(
    events: Any, inbox: Callable[[str], Inbox], entry: dict[str, str], code: str, text: str
) -> None:
    queue = inbox("q")
    route(events, queue.arn, {"source": ["shop"]})
    answer = events.put_events(Entries=[ENTRY, entry, ENTRY])
    assert answer["FailedEntryCount"] == 1
    good, bad, also_good = answer["Entries"]
    assert bad == {"ErrorCode": code, "ErrorMessage": text}
    assert [event["id"] for event in queue.events()] == [good["EventId"], also_good["EventId"]]


def test_request_with_too_many_or_too_large_entries_is_refused(events: Any) -> None:
    code, text = refusal(lambda: events.put_events(Entries=[ENTRY] * 11))
    assert code == "ValidationException"
    assert "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10" in text
    assert refusal(lambda: events.put_events(Entries=[]))[0] == "ValidationException"
    half = {**ENTRY, "Detail": json.dumps({"text": "x" * 524_288})}
    text = "Total size of the entries in the request is over the limit."
    assert refusal(lambda: events.put_events(Entries=[half, half])) == ("ValidationException", text)
    assert events.put_events(Entries=[half])["FailedEntryCount"] == 0


def test_event_for_a_missing_bus_is_dropped_and_traced(node: RunningNode, events: Any) -> None:
    answer = events.put_events(Entries=[{**ENTRY, "EventBusName": "none"}])
    assert answer["FailedEntryCount"] == 0
    (step,) = path(node, answer["Entries"][0]["EventId"])
    assert (step.what, step.message) == ("received", "Event bus none does not exist.")
    events.create_event_bus(Name="none")
    answer = events.put_events(Entries=[{**ENTRY, "EventBusName": "none"}])
    (step,) = path(node, answer["Entries"][0]["EventId"])
    assert step.message == ""


def test_trace_says_what_matched_and_why_the_others_did_not(
    node: RunningNode, events: Any, inbox: Callable[[str], Inbox]
) -> None:
    queue = inbox("q")
    route(events, queue.arn, {"detail": {"kind": ["auto"]}}, rule="auto")
    route(events, queue.arn, {"detail": {"kind": ["home"], "n": [{"numeric": [">", 1]}]}}, rule="home")
    route(events, queue.arn, {"source": ["shop"]}, rule="off")
    events.disable_rule(Name="off")
    (entry,) = events.put_events(Entries=[ENTRY])["Entries"]
    steps = [(step.what, step.source.rpartition("/")[2], step.message) for step in path(node, entry["EventId"])]
    assert steps == [
        ("received", "default", ""),
        ("matched", "auto", ""),
        (
            "unmatched",
            "home",
            'detail.kind: expected ["home"], found "auto"; detail.n: expected [{"numeric": [">", 1]}], found nothing',
        ),
        ("unmatched", "off", "The rule is disabled."),
        ("delivered", "auto", ""),
    ]


def test_event_goes_from_bus_to_bus_once(node: RunningNode, events: Any, inbox: Callable[[str], Inbox]) -> None:
    queues = {name: inbox(name) for name in ("second", "third", "dead")}
    arns = {name: events.create_event_bus(Name=name)["EventBusArn"] for name in ("second", "third")}
    anything = {"source": ["shop"]}
    route(events, arns["second"], anything, rule="forward")
    route(events, queues["second"].arn, anything, bus="second", rule="take")
    dead_letter = {"Arn": queues["dead"].arn}
    route(events, arns["third"], anything, bus="second", rule="forward", DeadLetterConfig=dead_letter)
    route(events, queues["third"].arn, anything, bus="third", rule="take")
    event_id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    (event,) = queues["second"].events()
    assert event["id"] == event_id
    assert queues["third"].bodies() == []
    (letter,) = queues["dead"].messages()
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "THIRD_ACCOUNT_HOP_DETECTED"


def test_event_goes_to_a_bus_of_another_account_and_region(node: RunningNode, events: Any) -> None:
    there = {"region": "eu-west-1", "account": "111122223333"}
    far_events, far_sqs = node.client("events", **there), node.client("sqs", **there)
    far_sqs.create_queue(QueueName="far")
    route(far_events, "arn:aws:sqs:eu-west-1:111122223333:far", {"account": [ACCOUNT]})
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    bus = "arn:aws:events:eu-west-1:111122223333:event-bus/default"
    route(events, bus, {"source": ["shop"]}, RoleArn=role)
    events.put_events(Entries=[ENTRY])
    url = far_sqs.get_queue_url(QueueName="far")["QueueUrl"]
    (message,) = far_sqs.receive_message(QueueUrl=url)["Messages"]
    event = json.loads(message["Body"])
    assert (event["account"], event["region"]) == (ACCOUNT, "us-east-1")


def test_dead_letter_says_what_went_wrong(events: Any, inbox: Callable[[str], Inbox]) -> None:
    dead = inbox("dead")
    missing = dead.arn.replace("dead", "missing")
    route(events, missing, {"source": ["shop"]}, DeadLetterConfig={"Arn": dead.arn}, Input='"replaced"')
    event_id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    (letter,) = dead.messages()
    assert json.loads(letter["Body"])["id"] == event_id
    texts = {name: attribute["StringValue"] for name, attribute in letter["MessageAttributes"].items()}
    assert texts == {
        "RULE_ARN": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/rule",
        "TARGET_ARN": missing,
        "ERROR_CODE": "NO_RESOURCE",
        "ERROR_MESSAGE": "The specified queue does not exist.",
        "RETRY_ATTEMPTS": "0",
    }


def test_event_without_dead_letter_queue_is_dropped_and_traced(node: RunningNode, events: Any) -> None:
    route(events, f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing", {"source": ["shop"]})
    answer = events.put_events(Entries=[ENTRY])
    assert answer["FailedEntryCount"] == 0
    *_, last = path(node, answer["Entries"][0]["EventId"])
    assert (last.what, last.code) == ("rejected", "NO_RESOURCE")


def path(node: RunningNode, event_id: str) -> list[Any]:
    return [*node.run(lambda running: running.platform.trace.path(event_id))]
