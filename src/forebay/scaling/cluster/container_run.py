"""One container of a pod as it lives here: started, probed, read, stopped, and started again.

The states, reasons and back-offs are the kubelet's. What happens is told to the pod through `on_change`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from forebay.core.clock import Clock
from forebay.scaling.cluster.images import NotRunnable
from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.objects import instant
from forebay.scaling.cluster.pod_logs import PodLogs
from forebay.scaling.cluster.probes import Probing, run_action
from forebay.scaling.cluster.processes import ContainerProcess, Ending, Start, start_process
from forebay.scaling.policies.outcome import Event

# The kubelet's container back-off.
_BACKOFF_SECONDS = 10.0
_BACKOFF_SECONDS_MAX = 300.0
_BACKOFF_RESET_SECONDS = 600.0
_KILLED = 137

Tell = Callable[[Sequence[Event], str], None]


@dataclass
class ContainerState:
    """What a container's status says."""

    name: str
    image: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict[str, object])
    restarts: int = 0
    is_ready: bool = False
    is_started: bool = False

    def as_status(self, run_id: str) -> Object:
        """Return it as it stands in the pod's status."""
        identity = "" if "waiting" in self.state else f"process://{run_id}-{self.name}-{self.restarts}"
        return {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "containerID": identity,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.is_ready,
            "started": self.is_started,
            "restartCount": self.restarts,
        }


