"""Topics, buses, schedules and pipes of two nodes on one PostgreSQL database."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres as servers
from tests.aws.events.inboxes import Inbox
from tests.harness import ACCOUNT, RunningNode, wait_until

pytestmark = pytest.mark.skipif(servers.binaries() is None, reason="no PostgreSQL server: apt-get install postgresql")

ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningNode]]:
    server = servers.PostgresServer()
    started: list[RunningNode] = []
    try:
        server.start()
        for name in ("a", "b"):
            data = tmp_path_factory.mktemp(name)
            started.append(RunningNode(data, store=server.url, store_wait_seconds=5).start())
        yield started
    finally:
        for node in started:
            node.stop()
        server.remove()


def test_fifo_topic_keeps_its_order_whichever_node_is_asked(nodes: list[RunningNode]) -> None:
    a = nodes[0].client("sns")
    attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    topic = a.create_topic(Name="orders.fifo", Attributes=attributes)["TopicArn"]
    inbox = Inbox(nodes[0].client("sqs"), "orders.fifo", FifoQueue="true")
    a.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)

    def publish(node: RunningNode, group: str) -> None:
        client = node.client("sns")
        for number in range(40):
            client.publish(TopicArn=topic, Message=f"{group}{number}", MessageGroupId=group)

    # Two groups, each published by one client on one node, at the same time.
    wait_until(lambda: nodes[1].client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"])
    threads = [threading.Thread(target=publish, args=pair) for pair in zip(nodes, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One group, published on both nodes in turn.
    for number in range(20):
        client = nodes[number % 2].client("sns")
        client.publish(TopicArn=topic, Message=f"c{number}", MessageGroupId="c")
    envelopes = inbox.events()
    for group, length in (("a", 40), ("b", 40), ("c", 20)):
        of_group = [one for one in envelopes if one["Message"].startswith(group)]
        assert [one["Message"] for one in of_group] == [f"{group}{number}" for number in range(length)]
        numbers = [one["SequenceNumber"] for one in of_group]
        assert numbers == sorted(set(numbers))


def test_duplicate_is_known_to_the_other_node(nodes: list[RunningNode]) -> None:
    clients = [node.client("sns") for node in nodes]
    topic = clients[0].create_topic(Name="once.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    given = {"TopicArn": topic, "Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first, second = (client.publish(**given) for client in clients)
    assert first["SequenceNumber"] == second["SequenceNumber"]


def test_schedules_fire_once(nodes: list[RunningNode]) -> None:
    inbox = Inbox(nodes[0].client("sqs"), "ticks")
    scheduler = nodes[1].client("scheduler")
    names = [f"s{number}" for number in range(25)]
    for name in names:
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression="at(2020-01-01T00:00:00)" if name == "s0" else "rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": inbox.arn, "RoleArn": ROLE, "Input": json.dumps({"name": name})},
        )
    got: list[str] = []

    def all_have_come() -> bool:
        got.extend(event["name"] for event in inbox.events())
        return len(got) >= len(names) - 1

    wait_until(all_have_come)
    assert sorted(got) == sorted(names[1:])


def test_rule_put_on_one_node_sends_what_the_other_takes(nodes: list[RunningNode]) -> None:
    a, b = (node.client("events") for node in nodes)
    inbox = Inbox(nodes[0].client("sqs"), "matched")
    a.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
    a.put_targets(Rule="all", Targets=[{"Id": "t", "Arn": inbox.arn}])

    def arrives() -> list[Any]:
        b.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}])
        return inbox.events()

    assert wait_until(arrives)


def test_pipe_made_on_one_node_carries_messages_once(nodes: list[RunningNode]) -> None:
    sqs = nodes[0].client("sqs")
    source, target = Inbox(sqs, "pipe-in"), Inbox(sqs, "pipe-out")
    pipes = nodes[1].client("pipes")
    pipes.create_pipe(Name="p", Source=source.arn, Target=target.arn, RoleArn=ROLE)
    wait_until(lambda: pipes.describe_pipe(Name="p")["CurrentState"] == "RUNNING")
    for number in range(30):
        sqs.send_message(QueueUrl=source.url, MessageBody=str(number))
    got: list[int] = []

    def all_have_come() -> bool:
        got.extend(int(event["body"]) for event in target.events())
        return len(got) >= 30

    wait_until(all_have_come)
    assert sorted(got) == list(range(30))
    pipes.delete_pipe(Name="p")
