"""The life of a node claim: its node registers, becomes ready, is emptied and goes. All of it is bookkeeping."""

import copy
from collections.abc import Sequence
from typing import cast

from forebay.scaling.cluster.evictions import evict
from forebay.scaling.cluster.kinds import (
    EC2_NODE_CLASSES,
    EMPTY,
    KWOK_NODE_CLASSES,
    NODE_CLAIMS,
    NODE_POOLS,
    NODES,
    PODS,
    Object,
    Resource,
)
from forebay.scaling.cluster.local_node import KUBELET_VERSION, node_details, ready_conditions
from forebay.scaling.cluster.objects import (
    Deletion,
    annotations_of,
    instant,
    is_deleting,
    labels_of,
    name_of,
    parse_instant,
)
from forebay.scaling.cluster.provisioning import COMPONENT, POOL_HASH, pool_hash, transition
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.status import StatusError
from forebay.scaling.cluster.views import DISRUPTED, TERMINATION
from forebay.scaling.cluster.world import World, condition_of, is_condition_true, set_conditions
from forebay.scaling.manifests.quantity import parse_milli, parse_optional_duration, parse_whole
from forebay.scaling.policies.outcome import Condition, Event
from forebay.scaling.policies.requirements import NODEPOOL

# How long a node on EC2 takes to register, by word of Karpenter's maintainers (30 to 40 s, aws/karpenter#6165).
EC2_REGISTRATION_SECONDS = 35.0
# Events of pods on a node within this time are one (karpenter, `pod.lastPodEventTime` deduping).
_POD_EVENT_SECONDS = 10.0
_EVICT_AGAIN_SECONDS = 2.0
_SYSTEM_PRIORITY = 2_000_000_000
_DISRUPTED_TAINT = {"key": DISRUPTED, "effect": "NoSchedule"}


