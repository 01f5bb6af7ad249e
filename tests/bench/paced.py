"""Latency at a set pace: messages that leave on time whether or not earlier ones were answered, and the disk's own.

A message's time runs from the moment at which it was due to leave, so a server that stalls is charged for everything
that was due meanwhile.
"""

import asyncio
import json
import os
import time
from pathlib import Path

import uvloop

from tests.bench.sqs_requests import Requests, handles_of

PER_SECOND = 100
_PAGE = b"\0" * 4096
_SENDERS = 16
_RECEIVERS = 4
_PATIENCE_SECONDS = 10.0


def fsync_latencies(folder: Path, seconds: float) -> list[float]:
    """Append a page and sync it, 100 times a second; return how long each took."""
    latencies: list[float] = []
    handle = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        started = time.perf_counter()
        for number in range(int(seconds * PER_SECOND)):
            time.sleep(max(0.0, started + number / PER_SECOND - time.perf_counter()))
            begun = time.perf_counter()
            os.write(handle, _PAGE)
            os.fsync(handle)
            latencies.append(time.perf_counter() - begun)
    finally:
        os.close(handle)
    return latencies


def measure_paced(port: int, requests: Requests, seconds: float) -> tuple[list[float], list[float], list[float]]:
    """Send 100 messages a second to long-polling receivers that delete them.

    Return how long after a message was due its sender was answered, a receiver had it, and it was deleted.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Pace(port, requests, int(seconds * PER_SECOND)).run())


class _Pace:
    """One run."""

    def __init__(self, port: int, requests: Requests, count: int) -> None:
        self._port = port
        self._requests = requests
        self._count = count
        self._due: list[float] = []
        self.sent: list[float] = []
        self.received: list[float] = []
        self.deleted: list[float] = []

    async def run(self) -> tuple[list[float], list[float], list[float]]:
        work: asyncio.Queue[int] = asyncio.Queue()
        started = time.perf_counter() + 0.2
        self._due = [started + number / PER_SECOND for number in range(self._count)]
        async with asyncio.TaskGroup() as group:
            receivers = [group.create_task(self._receive()) for _ in range(_RECEIVERS)]
            senders = [group.create_task(self._send(work)) for _ in range(_SENDERS)]
            for number, due in enumerate(self._due):
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                work.put_nowait(number)
            until = time.perf_counter() + _PATIENCE_SECONDS
            while len(self.deleted) < self._count and time.perf_counter() < until:
                await asyncio.sleep(0.05)
            for task in (*receivers, *senders):
                task.cancel()
        assert len(self.deleted) == self._count, f"{len(self.deleted)} of {self._count} messages came through"
        return self.sent, self.received, self.deleted

    async def _send(self, work: "asyncio.Queue[int]") -> None:
        client = await _Client.open(self._port)
        while True:
            number = await work.get()
            await client.ask(self._requests.operation("SendMessage", MessageBody=str(number).ljust(200)))
            self.sent.append(time.perf_counter() - self._due[number])

    async def _receive(self) -> None:
        client = await _Client.open(self._port)
        receive = self._requests.receive(10, 20)
        while True:
            answer = await client.ask(receive)
            now = time.perf_counter()
            numbers = [int(message["Body"]) for message in json.loads(answer).get("Messages", ())]
            self.received += [now - self._due[number] for number in numbers]
            if numbers:
                await client.ask(self._requests.delete_batch(handles_of(answer)))
                now = time.perf_counter()
                self.deleted += [now - self._due[number] for number in numbers]


class _Client:
    """A connection with one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "_Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """Return the body of the answer, which must be a good one."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        start = head.lower().index(b"content-length:") + 15
        body = await self._reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
        assert head[9:10] == b"2", (head, body)
        return body
