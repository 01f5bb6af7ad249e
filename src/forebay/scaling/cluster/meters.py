"""What pods use: CPU and memory of their processes, sampled as metrics-server samples them, and memory limits."""

import asyncio
from dataclasses import dataclass

from forebay.core.clock import monotonic
from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.pods import Kubelet
from forebay.scaling.cluster.processes import Usage, measure
from forebay.scaling.cluster.world import World
from forebay.scaling.manifests.quantity import parse_whole

# Memory limits are looked at this often; CPU is averaged over the window, as metrics-server does (15 s resolution).
LOOK_SECONDS = 1.0
WINDOW_SECONDS = 15.0


@dataclass(frozen=True)
class Sample:
    """What a container used: milli-CPUs over the window, and bytes of memory."""

    cpu_milli: int
    memory_bytes: int
    at: float
    window_seconds: float


@dataclass
class _Track:
    pid: int
    cpu_seconds: float
    since: float


class Meters:
    """Samples the processes of pods. A `Worker`."""

    name = "kubernetes.meters"

    def __init__(self, world: World, kubelet: Kubelet) -> None:
        self._world = world
        self._kubelet = kubelet
        self._tracks: dict[tuple[str, str], _Track] = {}
        # By pod's uid, then container.
        self.samples: dict[str, dict[str, Sample]] = {}

    async def run_once(self) -> float:
        """Look at all processes once."""
        pids = {
            run.process.pid: (uid, run.state.name, run)
            for uid, pod in self._kubelet.runs.items()
            for run in pod.containers
            if run.process is not None
        }
        if not pids:
            self._tracks.clear()
            self.samples.clear()
            return LOOK_SECONDS
        usages = await asyncio.to_thread(measure, pids)
        seen: set[tuple[str, str]] = set()
        for pid, (uid, name, run) in pids.items():
            usage = usages[pid]
            seen.add((uid, name))
            limit = _memory_limit(run.container)
            if limit and usage.memory_bytes > limit and run.process is not None and run.process.pid == pid:
                run.process.kill_for_memory()
            self._take(uid, name, pid, usage)
        for key in set(self._tracks) - seen:
            del self._tracks[key]
        live = {uid for uid, _ in seen}
        for uid in set(self.samples) - live:
            del self.samples[uid]
        return LOOK_SECONDS

    def _take(self, uid: str, name: str, pid: int, usage: Usage) -> None:
        now = monotonic()
        track = self._tracks.get((uid, name))
        if track is None or track.pid != pid:
            self._tracks[uid, name] = _Track(pid, usage.cpu_seconds, now)
            return
        elapsed = now - track.since
        have = self.samples.get(uid, {}).get(name)
        # The first sample comes early, so that something is known of a new pod.
        if elapsed >= WINDOW_SECONDS or (have is None and elapsed >= LOOK_SECONDS / 2):
            cpu_milli = round(max(0.0, usage.cpu_seconds - track.cpu_seconds) / elapsed * 1000)
            sample = Sample(cpu_milli, usage.memory_bytes, self._world.now(), elapsed)
            self.samples.setdefault(uid, {})[name] = sample
            if elapsed >= WINDOW_SECONDS:
                self._tracks[uid, name] = _Track(pid, usage.cpu_seconds, now)


def _memory_limit(container: Object) -> int:
    limit = ((container.get("resources") or EMPTY).get("limits") or EMPTY).get("memory")
    return parse_whole(limit) if limit else 0
