"""What the service itself costs on the hot path: SendMessage, ReceiveMessage and DeleteMessage on a store that is free.

Run: `python -m tests.bench.bench_sqs`. Prints microseconds an operation, in one process, without wire and disk.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any

from forebay.api import sqs as api
from forebay.config import Config
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.table import OperationTable
from forebay.services.sqs import SERVICE
from forebay.services.sqs.message import Envelope, encode_envelope
from forebay.services.sqs.queue import QUEUE, Queue
from forebay.store.commands import DeleteMessages, Received, ReceivedMessage, ReceiveMessages, SendMessages, SentMessage

BUDGET_MICROSECONDS = 10.0
ROUNDS = 50_000

ACCOUNT, REGION = "000000000000", "us-east-1"
URL = f"http://127.0.0.1:4566/{ACCOUNT}/bench"
CALLER = Caller(ACCOUNT, REGION, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "id", "http://127.0.0.1:4566")
QUEUE_RECORD = Queue(number=1, account=ACCOUNT, region=REGION, name="bench", created_at=0, modified_at=0)


class FreeStore:
    """A store that answers at once and keeps nothing, so that what remains is the service's own cost."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        message = ReceivedMessage(
            1, "id", "x" * 200, encode_envelope(Envelope(ACCOUNT)), 1, 2, 3, first_received_at_ms=1, receive_count=1
        )
        self._answers: dict[type, Any] = {
            SendMessages: (SentMessage(1, "id"),),
            ReceiveMessages: Received((message,)),
            DeleteMessages: (True,),
        }

    def submit(self, commands: Any) -> Any:
        future = self._loop.create_future()
        future.set_result([self._answers[type(command)] for command in commands])
        return future

    async def find(self, kind: Any, _key: str) -> Any:
        return QUEUE_RECORD if kind is QUEUE else None

    def listen(self, _topic: Any, _wake: Any) -> Any:
        return lambda: None


@dataclass(frozen=True)
class Result:
    operation: str
    microseconds: float


async def open_table(store: Any) -> OperationTable:
    table = OperationTable({"sqs": lambda: SERVICE})
    unused: Any = None
    platform = Platform(
        Config(), store, Clock(), Ids(), unused, unused, table, unused, unused, lambda: "http://127.0.0.1:4566"
    )
    table.start(platform, lambda _service, _parts: None)
    await table.load("sqs")
    return table


async def measure(rounds: int = ROUNDS) -> list[Result]:
    table = await open_table(FreeStore())
    requests: dict[str, Any] = {"SendMessage": api.SendMessageRequest(queue_url=URL, message_body="x" * 200)}
    requests["ReceiveMessage"] = api.ReceiveMessageRequest(queue_url=URL, wait_time_seconds=20)
    received: Any = await table.run(CALLER, "sqs", "ReceiveMessage", requests["ReceiveMessage"])
    handle = received.messages[0].receipt_handle
    requests["DeleteMessage"] = api.DeleteMessageRequest(queue_url=URL, receipt_handle=handle)
    results: list[Result] = []
    for operation, request in requests.items():
        best = min([await _run(table, operation, request, rounds // 5) for _ in range(5)])
        results.append(Result(operation, best))
    return results


async def _run(table: OperationTable, operation: str, request: Any, rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        await table.run(CALLER, "sqs", operation, request)
    return (time.perf_counter() - started) / rounds * 1e6


def main() -> None:
    for result in asyncio.run(measure()):
        sys.stdout.write(f"{result.operation:<16}{result.microseconds:8.2f} us\n")


if __name__ == "__main__":
    main()
