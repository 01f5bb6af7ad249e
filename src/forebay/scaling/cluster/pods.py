"""Pods as processes: what a kubelet does for the pods that are bound to nodes, on the one machine there is.

Nodes are bookkeeping, so the pods of all of them run here, as many as the machine bears (`--pods-max`). A pod beyond
that stays Pending and says that it would be running.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import structlog

from forebay.scaling.cluster.container_run import ContainerRun, ContainerState, Stopping, state_from
from forebay.scaling.cluster.environments import container_environment
from forebay.scaling.cluster.images import Image, command_of
from forebay.scaling.cluster.kinds import EMPTY, PODS, Object
from forebay.scaling.cluster.objects import (
    Deletion,
    Writer,
    instant,
    is_deleting,
    name_of,
    namespace_of,
    uid_of,
)
from forebay.scaling.cluster.pod_logs import PodLogs
from forebay.scaling.cluster.processes import MARK, Start, kill_marked
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.world import World, set_conditions
from forebay.scaling.policies.outcome import Condition, Event

log = structlog.get_logger()

_COMPONENT = "kubelet"
_ENDED = frozenset({"Succeeded", "Failed"})
_WOULD_RUN = "WouldBeRunning"
_PODS_FOR_EACH_PROCESSOR = 16


class Kubelet:
    """Starts and stops pods. A `Worker`."""

    name = "kubernetes.pods"

    def __init__(self, world: World, images: Mapping[str, Image]) -> None:
        self.runs: dict[str, PodRun] = {}
        self._world = world
        self._images = images
        config = world.platform.config
        self._folder = (config.data / "pods").resolve()
        self._pods_max = config.pods_max or _PODS_FOR_EACH_PROCESSOR * (os.cpu_count() or 1)
        self._logs = PodLogs(world.platform.store, world.clock)
        self._is_tidy = False
        self._is_closing = False
        self.wake: Callable[[], None] = lambda: None

    async def run_once(self) -> float:
        """Bring what runs together with what should."""
        if not self._is_tidy:
            # A node that was killed may have left processes that left their sessions.
            await asyncio.to_thread(kill_marked, str(self._folder))
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._is_tidy = True
        bound = {uid_of(pod): pod for pod in self._world.index.all(PODS) if pod["spec"].get("nodeName")}
        for uid, run in self.runs.items():
            if uid not in bound:
                run.stopping.begin(0)
        for uid, pod in bound.items():
            await self._attend(uid, pod)
        return float("inf")

    async def _attend(self, uid: str, pod: Object) -> None:
        run = self.runs.get(uid)
        if is_deleting(pod):
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            if run is None:
                await self._remove(pod)
            else:
                run.stop(grace)
        elif run is None and phase_of(pod) not in _ENDED and not self._is_closing:
            if len(self.runs) < self._pods_max:
                self._start(uid, pod)
            else:
                await self._show_waiting(pod)

    def _start(self, uid: str, pod: Object) -> None:
        run = PodRun(self._world, pod, self._images, self._logs, self._folder / uid)
        self.runs[uid] = run
        self._world.platform.spawn(self._live(uid, run))

    async def _live(self, uid: str, run: "PodRun") -> None:
        try:
            await run.live()
        finally:
            del self.runs[uid]
            shutil.rmtree(run.folder, ignore_errors=True)
            # There is room for another one, and this one may have to be removed.
            self.wake()

    async def _show_waiting(self, pod: Object) -> None:
        text = (
            f"this machine bears the processes of {self._pods_max} pods at once (--pods-max); on a cluster this pod "
            f"would be running on node {pod['spec']['nodeName']}"
        )
        statuses = cast("list[Object]", cast("Object", pod.get("status") or EMPTY).get("containerStatuses") or [])
        if statuses and (statuses[0].get("state") or EMPTY).get("waiting", EMPTY).get("reason") == _WOULD_RUN:
            return
        states: list[Object] = []
        for container in pod["spec"]["containers"]:
            state = ContainerState(container["name"], str(container.get("image") or ""))
            state.state = {"waiting": {"reason": _WOULD_RUN, "message": text}}
            states.append(state.as_status(uid_of(pod)))

        def change(thing: Object) -> None:
            thing.setdefault("status", {})["containerStatuses"] = states

        await self._world.objects.change(PODS, pod, change)
        await self._world.recorder.record(PODS, pod, [Event("Warning", _WOULD_RUN, text)], _COMPONENT)

    async def _remove(self, pod: Object) -> None:
        def work(writer: Writer) -> None:
            found = writer.find(PODS, namespace_of(pod), name_of(pod))
            if found is not None and uid_of(found) == uid_of(pod):
                writer.delete(PODS, found, Deletion(grace_seconds=0))

        await self._world.objects.write(work)
        statuses = cast("list[Object]", cast("Object", pod.get("status") or EMPTY).get("containerStatuses") or [])
        restarts = max((int(each.get("restartCount") or 0) for each in statuses), default=0)
        await self._logs.drop(uid_of(pod), [each["name"] for each in pod["spec"]["containers"]], restarts)

    def begin_close(self) -> None:
        """Ask all pods to end, as the node does; their processes are started again at its next start."""
        self._is_closing = True
        for run in self.runs.values():
            run.hand_over()

    def abandon(self) -> None:
        """End all pods' processes at once, because another node runs them now."""
        for run in self.runs.values():
            run.hand_over()
            run.kill()

    async def close(self) -> None:
        """End what has not ended by itself."""
        for run in list(self.runs.values()):
            run.kill()


