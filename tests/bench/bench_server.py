"""The HTTP server alone: a constant answer through ours and through granian, under the same load.

    .venv/bin/python -m tests.bench.bench_server [--seconds 2] [--rounds 4] [--connections 64]

Each server runs in a process of its own, pinned to one core, with one worker; the load generator has another core.
Rounds alternate between the servers, and the best of each counts, because other work on the machine only slows.
"""

# ruff: noqa: T201 - a command that prints what it has measured

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from tests.bench.load import LoadResult, run_load

BODY = b'{"QueueUrl":"http://localhost:4566/000000000000/orders","MessageBody":"'.ljust(198, b"x") + b'"}'
REQUEST = (
    b"POST / HTTP/1.1\r\n"
    b"Host: localhost:4566\r\n"
    b"Accept-Encoding: identity\r\n"
    b"X-Amz-Target: AmazonSQS.SendMessage\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\n"
    b"User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11.7\r\n"
    b"X-Amz-Date: 20260101T000000Z\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, "
    b"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=" + b"0123456789abcdef" * 4 + b"\r\n"
    b"amz-sdk-invocation-id: 6b1f1d0e-1111-4222-8333-444455556666\r\n"
    b"amz-sdk-request: attempt=1\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
ANSWER = b'{"MessageId":"4a2c9d3e-1111-4222-8333-444455556666","MD5OfMessageBody":"' + b"0" * 32 + b'"}'
HEADERS = (
    ("Content-Type", "application/x-amz-json-1.0"),
    ("x-amzn-RequestId", "4a2c9d3e-1111-4222-8333-444455556666"),
)
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 15.0


async def asgi_app(_scope, receive, send) -> None:
    """Give the same constant answer under granian's ASGI interface; the body is read, as ours always is."""
    while (await receive()).get("more_body"):
        pass
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


class _RsgiApp:
    """The same for RSGI, granian's own and fastest interface."""

    async def __rsgi__(self, _scope, protocol) -> None:
        await protocol()
        protocol.response_bytes(200, list(HEADERS), ANSWER)


rsgi_app = _RsgiApp()


async def serve(port: int, *, waits: bool) -> None:
    """Serve the constant answer, at once or from a coroutine that has waited one turn of the loop."""
    from forebay.core.clock import Clock
    from forebay.core.http import Request, Response
    from forebay.wire.server import Server, ServerLimits

    response = Response(200, HEADERS, ANSWER)

    def answer(_request: Request) -> Response:
        return response

    async def answer_later(_request: Request) -> Response:
        await asyncio.sleep(0)
        return response

    server = Server(answer_later if waits else answer, ServerLimits(), Clock())
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start("127.0.0.1", port)
    await stop.wait()
    await server.drain(1.0)


def commands(port: int) -> dict[str, list[str]]:
    """Return the command line of each server."""
    ours = [sys.executable, "-m", "tests.bench.bench_server", "--port", str(port)]
    granian = [str(Path(sys.executable).parent / "granian"), "--host", "127.0.0.1", "--port", str(port)]
    granian += ["--workers", "1", "--http", "1", "--loop", "uvloop", "--log-level", "warning"]
    return {
        "forebay": [*ours, "--serve"],
        "forebay, in a task": [*ours, "--serve-later"],
        "granian, RSGI": [*granian, "--interface", "rsgi", "tests.bench.bench_server:rsgi_app"],
        "granian, ASGI": [*granian, "--interface", "asgi", "tests.bench.bench_server:asgi_app"],
    }


@contextmanager
def running(command: list[str], port: int, core: int) -> Iterator[int]:
    """Run a server pinned to `core` until it accepts connections; yields its process id."""
    process = subprocess.Popen(["taskset", "-c", str(core), *command])
    try:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def cpu_seconds(pid: int) -> float:
    """Return the processor time used so far by a process and its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(cpu_seconds(int(child)) for child in children)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(name: str, seconds: float, connections: int) -> tuple[LoadResult, float]:
    """Run one server under load; return the result and its microseconds of processor time per request."""
    port = free_port()
    with running(commands(port)[name], port, core=0) as pid:
        run_load("127.0.0.1", port, REQUEST, connections, 0.1, warm_up_seconds=0.4)
        before = cpu_seconds(pid)
        result = run_load("127.0.0.1", port, REQUEST, connections, seconds, warm_up_seconds=0)
        return result, (cpu_seconds(pid) - before) / result.requests * 1e6


def main() -> None:
    """Run the rounds and print what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve-later", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve or options.serve_later:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(options.port, waits=options.serve_later))
        return
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)))
    print(f"{options.connections} keep-alive connections, {len(REQUEST)} bytes a request, {len(BODY)} of body")
    rates: dict[str, list[float]] = {name: [] for name in commands(0)}
    least_cpu: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, measured_rates in rates.items():
            result, cpu_microseconds = measure(name, options.seconds, options.connections)
            measured_rates.append(result.rate)
            least_cpu[name] = min(cpu_microseconds, least_cpu.get(name, cpu_microseconds))
            print(f"{name:18} {cpu_microseconds:5.1f} us CPU a request, {result}", flush=True)
    best = {name: max(measured) for name, measured in rates.items()}
    for name, rate in best.items():
        ratios = ", ".join(f"{rate / best[other]:.2f} x {other}" for other in best if "granian" in other)
        print(f"best of {name:18} {least_cpu[name]:5.1f} us CPU, {rate:8,.0f} requests/s: {ratios}")


if __name__ == "__main__":
    main()
