"""The cluster as a whole: opened once by the API's service, with its controllers as workers."""

from collections.abc import Sequence

from forebay.operations.platform import Platform
from forebay.operations.service import Duty
from forebay.scaling.cluster.kinds import NAMESPACES, PRIORITY_CLASSES, Object, Resource
from forebay.scaling.cluster.objects import Objects

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_PRIORITIES = (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000))


class Cluster:
    """The objects, and who makes them true."""

    def __init__(self, platform: Platform, objects: Objects) -> None:
        self.platform = platform
        self.objects = objects
        self.duties: Sequence[Duty] = ()

    async def close(self) -> None:
        """Stop what runs."""


async def open_cluster(platform: Platform) -> Cluster:
    """Load the objects, make those that every cluster has, and build the controllers."""
    objects = Objects(platform.store, platform.clock, platform.ids)
    await objects.open()
    cluster = Cluster(platform, objects)
    await furnish(objects)
    return cluster


async def furnish(objects: Objects) -> None:
    """Make the namespaces and priority classes that every cluster has."""
    missing = [_namespace(name) for name in _NAMESPACES if objects.index.find(NAMESPACES, "", name) is None]
    await objects.create(NAMESPACES, missing)
    absent = [pair for pair in _PRIORITIES if objects.index.find(PRIORITY_CLASSES, "", pair[0]) is None]
    await objects.create(PRIORITY_CLASSES, [_priority_class(name, value) for name, value in absent])


def _head(resource: Resource, name: str) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}


def _namespace(name: str) -> Object:
    made = _head(NAMESPACES, name)
    made["metadata"]["labels"] = {"kubernetes.io/metadata.name": name}
    return made | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def _priority_class(name: str, value: int) -> Object:
    made = _head(PRIORITY_CLASSES, name) | {"value": value, "preemptionPolicy": "PreemptLowerPriority"}
    return made | {"description": "Used for system critical pods that must not be moved from their current node."}
