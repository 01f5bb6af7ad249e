"""A replay that two nodes on one PostgreSQL database carry out together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres as servers
from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")

_PREFIX = f"arn:aws:events:us-east-1:{ACCOUNT}:"
_COUNT = 300


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[RunningNode]]:
    server = servers.PostgresServer()
    started: list[RunningNode] = []
    try:
        server.start()
        for name in ("a", "b"):
            running = RunningNode(tmp_path / name, store=server.url, store_wait_seconds=0.5).start()
            started.append(running)
        yield started
    finally:
        for node in started:
            node.stop()
        server.remove()


def test_replay_of_two_nodes_sends_each_event_once(nodes: list[RunningNode]) -> None:
    first: Any = nodes[0].client("events")
    second: Any = nodes[1].client("events")
    inbox = Inbox(nodes[0].client("sqs"), "q")
    first.create_archive(ArchiveName="a", EventSourceArn=_PREFIX + "event-bus/default")
    for start in range(0, _COUNT, 10):
        details = [json.dumps({"n": number}) for number in range(start, start + 10)]
        entries = [{"Source": "shop", "DetailType": "t", "Detail": detail} for detail in details]
        assert first.put_events(Entries=entries)["FailedEntryCount"] == 0
    assert second.describe_archive(ArchiveName="a")["EventCount"] == _COUNT
    first.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    first.put_targets(Rule="all", Targets=[{"Id": "t", "Arn": inbox.arn}])
    # Both nodes know the rule before either replays for it.
    wait_until(lambda: second.list_targets_by_rule(Rule="all")["Targets"])
    now = nodes[0].clock.now()
    second.start_replay(
        ReplayName="again",
        EventSourceArn=_PREFIX + "archive/a",
        EventStartTime=now - 3_600,
        EventEndTime=now + 60,
        Destination={"Arn": _PREFIX + "event-bus/default"},
    )
    wait_until(lambda: first.describe_replay(ReplayName="again")["State"] == "COMPLETED")
    assert sorted(event["detail"]["n"] for event in inbox.events()) == list(range(_COUNT))
