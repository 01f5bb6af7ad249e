"""`forebay events put|tail|trace` against a node."""

import json
import subprocess
import sys

import pytest

from tests.unit.cli.processes import COMMAND, environment, serving_html


@pytest.fixture
def rule(node):
    """A rule on the default bus that sends events of source `s` to a queue; its queue's ARN."""
    sqs, events = node.client("sqs"), node.client("events")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="fits", EventPattern='{"source": ["s"]}')
    events.put_targets(Rule="fits", Targets=[{"Id": "1", "Arn": arn}])
    events.put_rule(Name="other", EventPattern='{"source": ["else"]}')
    return url


def test_put_prints_the_events_id_and_the_event_arrives(node, forebay, rule):
    event_id = forebay("events", "put", '{"n": 1}', "--source", "s", "--detail-type", "t").stdout.strip()
    (message,) = node.client("sqs").receive_message(QueueUrl=rule)["Messages"]
    event = json.loads(message["Body"])
    assert (event["id"], event["detail"], event["detail-type"]) == (event_id, {"n": 1}, "t")


def test_put_reads_standard_input_and_writes_json(forebay, rule):
    result = forebay("events", "put", "-", "--json", input='{"n": 2}')
    assert list(json.loads(result.stdout)) == ["EventId"]


def test_put_refuses_what_is_not_json(forebay):
    assert "not JSON" in forebay("events", "put", "{", code=2).output


def test_put_shows_the_services_error(forebay):
    result = forebay("events", "put", "{}", "--bus", "a bus", code=1)
    assert "Error: " in result.output


def test_trace_shows_the_path(forebay, as_json, rule):
    event_id = forebay("events", "put", "{}", "--source", "s").stdout.strip()
    text = forebay("events", "trace", event_id).stdout
    assert "matched" in text
    assert "unmatched" in text
    assert "sqs:q" in text
    steps = as_json("events", "trace", event_id)["steps"]
    assert [step["what"] for step in steps].count("delivered") == 1


def test_trace_of_an_unknown_event_fails_in_words(forebay):
    result = forebay("events", "trace", "nobody", code=1)
    assert "No trace of event nobody" in result.output


# What a shell starts in the background ignores Ctrl-C, and so would its children.
TAKING_CTRL_C = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def test_tail_follows_as_events_arrive_and_ctrl_c_ends_it(node, forebay):
    forebay("events", "put", '{"n": 0}')
    command = [*COMMAND, "events", "tail", "--json", "--all", "--endpoint", node.url]
    with subprocess.Popen(
        [sys.executable, "-c", TAKING_CTRL_C, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        first = json.loads(process.stdout.readline())
        forebay("events", "put", '{"n": 1}', "--source", "later")
        second = json.loads(process.stdout.readline())
        process.send_signal(2)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    assert [arrival["event"]["detail"]["n"] for arrival in (first, second)] == [0, 1]
    assert second["event"]["source"] == "later"


def test_no_node_is_said_with_what_to_do(forebay):
    result = forebay("events", "trace", "x", "--endpoint", "http://127.0.0.1:9", code=1)
    assert "No node answers at http://127.0.0.1:9" in result.output
    assert "forebay serve" in result.output


@pytest.mark.parametrize("endpoint", ["nowhere", "ftp//x"])
def test_endpoint_that_is_no_url_is_said(forebay, endpoint):
    for command in (["events", "trace", "x"], ["queues", "list"], ["doctor"]):
        assert "is no http:// or https:// URL" in forebay(*command, "--endpoint", endpoint, code=2).output


def test_something_else_at_the_endpoint_is_said(forebay):
    with serving_html() as url:
        assert f"{url} is not a Forebay node" in forebay("events", "trace", "x", "--endpoint", url, code=1).output