class NodeClaims:
    """Moves claims through their life. A `Worker`."""

    name = "kubernetes.node_claims"

    def __init__(self, world: World) -> None:
        self._world = world
        self._pods_on: dict[str, frozenset[str]] = {}

    async def run_once(self) -> float:
        """Look at every claim, node class and pool once."""
        due = float("inf")
        for node in self._world.index.all(NODES):
            if is_deleting(node) and TERMINATION in (node["metadata"].get("finalizers") or ()):
                await self._follow_node(node)
        for claim in self._world.index.all(NODE_CLAIMS):
            step = self._terminate if is_deleting(claim) else self._grow
            due = min(due, await step(claim))
        await self._tell_classes()
        await self._tell_pools()
        return due

    async def _follow_node(self, node: Object) -> None:
        """Delete the claim of a node that somebody deletes."""
        claim = next(
            (each for each in self._world.index.all(NODE_CLAIMS) if name_of(each) == name_of(node)),
            None,
        )
        if claim is None:
            await self._world.objects.change(NODES, node, _drop_finalizer)
        elif not is_deleting(claim):
            await self._world.objects.delete(NODE_CLAIMS, claim, Deletion())

    # --- growing ---

    async def _grow(self, claim: Object) -> float:
        now = self._world.now()
        node = self._world.index.find(NODES, "", name_of(claim))
        if not is_condition_true(claim, "Registered"):
            created = parse_instant(condition_of(claim, "Launched").get("lastTransitionTime")) or now
            wait = created + self._registration_seconds(claim) - now
            if wait > 0:
                return wait
            await self._register(claim)
            return 0.0
        if node is None:
            # Somebody has taken the node away, finalizer and all: the claim has nothing to stand for.
            await self._world.objects.delete(NODE_CLAIMS, claim, Deletion())
            return float("inf")
        if not is_condition_true(claim, "Initialized"):
            await self._initialize(claim, node)
            return 0.0
        await self._note_pods(claim)
        await self._note_drift(claim)
        return await self._note_consolidatable(claim)

    def _registration_seconds(self, claim: Object) -> float:
        reference = claim["spec"]["nodeClassRef"]
        if reference.get("kind") == "EC2NodeClass":
            return EC2_REGISTRATION_SECONDS
        node_class = self._world.index.find(KWOK_NODE_CLASSES, "", reference["name"])
        text = ((node_class or EMPTY).get("spec") or EMPTY).get("nodeRegistrationDelay")
        return parse_optional_duration(text) if text else 0.0

    async def _register(self, claim: Object) -> None:
        """Make the node of a claim."""
        now, name = self._world.now(), name_of(claim)
        spec, status = claim["spec"], claim["status"]
        labels = {**labels_of(claim), "karpenter.sh/registered": "true", "kubernetes.io/hostname": name}
        node: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": dict(annotations_of(claim)),
                "finalizers": [TERMINATION],
            },
            "spec": {
                "providerID": status["providerID"],
                "taints": [*(spec.get("taints") or ()), *(spec.get("startupTaints") or ())],
            },
            "status": {
                "capacity": status["capacity"],
                "allocatable": status["allocatable"],
                **node_details(name),
            },
        }
        if not node["spec"]["taints"]:
            del node["spec"]["taints"]
        node["status"]["nodeInfo"]["architecture"] = labels.get("kubernetes.io/arch", "amd64")
        node["status"]["nodeInfo"]["kubeletVersion"] = KUBELET_VERSION
        set_conditions(node["status"], ready_conditions(), now)
        await self._world.objects.create(NODES, [node])

        def change(each: Object) -> None:
            each["status"]["nodeName"] = name
            set_conditions(each["status"], [Condition("Registered", "True", "Registered", "")], now)

        await self._world.objects.change(NODE_CLAIMS, claim, change)
        await self._world.recorder.record(NODE_CLAIMS, claim, [transition("Registered")], COMPONENT)

    async def _initialize(self, claim: Object, node: Object) -> None:
        now = self._world.now()
        startup = {(taint["key"], taint["effect"]) for taint in claim["spec"].get("startupTaints") or ()}

        def ready(each: Object) -> None:
            # Who takes startup taints away on a cluster (a daemon of the user's) does not run here.
            taints = [one for one in each["spec"].get("taints") or () if (one["key"], one["effect"]) not in startup]
            each["spec"]["taints"] = taints
            if not taints:
                del each["spec"]["taints"]
            each["metadata"]["labels"]["karpenter.sh/initialized"] = "true"

        def change(each: Object) -> None:
            conditions = [Condition(kind, "True", kind, "") for kind in ("Initialized", "Ready")]
            set_conditions(each["status"], conditions, now)
            each["status"]["lastPodEventTime"] = instant(now)

        await self._world.objects.change(NODES, node, ready)
        await self._world.objects.change(NODE_CLAIMS, claim, change)
        events = [transition("Initialized"), transition("Ready")]
        await self._world.recorder.record(NODE_CLAIMS, claim, events, COMPONENT)

    async def _note_pods(self, claim: Object) -> None:
        """Note when pods came to the node or left it: consolidation waits from there."""
        name, now = name_of(claim), self._world.now()
        pods = frozenset(pod["metadata"]["uid"] for pod in pods_on(self._world, name))
        before = self._pods_on.get(name)
        self._pods_on[name] = pods
        last = parse_instant(claim["status"].get("lastPodEventTime")) or 0.0
        if before is None or before == pods or now - last < _POD_EVENT_SECONDS:
            return

        def change(each: Object) -> None:
            each["status"]["lastPodEventTime"] = instant(now)

        await self._world.objects.change(NODE_CLAIMS, claim, change)

    async def _note_drift(self, claim: Object) -> None:
        pool = self._world.index.find(NODE_POOLS, "", labels_of(claim).get(NODEPOOL, ""))
        if pool is None or is_condition_true(claim, "Drifted"):
            return
        if annotations_of(claim).get(POOL_HASH) != pool_hash(pool):
            now = self._world.now()
            drifted = Condition("Drifted", "True", "NodePoolDrifted", "NodePoolDrifted")
            await self._world.objects.change(
                NODE_CLAIMS, claim, lambda each: set_conditions(each["status"], [drifted], now)
            )

    async def _note_consolidatable(self, claim: Object) -> float:
        now = self._world.now()
        pool = self._world.index.find(NODE_POOLS, "", labels_of(claim).get(NODEPOOL, ""))
        if pool is None:
            return float("inf")
        wait = parse_optional_duration(pool["spec"]["disruption"]["consolidateAfter"])
        due = (parse_instant(claim["status"].get("lastPodEventTime")) or 0.0) + wait - now
        holds = due <= 0
        if holds != is_condition_true(claim, "Consolidatable"):
            name = "Consolidatable"
            condition = Condition(name, "True", name, "") if holds else Condition(name, "False", "PodEvent", "")
            await self._world.objects.change(
                NODE_CLAIMS, claim, lambda each: set_conditions(each["status"], [condition], now)
            )
        return due if due > 0 else float("inf")

    # --- going ---

    async def _terminate(self, claim: Object) -> float:
        """Empty the node of a claim, tier by tier, and let both go when it is empty."""
        node = self._world.index.find(NODES, "", name_of(claim))
        if node is not None:
            await self._taint(node)
            waiting = [pod for pod in pods_on(self._world, name_of(node)) if not _stays(pod)]
            if waiting:
                await self._evict(claim, waiting)
                return _EVICT_AGAIN_SECONDS
            await self._world.objects.delete(NODES, node, Deletion())
            gone = self._world.index.find(NODES, "", name_of(claim))
            if gone is not None:
                await self._world.objects.change(NODES, gone, _drop_finalizer)
        self._pods_on.pop(name_of(claim), None)
        await self._world.objects.change(NODE_CLAIMS, claim, _drop_finalizer)
        return float("inf")

    async def _taint(self, node: Object) -> None:
        if any(taint["key"] == DISRUPTED for taint in node["spec"].get("taints") or ()):
            return

        def change(each: Object) -> None:
            each["spec"]["taints"] = [*(each["spec"].get("taints") or ()), dict(_DISRUPTED_TAINT)]

        await self._world.objects.change(NODES, node, change)

    async def _evict(self, claim: Object, pods: Sequence[Object]) -> None:
        now = self._world.now()
        period = claim["spec"].get("terminationGracePeriod")
        began = parse_instant(claim["metadata"]["deletionTimestamp"]) or now
        is_over = period is not None and now >= began + parse_optional_duration(period)
        tier = min(_tier(pod) for pod in pods)
        for pod in pods:
            if is_deleting(pod) or (_tier(pod) != tier and not is_over):
                continue
            if is_over:
                await self._world.objects.delete(PODS, pod, Deletion())
                continue
            try:
                await evict(self._world, pod)
            except StatusError as problem:
                event = Event("Warning", "FailedDraining", f"Failed to drain node, {problem.message}")
                await self._world.recorder.record(NODE_CLAIMS, claim, [event], COMPONENT)
            else:
                event = Event(
                    "Normal",
                    "Evicted",
                    "Evicted pod: Underutilized" if not _reason(claim) else f"Evicted pod: {_reason(claim)}",
                )
                await self._world.recorder.record(PODS, pod, [event], COMPONENT)

    # --- classes and pools ---

    async def _tell_classes(self) -> None:
        for resource in (EC2_NODE_CLASSES, KWOK_NODE_CLASSES):
            for each in self._world.index.all(resource):
                if not is_condition_true(each, "Ready"):
                    await self._ready(resource, each, [Condition("Ready", "True", "Ready", "")])

    async def _ready(self, resource: Resource, thing: Object, conditions: Sequence[Condition]) -> None:
        now = self._world.now()
        await self._world.objects.change(
            resource, thing, lambda each: set_conditions(cast("Object", each.setdefault("status", {})), conditions, now)
        )

    async def _tell_pools(self) -> None:
        for pool in self._world.index.all(NODE_POOLS):
            claims = [
                each for each in self._world.index.all(NODE_CLAIMS) if labels_of(each).get(NODEPOOL) == name_of(pool)
            ]
            capacities = [cast("Object", claim["status"]["capacity"]) for claim in claims]
            resources = {
                "cpu": f"{sum(parse_milli(each.get('cpu', 0)) for each in capacities)}m",
                "memory": str(sum(parse_whole(each.get("memory", 0)) for each in capacities)),
                "pods": str(sum(parse_whole(each.get("pods", 0)) for each in capacities)),
                "nodes": str(len(claims)),
            }
            await self._tell_pool(pool, resources, self._pool_conditions(pool))

    async def _tell_pool(self, pool: Object, resources: Object, conditions: Sequence[Condition]) -> None:
        now = self._world.now()

        def change(each: Object) -> None:
            status = cast("Object", each.setdefault("status", {}))
            status["resources"] = resources
            set_conditions(status, conditions, now)

        trial = copy.deepcopy(pool)
        change(trial)
        if trial != pool:
            await self._world.objects.change(NODE_POOLS, pool, change)

    def _pool_conditions(self, pool: Object) -> list[Condition]:
        reference = pool["spec"]["template"]["spec"]["nodeClassRef"]
        resource = EC2_NODE_CLASSES if reference.get("kind") == "EC2NodeClass" else KWOK_NODE_CLASSES
        is_there = self._world.index.find(resource, "", reference["name"]) is not None
        valid = Condition("ValidationSucceeded", "True", "ValidationSucceeded", "")
        if is_there:
            kinds = ("NodeClassReady", "Ready")
            return [valid, *(Condition(kind, "True", kind, "") for kind in kinds)]
        text = "NodeClass not found on cluster"
        return [
            valid,
            Condition("NodeClassReady", "False", "NodeClassNotFound", text),
            Condition("Ready", "False", "UnhealthyDependents", "NodeClassReady=False"),
        ]


