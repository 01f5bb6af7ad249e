"""Karpenter's provisioner: after a batch of pods that no node takes, makes node claims for them.

Nodes are bookkeeping: a claim is launched at once, its node registers after the delay of its class, and no machine
comes to be. The plan is the policy's, and so are price and size.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from forebay.scaling.cluster.kinds import EMPTY, NODE_CLAIMS, NODE_POOLS, PODS, Object
from forebay.scaling.cluster.objects import owner_reference, uid_of
from forebay.scaling.cluster.views import INSTANCE_PRICE, TERMINATION, Views, is_pending, pod_key
from forebay.scaling.cluster.world import World, condition_of, set_conditions
from forebay.scaling.policies.batching import Batch, with_pod
from forebay.scaling.policies.node import PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.outcome import Condition, Event
from forebay.scaling.policies.provisioning import NOMINATION_SECONDS, NewNode, node_labels, provision
from forebay.scaling.policies.resources import Amounts, as_quantities, total

COMPONENT = "karpenter"
POOL_HASH = "karpenter.sh/nodepool-hash"


class Nominations:
    """Which nodes are kept for pods, and until when; what a real provisioner keeps in memory, too."""

    def __init__(self) -> None:
        self.until: dict[str, float] = {}

    def nominate(self, name: str, now: float) -> None:
        """Keep a node."""
        self.until[name] = now + NOMINATION_SECONDS

    def forget_past(self, now: float) -> None:
        """Forget those that are over."""
        self.until = {name: until for name, until in self.until.items() if until > now}


class Provisioner:
    """Makes nodes for pods. A `Worker`."""

    name = "kubernetes.provisioner"

    def __init__(self, world: World, views: Views, nominations: Nominations) -> None:
        self._world = world
        self._views = views
        self._nominations = nominations
        self._batch: Batch | None = None
        self._seen: set[str] = set()

    async def run_once(self) -> float:
        """Gather pods, and plan when the batch is over."""
        now = self._world.now()
        pods = {uid_of(pod): pod for pod in self._world.index.all(PODS) if _is_provisionable(pod)}
        if not pods or not self._world.index.all(NODE_POOLS):
            self._batch = None
            self._seen.clear()
            return float("inf")
        new = set(pods) - self._seen
        self._seen = set(pods)
        if new or self._batch is None:
            self._batch = with_pod(self._batch, now)
        if self._batch.closes_at > now:
            return self._batch.closes_at - now
        self._batch = None
        await self._plan(list(pods.values()), now)
        # Pods that stay pending are planned for again, as the provisioner does on its own (every 10 s).
        return 10.0

    async def _plan(self, pods: Sequence[Object], now: float) -> None:
        self._nominations.forget_past(now)
        nodes = [node for node in self._views.nodes(now, self._nominations.until) if not node.is_deleting]
        pools = self._views.pools(nodes)
        waiting = [self._views.pod_view(pod, now) for pod in pods]
        plan = await asyncio.to_thread(provision, waiting, nodes, pools)
        by_key = {pod_key(pod): pod for pod in pods}
        for key, name in plan.nominations.items():
            self._nominations.nominate(name, now)
            await self._tell_nominated(by_key[key], f"node/{name}")
        await self._make(plan.new_nodes, {pool.name: pool for pool in pools}, by_key, now)
        for key, text in plan.unschedulable.items():
            event = Event("Warning", "FailedScheduling", f"Failed to schedule pod, {text}")
            await self._world.recorder.record(PODS, by_key[key], [event], COMPONENT)

    async def _make(
        self, new_nodes: Sequence[NewNode], pools: Mapping[str, Pool], pods: Mapping[str, Object], now: float
    ) -> None:
        for node in new_nodes:
            claim = await create_claim(self._world, node, pools[node.pool])
            if claim is None:
                continue
            self._nominations.nominate(claim["metadata"]["name"], now)
            for pod in node.pods:
                if pod.name in pods:
                    await self._tell_nominated(pods[pod.name], f"nodeclaim/{claim['metadata']['name']}")

    async def _tell_nominated(self, pod: Object, place: str) -> None:
        event = Event("Normal", "Nominated", f"Pod should schedule on: {place}")
        await self._world.recorder.record(PODS, pod, [event], COMPONENT)


async def create_claim(world: World, node: NewNode, pool: Pool) -> Object | None:
    """Make the claim of a node, launched as the cheapest of what it may be."""
    found = world.index.find(NODE_POOLS, "", node.pool)
    if found is None:
        return None
    kind, offering = node.choice()
    template = found["spec"]["template"]
    labels = node_labels(node, kind, offering, pool) | {INSTANCE_PRICE: f"{offering.price:.6f}"}
    spec = cast("Object", template["spec"])
    name = f"{node.pool}-{world.ids.token(5)}"
    labels["kubernetes.io/hostname"] = name
    claim: Object = {
        "apiVersion": NODE_CLAIMS.api_version,
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {
                **((template.get("metadata") or EMPTY).get("annotations") or EMPTY),
                POOL_HASH: pool_hash(found),
            },
            "finalizers": [TERMINATION],
            "ownerReferences": [owner_reference(NODE_POOLS, found)],
        },
        "spec": {
            "nodeClassRef": spec["nodeClassRef"],
            "requirements": spec.get("requirements") or [],
            "resources": {"requests": dict(as_quantities(_requests(node.pods), len(node.pods)))},
            "expireAfter": spec.get("expireAfter", "720h"),
            **{part: spec[part] for part in ("taints", "startupTaints", "terminationGracePeriod") if spec.get(part)},
        },
        "status": {
            "capacity": dict(as_quantities(kind.capacity, kind.pods_max)),
            "allocatable": dict(as_quantities(kind.allocatable, kind.pods_max)),
            "providerID": f"forebay://{labels.get('topology.kubernetes.io/zone', 'local')}/{name}",
            "imageID": "",
        },
    }
    set_conditions(claim["status"], [Condition("Launched", "True", "Launched", "")], world.now())
    made = await world.objects.create(NODE_CLAIMS, [claim])
    if made:
        await world.recorder.record(NODE_CLAIMS, made[0], [transition("Launched")], COMPONENT)
    return made[0] if made else None


def transition(kind: str) -> Event:
    """Return the event of a claim's condition that has become true."""
    text = f"Status condition transitioned, Type: {kind}, Status: Unknown -> True, Reason: {kind}"
    return Event("Normal", kind, text)


def pool_hash(pool: Object) -> str:
    """Return a short name of what of a pool's template makes its nodes differ when it changes."""
    template = pool["spec"]["template"]
    spec = {name: value for name, value in template["spec"].items() if name != "requirements"}
    content = msgspec.json.encode([template.get("metadata") or EMPTY, spec], order="sorted")
    return str(int.from_bytes(hashlib.sha256(content).digest()[:8]))


def _requests(pods: Sequence[PodView]) -> Amounts:
    return total(pod.demand.requests for pod in pods)


def _is_provisionable(pod: Object) -> bool:
    return is_pending(pod) and condition_of(pod, "PodScheduled").get("reason") == "Unschedulable"
