import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.harness import RunningNode

GROUP = "/aws/lambda/orders"


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**params)
    assert raised.value.response["Error"]["Code"] == code
    return raised.value.response["Error"]["Message"]


@pytest.fixture
def logs(node: RunningNode) -> Any:
    client = node.client("logs")
    client.create_log_group(logGroupName=GROUP)
    for stream in ("s1", "s2"):
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    return client


def put(node: RunningNode, logs: Any, stream: str, *messages: str, seconds_ago: int = 10) -> Any:
    start = int(node.clock.now() - seconds_ago) * 1000
    events = [{"timestamp": start + at, "message": message} for at, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_events_are_read_from_the_tail(node: RunningNode, logs: Any) -> None:
    put(node, logs, "s1", *"abcde")
    answer = logs.get_log_events(logGroupName=GROUP, logStreamName="s1", limit=2)
    assert messages(answer) == ["d", "e"]
    before = logs.get_log_events(logGroupName=GROUP, logStreamName="s1", limit=2, nextToken=answer["nextBackwardToken"])
    assert messages(before) == ["b", "c"]
    behind = logs.get_log_events(logGroupName=GROUP, logStreamName="s1", nextToken=answer["nextForwardToken"])
    assert messages(behind) == []
    assert behind["nextForwardToken"] == answer["nextForwardToken"]
    put(node, logs, "s1", "f")
    behind = logs.get_log_events(logGroupName=GROUP, logStreamName="s1", nextToken=answer["nextForwardToken"])
    assert messages(behind) == ["f"]


def test_events_are_read_from_the_head_in_a_range(node: RunningNode, logs: Any) -> None:
    put(node, logs, "s1", *"abcde")
    first = logs.get_log_events(logGroupName=GROUP, logStreamName="s1", startFromHead=True)["events"]
    answer = logs.get_log_events(
        logGroupName=GROUP,
        logStreamName="s1",
        startFromHead=True,
        startTime=first[1]["timestamp"],
        endTime=first[3]["timestamp"],
    )
    assert messages(answer) == ["b", "c"]
    assert answer["events"][0]["ingestionTime"] >= answer["events"][0]["timestamp"]


def test_bad_token_is_refused(logs: Any) -> None:
    text = refused(
        "InvalidParameterException", logs.get_log_events, logGroupName=GROUP, logStreamName="s1", nextToken="x"
    )
    assert text == "The specified nextToken is invalid."


def test_streams_are_merged_by_time(node: RunningNode, logs: Any) -> None:
    put(node, logs, "s1", "third", seconds_ago=5)
    put(node, logs, "s2", "first", "second", seconds_ago=9)
    answer = logs.filter_log_events(logGroupName=GROUP)
    assert messages(answer) == ["first", "second", "third"]
    assert [event["logStreamName"] for event in answer["events"]] == ["s2", "s2", "s1"]
    assert len({event["eventId"] for event in answer["events"]}) == 3
    assert "nextToken" not in answer
    assert messages(logs.filter_log_events(logGroupName=GROUP, logStreamNames=["s1"])) == ["third"]
    newest = logs.filter_log_events(logGroupName=GROUP, startFromHead=False)
    assert messages(newest) == ["third", "second", "first"]


@pytest.mark.parametrize("limit", [1, 2, 7])
@pytest.mark.parametrize("head", [True, False])
def test_filtered_events_come_in_pages_without_loss(node: RunningNode, logs: Any, limit: int, head: bool) -> None:
    for stream in ("s1", "s2"):
        put(node, logs, stream, *(f"{stream}-{number}" for number in range(6)))
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = logs.filter_log_events(logGroupName=GROUP, limit=limit, startFromHead=head, **token)
        assert len(answer["events"]) <= limit
        found += messages(answer)
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert sorted(found) == sorted(f"{stream}-{number}" for stream in ("s1", "s2") for number in range(6))
    assert found[0].endswith("0" if head else "5")


def test_pattern_filters(node: RunningNode, logs: Any) -> None:
    put(node, logs, "s1", json.dumps({"level": "ERROR", "ms": 20}), json.dumps({"level": "INFO"}), "ERROR plain")
    assert len(messages(logs.filter_log_events(logGroupName=GROUP, filterPattern="ERROR"))) == 2
    by_json = logs.filter_log_events(logGroupName=GROUP, filterPattern='{ $.level = "ERROR" && $.ms > 10 }')
    assert len(messages(by_json)) == 1
    text = refused("InvalidParameterException", logs.filter_log_events, logGroupName=GROUP, filterPattern="order-17")
    assert text == "Invalid filter pattern: Invalid character(s) in term 'order-17'"


def test_events_too_old_or_new_are_rejected_and_the_rest_kept(node: RunningNode, logs: Any) -> None:
    now = int(node.clock.now()) * 1000
    hour = 3600 * 1000
    events = [
        {"timestamp": now - 1000, "message": "kept"},
        {"timestamp": now + 3 * hour, "message": "new"},
    ]
    answer = logs.put_log_events(logGroupName=GROUP, logStreamName="s1", logEvents=events)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    old = [{"timestamp": now - 15 * 24 * hour, "message": "old"}]
    answer = logs.put_log_events(logGroupName=GROUP, logStreamName="s1", logEvents=old)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert messages(logs.filter_log_events(logGroupName=GROUP)) == ["kept"]


def test_batches_must_be_in_order(node: RunningNode, logs: Any) -> None:
    now = int(node.clock.now()) * 1000
    events = [{"timestamp": now, "message": "b"}, {"timestamp": now - 1, "message": "a"}]
    text = refused(
        "InvalidParameterException", logs.put_log_events, logGroupName=GROUP, logStreamName="s1", logEvents=events
    )
    assert text == "Log events in a single PutLogEvents request must be in chronological order."


def test_missing_group_and_stream_have_aws_texts(node: RunningNode, logs: Any) -> None:
    events = [{"timestamp": int(node.clock.now()) * 1000, "message": "x"}]
    text = refused(
        "ResourceNotFoundException", logs.put_log_events, logGroupName=GROUP, logStreamName="none", logEvents=events
    )
    assert text == "The specified log stream does not exist."
    text = refused("ResourceNotFoundException", logs.filter_log_events, logGroupName="none")
    assert text == "The specified log group does not exist."


def test_retention_hides_and_deletes_events(node: RunningNode, logs: Any) -> None:
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=1)
    put(node, logs, "s1", "today")
    assert messages(logs.filter_log_events(logGroupName=GROUP)) == ["today"]
    node.clock.advance(24 * 3600)
    assert messages(logs.filter_log_events(logGroupName=GROUP)) == []
    assert messages(logs.get_log_events(logGroupName=GROUP, logStreamName="s1")) == []


def test_events_survive_a_restart(node: RunningNode, logs: Any) -> None:
    put(node, logs, "s1", "kept")
    node.restart()
    assert messages(node.client("logs").filter_log_events(logGroupName=GROUP)) == ["kept"]
