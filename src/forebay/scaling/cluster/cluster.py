"""The cluster as a whole: opened once by the API's service, with its controllers as workers."""

from collections.abc import Sequence

from forebay.operations.platform import Platform
from forebay.operations.service import Duty
from forebay.scaling.cluster.autoscaling import Autoscalers
from forebay.scaling.cluster.deployments import Deployments
from forebay.scaling.cluster.disruptions import Disruptions
from forebay.scaling.cluster.evictions import DisruptionBudgets
from forebay.scaling.cluster.garbage import GarbageCollector
from forebay.scaling.cluster.images import load_images
from forebay.scaling.cluster.jobs import Jobs
from forebay.scaling.cluster.keda import Keda
from forebay.scaling.cluster.kinds import NAMESPACES, PRIORITY_CLASSES, Object, Resource
from forebay.scaling.cluster.leadership import Leadership, Led
from forebay.scaling.cluster.local_node import LocalNode
from forebay.scaling.cluster.meters import Meters
from forebay.scaling.cluster.node_claims import NodeClaims
from forebay.scaling.cluster.objects import CHANGES, Objects
from forebay.scaling.cluster.pods import Kubelet
from forebay.scaling.cluster.provisioning import Nominations, Provisioner
from forebay.scaling.cluster.replica_sets import ReplicaSets
from forebay.scaling.cluster.scaled_jobs import ScaledJobs
from forebay.scaling.cluster.scheduling import Scheduler
from forebay.scaling.cluster.triggers import Triggers
from forebay.scaling.cluster.views import Views
from forebay.scaling.cluster.world import Recorder, World

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_PRIORITIES = (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000))


class Cluster:
    """The objects, and who makes them true."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = world.objects
        self.views = Views(world.index)
        self.kubelet = Kubelet(world, load_images(world.platform.config.pod_images))
        self.meters = Meters(world, self.kubelet)
        self.triggers = Triggers(world.platform)
        self.keda = Keda(world, self.triggers)
        nominations = Nominations()
        workers = (
            Furnisher(world.objects),
            GarbageCollector(world),
            Deployments(world),
            ReplicaSets(world),
            Jobs(world),
            LocalNode(world),
            Scheduler(world, self.views),
            DisruptionBudgets(world),
            NodeClaims(world),
            Provisioner(world, self.views, nominations),
            Disruptions(world, self.views, nominations),
            ScaledJobs(world, self.triggers),
            Autoscalers(world, self.keda, self.meters),
        )
        config = world.platform.config
        is_shared = config.store is not None and config.store.startswith("postgres")
        self.leadership = Leadership(world.platform.store, world.clock, is_shared=is_shared)
        # Every change wakes every controller: they look at what they need in memory, and mostly find nothing to do.
        duties = [Duty(Led(worker, self.leadership), [("log", CHANGES)]) for worker in workers]
        self.duties: Sequence[Duty] = [*duties, Duty(Led(self.meters, self.leadership)), Duty(self.leadership)]
        # These two are also woken by what no change of an object tells: a process that ended, a scaler that pushed.
        for worker in (self.kubelet, self.keda):
            worker.wake = world.platform.start_worker(Led(worker, self.leadership)).wake
            world.platform.store.listen(("log", CHANGES), worker.wake)
        self.leadership.on_change = self._change_sides

    def _change_sides(self) -> None:
        """Begin to run pods, or end them all: another node has begun."""
        if self.leadership.is_held:
            self.kubelet.wake()
            self.keda.wake()
        else:
            self.kubelet.abandon()

    def drain(self) -> None:
        """Begin to stop: pods are told to end now, so that they have the time that the node has."""
        self.kubelet.begin_close()
        self.keda.end_following()

    async def close(self) -> None:
        """Stop what still runs."""
        await self.kubelet.close()
        await self.triggers.close()


async def open_cluster(platform: Platform) -> Cluster:
    """Load the objects, make those that every cluster has, and build the controllers."""
    objects = Objects(platform.store, platform.clock, platform.ids)
    await objects.open()
    await Furnisher(objects).run_once()
    return Cluster(World(platform, objects, Recorder(objects, platform.clock)))


class Furnisher:
    """Makes the namespaces and priority classes that every cluster has, again after a wipe. A `Worker`."""

    name = "kubernetes.furnisher"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def run_once(self) -> float:
        """Make what is missing."""
        index = self._objects.index
        missing = [_namespace(name) for name in _NAMESPACES if index.find(NAMESPACES, "", name) is None]
        await self._objects.create(NAMESPACES, missing)
        absent = [pair for pair in _PRIORITIES if index.find(PRIORITY_CLASSES, "", pair[0]) is None]
        await self._objects.create(PRIORITY_CLASSES, [_priority_class(name, value) for name, value in absent])
        return float("inf")


def _head(resource: Resource, name: str) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}


def _namespace(name: str) -> Object:
    made = _head(NAMESPACES, name)
    made["metadata"]["labels"] = {"kubernetes.io/metadata.name": name}
    return made | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def _priority_class(name: str, value: int) -> Object:
    made = _head(PRIORITY_CLASSES, name) | {"value": value, "preemptionPolicy": "PreemptLowerPriority"}
    return made | {"description": "Used for system critical pods that must not be moved from their current node."}
