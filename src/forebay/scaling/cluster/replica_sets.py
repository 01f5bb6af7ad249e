"""Replica sets: as many pods as they want, and which of them go first when there are too many."""

import copy
from collections.abc import Sequence
from typing import cast

from forebay.scaling.cluster.defaults import set_defaults
from forebay.scaling.cluster.kinds import EMPTY, PODS, PRIORITY_CLASSES, REPLICA_SETS, Object, Resource
from forebay.scaling.cluster.objects import (
    Deletion,
    Index,
    Writer,
    annotations_of,
    controller_of,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
    parse_instant,
)
from forebay.scaling.cluster.world import World, condition_of, is_condition_true
from forebay.scaling.policies.outcome import Event
from forebay.scaling.policies.victims import DELETION_COST, Candidate, parse_deletion_cost, victims

_COMPONENT = "replicaset-controller"
# The most that is created or deleted at a time (kubernetes: `BurstReplicas`).
_BURST_MAX = 500


class ReplicaSets:
    """Keeps each replica set's number of pods. A `Worker`."""

    name = "kubernetes.replica_sets"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run_once(self) -> float:
        """Look at every replica set once."""
        due = float("inf")
        for each in self._world.index.all(REPLICA_SETS):
            due = min(due, await self._sync(each))
        return due

    async def _sync(self, replica_set: Object) -> float:
        if is_deleting(replica_set):
            return float("inf")
        pods = active_pods(self._world.index, REPLICA_SETS, replica_set)
        wanted = int(replica_set["spec"].get("replicas", 1))
        if len(pods) < wanted:
            await self._create(replica_set, min(wanted - len(pods), _BURST_MAX))
        elif len(pods) > wanted:
            await self._delete(replica_set, pods, min(len(pods) - wanted, _BURST_MAX))
        return await self._tell(replica_set)

    async def _create(self, replica_set: Object, count: int) -> None:
        index = self._world.index
        made = [new_pod(index, REPLICA_SETS, replica_set, replica_set["spec"]["template"]) for _ in range(count)]
        pods = await self._world.objects.create(PODS, made)
        events = [Event("Normal", "SuccessfulCreate", f"Created pod: {name_of(pod)}") for pod in pods]
        await self._world.recorder.record(REPLICA_SETS, replica_set, events, _COMPONENT)

    async def _delete(self, replica_set: Object, pods: Sequence[Object], count: int) -> None:
        index = self._world.index
        owner = controller_of(replica_set)
        siblings = [
            pod
            for each in index.all(REPLICA_SETS, namespace_of(replica_set))
            if owner is not None and (controller_of(each) or EMPTY).get("uid") == owner["uid"]
            for pod in active_pods(index, REPLICA_SETS, each)
        ]
        related = [str(pod["spec"].get("nodeName") or "") for pod in siblings or pods]
        chosen = victims([_candidate(pod) for pod in pods], count, related, self._world.now())
        names = {candidate.name for candidate in chosen}

        def work(writer: Writer) -> None:
            for name in names:
                pod = writer.find(PODS, namespace_of(replica_set), name)
                if pod is not None and not is_deleting(pod):
                    writer.delete(PODS, pod, Deletion())

        await self._world.objects.write(work)
        events = [Event("Normal", "SuccessfulDelete", f"Deleted pod: {each.name}") for each in chosen]
        await self._world.recorder.record(REPLICA_SETS, replica_set, events, _COMPONENT)

    async def _tell(self, replica_set: Object) -> float:
        """Bring the status up to date; return when a pod will have been ready for long enough."""
        pods = active_pods(self._world.index, REPLICA_SETS, replica_set)
        now, minimum = self._world.now(), int(replica_set["spec"].get("minReadySeconds") or 0)
        ready = [pod for pod in pods if is_condition_true(pod, "Ready")]
        waits = [ready_at(pod) + minimum - now for pod in ready]
        available = sum(1 for wait in waits if wait <= 0)
        status: Object = {"replicas": len(pods), "observedGeneration": replica_set["metadata"].get("generation", 1)}
        numbers = {"fullyLabeledReplicas": len(pods), "readyReplicas": len(ready), "availableReplicas": available}
        status |= {name: number for name, number in numbers.items() if number}
        if replica_set.get("status") != status:

            def change(thing: Object) -> None:
                thing["status"] = status

            await self._world.objects.change(REPLICA_SETS, replica_set, change)
        return min((wait for wait in waits if wait > 0), default=float("inf"))


def active_pods(index: Index, resource: Resource, owner: Object) -> list[Object]:
    """Return the pods that count for their owner: those that have not ended and do not go."""
    del resource
    pods = index.owned(PODS, owner)
    return [pod for pod in pods if not is_deleting(pod) and phase_of(pod) not in {"Succeeded", "Failed"}]


def phase_of(pod: Object) -> str:
    """Return a pod's phase."""
    return cast("Object", pod.get("status") or EMPTY).get("phase", "Pending")


def ready_at(pod: Object) -> float:
    """Return since when a pod is ready."""
    return parse_instant(condition_of(pod, "Ready").get("lastTransitionTime")) or 0.0


def _candidate(pod: Object) -> Candidate:
    statuses = cast("list[Object]", cast("Object", pod.get("status") or EMPTY).get("containerStatuses") or [])
    return Candidate(
        name_of(pod),
        node=pod["spec"].get("nodeName") or "",
        phase=phase_of(pod),
        is_ready=is_condition_true(pod, "Ready"),
        ready_since=ready_at(pod),
        deletion_cost=parse_deletion_cost(annotations_of(pod).get(DELETION_COST)),
        restarts=max((int(each.get("restartCount") or 0) for each in statuses), default=0),
        created_at=parse_instant(pod["metadata"].get("creationTimestamp")) or 0.0,
    )


def new_pod(index: Index, resource: Resource, owner: Object, template: Object) -> Object:
    """Return a pod made of a template, to be created for an owner."""
    template = copy.deepcopy(template)
    given = cast("Object", template.get("metadata") or EMPTY)
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name_of(owner)}-",
            "namespace": namespace_of(owner),
            "labels": given.get("labels") or EMPTY,
            "ownerReferences": [owner_reference(resource, owner)],
        },
        "spec": template["spec"],
    }
    if given.get("annotations"):
        pod["metadata"]["annotations"] = given["annotations"]
    set_defaults(PODS, pod)
    set_priority(index, pod)
    return pod


def set_priority(index: Index, pod: Object) -> None:
    """Give a pod the priority of its class, or of the class that holds where none is named."""
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    found = index.find(PRIORITY_CLASSES, "", name) if name else None
    if found is None and not name:
        found = next((each for each in index.all(PRIORITY_CLASSES) if each.get("globalDefault")), None)
    spec["priority"] = int(found["value"]) if found is not None else 0
    if found is not None:
        spec["priorityClassName"] = name_of(found)


def pods_of(index: Index, owner: Object) -> list[Object]:
    """Return all pods of an owner, also those that have ended or go."""
    return index.owned(PODS, owner)
