"""KEDA's external scaler, asked as KEDA asks: by a gRPC channel and its published names."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from forebay.scaling.external_scaler import external_scaler_pb2 as messages
from tests.harness import RunningNode, wait_until

SERVICE = "/externalscaler.ExternalScaler/"


class Keda:
    """A client of the external scaler."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, method: str, request: Any, answer: Any) -> Any:
        made = self.channel.unary_unary(SERVICE + method, type(request).SerializeToString, answer.FromString)
        return made(request, timeout=30)

    def is_active(self, **metadata: str) -> bool:
        return self.call("IsActive", reference(metadata), messages.IsActiveResponse).result

    def spec(self, **metadata: str) -> Any:
        return self.call("GetMetricSpec", reference(metadata), messages.GetMetricSpecResponse).metricSpecs

    def value(self, **metadata: str) -> float:
        asked = messages.GetMetricsRequest(scaledObjectRef=reference(metadata), metricName="s0-orders")
        (told,) = self.call("GetMetrics", asked, messages.GetMetricsResponse).metricValues
        assert told.metricName == "s0-orders"
        assert told.metricValue == told.metricValueFloat
        return told.metricValueFloat

    def stream(self, **metadata: str) -> Any:
        make = self.channel.unary_stream(
            SERVICE + "StreamIsActive",
            messages.ScaledObjectRef.SerializeToString,
            messages.IsActiveResponse.FromString,
        )
        return make(reference(metadata))


def reference(metadata: dict[str, str]) -> messages.ScaledObjectRef:
    given = {"scalerAddress": "forebay:9090", "queueURL": "orders", "awsRegion": "us-east-1", **metadata}
    return messages.ScaledObjectRef(name="worker", namespace="shop", scalerMetadata=given)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    running = RunningNode(tmp_path / "data", external_scaler_port=0).start()
    yield running
    running.stop()


@pytest.fixture
def keda(node: RunningNode) -> Iterator[Keda]:
    assert node.node.external_scaler_port
    client = Keda(node.node.external_scaler_port)
    yield client
    client.channel.close()


def make_queue(node: RunningNode, name: str = "orders", **attributes: str) -> Callable[..., Any]:
    sqs = node.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return lambda action="send_message", **given: getattr(sqs, action)(QueueUrl=url, **given)


def test_value_counts_what_the_trigger_asks_for(node: RunningNode, keda: Keda):
    ask = make_queue(node)
    for _ in range(3):
        ask(MessageBody="now")
    ask(MessageBody="later", DelaySeconds=900)
    ask("receive_message")
    assert keda.value() == 3
    assert keda.value(scaleOnInFlight="false") == 2
    assert keda.value(scaleOnDelayed="true") == 4


def test_spec_names_the_queue_and_its_target(node: RunningNode, keda: Keda):
    make_queue(node)
    (spec,) = keda.spec(queueLength="20")
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("orders", 20, 20.0)


def test_activity_is_above_its_threshold(node: RunningNode, keda: Keda):
    ask = make_queue(node)
    assert not keda.is_active()
    ask(MessageBody="one")
    assert keda.is_active()
    assert not keda.is_active(activationQueueLength="1")


def test_one_message_group_is_counted_alone(node: RunningNode, keda: Keda):
    ask = make_queue(node, "orders.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body, group in (("1", "a"), ("2", "a"), ("3", "b")):
        ask(MessageBody=body, MessageGroupId=group)
    fifo = {"queueURL": "orders.fifo"}
    assert keda.value(**fifo) == 3
    assert keda.value(messageGroupId="a", **fifo) == 2
    assert not keda.is_active(messageGroupId="c", **fifo)
    (spec,) = keda.spec(messageGroupId="a", **fifo)
    assert spec.metricName == "orders.fifo-a"


def test_queue_is_named_by_url_with_its_account(node: RunningNode, keda: Keda):
    sqs = node.client("sqs", region="eu-west-1", account="123456789012")
    url = sqs.create_queue(QueueName="theirs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one")
    assert keda.value(queueURL=url, awsRegion="eu-west-1") == 1


def test_work_is_pushed_when_it_comes_and_its_end_too(node: RunningNode, keda: Keda):
    ask = make_queue(node)
    stream = keda.stream()
    pushed: queue.Queue[bool] = queue.Queue()

    def listen() -> None:
        with suppress(grpc.RpcError):
            for told in stream:
                pushed.put(told.result)

    listening = threading.Thread(target=listen)
    listening.start()
    assert pushed.get(timeout=30) is False
    ask(MessageBody="one")
    assert pushed.get(timeout=30) is True
    (received,) = ask("receive_message")["Messages"]
    ask("delete_message", ReceiptHandle=received["ReceiptHandle"])
    assert pushed.get(timeout=30) is False
    stream.cancel()
    listening.join(30)
    assert stream.code() == grpc.StatusCode.CANCELLED
    assert pushed.empty()


@pytest.mark.parametrize(
    ("metadata", "code", "text"),
    [
        ({"queueURL": ""}, "INVALID_ARGUMENT", "no queueURL given"),
        ({"queueURL": "https://sqs.example/orders"}, "INVALID_ARGUMENT", "cannot get queueName from queueURL"),
        ({"queueLength": "many"}, "INVALID_ARGUMENT", "queueLength"),
        ({"queueURL": "none"}, "NOT_FOUND", "There is no queue none in account 000000000000 and region us-east-1."),
    ],
)
def test_trigger_that_does_not_fit_is_told_why(keda: Keda, metadata: dict[str, str], code: str, text: str):
    for method in (keda.value, keda.is_active, keda.spec, lambda **given: next(keda.stream(**given))):
        with pytest.raises(grpc.RpcError) as caught:
            method(**metadata)
        assert caught.value.code().name == code
        assert text in caught.value.details()


def test_stopping_the_node_ends_the_streams(node: RunningNode, keda: Keda):
    make_queue(node)
    stream = keda.stream()
    assert next(stream).result is False
    node.stop()
    with pytest.raises(grpc.RpcError):
        next(stream)
    node.start()
    wait_until(lambda: node.node.external_scaler_port)
