"""The cluster as the policies want it: nodes, pods and pools as their frozen types, made from the objects in memory."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from forebay.scaling.cluster.kinds import (
    DISRUPTION_BUDGETS,
    EC2_NODE_CLASSES,
    EMPTY,
    NODE_CLAIMS,
    NODE_POOLS,
    NODES,
    PODS,
    Object,
)
from forebay.scaling.cluster.objects import (
    Index,
    annotations_of,
    controller_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    parse_instant,
)
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.world import condition_of, is_condition_true
from forebay.scaling.manifests.documents import read_manifest
from forebay.scaling.manifests.karpenter import EC2NodeClass, NodePool
from forebay.scaling.manifests.pods import PodSpec, Resources, Taint
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_optional_duration, parse_whole
from forebay.scaling.manifests.workloads import PodDisruptionBudget
from forebay.scaling.policies.demand import Demand, read_demand
from forebay.scaling.policies.disruption_budget import BudgetedPod, may_evict
from forebay.scaling.policies.instance_types import InstanceType, kwok_instance_types, with_kubelet
from forebay.scaling.policies.node import NodeView, PodView, total_requests
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.requirements import CAPACITY_TYPE, INSTANCE_TYPE, NODEPOOL
from forebay.scaling.policies.resources import Amounts, read_amounts
from forebay.scaling.policies.victims import DELETION_COST, parse_deletion_cost

DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"
INSTANCE_PRICE = "eks-node-viewer/instance-price"
TERMINATION = "karpenter.sh/termination"
DISRUPTED = "karpenter.sh/disrupted"
_DEMANDS_MAX = 4096


def pod_key(pod: Object) -> str:
    """Return the name by which policies know a pod."""
    return f"{namespace_of(pod)}/{name_of(pod)}"


class Views:
    """Makes views; what equal pods ask for is read once and shared, so that policies see that they are equal."""

    def __init__(self, index: Index, types: Sequence[InstanceType] | None = None) -> None:
        self._index = index
        self._types = tuple(types) if types is not None else kwok_instance_types()
        self._demands: dict[str, Demand] = {}

    @property
    def types(self) -> Mapping[str, InstanceType]:
        """The types of machines, by name."""
        return {kind.name: kind for kind in self._types}

    def demand_of(self, pod: Object) -> Demand:
        """Return what a pod asks for.

        Raises:
            InvalidManifest: a quantity cannot be read.
        """
        owner = controller_of(pod)
        key = pod_key(pod) if owner is None else f"{owner['uid']}/{pod['spec'].get('priority')}"
        found = self._demands.get(key)
        if found is None:
            spec = msgspec.convert(_plain(pod["spec"]), PodSpec)
            found = read_demand(spec, labels_of(pod), namespace_of(pod), pod["spec"].get("priority"))
            if len(self._demands) > _DEMANDS_MAX:
                self._demands.clear()
            self._demands[key] = found
        return found

    def pod_view(self, pod: Object, now: float, *, is_evictable: bool = True) -> PodView:
        """Return a pod as policies see it."""
        marks = annotations_of(pod)
        return PodView(
            pod_key(pod),
            self.demand_of(pod),
            created_at=parse_instant(pod["metadata"].get("creationTimestamp")) or 0.0,
            deletion_cost=parse_deletion_cost(marks.get(DELETION_COST)),
            is_protected=_is_protected(pod, marks.get(DO_NOT_DISRUPT), now),
            is_evictable=is_evictable,
        )

    def pending(self, now: float) -> list[PodView]:
        """Return the pods that no node has yet, oldest first."""
        pods = [pod for pod in self._index.all(PODS) if is_pending(pod)]
        pods.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod_key(pod)))
        return [self.pod_view(pod, now) for pod in pods]

    def nodes(self, now: float, nominated: Mapping[str, float] = {}) -> list[NodeView]:
        """Return the nodes that there are, and those that are being made."""
        by_node: dict[str, list[Object]] = {}
        for pod in self._index.all(PODS):
            node_name = pod["spec"].get("nodeName")
            if node_name and phase_of(pod) not in {"Succeeded", "Failed"}:
                by_node.setdefault(node_name, []).append(pod)
        evictable = self._evictable(now)
        claims = {
            str((claim.get("status") or EMPTY).get("nodeName") or ""): claim for claim in self._index.all(NODE_CLAIMS)
        }
        views = [
            self._node_view(node, by_node.get(name_of(node), []), claims.get(name_of(node)), evictable, now, nominated)
            for node in self._index.all(NODES)
        ]
        present = {view.name for view in views}
        return views + [
            self._claim_view(claim, nominated)
            for claim in self._index.all(NODE_CLAIMS)
            if (claim.get("status") or EMPTY).get("nodeName", "") not in present
        ]

    def _evictable(self, now: float) -> Mapping[str, bool]:
        del now
        budgets = [
            cast("PodDisruptionBudget", read_manifest(each).manifest) for each in self._index.all(DISRUPTION_BUDGETS)
        ]
        if not budgets:
            return {}
        pods = [pod for pod in self._index.all(PODS) if phase_of(pod) not in {"Succeeded", "Failed"}]
        budgeted = {pod_key(pod): budgeted_pod(pod) for pod in pods}
        everyone = list(budgeted.values())
        return {key: may_evict(each, budgets, everyone) for key, each in budgeted.items()}

    def _node_view(
        self,
        node: Object,
        pods: Sequence[Object],
        claim: Object | None,
        evictable: Mapping[str, bool],
        now: float,
        nominated: Mapping[str, float],
    ) -> NodeView:
        spec, status, labels = node["spec"], cast("Object", node.get("status") or EMPTY), labels_of(node)
        allocatable = cast("Resources", status.get("allocatable") or EMPTY)
        views = tuple(self.pod_view(pod, now, is_evictable=evictable.get(pod_key(pod), True)) for pod in pods)
        taints = msgspec.convert(_plain(spec.get("taints") or []), tuple[Taint, ...])
        pool = labels.get(NODEPOOL, "")
        expire = _expires_at(claim) if claim is not None else math.inf
        return NodeView(
            name_of(node),
            read_amounts(allocatable),
            pods_max=parse_whole(allocatable.get("pods", 110)),
            labels=labels,
            taints=taints,
            pods=views,
            used=total_requests(views),
            is_unschedulable=bool(spec.get("unschedulable")),
            pool=pool,
            instance_type=labels.get(INSTANCE_TYPE, ""),
            capacity_type=labels.get(CAPACITY_TYPE, ""),
            price=float(labels.get(INSTANCE_PRICE, 0) or 0),
            is_ready=is_condition_true(node, "Ready"),
            is_initialized=not pool or labels.get("karpenter.sh/initialized") == "true",
            is_deleting=is_deleting(node) or (claim is not None and is_deleting(claim)) or _is_disrupted(taints),
            is_protected=annotations_of(node).get(DO_NOT_DISRUPT) == "true",
            is_drifted=claim is not None and is_condition_true(claim, "Drifted"),
            nominated_until=nominated.get(name_of(node), 0.0),
            consolidatable_at=self._consolidatable_at(claim),
            created_at=parse_instant(node["metadata"].get("creationTimestamp")) or 0.0,
            expires_at=expire,
        )

    def _consolidatable_at(self, claim: Object | None) -> float:
        if claim is None:
            return math.inf
        pool = self._index.find(NODE_POOLS, "", labels_of(claim).get(NODEPOOL, ""))
        if pool is None:
            return math.inf
        wait = parse_optional_duration(pool["spec"]["disruption"]["consolidateAfter"])
        last = parse_instant((claim.get("status") or EMPTY).get("lastPodEventTime"))
        since = condition_of(claim, "Initialized").get("lastTransitionTime")
        return max(last or 0.0, parse_instant(since) or 0.0) + wait

    def _claim_view(self, claim: Object, nominated: Mapping[str, float]) -> NodeView:
        """Return a node that is being made, as pods may count on it."""
        spec, labels = claim["spec"], labels_of(claim)
        status = cast("Object", claim.get("status") or EMPTY)
        allocatable = cast("Resources", status.get("allocatable") or EMPTY)
        return NodeView(
            name_of(claim),
            read_amounts(allocatable),
            pods_max=parse_whole(allocatable.get("pods", 110)),
            labels=labels,
            taints=msgspec.convert(_plain(spec.get("taints") or []), tuple[Taint, ...]),
            pool=labels.get(NODEPOOL, ""),
            instance_type=labels.get(INSTANCE_TYPE, ""),
            capacity_type=labels.get(CAPACITY_TYPE, ""),
            price=float(labels.get(INSTANCE_PRICE, 0) or 0),
            is_ready=False,
            is_initialized=False,
            is_deleting=is_deleting(claim),
            nominated_until=nominated.get(name_of(claim), 0.0),
            created_at=parse_instant(claim["metadata"].get("creationTimestamp")) or 0.0,
        )

    def pools(self, nodes: Sequence[NodeView]) -> list[Pool]:
        """Return the node pools that can be read, with what they have already."""
        found: list[Pool] = []
        for each in self._index.all(NODE_POOLS):
            if is_deleting(each):
                continue
            try:
                manifest = cast("NodePool", read_manifest(each).manifest)
            except InvalidManifest:
                continue
            mine = [node for node in nodes if node.pool == manifest.metadata.name]
            types = self._types_for(manifest)
            capacity = {kind.name: kind.capacity for kind in types}
            in_use = Amounts()
            for node in mine:
                in_use = in_use.plus(capacity.get(node.instance_type, node.allocatable))
            found.append(Pool(manifest, types, in_use, len(mine)))
        return found

    def _types_for(self, pool: NodePool) -> tuple[InstanceType, ...]:
        reference = pool.spec.template.spec.node_class_ref
        node_class = (
            self._index.find(EC2_NODE_CLASSES, "", reference.name) if reference.kind == "EC2NodeClass" else None
        )
        if node_class is None:
            return self._types
        kubelet = cast("EC2NodeClass", read_manifest(node_class).manifest).spec.kubelet
        return tuple(with_kubelet(kind, kubelet) for kind in self._types)


def is_pending(pod: Object) -> bool:
    """Return whether a pod waits for a node."""
    return not pod["spec"].get("nodeName") and not is_deleting(pod) and phase_of(pod) == "Pending"


def budgeted_pod(pod: Object) -> BudgetedPod:
    """Return a pod as disruption budgets see it."""
    is_ready = is_condition_true(pod, "Ready") and not is_deleting(pod)
    return BudgetedPod(pod_key(pod), namespace_of(pod), labels_of(pod), is_ready)


def machine_capacity() -> dict[str, str]:
    """Return what this machine has, as a node's capacity."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    storage = os.statvfs(Path.cwd())
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{memory >> 10}Ki",
        "ephemeral-storage": f"{storage.f_frsize * storage.f_blocks >> 10}Ki",
        "pods": "110",
    }


def _is_protected(pod: Object, mark: str | None, now: float) -> bool:
    if mark is None or mark == "true":
        return mark is not None
    try:
        seconds = parse_optional_duration(mark)
    except InvalidManifest:
        return False
    started = parse_instant((pod.get("status") or EMPTY).get("startTime"))
    return started is None or now - started < seconds


def _is_disrupted(taints: Sequence[Taint]) -> bool:
    return any(taint.key == DISRUPTED for taint in taints)


def _expires_at(claim: Object) -> float:
    after = parse_optional_duration(claim["spec"].get("expireAfter") or "Never")
    return (parse_instant(claim["metadata"].get("creationTimestamp")) or 0.0) + after


def _plain(value: object) -> object:
    """Return a value without its null members."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in cast("Object", value).items() if inner is not None}
    return [_plain(inner) for inner in cast("list[object]", value)] if isinstance(value, list) else value
