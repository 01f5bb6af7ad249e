"""Containers as processes of this machine: started in a session of their own, read, stopped, and measured.

A process dies with the node where the system allows that (`setpriv --pdeathsig`), so that a node that was killed leaves
no worker behind that nobody counts. What a container started itself stays in its session, and is killed with it.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forebay.scaling.cluster.images import NotRunnable

_READ_BYTES = 64 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A container's processes are found by this variable, also those that have left its session.
MARK = "FOREBAY_CONTAINER"


@dataclass(frozen=True)
class Ending:
    """How a process ended."""

    code: int
    signal: int = 0
    out_of_memory: bool = False


@dataclass(frozen=True)
class Start:
    """What is started: the words, the environment and the folder."""

    words: Sequence[str]
    environment: Mapping[str, str]
    directory: Path


class ContainerProcess:
    """One run of one container."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._out_of_memory = False

    @property
    def pid(self) -> int:
        """Its process id, which is that of its session."""
        return self._process.pid

    async def read(self) -> AsyncIterator[bytes]:
        """Yield what it writes, until nobody has its output open any more."""
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(_READ_BYTES):
            yield data

    async def wait(self) -> Ending:
        """Return how it ended, once it has; whatever it left in its session is killed then."""
        code = await self._process.wait()
        self._kill_session()
        if code < 0:
            return Ending(128 - code, -code, self._out_of_memory)
        return Ending(code, out_of_memory=self._out_of_memory)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all it started."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._kill_session()

    def kill_for_memory(self) -> None:
        """End it because it has taken more memory than its limit."""
        self._out_of_memory = True
        self.kill()

    def _kill_session(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


async def start_process(start: Start) -> ContainerProcess:
    """Start a process; its output and errors are one stream.

    Raises:
        NotRunnable: the system refuses.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *_prefix(),
            *start.words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(start.environment),
            cwd=start.directory,
            start_new_session=True,
        )
    except OSError as error:
        raise NotRunnable("RunContainerError", f"the process cannot be started: {error}") from None
    return ContainerProcess(process)


async def run_command(start: Start, seconds: float) -> tuple[int | None, str]:
    """Run a command to its end, for a probe or a hook; None where it did not end in time."""
    process = await start_process(start)
    output = bytearray()

    async def finish() -> Ending:
        async for data in process.read():
            output.extend(data[: 1024 - len(output)])
        return await process.wait()

    try:
        ending = await asyncio.wait_for(finish(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, output.decode("utf-8", "replace")
    return ending.code, output.decode("utf-8", "replace")


def _prefix() -> tuple[str, ...]:
    return ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


@dataclass
class Usage:
    """What the processes of a session use: seconds of CPU so far, and bytes of memory now."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0


def measure(sessions: Iterable[int]) -> dict[int, Usage]:
    """Return the usage of sessions, by one look through /proc; empty on systems without it."""
    found = {session: Usage() for session in sessions}
    if not found:
        return found
    for entry in os.scandir("/proc") if Path("/proc/self/stat").exists() else ():
        if not entry.name.isdecimal():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        usage = found.get(int(fields[3]))
        if usage is not None:
            usage.cpu_seconds += (int(fields[11]) + int(fields[12])) / _TICKS
            usage.memory_bytes += int(fields[21]) * _PAGE_BYTES
    return found


def kill_marked(mark: str) -> None:
    """Kill what an earlier life of this node has left: every process with the mark in its environment."""
    wanted = f"{MARK}={mark}/".encode()
    for entry in os.scandir("/proc") if Path("/proc/self/environ").exists() else ():
        if entry.name.isdecimal():
            with suppress(OSError):
                if any(part.startswith(wanted) for part in Path(entry.path, "environ").read_bytes().split(b"\0")):
                    os.kill(int(entry.name), signal.SIGKILL)
