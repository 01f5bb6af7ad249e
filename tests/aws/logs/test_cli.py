"""The AWS CLI's commands. Version 1 has no `logs tail`; what version 2 polls with is played here by boto3."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import RunningNode


def put(node: RunningNode, message: str) -> None:
    event = {"timestamp": int(node.clock.now() * 1000), "message": message}
    node.client("logs").put_log_events(logGroupName="/app", logStreamName="s", logEvents=[event])


@pytest.fixture
def logs(node: RunningNode) -> Any:
    client = node.client("logs")
    client.create_log_group(logGroupName="/app")
    client.create_log_stream(logGroupName="/app", logStreamName="s")
    return client


@pytest.mark.slow
def test_filter_log_events_command(node: RunningNode, logs: Any, tmp_path: Path) -> None:
    put(node, "one")
    put(node, "two")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": node.url,
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    aws = str(Path(sys.executable).with_name("aws"))
    command = [aws, "logs", "filter-log-events", "--log-group-name", "/app", "--filter-pattern", "two"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert [event["message"] for event in json.loads(done.stdout)["events"]] == ["two"]


def test_following_sees_each_event_once(node: RunningNode, logs: Any) -> None:
    # `aws logs tail --follow`: pages from the last time on, and skips the ids that it has seen.
    seen: dict[str, str] = {}
    start = 0

    def poll() -> None:
        nonlocal start
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName="/app", interleaved=True, startTime=start, PaginationConfig={"PageSize": 2}
        )
        for event in (event for page in pages for event in page["events"]):
            seen.setdefault(event["eventId"], event["message"])
            start = max(start, event["timestamp"])

    put(node, "a")
    poll()
    put(node, "b")
    put(node, "c")
    put(node, "d")
    poll()
    poll()
    assert list(seen.values()) == ["a", "b", "c", "d"]
