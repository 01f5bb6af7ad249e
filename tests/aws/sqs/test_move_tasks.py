"""Message move tasks through boto3: dead letters on their way back."""

import base64
import json

import pytest

from tests.harness import wait_until

INVALID = "InvalidParameterValue"
GONE = "ResourceNotFoundException"


@pytest.fixture
def arn(sqs):
    def of(url):
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    return of


@pytest.fixture
def make_pair(make_queue, arn):
    """Make a queue with a dead-letter queue and return both URLs."""

    def make(name="q", suffix="", **attributes):
        if suffix:
            attributes["FifoQueue"] = "true"
        graves = make_queue(f"{name}-dlq{suffix}", **attributes)
        policy = json.dumps({"deadLetterTargetArn": arn(graves), "maxReceiveCount": "1"})
        url = make_queue(f"{name}{suffix}", VisibilityTimeout="0", RedrivePolicy=policy, **attributes)
        return url, graves

    return make


def bury(sqs, url, *bodies, **params):
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body, **params)
    for _ in range(2):
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)


def bodies(sqs, url):
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages", [])
    return [message["Body"] for message in found]


def visible(sqs, url):
    names = ["ApproximateNumberOfMessages"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][names[0]])


def tasks(sqs, source, count=1):
    return sqs.list_message_move_tasks(SourceArn=source, MaxResults=count)["Results"]


def wait_for(sqs, source, status):
    return wait_until(lambda: next((task for task in tasks(sqs, source) if task["Status"] == status), None))


def test_messages_go_back_to_where_each_came_from(sqs, make_queue, make_pair, arn):
    url, graves = make_pair()
    policy = json.dumps({"deadLetterTargetArn": arn(graves), "maxReceiveCount": "1"})
    other = make_queue("other", VisibilityTimeout="0", RedrivePolicy=policy)
    bury(sqs, url, "a", "b")
    bury(sqs, other, "c")
    assert visible(sqs, graves) == 3
    handle = sqs.start_message_move_task(SourceArn=arn(graves))["TaskHandle"]
    assert json.loads(base64.b64decode(handle))["sourceArn"] == arn(graves)
    task = wait_for(sqs, arn(graves), "COMPLETED")
    started = task.pop("StartedTimestamp")
    assert started > 1_000_000_000_000
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": arn(graves),
        "ApproximateNumberOfMessagesMoved": 3,
        "ApproximateNumberOfMessagesToMove": 3,
    }
    assert (bodies(sqs, url), bodies(sqs, other), visible(sqs, graves)) == (["a", "b"], ["c"], 0)


def test_messages_go_to_another_queue_at_a_rate(node, sqs, make_queue, make_pair, arn):
    node.clock.freeze()
    url, graves = make_pair()
    there = make_queue("there")
    bury(sqs, url, *"abcde")
    params = {"SourceArn": arn(graves), "DestinationArn": arn(there), "MaxNumberOfMessagesPerSecond": 2}
    sqs.start_message_move_task(**params)
    wait_until(lambda: visible(sqs, there) == 1)
    (task,) = tasks(sqs, arn(graves))
    assert (task["Status"], task["DestinationArn"], task["MaxNumberOfMessagesPerSecond"]) == ("RUNNING", arn(there), 2)
    assert task["TaskHandle"]
    node.clock.advance(0.5)
    wait_until(lambda: visible(sqs, there) == 2)
    node.clock.advance(0.4)
    assert visible(sqs, there) == 2


def test_a_task_goes_on_after_a_restart(node, make_queue, make_pair, arn):
    sqs = node.client("sqs")
    url, graves = make_pair()
    bury(sqs, url, *"abcdef")
    source = arn(graves)
    sqs.start_message_move_task(SourceArn=source, MaxNumberOfMessagesPerSecond=2)
    node.restart()
    sqs = node.client("sqs")
    task = wait_for(sqs, source, "COMPLETED")
    assert task["ApproximateNumberOfMessagesMoved"] == 6
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    assert bodies(sqs, url) == list("abcdef")


