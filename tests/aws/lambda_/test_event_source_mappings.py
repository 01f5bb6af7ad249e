"""Functions that drain queues, through boto3."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.lambda_.conftest import Functions
from tests.harness import RunningNode, wait_until

# Tells what it got by sending it to the queue `seen`; fails as its messages ask for.
WORKER = """
import boto3, json, os
sqs = boto3.client("sqs")
seen = os.environ["SEEN"]
def handler(event, context):
    records = event["Records"]
    bodies = [record["body"] for record in records]
    sqs.send_message(QueueUrl=seen, MessageBody=json.dumps(bodies))
    if any("crash" in body for body in bodies):
        raise RuntimeError("crash")
    failures = [{"itemIdentifier": r["messageId"]} for r in records if "bad" in r["body"]]
    if any("nonsense" in body for body in bodies):
        failures = [{"itemIdentifier": ""}]
    return {"batchItemFailures": failures}
"""


class Queues:
    def __init__(self, node: RunningNode) -> None:
        self.node = node

    @property
    def sqs(self) -> Any:
        return self.node.client("sqs")

    def make(self, name: str, **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def url(self, name: str) -> str:
        # The port is another one after a restart.
        return f"{self.node.url}/000000000000/{name}"

    def send(self, name: str, *bodies: str) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            self.sqs.send_message_batch(QueueUrl=self.url(name), Entries=entries)

    def counts(self, name: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def take(self, name: str, count: int) -> list[dict[str, Any]]:
        """Take `count` messages off a queue."""
        got: list[dict[str, Any]] = []

        def enough() -> bool:
            answer = self.sqs.receive_message(
                QueueUrl=self.url(name), MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url(name), ReceiptHandle=message["ReceiptHandle"])
                got.append(message)
            return len(got) >= count

        wait_until(enough)
        return got


def arn(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:000000000000:{name}"


@pytest.fixture
def queues(node: RunningNode) -> Queues:
    return Queues(node)


@pytest.fixture
def worker(functions: Functions, queues: Queues) -> Functions:
    queues.make("work")
    queues.make("seen")
    functions.make(
        "worker", WORKER, Environment={"Variables": {"SEEN": queues.url("seen")}}, MemorySize=256, Timeout=20
    )
    return functions


def map_to(functions: Functions, **settings: Any) -> dict[str, Any]:
    return functions.client.create_event_source_mapping(EventSourceArn=arn("work"), FunctionName="worker", **settings)


def seen_bodies(queues: Queues, calls: int) -> list[list[str]]:
    return [json.loads(message["Body"]) for message in queues.take("seen", calls)]


def test_messages_are_handed_over_and_deleted(worker: Functions, queues: Queues):
    made = map_to(worker)
    assert made["State"] == "Creating"
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    queues.send("work", "one", "two")
    bodies = [body for batch in seen_bodies(queues, 1) for body in batch]
    while len(bodies) < 2:
        bodies += [body for batch in seen_bodies(queues, 1) for body in batch]
    assert sorted(bodies) == ["one", "two"]
    wait_until(lambda: queues.counts("work") == (0, 0))


def test_failed_batch_comes_back_and_ends_in_the_dead_letter_queue(worker: Functions, queues: Queues):
    queues.make("dead")
    redrive = json.dumps({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2})
    queues.sqs.set_queue_attributes(
        QueueUrl=queues.url("work"), Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "20"}
    )
    map_to(worker)
    sent = queues.sqs.send_message(QueueUrl=queues.url("work"), MessageBody="crash")
    assert seen_bodies(queues, 1) == [["crash"]]
    wait_until(lambda: _steps(worker.node, sent["MessageId"]))
    worker.node.clock.advance(21)
    assert seen_bodies(queues, 1) == [["crash"]]
    wait_until(lambda: len(_steps(worker.node, sent["MessageId"])) == 2)
    worker.node.clock.advance(21)
    assert queues.take("dead", 1)[0]["Body"] == "crash"
    steps = _steps(worker.node, sent["MessageId"])
    assert [(step.what, step.code, step.attempt) for step in steps] == [
        ("rejected", "RuntimeError", 1),
        ("rejected", "RuntimeError", 2),
    ]


def _steps(node: RunningNode, event_id: str) -> list[Any]:
    return list(node.run(lambda n: n.platform.trace.path(event_id)))


def test_partial_failures_bring_back_only_what_failed(worker: Functions, queues: Queues):
    queues.send("work", "good", "bad", "fine")
    map_to(worker, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert sorted(seen_bodies(queues, 1)[0]) == ["bad", "fine", "good"]
    wait_until(lambda: queues.counts("work") == (0, 1))
    worker.node.clock.advance(31)
    assert seen_bodies(queues, 1) == [["bad"]]


def test_an_identifier_that_is_none_fails_the_whole_batch(worker: Functions, queues: Queues):
    queues.send("work", "good", "nonsense")
    map_to(worker, FunctionResponseTypes=["ReportBatchItemFailures"])
    seen_bodies(queues, 1)
    wait_until(lambda: queues.counts("work") == (0, 2))


def test_filters_let_through_and_delete_the_rest(worker: Functions, queues: Queues):
    pattern = json.dumps({"body": {"kind": ["auto"], "amount": [{"numeric": [">", 10]}]}})
    queues.send("work", '{"kind":"auto","amount":5}', '{"kind":"auto","amount":50}', "plain", '{"kind":"boat"}')
    map_to(worker, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    assert seen_bodies(queues, 1) == [['{"kind":"auto","amount":50}']]
    wait_until(lambda: queues.counts("work") == (0, 0))
    assert queues.counts("seen") == (0, 0)


def test_window_gathers_a_large_batch(worker: Functions, queues: Queues):
    worker.node.clock.freeze()
    map_to(worker, BatchSize=50, MaximumBatchingWindowInSeconds=60)
    queues.send("work", *[str(n) for n in range(15)])
    wait_until(lambda: queues.counts("work") == (0, 15))
    queues.send("work", *[str(n) for n in range(15, 20)])
    wait_until(lambda: queues.counts("work") == (0, 20))
    assert queues.counts("seen") == (0, 0)
    worker.node.clock.advance(61)
    (batch,) = seen_bodies(queues, 1)
    assert len(batch) == 20


def test_full_batch_does_not_wait_for_its_window(worker: Functions, queues: Queues):
    worker.node.clock.freeze()
    map_to(worker, BatchSize=20, MaximumBatchingWindowInSeconds=300)
    queues.send("work", *[str(n) for n in range(20)])
    (batch,) = seen_bodies(queues, 1)
    assert len(batch) == 20


def test_maximum_concurrency_bounds_the_instances(functions: Functions, queues: Queues):
    queues.make("work")
    functions.make("worker", "import time\ndef handler(event, context):\n    time.sleep(0.2)\n")
    queues.send("work", *[str(n) for n in range(30)])
    map_to(functions, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    wait_until(lambda: queues.counts("work") == (0, 0), 30)

    async def instances(node: Any) -> int:
        from forebay.runtimes.pool import FunctionPool

        return node.platform.table.shared("lambda", FunctionPool).instance_count

    assert functions.node.run(instances) <= 2


def test_reserved_concurrency_slows_and_loses_nothing(worker: Functions, queues: Queues):
    worker.client.put_function_concurrency(FunctionName="worker", ReservedConcurrentExecutions=0)
    map_to(worker)
    queues.send("work", "patient")
    wait_until(lambda: queues.counts("work") == (0, 1))
    worker.client.delete_function_concurrency(FunctionName="worker")
    assert seen_bodies(queues, 1) == [["patient"]]
    wait_until(lambda: queues.counts("work") == (0, 0))


def test_disabled_mapping_reads_nothing_until_it_is_enabled(worker: Functions, queues: Queues):
    made = map_to(worker, Enabled=False)
    queues.send("work", "later")
    found = worker.client.get_event_source_mapping(UUID=made["UUID"])
    assert found["State"] == "Disabled"
    assert queues.counts("work") == (1, 0)
    assert worker.client.update_event_source_mapping(UUID=made["UUID"], Enabled=True)["State"] == "Updating"
    assert seen_bodies(queues, 1) == [["later"]]


def test_deleted_mapping_reads_no_more(worker: Functions, queues: Queues):
    made = map_to(worker)
    assert worker.client.delete_event_source_mapping(UUID=made["UUID"])["State"] == "Deleting"
    queues.send("work", "nobody wants this")
    with pytest.raises(ClientError) as caught:
        worker.client.get_event_source_mapping(UUID=made["UUID"])
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert queues.counts("work") == (1, 0)


def test_draining_goes_on_after_a_restart(worker: Functions, queues: Queues):
    map_to(worker)
    queues.send("work", "before")
    assert seen_bodies(queues, 1) == [["before"]]
    worker.node.restart()
    worker.client.update_function_configuration(
        FunctionName="worker", Environment={"Variables": {"SEEN": queues.url("seen")}}
    )
    queues.send("work", "after")
    assert seen_bodies(queues, 1) == [["after"]]


def test_deleted_queue_is_told(worker: Functions, queues: Queues):
    made = map_to(worker)
    queues.send("work", "one")
    seen_bodies(queues, 1)
    queues.sqs.delete_queue(QueueUrl=queues.url("work"))
    worker.node.clock.advance(60)

    def result() -> str | None:
        return worker.client.get_event_source_mapping(UUID=made["UUID"]).get("LastProcessingResult")

    assert wait_until(result) is not None
    assert "does not exist" in str(result())


def test_function_that_is_gone_costs_no_message_its_receives(worker: Functions, queues: Queues):
    made = map_to(worker, Enabled=False)
    worker.client.delete_function(FunctionName="worker")
    worker.client.update_event_source_mapping(UUID=made["UUID"], Enabled=True)
    queues.send("work", "kept")
    wait_until(lambda: worker.client.get_event_source_mapping(UUID=made["UUID"]).get("LastProcessingResult"))
    assert queues.counts("work") == (1, 0)


def test_answer_is_complete(worker: Functions):
    made = map_to(worker, ScalingConfig={"MaximumConcurrency": 5}, Tags={"a": "b"})
    found = worker.client.get_event_source_mapping(UUID=made["UUID"])
    uuid = made["UUID"]
    del found["ResponseMetadata"], found["LastModified"]
    assert found == {
        "UUID": uuid,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "EventSourceArn": arn("work"),
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:worker",
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": [],
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}",
        "ScalingConfig": {"MaximumConcurrency": 5},
    }
    assert worker.client.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"a": "b"}
    listed = worker.client.list_event_source_mappings(FunctionName="worker")["EventSourceMappings"]
    assert [mapping["UUID"] for mapping in listed] == [uuid]
    assert worker.client.list_event_source_mappings(EventSourceArn=arn("other"))["EventSourceMappings"] == []


REFUSED = [
    (
        {"BatchSize": 11},
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    ),
    ({"FilterCriteria": {"Filters": [{"Pattern": "{nope"}]}}, "Invalid filter pattern definition."),
    ({"StartingPosition": "LATEST"}, "StartingPosition is not valid for SQS event sources."),
    (
        {"EventSourceArn": arn("none")},
        (
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist."
        ),
    ),
    ({"FunctionName": "none"}, "Function does not exist"),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED, ids=[next(iter(given)) for given, _ in REFUSED])
def test_settings_are_checked(worker: Functions, settings: dict[str, Any], text: str):
    given = {"EventSourceArn": arn("work"), "FunctionName": "worker", **settings}
    with pytest.raises(ClientError) as caught:
        worker.client.create_event_source_mapping(**given)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidParameterValueException", text)


def test_fifo_queue_is_drained_in_the_order_of_its_groups(worker: Functions, queues: Queues):
    queues.make("work.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for number in range(6):
        group = "odd" if number % 2 else "even"
        url = queues.url("work.fifo")
        queues.sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId=group)
    given = {"EventSourceArn": arn("work.fifo"), "FunctionName": "worker", "BatchSize": 1}
    worker.client.create_event_source_mapping(**given)
    order = [batch[0] for batch in seen_bodies(queues, 6)]
    wait_until(lambda: queues.counts("work.fifo") == (0, 0))
    assert [body for body in order if int(body) % 2 == 0] == ["0", "2", "4"]
    assert [body for body in order if int(body) % 2 == 1] == ["1", "3", "5"]


def test_fifo_queue_has_no_window(worker: Functions, queues: Queues):
    queues.make("work.fifo", FifoQueue="true")
    with pytest.raises(ClientError) as caught:
        worker.client.create_event_source_mapping(
            EventSourceArn=arn("work.fifo"), FunctionName="worker", MaximumBatchingWindowInSeconds=5
        )
    assert caught.value.response["Error"]["Message"] == "Batching window is not supported for FIFO queues"


def test_visibility_must_outlast_the_function(worker: Functions, queues: Queues):
    queues.sqs.set_queue_attributes(QueueUrl=queues.url("work"), Attributes={"VisibilityTimeout": "5"})
    with pytest.raises(ClientError) as caught:
        map_to(worker)
    text = "Queue visibility timeout: 5 seconds is less than Function timeout: 20 seconds"
    assert caught.value.response["Error"]["Message"] == text


def test_second_mapping_of_the_same_pair_is_refused(worker: Functions):
    first = map_to(worker)
    with pytest.raises(ClientError) as caught:
        map_to(worker)
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceConflictException"
    assert error["Message"] == (
        f'An event source mapping with SQS arn (" {arn("work")} ") and function (" worker ") already exists. '
        f"Please update or delete the existing mapping with UUID {first['UUID']}"
    )


def test_other_sources_are_refused_by_name(worker: Functions):
    with pytest.raises(ClientError) as caught:
        worker.client.create_event_source_mapping(
            EventSourceArn="arn:aws:kinesis:us-east-1:000000000000:stream/s", FunctionName="worker"
        )
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert "Kinesis streams" in error["Message"]
