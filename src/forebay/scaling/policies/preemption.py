"""Which pods make room for a more important one that fits nowhere.

As kube-scheduler's default preemption decides: on each node all less important pods are thought away, then as many as
possible are put back, those first that a PodDisruptionBudget protects, then the most important and oldest. Of the nodes
that one is taken whose victims are protected least, matter least and are fewest. Source: `pickOneNodeForPreemption`
(`pkg/scheduler/framework/preemption`).
"""

from collections.abc import Sequence

import msgspec

from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.placement import is_open_to
from forebay.scaling.policies.topology import Topology, domains


class Preemption(msgspec.Struct, frozen=True):
    """The node that a pod is nominated to, and the pods that go from it."""

    node: str
    victims: tuple[PodView, ...]


def preempt(pod: PodView, nodes: Sequence[NodeView]) -> Preemption | None:
    """Choose victims for a pod that the scheduler could not place; None where none helps, or it may not preempt."""
    if not pod.demand.preempts:
        return None
    best: tuple[tuple[float, ...], Preemption] | None = None
    for node in nodes:
        victims = _victims(pod, node, nodes)
        if victims:
            cost = _cost(victims)
            if best is None or cost < best[0]:
                best = (cost, Preemption(node.name, tuple(victims)))
    return None if best is None else best[1]


def _victims(pod: PodView, node: NodeView, nodes: Sequence[NodeView]) -> list[PodView]:
    """Return the pods of a node that must go, or none where that does not help."""
    lesser = [other for other in node.pods if other.demand.priority < pod.demand.priority]
    if not lesser or not is_open_to(pod.demand, node):
        return []
    spared = {other.name for other in lesser}
    kept = [other for other in node.pods if other.name not in spared]
    if not _fits(pod, node, kept, nodes):
        return []
    victims: list[PodView] = []
    # Those that budgets protect are put back first, then the more important, then the older.
    for other in sorted(lesser, key=lambda p: (p.is_evictable, -p.demand.priority, p.created_at)):
        if _fits(pod, node, [*kept, other], nodes):
            kept.append(other)
        else:
            victims.append(other)
    return victims


def _fits(pod: PodView, node: NodeView, pods: Sequence[PodView], nodes: Sequence[NodeView]) -> bool:
    # What the node's keeper counts beside its pods (daemons) stays.
    beside = node.allocatable.plus(node.free, -1)
    for other in node.pods:
        beside = beside.plus(other.demand.requests, -1)
    used = beside
    for other in pods:
        used = used.plus(other.demand.requests)
    changed = msgspec.structs.replace(node, pods=tuple(pods), used=used)
    if changed.room_for(pod.demand) < 1:
        return False
    if not pod.demand.has_topology and not any(demand.anti_affinity for demand in changed.demands):
        return True
    others = [changed if each is node else each for each in nodes]
    eligible: dict[str, set[str]] = {}
    for constraint in pod.demand.spread:
        key = constraint.topology_key
        found = (domains(each)(key) for each in others if is_open_to(pod.demand, each))
        eligible[key] = {domain for domain in found if domain is not None}
    return Topology(others).obstacle(pod.demand, domains(changed), eligible) is None


def _cost(victims: Sequence[PodView]) -> tuple[float, ...]:
    priorities = [victim.demand.priority for victim in victims]
    most = max(priorities)
    youngest = min(victim.created_at for victim in victims if victim.demand.priority == most)
    protected = sum(1 for victim in victims if not victim.is_evictable)
    # The earliest start of the most important victims, the later the better.
    return protected, most, sum(priorities), len(victims), -youngest
