"""Queues as ends: deliveries put messages on them, pollers take them off, workers tidy up."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from forebay.api import sqs as api
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.delivery.contract import Accepted, Delivered, Delivery, MessageAttribute, Rejected, RetryPolicy
from forebay.services.sqs import limits
from forebay.services.sqs.address import queue_key
from forebay.services.sqs.measures import QueueMeasures
from forebay.services.sqs.message import decode_envelope
from forebay.services.sqs.queue import (
    DELETED_QUEUE,
    QUEUE,
    QUEUE_NUMBER,
    DeletedQueue,
    Queue,
    QueueNumber,
    RedrivePolicy,
    number_key,
)
from forebay.services.sqs.source import QueueSources
from forebay.services.sqs.target import QueueTarget
from forebay.services.sqs.waiting import WaitingRoom
from forebay.services.sqs.workers import MessageExpiry, QueueJanitor
from forebay.store.commands import PeekMessages
from forebay.store.memory import MemoryStore

ACCOUNT, REGION = "000000000000", "us-east-1"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/r"
NOW = 1_000_000.0


class Ends:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock(frozen_at=NOW)
        measures = QueueMeasures(self.store, self.clock)
        self.target = QueueTarget(self.store, self.clock, measures)
        self.sources = QueueSources(self.store, self.clock, WaitingRoom(self.store, self.clock), measures)

    async def put_queue(self, name: str = "q", number: int = 1, **settings: Any) -> Queue:
        base = {"account": ACCOUNT, "region": REGION, "created_at": 0, "modified_at": 0}
        queue = Queue(number=number, name=name, **(base | settings))
        await self.store.transact(lambda t: t.records.put(QUEUE, queue_key(ACCOUNT, REGION, name), queue))
        return queue

    async def put_record(self, kind: Any, key: str, value: Any) -> None:
        await self.store.transact(lambda t: t.records.put(kind, key, value))

    async def messages(self, number: int = 1) -> Any:
        return await self.store.view(lambda view: view.ask(PeekMessages(number, 0, 100)))


def delivery(payload: str = "{}", queue: str = "q", **more: Any) -> Delivery:
    target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    return Delivery("d", RULE, target, payload, NOW, RetryPolicy(185, 86400), **more)


def test_a_delivery_becomes_a_message_in_the_senders_commit():
    async def run():
        ends = Ends()
        await ends.put_queue(delay_seconds=5, retention_seconds=60)
        attributes = {"a": MessageAttribute("String", "x"), "b": MessageAttribute("Binary", None, b"\x01")}
        given = delivery('{"a":1}', attributes=attributes, group="g", trace_header="Root=1")
        taken = await ends.target.accept(given)
        assert isinstance(taken, Accepted)
        await ends.store.submit(taken.commands)
        (message,) = await ends.messages()
        now_ms = int(NOW * 1000)
        assert (message.body, message.group, message.sent_at_ms) == ('{"a":1}', "g", now_ms)
        assert (message.visible_at_ms, message.expires_at_ms) == (now_ms + 5000, now_ms + 60_000)
        envelope = decode_envelope(message.attributes)
        assert envelope.trace_header == "Root=1"
        assert envelope.attributes["a"].text == "x"
        assert envelope.attributes["b"].data == b"\x01"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (delivery(queue="other"), "NO_RESOURCE", "The specified queue does not exist."),
        (delivery("x" * 1025), "INVALID_PARAMETER", ("One or more parameters are invalid. Reason: "
         "Message must be shorter than 1024 bytes.")),
        (delivery(""), "INVALID_PARAMETER", "The request must contain the parameter MessageBody."),
        (delivery(attributes={f"a{n}": MessageAttribute("String", "x") for n in range(11)}), "INVALID_PARAMETER",
         "Number of message attributes [11] exceeds the allowed maximum [10]."),
    ],
)  # fmt: skip
def test_what_a_queue_cannot_take_is_rejected(given, code, text):
    async def run():
        ends = Ends()
        await ends.put_queue(message_bytes_max=1024)
        assert await ends.target.accept(given) == Rejected(code, text)
        assert await ends.target.deliver(given) == Rejected(code, text)

    asyncio.run(run())


def test_illegal_characters_are_rejected():
    async def run():
        ends = Ends()
        await ends.put_queue()
        rejected = await ends.target.accept(delivery("\x07"))
        assert isinstance(rejected, Rejected)
        assert "#x7" in rejected.message

    asyncio.run(run())


def test_a_deferred_delivery_is_put_on_the_queue_too():
    async def run():
        ends = Ends()
        await ends.put_queue()
        assert await ends.target.deliver(delivery("x")) == Delivered()
        assert [message.body for message in await ends.messages()] == ["x"]

    asyncio.run(run())


def test_a_record_is_what_a_function_sees():
    async def run():
        ends = Ends()
        queue = await ends.put_queue()
        attributes = {"a": MessageAttribute("Number", "1"), "b": MessageAttribute("Binary", None, b"\x01\x02")}
        await ends.target.deliver(delivery("body", attributes=attributes, trace_header="Root=1"))
        ends.clock.advance(2)
        source = await ends.sources.open(Arn.parse(queue.arn()))
        assert source is not None
        (record,) = await source.receive(10, 0)
        data = msgspec.json.decode(msgspec.json.encode(record.data))
        handle, message_id = data.pop("receiptHandle"), data.pop("messageId")
        assert handle.startswith("AQEB")
        assert message_id == record.record_id
        assert data.pop("attributes") == {
            "SenderId": data_sender(),
            "SentTimestamp": "1000000000",
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": "1000002000",
            "AWSTraceHeader": "Root=1",
        }
        empty: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
        assert len(data.pop("md5OfMessageAttributes")) == 32
        assert data == {
            "body": "body",
            "messageAttributes": {
                "a": {"stringValue": "1", "dataType": "Number", **empty},
                "b": {"binaryValue": "AQI=", "dataType": "Binary", **empty},
            },
            "md5OfBody": hashlib.md5(b"body").hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": queue.arn(),
            "awsRegion": REGION,
        }

    asyncio.run(run())


def data_sender() -> str:
    from forebay.services.sqs.message import sender_id

    return sender_id(RULE, ACCOUNT)


def test_what_succeeded_is_deleted_and_what_failed_waits_for_its_timeout():
    async def run():
        ends = Ends()
        queue = await ends.put_queue(visibility_seconds=60)
        for body in ("good", "bad"):
            await ends.target.deliver(delivery(body))
        source = await ends.sources.open(Arn.parse(queue.arn()))
        assert source is not None
        good, bad = await source.receive(10, 0)
        await source.settle([good], [bad])
        assert [message.body for message in await ends.messages()] == ["bad"]
        assert await source.receive(10, 0) == []
        ends.clock.advance(60)
        (again,) = await source.receive(10, 0)
        assert again.data["attributes"]["ApproximateReceiveCount"] == "2"

    asyncio.run(run())


def test_a_poller_may_take_more_than_ten():
    async def run():
        ends = Ends()
        queue = await ends.put_queue()
        for number in range(25):
            await ends.target.deliver(delivery(str(number)))
        source = await ends.sources.open(Arn.parse(queue.arn()))
        assert source is not None
        records = await source.receive(20, 0)
        assert [record.data["body"] for record in records] == [str(number) for number in range(20)]

    asyncio.run(run())


def test_a_source_of_a_queue_that_is_gone():
    async def run():
        ends = Ends()
        arn = Arn.of("sqs", REGION, ACCOUNT, "q")
        assert await ends.sources.open(arn) is None
        await ends.put_queue()
        source = await ends.sources.open(arn)
        assert source is not None
        await ends.put_queue(number=2)
        with pytest.raises(api.QueueDoesNotExist):
            await source.receive(1, 0)

    asyncio.run(run())


def test_dead_letters_name_their_source():
    async def run():
        ends = Ends()
        dead = await ends.put_queue("dead", 2)
        queue = await ends.put_queue(redrive=RedrivePolicy(dead.arn(), 1), visibility_seconds=0)
        await ends.put_record(QUEUE_NUMBER, number_key(1), QueueNumber(queue.arn()))
        await ends.target.deliver(delivery("x"))
        source = await ends.sources.open(Arn.parse(queue.arn()))
        grave = await ends.sources.open(Arn.parse(dead.arn()))
        assert source is not None
        assert grave is not None
        assert len(await source.receive(1, 0)) == 1
        assert await source.receive(1, 0) == []
        (record,) = await grave.receive(1, 0)
        assert record.data["attributes"]["DeadLetterQueueSourceArn"] == queue.arn()
        assert record.data["attributes"]["ApproximateReceiveCount"] == "1"

    asyncio.run(run())


def test_expiry_deletes_in_bounded_batches(monkeypatch):
    monkeypatch.setattr(limits, "EXPIRE_BATCH", 2)

    async def run():
        ends = Ends()
        await ends.put_queue(retention_seconds=60)
        for number in range(3):
            await ends.target.deliver(delivery(str(number)))
        worker = MessageExpiry(ends.store, ends.clock)
        assert await worker.run_once() == limits.EXPIRE_SECONDS
        assert len(await ends.messages()) == 3
        ends.clock.advance(60)
        assert await worker.run_once() == 0
        assert await worker.run_once() == limits.EXPIRE_SECONDS
        assert await ends.messages() == ()

    asyncio.run(run())


def test_the_janitor_forgets_names_after_a_minute_and_numbers_after_the_longest_retention(monkeypatch):
    monkeypatch.setattr(limits, "JANITOR_BATCH", 2)

    async def run():
        ends = Ends()
        for number in range(3):
            await ends.put_record(DELETED_QUEUE, str(number), DeletedQueue(NOW))
            await ends.put_record(QUEUE_NUMBER, number_key(number), QueueNumber("arn", NOW))
        await ends.put_record(QUEUE_NUMBER, number_key(9), QueueNumber("arn"))
        worker = QueueJanitor(ends.store, ends.clock)

        async def sweep() -> tuple[int, int]:
            while await worker.run_once() == 0:
                pass
            return await ends.store.view(
                lambda view: (len(view.records.list(DELETED_QUEUE)), len(view.records.list(QUEUE_NUMBER)))
            )

        assert await sweep() == (3, 4)
        ends.clock.advance(60)
        assert await sweep() == (0, 4)
        ends.clock.advance(limits.RETENTION_SECONDS_MAX)
        assert await sweep() == (0, 1)

    asyncio.run(run())
