"""A real node for tests: in this process on a thread of its own, on a free port, with a clock that can be stepped."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import boto3
import uvloop
from botocore.config import Config as ClientConfig

from forebay.config import Config
from forebay.core.clock import Clock
from forebay.node import Node, open_node

T = TypeVar("T")

ACCOUNT = "000000000000"
REGION = "us-east-1"

_PATIENCE_SECONDS = 30.0


class RunningNode:
    """One node and clients for it. `restart` stops it in order and starts it on the same data."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self._settings = {"data": data, "port": 0, "log_level": "warning", "shutdown_seconds": 2.0, **settings}
        self.clock = SteppedClock(self)
        self._clock = Clock()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self.node: Node

    def start(self) -> "RunningNode":
        """Start the node and return when it serves."""
        started = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, args=(started, failure), daemon=True)
        self._thread.start()
        assert started.wait(_PATIENCE_SECONDS), "the node did not start"
        if failure:
            raise failure[0]
        return self

    def stop(self) -> None:
        """Stop the node in order."""
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the node did not stop"
        self._thread = None

    def restart(self) -> None:
        """Stop the node in order and start it again on the same data; clients must be made anew."""
        self.stop()
        self.start()

    @property
    def url(self) -> str:
        """The node's base URL."""
        return self.node.url

    def client(self, service: str, region: str = REGION, account: str = ACCOUNT, **settings: Any) -> Any:
        """Return a boto3 client that does not retry and validates nothing on its side."""
        config = ClientConfig(
            retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=60, **settings
        )
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="test",
            config=config,
        )

    def run(self, work: Callable[[Node], Awaitable[T]]) -> T:
        """Run something on the node's loop and return its result."""

        async def call() -> T:
            return await work(self.node)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_PATIENCE_SECONDS)

    def _serve(self, started: threading.Event, failure: list[BaseException]) -> None:
        try:
            uvloop.run(self._main(started))
        except BaseException as error:
            failure.append(error)
            started.set()

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            self.node = await stack.enter_async_context(open_node(Config(**self._settings), self._clock))
            started.set()
            await self._stopping.wait()


class SteppedClock:
    """The node's clock, stepped from the test's thread."""

    def __init__(self, running: RunningNode) -> None:
        self._running = running

    def now(self) -> float:
        """Return the node's time in seconds since the epoch."""
        return self._running.node.clock.now()

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock."""
        self._on_loop(lambda clock: clock.freeze(at))

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._on_loop(lambda clock: clock.advance(seconds))

    def resume(self) -> None:
        """Let the clock run on."""
        self._on_loop(lambda clock: clock.resume())

    def _on_loop(self, change: Callable[[Clock], None]) -> None:
        async def apply(node: Node) -> None:
            change(node.clock)

        self._running.run(apply)


def wait_until(holds: Callable[[], T], seconds: float = 15.0) -> T:
    """Return the first true answer of `holds`; fail when there is none in time. For what other processes do."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        answer = holds()
        if answer:
            return answer
        pause.wait(0.02)
    raise AssertionError(f"not within {seconds} s: {holds}")
