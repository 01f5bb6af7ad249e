"""The way of log lines: to the log service and to the live view, without ever waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forebay.api import logs as logs_api
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.runtimes.contract import FunctionSpec, LogLine
from forebay.services.lambda_ import limits
from forebay.services.lambda_.logs import LogShipper

SPEC = FunctionSpec(
    arn="a",
    name="f",
    runtime="python3.11",
    handler="h",
    code_dir=Path(),
    revision="1",
    region="us-east-1",
    account="000000000000",
)


class LogTable:
    """Stands where the operation table does, with the log service behind it."""

    def __init__(self) -> None:
        self.streams: dict[str, list[str]] = {}
        self.groups: set[str] = set()
        self.calls: list[str] = []

    async def run(self, _caller: Any, _service: str, operation: str, request: Any) -> None:
        self.calls.append(operation)
        if operation == "CreateLogGroup":
            if request.log_group_name in self.groups:
                raise logs_api.ResourceAlreadyExistsException("there")
            self.groups.add(request.log_group_name)
        elif operation == "CreateLogStream":
            self.streams.setdefault(request.log_stream_name, [])
        elif request.log_stream_name not in self.streams:
            raise logs_api.ResourceNotFoundException("gone")
        else:
            self.streams[request.log_stream_name] += [event.message for event in request.log_events]


@dataclass
class Bench:
    clock: Clock = field(default_factory=lambda: Clock(frozen_at=1000.0))
    ids: Ids = field(default_factory=lambda: Ids(1))
    table: LogTable = field(default_factory=LogTable)

    def endpoint(self) -> str:
        return "http://h"


def run(test: Callable[[LogShipper, Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench()
        await test(LogShipper(bench), bench)  # type: ignore[arg-type]

    asyncio.run(main())


def take(shipper: LogShipper, *texts: str, stream: str = "s", spec: FunctionSpec = SPEC) -> None:
    shipper.take(spec, stream, [LogLine(1000.0, text) for text in texts])


def test_lines_of_a_stream_arrive_in_order_and_it_is_opened_once():
    async def test(shipper: LogShipper, bench: Bench) -> None:
        take(shipper, "one", "", "two")
        assert await shipper.run_once() == limits.LOG_PAUSE_SECONDS
        take(shipper, "three")
        await shipper.run_once()
        assert bench.table.streams["s"] == ["one", "two", "three"]
        assert bench.table.groups == {"/aws/lambda/f"}
        assert bench.table.calls.count("CreateLogStream") == 1
        assert await shipper.run_once() == float("inf")

    run(test)


def test_deleted_stream_is_made_anew():
    async def test(shipper: LogShipper, bench: Bench) -> None:
        take(shipper, "one")
        await shipper.run_once()
        bench.table.streams.clear()
        take(shipper, "two")
        await shipper.run_once()
        assert bench.table.streams["s"] == ["two"]

    run(test)


def test_what_is_too_much_is_dropped_and_told(monkeypatch):
    async def test(shipper: LogShipper, bench: Bench) -> None:
        monkeypatch.setattr(limits, "LOG_LINES_MAX", 3)
        take(shipper, *[str(number) for number in range(10)])
        await shipper.run_once()
        assert bench.table.streams["s"] == [
            "0",
            "1",
            "2",
            "[forebay] 7 log lines were dropped: the log service could not keep up.",
        ]

    run(test)


def test_large_lines_are_sent_in_parts():
    async def test(shipper: LogShipper, bench: Bench) -> None:
        take(shipper, *["x" * 100_000] * 5)
        await shipper.run_once()
        assert bench.table.calls.count("PutLogEvents") == 5
        assert len(bench.table.streams["s"]) == 5

    run(test)


def test_live_view_waits_for_lines():
    async def test(shipper: LogShipper, bench: Bench) -> None:
        caller: Any = None
        assert await shipper.tail(caller, {}) == {"next": 0, "lines": []}
        async with asyncio.TaskGroup() as group:
            following = group.create_task(shipper.tail(caller, {"after": "0", "wait": "20"}))
            await asyncio.sleep(0)
            take(shipper, "hello")
        assert following.result() == {"next": 1, "lines": [{"at": 1000.0, "function": "f", "line": "hello"}]}
        async with asyncio.TaskGroup() as group:
            following = group.create_task(shipper.tail(caller, {"after": "1", "wait": "20"}))
            await asyncio.sleep(0)
            bench.clock.advance(20)
        assert following.result() == {"next": 1, "lines": []}

    run(test)


def test_live_view_starts_over_behind_a_restart():
    async def test(shipper: LogShipper, bench: Bench) -> None:
        caller: Any = None
        take(shipper, "first")
        page: Any = await shipper.tail(caller, {"after": "500", "wait": "0"})
        assert page["next"] == 1

    run(test)
