"""Probes and lifecycle hooks: questions put to a container, as its processes answer them on this machine."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from forebay.core.clock import Clock
from forebay.scaling.cluster.images import NotRunnable
from forebay.scaling.cluster.kinds import Object
from forebay.scaling.cluster.processes import Start, run_command
from forebay.scaling.policies.outcome import Event

_LOCAL = "127.0.0.1"
_KINDS = (("startup", "startupProbe"), ("liveness", "livenessProbe"), ("readiness", "readinessProbe"))


@dataclass(frozen=True)
class Outcome:
    """What a probe has changed."""

    kind: str
    is_ready: bool | None = None
    is_started: bool = False
    must_restart: bool = False
    event: Event | None = None


class Probing:
    """Asks a container's probes, each at its own pace; liveness and readiness wait for the startup probe."""

    def __init__(self, container: Object, start: Start, clock: Clock) -> None:
        self._container = container
        self._start = start
        self._clock = clock
        self._queue: asyncio.Queue[Outcome] = asyncio.Queue()
        self._started = asyncio.Event()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Yield what changes, without end."""
        probes = {kind: cast("Object", self._container[name]) for kind, name in _KINDS if self._container.get(name)}
        if "startup" not in probes:
            self._started.set()
        async with asyncio.TaskGroup() as group:
            for kind, probe in probes.items():
                group.create_task(self._ask(kind, probe))
            if "startup" in probes and "readiness" not in probes:
                group.create_task(self._ready_when_started())
            while True:
                yield await self._queue.get()

    async def _ready_when_started(self) -> None:
        await self._started.wait()
        await self._queue.put(Outcome("startup", is_ready=True, is_started=True))

    async def _ask(self, kind: str, probe: Object) -> None:
        if kind != "startup":
            await self._started.wait()
        await self._clock.sleep(float(probe.get("initialDelaySeconds") or 0))
        passed = failed = 0
        while True:
            problem = await run_action(probe, self._container, self._start, float(probe.get("timeoutSeconds") or 1))
            if problem is None:
                passed, failed = passed + 1, 0
            else:
                passed, failed = 0, failed + 1
                event = Event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {problem}")
                await self._queue.put(Outcome(kind, event=event))
            if await self._settle(kind, probe, passed, failed):
                return
            await self._clock.sleep(float(probe.get("periodSeconds") or 10))

    async def _settle(self, kind: str, probe: Object, passed: int, failed: int) -> bool:
        """Tell what follows from the answers so far; return whether the probe is over."""
        is_good = passed >= int(probe.get("successThreshold") or 1)
        is_bad = failed >= int(probe.get("failureThreshold") or 3)
        if kind == "startup" and is_good:
            self._started.set()
            await self._queue.put(Outcome(kind, is_started=True))
            return True
        if kind == "readiness" and (is_good or is_bad):
            await self._queue.put(Outcome(kind, is_ready=is_good))
        elif is_bad:
            await self._queue.put(Outcome(kind, must_restart=True))
            return True
        return False


async def run_action(action: Object, container: Object, start: Start, seconds: float) -> str | None:
    """Run what a probe or hook says; return what is wrong, or None."""
    try:
        if "exec" in action:
            return await _run_exec(action["exec"], start, seconds)
        if "httpGet" in action:
            return await _get(action["httpGet"], container, seconds)
        if "tcpSocket" in action:
            return await _connect(action["tcpSocket"], container, seconds)
        if "sleep" in action:
            await asyncio.sleep(min(float(action["sleep"].get("seconds") or 0), seconds))
            return None
    except (OSError, NotRunnable, TimeoutError, ValueError) as error:
        return str(error) or type(error).__name__
    return f"{sorted(set(action) & {'grpc'}) or 'the action'} is not run here"


async def _run_exec(action: Object, start: Start, seconds: float) -> str | None:
    words = [str(word) for word in action.get("command") or ()]
    code, output = await run_command(Start(words, start.environment, start.directory), seconds)
    if code is None:
        return f'command "{" ".join(words)}" timed out'
    return None if code == 0 else output.strip() or f"exit code {code}"


def _port(value: Any, container: Object) -> int:
    if isinstance(value, int) or str(value).isdecimal():
        return int(value)
    ports = cast("list[Mapping[str, Any]]", container.get("ports") or [])
    found = next((each for each in ports if each.get("name") == value), None)
    if found is None:
        raise ValueError(f"couldn't find port: {value!r}")
    return int(found["containerPort"])


async def _connect(action: Object, container: Object, seconds: float) -> str | None:
    port = _port(action.get("port"), container)
    opening = asyncio.open_connection(str(action.get("host") or _LOCAL), port)
    _, writer = await asyncio.wait_for(opening, seconds)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return None


async def _get(action: Object, container: Object, seconds: float) -> str | None:
    host, port = str(action.get("host") or _LOCAL), _port(action.get("port"), container)
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.34", "Connection": "close", "Accept": "*/*"}
    headers |= {each["name"]: each["value"] for each in cast("list[Object]", action.get("httpHeaders") or [])}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    path = "/" + str(action.get("path") or "/").lstrip("/")

    async def ask() -> str:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
            await writer.drain()
            return (await reader.readline()).decode("latin-1")
        finally:
            writer.close()

    answer = (await asyncio.wait_for(ask(), seconds)).split(" ", 2)
    status = int(answer[1]) if len(answer) > 1 and answer[1].isdecimal() else 0
    return None if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
