"""A pool of real processes, and functions written on the spot."""

import asyncio
import shutil
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.runtimes.contract import FunctionSpec, Invocation, InvocationResult, LogLine, PoolLimits
from forebay.runtimes.pool import FunctionPool
from forebay.runtimes.processes import ProcessActuator


class Bench:
    """One pool under test, its clock and its log."""

    def __init__(self, state_dir: Path, limits: PoolLimits, *, isolate: bool = True, exact: bool = False) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.events: list[tuple[FunctionSpec, str, LogLine]] = []
        self.actuator = ProcessActuator(state_dir / "state", isolate=isolate, exact_runtimes=exact)
        self.pool = FunctionPool(
            clock=self.clock, ids=Ids(), actuator=self.actuator, on_log=self._on_log, limits=limits
        )

    def _on_log(self, spec: FunctionSpec, log_stream: str, lines: list[LogLine]) -> None:
        self.events += [(spec, log_stream, line) for line in lines]
        self.log += [line.text for line in lines]

    async def call(self, spec: FunctionSpec, payload: bytes = b"{}", request_id: str = "req-1") -> InvocationResult:
        return await self.pool.invoke(spec, Invocation(request_id=request_id, payload=payload))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def run(tmp_path: Path):
    """Run a coroutine function with a bench; the pool is closed behind it."""

    def runner(
        test: Callable[[Bench], Awaitable[None]], *, isolate: bool = True, exact: bool = False, **limits: float
    ) -> Bench:
        async def main() -> Bench:
            bench = Bench(tmp_path, PoolLimits(**limits), isolate=isolate, exact=exact)
            try:
                await test(bench)
            finally:
                await bench.pool.close()
            assert bench.pool.instance_count == 0
            return bench

        return asyncio.run(main())

    return runner


@pytest.fixture
def python(tmp_path: Path):
    """Make a Python function of the given source."""

    def make(source: str, handler: str = "app.handler", **changes: object) -> FunctionSpec:
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        (code / "app.py").write_text(textwrap.dedent(source))
        return _spec(code, handler, {"runtime": "python3.11", **changes})

    return make


@pytest.fixture
def node(tmp_path: Path):
    """Make a Node.js function of the given source."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")

    def make(source: str, handler: str = "index.handler", file: str = "index.js", **changes: object) -> FunctionSpec:
        path = tmp_path / "node" / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(source))
        return _spec(tmp_path / "node", handler, {"runtime": "nodejs20.x", **changes})

    return make


def _spec(code_dir: Path, handler: str, changes: dict[str, object]) -> FunctionSpec:
    fields = {
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "name": "f",
        "handler": handler,
        "code_dir": code_dir,
        "revision": "1",
        "region": "us-east-1",
        "account": "000000000000",
        **changes,
    }
    return FunctionSpec(**fields)  # type: ignore[arg-type]