def pods_on(world: World, node_name: str) -> list[Object]:
    """Return the pods that run on a node."""
    pods = world.index.all(PODS)
    return [
        pod for pod in pods if pod["spec"].get("nodeName") == node_name and phase_of(pod) not in {"Succeeded", "Failed"}
    ]


def _stays(pod: Object) -> bool:
    """Return whether a pod does not keep its node from going: it tolerates that the node is disrupted."""
    return any(
        toleration.get("operator") == "Exists" and toleration.get("key") in {None, "", DISRUPTED}
        for toleration in cast("list[Object]", pod["spec"].get("tolerations") or [])
    )


def _tier(pod: Object) -> int:
    owners = cast("list[Object]", pod["metadata"].get("ownerReferences") or [])
    is_daemon = any(owner["kind"] == "DaemonSet" for owner in owners)
    is_critical = int(pod["spec"].get("priority") or 0) >= _SYSTEM_PRIORITY
    return 2 * is_critical + is_daemon


def _reason(claim: Object) -> str:
    return str(condition_of(claim, "DisruptionReason").get("reason") or "")


def _drop_finalizer(thing: Object) -> None:
    finalizers = [each for each in thing["metadata"].get("finalizers") or () if each != TERMINATION]
    thing["metadata"]["finalizers"] = finalizers
    if not finalizers:
        del thing["metadata"]["finalizers"]