def test_a_running_task_can_be_cancelled_once(node, sqs, make_pair, arn, refused):
    node.clock.freeze()
    url, graves = make_pair()
    bury(sqs, url, *"abc")
    handle = sqs.start_message_move_task(SourceArn=arn(graves), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    wait_until(lambda: visible(sqs, graves) == 2)
    assert refused(sqs.start_message_move_task, SourceArn=arn(graves)) == (
        INVALID,
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
    )
    answer = sqs.cancel_message_move_task(TaskHandle=handle)
    assert answer["ApproximateNumberOfMessagesMoved"] == 1
    task = wait_for(sqs, arn(graves), "CANCELLED")
    assert "TaskHandle" not in task
    assert visible(sqs, graves) == 2
    assert refused(sqs.cancel_message_move_task, TaskHandle=handle) == (INVALID, "Only active tasks can be cancelled.")
    sqs.start_message_move_task(SourceArn=arn(graves))
    wait_for(sqs, arn(graves), "COMPLETED")
    assert [task["Status"] for task in tasks(sqs, arn(graves), 10)] == ["COMPLETED", "CANCELLED"]


def test_a_message_without_a_source_fails_the_task_and_stays(sqs, make_pair, arn):
    _, graves = make_pair()
    sqs.send_message(QueueUrl=graves, MessageBody="direct")
    sqs.start_message_move_task(SourceArn=arn(graves))
    task = wait_for(sqs, arn(graves), "FAILED")
    assert task["FailureReason"] == "CouldNotDetermineMessageSource"
    assert visible(sqs, graves) == 1


def test_fifo_messages_keep_group_and_order(sqs, make_pair, arn):
    url, graves = make_pair(suffix=".fifo", ContentBasedDeduplication="true")
    bury(sqs, url, "a", "b", "c", MessageGroupId="g")
    assert visible(sqs, graves) == 3
    sqs.start_message_move_task(SourceArn=arn(graves))
    wait_for(sqs, arn(graves), "COMPLETED")
    assert bodies(sqs, url) == ["a", "b", "c"]


def test_what_is_refused(sqs, make_queue, make_pair, arn, refused):
    _, graves = make_pair()
    source, plain = arn(graves), make_queue("plain")
    start = sqs.start_message_move_task
    nowhere = source.replace("q-dlq", "nowhere")
    assert refused(start, SourceArn=nowhere) == (
        GONE,
        "The resource that you specified for the SourceArn parameter doesn't exist.",
    )
    assert refused(start, SourceArn=source, DestinationArn=nowhere) == (
        GONE,
        "The resource that you specified for the DestinationArn parameter doesn't exist.",
    )
    assert refused(start, SourceArn=arn(plain)) == (INVALID, "Source queue must be configured as a Dead Letter Queue.")
    assert refused(start, SourceArn=source, DestinationArn=source)[0] == INVALID
    assert refused(start, SourceArn="x")[0] == INVALID
    assert refused(start, SourceArn="") == ("MissingParameter", "The request must contain the parameter SourceArn.")
    for rate in (0, 501):
        assert refused(start, SourceArn=source, MaxNumberOfMessagesPerSecond=rate)[0] == INVALID
    assert refused(sqs.list_message_move_tasks, SourceArn=nowhere)[0] == GONE
    assert refused(sqs.list_message_move_tasks, SourceArn=source, MaxResults=11)[0] == INVALID
    assert refused(sqs.cancel_message_move_task, TaskHandle="x")[0] == INVALID
    handle = base64.b64encode(json.dumps({"taskId": "1", "sourceArn": source}).encode()).decode()
    assert refused(sqs.cancel_message_move_task, TaskHandle=handle) == (GONE, "Task does not exist.")
    assert sqs.list_message_move_tasks(SourceArn=source)["Results"] == []
