"""A load generator for keep-alive HTTP/1.1: sends ready bytes, parses no more of an answer than its length.

It runs in the calling process, so the server under load must run in another. Every connection has one request
under way at a time; the next one leaves in the same call that takes the answer. What a connection sends is a script:
a generator that yields requests and is sent the bodies of their answers.
"""

import array
import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import uvloop

_LENGTH = b"content-length:"
_CONNECT_SECONDS = 10.0
_PATIENCE_SECONDS = 10.0

Script = Generator[bytes, bytes, None]
"""Yields a request's bytes, and gets the body of its answer; ends when its connection shall end."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a run has measured; latencies are in seconds from sending a request to its whole answer."""

    requests: int
    seconds: float
    # Answers other than 2xx, and connections lost.
    errors: int
    latency_p50: float
    latency_p99: float
    latency_p999: float
    latency_max: float
    # What the scripts have counted with `Progress.add`.
    units: int = 0

    @property
    def rate(self) -> float:
        """Return answered requests per second."""
        return self.requests / self.seconds

    @property
    def unit_rate(self) -> float:
        """Return counted units per second."""
        return self.units / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.rate:,.0f} requests/s ({self.requests:,} in {self.seconds:.1f} s, {self.errors} errors), "
            f"ms p50 {self.latency_p50 * 1e3:.2f} p99 {self.latency_p99 * 1e3:.2f} "
            f"p99.9 {self.latency_p999 * 1e3:.2f} max {self.latency_max * 1e3:.2f}"
        )


def run_load(
    host: str,
    port: int,
    request_bytes: Callable[[], bytes] | bytes,
    connections: int,
    seconds: float,
    *,
    warm_up_seconds: float = 0.5,
) -> LoadResult:
    """Send requests over `connections` connections for `seconds`, after a warm-up that does not count.

    Raises `OSError` if the server cannot be reached, `TimeoutError` if it stops answering.
    """
    make = (lambda: request_bytes) if isinstance(request_bytes, bytes) else request_bytes

    def forever(_progress: Progress) -> Script:
        while True:
            yield make()

    return run_scripts(host, port, [forever] * connections, seconds, warm_up_seconds=warm_up_seconds)


def run_scripts(
    host: str,
    port: int,
    scripts: Sequence["Callable[[Progress], Script]"],
    seconds: float,
    *,
    warm_up_seconds: float = 0.5,
) -> LoadResult:
    """Run each script on a connection of its own for `seconds`, after a warm-up that does not count.

    Raises `OSError` if the server cannot be reached, `TimeoutError` if it stops answering.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(host, port, scripts, (warm_up_seconds, seconds)))


async def _run(
    host: str, port: int, scripts: Sequence["Callable[[Progress], Script]"], periods: tuple[float, float]
) -> LoadResult:
    loop = asyncio.get_running_loop()
    run = Progress(loop.create_future(), len(scripts))
    clients = [_Client(run, script(run)) for script in scripts]
    async with asyncio.timeout(_CONNECT_SECONDS):
        for client in clients:
            await loop.create_connection(lambda client=client: client, host, port)
    warm_up_seconds, seconds = periods
    run.counted_from = time.perf_counter() + warm_up_seconds
    run.until = run.counted_from + seconds
    for client in clients:
        client.send()
    async with asyncio.timeout(warm_up_seconds + seconds + _PATIENCE_SECONDS):
        await run.done
    latencies = sorted(run.latencies)
    if not latencies:
        raise TimeoutError(f"no answer was counted ({run.errors} errors)")
    return LoadResult(
        requests=len(latencies),
        # Scripts may have ended early, or be slow to end.
        seconds=run.last_at - run.counted_from,
        errors=run.errors,
        latency_p50=quantile(latencies, 0.5),
        latency_p99=quantile(latencies, 0.99),
        latency_p999=quantile(latencies, 0.999),
        latency_max=latencies[-1],
        units=run.units,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Progress:
    """What the connections of a run share."""

    def __init__(self, done: "asyncio.Future[None]", connections: int) -> None:
        self.done = done
        self.open = connections
        self.counted_from = self.until = self.last_at = 0.0
        self.errors = 0
        self.units = 0
        self.latencies = array.array("d")

    def add(self, count: int) -> None:
        """Count units of what the scripts do, but not those of the warm-up."""
        if time.perf_counter() > self.counted_from:
            self.units += count

    def client_stopped(self) -> None:
        """End the run with the last connection."""
        self.open -= 1
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


class _Client(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self, run: Progress, script: Script) -> None:
        self._run = run
        self._script = script
        self._buffer = b""
        self._stopped = False
        # The last head and its answer's whole length: heads mostly repeat byte for byte.
        self._head = b""
        self._length = 0

    def connection_made(self, transport) -> None:
        self._transport = transport

    def send(self) -> None:
        """Send the script's first request."""
        request = next(self._script, None)
        if request is None:
            self._stop()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not (self._head and data.startswith(self._head)) and not self._read_head(data):
            self._buffer = data
            return
        if len(data) < self._length:
            self._buffer = data
            return
        self._buffer = b""
        now = time.perf_counter()
        run = self._run
        if now > run.counted_from:
            run.latencies.append(now - self._sent_at)
            run.last_at = now
        if data[9:10] != b"2":
            run.errors += 1
        if now >= run.until:
            self._stop()
            return
        try:
            request = self._script.send(data[len(self._head) :])
        except StopIteration:
            self._stop()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def connection_lost(self, exc) -> None:
        if not self._stopped:
            self._run.errors += 1
            self._stop()

    def _read_head(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = data[: end + 4]
        start = head.lower().index(_LENGTH) + len(_LENGTH)
        self._head = head
        self._length = end + 4 + int(head[start : head.index(b"\r\n", start)])
        return True

    def _stop(self) -> None:
        self._stopped = True
        self._run.client_stopped()
        self._transport.close()