class PodRun:
    """One pod while it lives here."""

    def __init__(self, world: World, pod: Object, images: Mapping[str, Image], logs: PodLogs, folder: Path) -> None:
        self.folder = folder
        self.stopping = Stopping()
        self.containers: list[ContainerRun] = []
        self._world = world
        self._pod = pod
        self._images = images
        self._changed = asyncio.Event()
        self._events: list[tuple[Sequence[Event], str]] = []
        self._phase = "Pending"
        self._is_initialized = False
        self._is_over = False
        self._is_handed_over = False
        now = world.now()
        old = {each["name"]: each for each in self._old_statuses("containerStatuses")}
        self._init_runs = [
            self._container_run(each, ContainerState(each["name"], str(each.get("image") or "")), logs)
            for each in pod["spec"].get("initContainers") or ()
        ]
        self.containers = [
            self._container_run(each, state_from(old.get(each["name"], EMPTY), each, now), logs)
            for each in pod["spec"]["containers"]
        ]

    def _old_statuses(self, name: str) -> list[Object]:
        return cast("list[Object]", cast("Object", self._pod.get("status") or EMPTY).get(name) or [])

    def _container_run(self, container: Object, state: ContainerState, logs: PodLogs) -> ContainerRun:
        return ContainerRun(
            uid_of(self._pod),
            container,
            state,
            self._world.clock,
            logs,
            self._prepare,
            self.stopping,
            self._changed.set,
            self._tell,
        )

    def stop(self, grace_seconds: float) -> None:
        """Begin to stop the pod, or shorten its grace."""
        self.stopping.begin(grace_seconds)

    def hand_over(self) -> None:
        """Stop the pod's processes because the node stops, not because the pod should."""
        self._is_handed_over = True
        self.stopping.begin(float(self._pod["spec"].get("terminationGracePeriodSeconds", 30)))

    def kill(self) -> None:
        """End the pod's processes at once."""
        for run in (*self._init_runs, *self.containers):
            if run.process is not None:
                run.process.kill()

    async def live(self) -> None:
        """Run the pod's containers to their end, and keep its status up to date meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._keep_telling())
            try:
                await self._run_all()
            finally:
                telling.cancel()
        await self._tell_all()

    async def _run_all(self) -> None:
        policy = str(self._pod["spec"].get("restartPolicy", "Always"))
        for run in self._init_runs:
            well = await run.run("OnFailure" if policy != "Never" else "Never")
            if not well:
                self._phase = "Failed"
                return
        self._is_initialized = True
        self._phase = "Running"
        self._changed.set()
        results: list[bool] = []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run_one(run, policy, results)) for run in self.containers]
            deadline = self._pod["spec"].get("activeDeadlineSeconds")
            if deadline:
                waiting = group.create_task(self._expire(float(deadline)))
                await asyncio.wait(tasks)
                waiting.cancel()
        self._is_over = True
        self._phase = "Succeeded" if all(results) else "Failed"

    async def _run_one(self, run: ContainerRun, policy: str, results: list[bool]) -> None:
        done = cast("Object", run.state.state.get("terminated") or EMPTY)
        if done and (policy == "Never" or (policy == "OnFailure" and done.get("exitCode") == 0)):
            results.append(done.get("exitCode") == 0)
            return
        if run.state.last_state and policy == "Never":
            # It was running when the node went away, and is not to be started twice.
            run.state.restarts -= 1
            run.state.state = run.state.last_state
            results.append(False)
            return
        results.append(await run.run(policy))

    async def _expire(self, seconds: float) -> None:
        await self._world.clock.sleep(seconds)
        self.stopping.begin(float(self._pod["spec"].get("terminationGracePeriodSeconds", 30)))

    def _prepare(self, container: Object) -> Start:
        """Return how a container is started now.

        Raises:
            NotRunnable: it cannot be.
        """
        base = self._base_environment()
        image = self._images.get(str(container.get("image") or ""))
        environment = container_environment(
            self._world.index, self._pod, container, base | dict(image.environment if image else {})
        )
        words, directory = command_of(self._pod, container, self._images, environment)
        return Start(words, environment, directory or self.folder)

    def _base_environment(self) -> dict[str, str]:
        platform, pod = self._world.platform, self._pod
        config = platform.config
        endpoint = platform.endpoint()
        base = {
            MARK: f"{self.folder.parent}/{uid_of(pod)}",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": config.region,
            "AWS_DEFAULT_REGION": config.region,
            "KUBERNETES_SERVICE_URL": endpoint,
            "HOME": str(self.folder),
            "HOSTNAME": name_of(pod),
            "POD_NAME": name_of(pod),
            "POD_NAMESPACE": namespace_of(pod),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.folder),
        }
        if config.credentials is None:
            base |= {"AWS_ACCESS_KEY_ID": config.account, "AWS_SECRET_ACCESS_KEY": "local"}
        return base

    # --- telling ---

    def _tell(self, events: Sequence[Event], container: str) -> None:
        self._events.append((events, f"spec.containers{{{container}}}" if container else ""))
        self._changed.set()

    async def _keep_telling(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            with suppress(Exception):
                await self._tell_all()

    async def _tell_all(self) -> None:
        if self._is_handed_over:
            # That its processes end now is the node's affair: the pod goes on when the node does.
            return
        events, self._events = self._events, []
        await self._world.objects.change(PODS, self._pod, self._write_status)
        for each, path in events:
            await self._world.recorder.record(PODS, self._pod, each, _COMPONENT, field_path=path)

    def _write_status(self, thing: Object) -> None:
        now = self._world.now()
        status = cast("Object", thing.setdefault("status", {}))
        uid = uid_of(thing)
        is_ending = is_deleting(thing) and not self._is_over
        status["phase"] = "Running" if is_ending and self._phase == "Pending" and self._is_initialized else self._phase
        if self._init_runs:
            status["initContainerStatuses"] = [run.state.as_status(uid) for run in self._init_runs]
        status["containerStatuses"] = [run.state.as_status(uid) for run in self.containers]
        status.setdefault("startTime", instant(now))
        status |= {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "hostIP": "127.0.0.1"}
        set_conditions(status, self._conditions(), now)

    def _conditions(self) -> list[Condition]:
        unready = [run.state.name for run in self.containers if not run.state.is_ready]
        if self._is_over and self._phase == "Succeeded":
            reason, text = "PodCompleted", ""
        else:
            reason, text = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
        ready = ("False", reason, text) if unready or self.stopping.event.is_set() else ("True", "", "")
        waiting = " ".join(run.state.name for run in self._init_runs)
        text = f"containers with incomplete status: [{waiting}]"
        is_initialized = self._is_initialized or not self._init_runs
        initialized = ("True", "", "") if is_initialized else ("False", "ContainersNotInitialized", text)
        return [
            Condition("PodReadyToStartContainers", "True", "", ""),
            Condition("Initialized", *initialized),
            Condition("Ready", *ready),
            Condition("ContainersReady", *ready),
        ]
