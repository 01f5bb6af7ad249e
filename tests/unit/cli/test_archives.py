"""`forebay events archive|archives|replay|replays` against a node."""

import json

import pytest


@pytest.fixture
def kept(node, forebay):
    """An archive of the default bus with two events, and the URL of a queue that two rules send events of `s` to."""
    forebay("events", "archive", "kept", "--pattern", '{"source": ["s"]}', "--retention-days", 3)
    sqs, events = node.client("sqs"), node.client("events")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    for number in range(2):
        forebay("events", "put", json.dumps({"n": number}), "--source", "s")
    forebay("events", "put", "{}", "--source", "other")
    for name in ("one", "two"):
        events.put_rule(Name=name, EventPattern='{"source": ["s"]}')
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}])
    return url


def bodies(node, url):
    messages = node.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in messages]


def test_archives_are_listed_with_their_events(forebay, as_json, kept):
    (listed,) = as_json("events", "archives")
    assert (listed["ArchiveName"], listed["EventCount"], listed["RetentionDays"]) == ("kept", 2, 3)
    assert "kept  default  2 events" in forebay("events", "archives").stdout


def test_replay_sends_the_events_again_and_says_when_it_is_done(node, forebay, as_json, kept):
    result = forebay("events", "replay", "kept", "--name", "again")
    assert result.stdout.startswith("again  COMPLETED  up to events of ")
    events = bodies(node, kept)
    assert sorted(event["detail"]["n"] for event in events) == [0, 0, 1, 1]
    assert {event["replay-name"] for event in events} == {"again"}
    (listed,) = as_json("events", "replays")
    assert (listed["ReplayName"], listed["State"]) == ("again", "COMPLETED")


def test_replay_goes_to_the_rules_that_are_named(node, as_json, kept):
    ended = as_json("events", "replay", "kept", "--rule", "one", "--from", "1h")
    assert ended["Destination"]["FilterArns"] == ["arn:aws:events:us-east-1:000000000000:rule/one"]
    assert len(bodies(node, kept)) == 2


def test_replay_of_an_earlier_time_sends_nothing(node, forebay, kept):
    forebay("events", "replay", "kept", "--from", "2020-01-01", "--until", "2020-01-02T12:00:00Z")
    assert bodies(node, kept) == []


def test_wrong_times_and_names_are_told(forebay):
    assert "is no time such as" in forebay("events", "replay", "kept", "--from", "soon", code=2).output
    assert "Archive kept does not exist." in forebay("events", "replay", "kept", code=1).output
    assert "Event bus none does not exist." in forebay("events", "archive", "kept", "--bus", "none", code=1).output
