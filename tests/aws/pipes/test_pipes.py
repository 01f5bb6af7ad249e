import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws.events.inboxes import Inbox, refusal
from tests.harness import ACCOUNT, RunningNode, wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipe"
ARN = f"arn:aws:pipes:us-east-1:{ACCOUNT}:pipe/p"


@pytest.fixture
def inbox(node: RunningNode) -> Callable[[str], Inbox]:
    return lambda name: Inbox(node.client("sqs"), name)


class World:
    """A pipe from one queue to another."""

    def __init__(self, node: RunningNode, pipes: Any) -> None:
        self.node = node
        self.sqs = node.client("sqs")
        self.pipes = pipes
        self.source, self.target = Inbox(self.sqs, "source"), Inbox(self.sqs, "target")

    def create(self, *, wait_for: str = "RUNNING", **params: Any) -> Any:
        given = {"Name": "p", "Source": self.source.arn, "Target": self.target.arn, "RoleArn": ROLE, **params}
        answer = self.pipes.create_pipe(**given)
        wait_until(lambda: self.state() == wait_for)
        return answer

    def state(self) -> str:
        state: str = self.pipes.describe_pipe(Name="p")["CurrentState"]
        return state

    def send(self, *bodies: object, **params: Any) -> None:
        for body in bodies:
            text = body if isinstance(body, str) else json.dumps(body)
            self.sqs.send_message(QueueUrl=self.source.url, MessageBody=text, **params)

    def function(self, code: str) -> str:
        archive = make_archive(code)
        arn: str = self.node.client("lambda").create_function(
            FunctionName="f", Runtime="python3.11", Handler="index.handler", Role=ROLE, Code={"ZipFile": archive}
        )["FunctionArn"]
        return arn


def make_archive(code: str) -> bytes:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    return buffer.getvalue()


def test_pipe_comes_to_run_and_is_described(world: World, pipes: Any) -> None:
    answer = world.create(Description="d", Tags={"a": "1"})
    assert (answer["Arn"], answer["CurrentState"], answer["DesiredState"]) == (ARN, "CREATING", "RUNNING")
    shown = pipes.describe_pipe(Name="p")
    for name in ("ResponseMetadata", "CreationTime", "LastModifiedTime"):
        del shown[name]
    assert shown == {
        "Arn": ARN,
        "CurrentState": "RUNNING",
        "Description": "d",
        "DesiredState": "RUNNING",
        "Name": "p",
        "RoleArn": ROLE,
        "Source": world.source.arn,
        "SourceParameters": {"SqsQueueParameters": {"BatchSize": 10}},
        "Tags": {"a": "1"},
        "Target": world.target.arn,
    }


def test_pipe_moves_messages_as_records(world: World) -> None:
    world.create()
    world.send("hello")
    (event,) = wait_until(world.target.events)
    assert (event["body"], event["eventSource"], event["eventSourceARN"]) == ("hello", "aws:sqs", world.source.arn)
    assert world.source.bodies() == []


def test_filters_and_template_shape_what_goes_through(world: World) -> None:
    filters = {"FilterCriteria": {"Filters": [{"Pattern": '{"body": {"kind": ["order"]}}'}]}}
    template = '{"id": <$.body.id>, "pipe": "<aws.pipes.pipe-name>"}'
    world.create(SourceParameters=filters, TargetParameters={"InputTemplate": template})
    world.send({"kind": "other", "id": 1}, {"kind": "order", "id": 2})
    assert wait_until(world.target.events) == [{"id": 2, "pipe": "p"}]
    wait_until(lambda: _left(world) == 0)


def _left(world: World) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = world.sqs.get_queue_attributes(QueueUrl=world.source.url, AttributeNames=names)["Attributes"]
    return sum(int(answer[name]) for name in names)


def test_fifo_target_takes_its_group_from_the_event(world: World) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = world.sqs.create_queue(QueueName="t.fifo", Attributes=attributes)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:t.fifo"
    assert refusal(lambda: world.create(Target=arn))[0] == "ValidationException"
    world.create(Target=arn, TargetParameters={"SqsQueueParameters": {"MessageGroupId": "$.body.group"}})
    world.send({"group": "g"})

    def receive() -> Any:
        return world.sqs.receive_message(QueueUrl=url, AttributeNames=["All"]).get("Messages")

    (message,) = wait_until(receive)
    assert message["Attributes"]["MessageGroupId"] == "g"