class Stopping:
    """Tells a pod's containers to end, and until when they may take."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.until = 0.0
        self.changed = asyncio.Event()

    def begin(self, seconds: float) -> None:
        """Begin, or shorten what has begun; a longer grace than what is left changes nothing."""
        until = asyncio.get_running_loop().time() + max(seconds, 0.0)
        self.until = min(self.until, until) if self.event.is_set() else until
        self.event.set()
        self.changed.set()

    @property
    def remaining_seconds(self) -> float:
        """How long is left, in real time."""
        return max(0.0, self.until - asyncio.get_running_loop().time())


class ContainerRun:
    """Runs one container for as long as its pod is to live."""

    def __init__(  # noqa: PLR0913, PLR0917 - the meeting point of a container's parts, built in one place
        self,
        pod_id: str,
        container: Object,
        state: ContainerState,
        clock: Clock,
        logs: PodLogs,
        prepare: Callable[[Object], Start],
        stopping: Stopping,
        on_change: Callable[[], None],
        tell: Tell,
    ) -> None:
        self.container = container
        self.state = state
        self.process: ContainerProcess | None = None
        self.started_at = 0.0
        self._pod_id = pod_id
        self._clock = clock
        self._logs = logs
        self._prepare = prepare
        self._stopping = stopping
        self._on_change = on_change
        self._tell = tell
        self._backoff_seconds = 0.0

    async def run(self, restart_policy: str) -> bool:
        """Run it until it has ended for good; return whether it ended well."""
        while True:
            ending = await self._run_once()
            if self._stopping.event.is_set():
                return ending is not None and ending.code == 0
            if ending is not None:
                is_over = restart_policy == "Never" or (restart_policy == "OnFailure" and ending.code == 0)
                if is_over:
                    return ending.code == 0
            await self._back_off(ending)
            if self._stopping.event.is_set():
                return False

    async def _run_once(self) -> Ending | None:
        """Run the process once; None where it could not even be started."""
        try:
            start = self._prepare(self.container)
            process = await start_process(start)
        except NotRunnable as problem:
            self._wait_for(problem.reason, problem.message)
            self._tell([Event("Warning", "Failed", f"Error: {problem.message}")], self.state.name)
            return None
        self.process = process
        self.started_at = self._clock.now()
        has_probe = bool(self.container.get("readinessProbe")) or bool(self.container.get("startupProbe"))
        self.state.state = {"running": {"startedAt": instant(self.started_at)}}
        self.state.is_started = not self.container.get("startupProbe")
        self.state.is_ready = not has_probe
        self._on_change()
        self._tell([Event("Normal", "Started", f"Started container {self.state.name}")], self.state.name)
        try:
            ending = await self._attend(process, start)
        finally:
            process.kill()
            self.process = None
        self._ended(ending)
        return ending

    async def _attend(self, process: ContainerProcess, start: Start) -> Ending:
        """Read, probe and, when told so, stop the process until it has ended."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._logs.follow(self._pod_id, self.state.name, self.state.restarts, process))
            probing = group.create_task(self._probe(start))
            stopper = group.create_task(self._stop(process, start))
            ending = await process.wait()
            probing.cancel()
            stopper.cancel()
            # Output that a child keeps open is not waited for.
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(reading), 2)
            reading.cancel()
        return ending

    async def _probe(self, start: Start) -> None:
        probing = Probing(self.container, start, self._clock)
        async for outcome in probing.outcomes():
            if outcome.event is not None:
                self._tell([outcome.event], self.state.name)
            self.state.is_started = self.state.is_started or outcome.is_started
            if outcome.is_ready is not None and outcome.is_ready != self.state.is_ready:
                self.state.is_ready = outcome.is_ready
                self._on_change()
            if outcome.must_restart and self.process is not None:
                text = f"Container {self.state.name} failed {outcome.kind} probe, will be restarted"
                self._tell([Event("Normal", "Killing", text)], self.state.name)
                await self._end(self.process, float(self.container.get("_grace", 30)))

    async def _stop(self, process: ContainerProcess, start: Start) -> None:
        await self._stopping.event.wait()
        self._tell([Event("Normal", "Killing", f"Stopping container {self.state.name}")], self.state.name)
        hook = cast("Object | None", (self.container.get("lifecycle") or EMPTY).get("preStop"))
        if hook and self._stopping.remaining_seconds > 0:
            # The hook counts inside the grace period (Kubernetes documentation, "Container Lifecycle Hooks").
            problem = await run_action(hook, self.container, start, self._stopping.remaining_seconds)
            if problem:
                text = f"PreStopHook failed: {problem}"
                self._tell([Event("Warning", "FailedPreStopHook", text)], self.state.name)
        process.terminate()
        while self._stopping.remaining_seconds > 0:
            self._stopping.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.changed.wait(), self._stopping.remaining_seconds)
        process.kill()

    async def _end(self, process: ContainerProcess, seconds: float) -> None:
        process.terminate()
        await asyncio.sleep(seconds)
        process.kill()

    def _ended(self, ending: Ending) -> None:
        now = self._clock.now()
        reason = "OOMKilled" if ending.out_of_memory else "Completed" if ending.code == 0 else "Error"
        ended: Object = {
            "exitCode": ending.code,
            "reason": reason,
            "startedAt": instant(self.started_at),
            "finishedAt": instant(now),
        }
        if now - self.started_at >= _BACKOFF_RESET_SECONDS:
            self._backoff_seconds = 0.0
        self.state.state = {"terminated": ended}
        self.state.is_ready = self.state.is_started = False
        self._on_change()

    def _wait_for(self, reason: str, message: str) -> None:
        self.state.state = {"waiting": {"reason": reason, "message": message}}
        self.state.is_ready = self.state.is_started = False
        self._on_change()

    async def _back_off(self, ending: Ending | None) -> None:
        """Wait before the next start: not at all after the first end, then longer and longer."""
        seconds = self._backoff_seconds
        self._backoff_seconds = min(max(seconds * 2, _BACKOFF_SECONDS), _BACKOFF_SECONDS_MAX)
        if ending is None:
            # What could not be started is tried again after the first back-off, too.
            seconds = seconds or _BACKOFF_SECONDS
        else:
            self.state.last_state = self.state.state
        if seconds:
            if ending is not None:
                text = f"back-off {seconds:.0f}s restarting failed container={self.state.name}"
                self._wait_for("CrashLoopBackOff", text)
                self._tell([Event("Warning", "BackOff", f"Back-off restarting failed container {self.state.name}")], "")
            await self._clock.wait(self._stopping.event, seconds)
        if ending is not None and not self._stopping.event.is_set():
            self.state.restarts += 1


def state_from(status: Object, container: Object, restarted_at: float) -> ContainerState:
    """Return the state of a container after the node was away: whatever ran has ended with it."""
    state = ContainerState(container["name"], str(container.get("image") or ""))
    state.restarts = int(status.get("restartCount") or 0)
    state.last_state = cast("Object", status.get("lastState") or EMPTY)
    was = cast("Mapping[str, Object]", status.get("state") or EMPTY)
    if "running" in was:
        ended = {"exitCode": _KILLED, "reason": "Error", "message": "the node was stopped"}
        moments = {"startedAt": was["running"].get("startedAt"), "finishedAt": instant(restarted_at)}
        state.last_state = {"terminated": {**ended, **moments}}
        state.restarts += 1
    elif "terminated" in was:
        state.state = dict(was)
    return state
