"""What containers write: kept line by line in a log of the store, per container and start."""

from collections.abc import Sequence

from forebay.core.clock import Clock
from forebay.scaling.cluster.processes import ContainerProcess
from forebay.store.commands import AppendLog, DropLog, LogEntry
from forebay.store.contract import Store

KEEP_SECONDS = 24 * 3600
_LINE_BYTES_MAX = 16 * 1024


def stream_name(pod_id: str, container: str, restarts: int) -> str:
    """Return the name of the log of one run of a container."""
    return f"kubernetes.pod.{pod_id}.{container}.{restarts}"


class PodLogs:
    """Writes containers' output to the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def follow(self, pod_id: str, container: str, restarts: int, process: ContainerProcess) -> None:
        """Keep what a process writes until it has ended; a process that writes faster than we keep is slowed down."""
        stream = stream_name(pod_id, container, restarts)
        rest = b""
        async for data in process.read():
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                lines.append(rest)
                rest = b""
            await self._append(stream, lines)
        if rest:
            await self._append(stream, [rest])

    async def _append(self, stream: str, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        at_ms = int(self._clock.now() * 1000)
        expires_at_ms = at_ms + KEEP_SECONDS * 1000
        entries = tuple(LogEntry(at_ms, line, expires_at_ms) for line in lines)
        await self._store.submit([AppendLog(stream, entries)])

    async def drop(self, pod_id: str, containers: Sequence[str], restarts: int) -> None:
        """Delete the logs of a pod that is gone."""
        names = [stream_name(pod_id, each, count) for each in containers for count in range(restarts + 1)]
        await self._store.submit([DropLog(name) for name in names])