def test_event_bus_target_gets_events(world: World) -> None:
    events = world.node.client("events")
    events.put_rule(Name="r", EventPattern='{"detail-type": [{"exists": true}]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": world.target.arn}])
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    world.create(Target=bus, TargetParameters={"InputTemplate": '{"a": <$.body.a>}'})
    world.send({"a": 1})
    (event,) = wait_until(world.target.events)
    assert (event["source"], event["detail-type"], event["detail"]) == ("Pipe p", "Event from aws:sqs", {"a": 1})


def test_missing_target_leaves_the_messages(world: World) -> None:
    world.create(Target=f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing")
    world.send("kept")
    wait_until(
        lambda: (
            world.sqs.get_queue_attributes(
                QueueUrl=world.source.url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
            )["Attributes"]["ApproximateNumberOfMessagesNotVisible"]
            == "1"
        )
    )
    world.pipes.stop_pipe(Name="p")
    wait_until(lambda: world.state() == "STOPPED")
    world.node.clock.advance(31)
    assert wait_until(world.source.bodies) == ["kept"]


def test_function_enriches_what_a_target_gets(world: World) -> None:
    code = "def handler(events, context):\n    return [{'n': e['body'] * 2} for e in events if e['body'] != 'drop']"
    world.create(Enrichment=world.function(code), TargetParameters={"InputTemplate": '{"twice": <$.n>}'})
    world.send("drop", "a")
    assert wait_until(world.target.events) == [{"twice": "aa"}]
    wait_until(lambda: _left(world) == 0)


def test_function_target_gets_an_array_and_may_fail_some(world: World) -> None:
    code = (
        "import json\n"
        "def handler(events, context):\n"
        "    assert isinstance(events, list)\n"
        "    return {'batchItemFailures': [{'itemIdentifier': e['messageId']} for e in events if e['body'] == 'bad']}"
    )
    world.send("good", "bad")
    world.create(Target=world.function(code))
    wait_until(lambda: _left(world) == 1)
    world.pipes.stop_pipe(Name="p")
    wait_until(lambda: world.state() == "STOPPED")
    world.node.clock.advance(31)
    assert wait_until(world.source.bodies) == ["bad"]


def test_stopped_pipe_stands_still_until_it_is_started(world: World, pipes: Any) -> None:
    world.create(DesiredState="STOPPED", wait_for="STOPPED")
    world.send("later")
    answer = pipes.start_pipe(Name="p")
    assert (answer["DesiredState"], answer["CurrentState"]) == ("RUNNING", "STARTING")
    assert len(wait_until(world.target.bodies)) == 1
    assert pipes.stop_pipe(Name="p")["CurrentState"] == "STOPPING"
    wait_until(lambda: world.state() == "STOPPED")


def test_update_changes_what_it_names(world: World, pipes: Any) -> None:
    world.create(Description="d", SourceParameters={"SqsQueueParameters": {"BatchSize": 3}})
    answer = pipes.update_pipe(Name="p", RoleArn=ROLE, TargetParameters={"InputTemplate": '{"b": <$.body>}'})
    assert answer["CurrentState"] == "UPDATING"
    wait_until(lambda: world.state() == "RUNNING")
    shown = pipes.describe_pipe(Name="p")
    assert shown["Description"] == "d"
    assert shown["SourceParameters"] == {"SqsQueueParameters": {"BatchSize": 3}}
    world.send("x")
    assert wait_until(world.target.events) == [{"b": "x"}]


def test_pipe_of_a_missing_queue_fails_to_be_created(world: World, pipes: Any) -> None:
    missing = f"arn:aws:sqs:us-east-1:{ACCOUNT}:missing"
    world.create(Source=missing, wait_for="CREATE_FAILED")
    assert pipes.describe_pipe(Name="p")["StateReason"] == f"The source {missing} does not exist."


def test_deleted_pipe_goes_and_reads_no_more(world: World, pipes: Any) -> None:
    world.create()
    answer = pipes.delete_pipe(Name="p")
    assert (answer["DesiredState"], answer["CurrentState"]) == ("DELETED", "DELETING")
    wait_until(lambda: pipes.list_pipes()["Pipes"] == [])
    expected = ("NotFoundException", "Pipe p does not exist.")
    assert refusal(lambda: pipes.describe_pipe(Name="p")) == expected
    world.send("stays")
    assert world.source.bodies() == ["stays"]


def test_pipe_runs_on_after_a_restart(world: World) -> None:
    world.create()
    world.node.restart()
    sqs = world.node.client("sqs")
    target = Inbox(sqs, "target")
    sqs.send_message(
        QueueUrl=world.source.url.replace(world.source.url.split("/")[2], world.node.url.split("/")[2]),
        MessageBody="again",
    )
    (event,) = wait_until(target.events)
    assert event["body"] == "again"


def test_pipes_are_listed_by_what_is_asked(world: World, pipes: Any) -> None:
    for name, state in (("a1", "STOPPED"), ("a2", "RUNNING"), ("b", "STOPPED")):
        pipes.create_pipe(Name=name, Source=world.source.arn, Target=world.target.arn, RoleArn=ROLE, DesiredState=state)

    def names(**params: Any) -> list[str]:
        return [pipe["Name"] for pipe in pipes.list_pipes(**params)["Pipes"]]

    assert names() == ["a1", "a2", "b"]
    assert names(NamePrefix="a") == ["a1", "a2"]
    assert names(DesiredState="STOPPED") == ["a1", "b"]
    assert names(SourcePrefix="arn:aws:kinesis") == []
    page = pipes.list_pipes(Limit=2)
    assert [pipe["Name"] for pipe in pipes.list_pipes(Limit=2, NextToken=page["NextToken"])["Pipes"]] == ["b"]


def test_tags_of_a_pipe_are_set_and_taken(world: World, pipes: Any) -> None:
    world.create(Tags={"a": "1"}, DesiredState="STOPPED", wait_for="STOPPED")
    pipes.tag_resource(resourceArn=ARN, tags={"a": "2", "b": "3"})
    pipes.untag_resource(resourceArn=ARN, tagKeys=["b"])
    assert pipes.list_tags_for_resource(resourceArn=ARN)["tags"] == {"a": "2"}


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"Source": f"arn:aws:s3:us-east-1:{ACCOUNT}:b"}, "ValidationException", "s3 is not a supported source."),
        ({"Target": f"arn:aws:s3:us-east-1:{ACCOUNT}:b"}, "ValidationException", "s3 is not a supported target."),
        (
            {"Source": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"},
            "NotImplemented",
            "Pipes that read kinesis are not implemented by Forebay.",
        ),
        (
            {"Target": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"},
            "NotImplemented",
            "Pipes with targets of kinesis are not implemented by Forebay.",
        ),
        (
            {"Enrichment": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"},
            "ValidationException",
            "sqs is not a supported enrichment.",
        ),
        (
            {
                "LogConfiguration": {
                    "Level": "INFO",
                    "S3LogDestination": {"BucketName": "logs", "BucketOwner": ACCOUNT},
                }
            },
            "NotImplemented",
            "Logs of pipes go to CloudWatch Logs only: other destinations are not implemented.",
        ),
        (
            {"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": '{"a": 1}'}]}}},
            "ValidationException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            {"TargetParameters": {"InputTemplate": '{"a": <aws.pipes.nothing>}'}},
            "ValidationException",
            "invalid placeholder aws.pipes.nothing",
        ),
    ],
)
def test_wrong_pipe_is_refused(world: World, params: Any, code: str, text: str) -> None:
    found = refusal(lambda: world.create(**params))
    assert found[0] == code
    assert text in found[1]


def test_name_is_taken_once(world: World) -> None:
    world.create(DesiredState="STOPPED", wait_for="STOPPED")
    assert refusal(world.create) == ("ConflictException", "Pipe p already exists.")


def test_topic_target_gets_messages(world: World) -> None:
    sns = world.node.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=world.target.arn, Attributes={"RawMessageDelivery": "true"})
    world.create(Target=topic, TargetParameters={"InputTemplate": '{"b": <$.body>}'})
    world.send("x")
    assert wait_until(world.target.events) == [{"b": "x"}]
