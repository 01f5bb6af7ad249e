"""The scheduler: which pending pod is bound to which node, and in whose words it is not.

Filters and scores are the default profile's of kube-scheduler, as far as nodes without volumes need them. Equal pods
without ties to others are placed by a heap of scores, so that ten thousand of them on a thousand nodes are quick. Where
scores are even Kubernetes chooses at random; here the first node in the given order is taken.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from forebay.scaling.policies.demand import Demand, untolerated
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.requirements import matches_labels, read_requirements
from forebay.scaling.policies.resources import Amounts, lacking
from forebay.scaling.policies.topology import Topology, domains

_WEIGHT_NODE_AFFINITY = 2
_WEIGHT_SPREAD = 2
_WEIGHT_POD_AFFINITY = 2
_WEIGHT_TAINTS = 3


class Placements(msgspec.Struct, frozen=True):
    """Pods that are bound to nodes, and messages about those that are not; both by the pods' names."""

    bound: Mapping[str, str]
    unschedulable: Mapping[str, str]


class _Room:
    """What is left of a node while pods are placed."""

    __slots__ = ("cpu_used", "free", "free_pods", "index", "memory_used", "node")

    def __init__(self, index: int, node: NodeView) -> None:
        self.index = index
        self.node = node
        self.free = node.free
        self.free_pods = node.free_pods
        self.cpu_used, self.memory_used = node.scored

    def fits(self, requests: Amounts) -> bool:
        """Tell whether one more pod fits."""
        return self.free_pods > 0 and self.free.room_for(requests) > 0

    def take(self, demand: Demand) -> None:
        """Place a pod here."""
        self.free = self.free.plus(demand.requests, -1)
        self.free_pods -= 1
        self.cpu_used += demand.scored[0]
        self.memory_used += demand.scored[1]

    def score(self, demand: Demand) -> float:
        """Return LeastAllocated and BalancedAllocation, each 0 to 100, for one more pod."""
        allocatable = self.node.allocatable
        cpu = _share(self.cpu_used + demand.scored[0], allocatable.cpu_milli)
        memory = _share(self.memory_used + demand.scored[1], allocatable.memory_bytes)
        least = ((1 - cpu) * 100 + (1 - memory) * 100) // 2
        return least + (1 - abs(cpu - memory) / 2) * 100 // 1


def place(pods: Sequence[PodView], nodes: Sequence[NodeView], *, explains: bool = True) -> Placements:
    """Place pods by priority, then in the given order; without `explains` the messages are left empty."""
    rooms = [_Room(index, node) for index, node in enumerate(nodes)]
    topology = Topology(nodes)
    bound, unschedulable = dict[str, str](), dict[str, str]()
    for run in _runs(sorted(pods, key=lambda pod: -pod.demand.priority)):
        demand = run[0].demand
        fitting, reasons = _filtered(demand, rooms)
        # Where pods' topology matters to anyone on these nodes, each pod is looked at by itself.
        matters = demand.has_topology or any(demand.anti_affinity for node in nodes for demand in node.demands)
        placed = _each(run, fitting, topology) if matters else _alike(run, fitting, topology)
        bound.update(placed)
        left = [pod.name for pod in run if pod.name not in placed]
        if left:
            unschedulable.update(dict.fromkeys(left, _message(demand, rooms, reasons, topology) if explains else ""))
    return Placements(bound, unschedulable)


def _runs(pods: Iterable[PodView]) -> list[list[PodView]]:
    found: list[list[PodView]] = []
    for pod in pods:
        if found and found[-1][0].demand is pod.demand:
            found[-1].append(pod)
        else:
            found.append([pod])
    return found


def _filtered(demand: Demand, rooms: Sequence[_Room]) -> tuple[list[_Room], Counter[str]]:
    """Return the nodes that a pod may run on were they empty, and how many fail each other filter."""
    fitting: list[_Room] = []
    reasons = Counter[str]()
    for room in rooms:
        reason = _forbidden(demand, room.node)
        if reason is None:
            fitting.append(room)
        else:
            reasons[reason] += 1
    return fitting, reasons


def is_open_to(demand: Demand, node: NodeView) -> bool:
    """Tell whether a pod may run on a node were it empty."""
    return _forbidden(demand, node) is None


def _forbidden(demand: Demand, node: NodeView) -> str | None:
    if node.is_unschedulable or node.is_deleting:
        return "node(s) were unschedulable"
    if not node.is_ready:
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    taint = untolerated(demand, node.taints)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
    if not any(matches_labels(node.labels, wanted) for wanted in demand.alternatives):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def _alike(run: Sequence[PodView], rooms: Sequence[_Room], topology: Topology) -> dict[str, str]:
    """Place equal pods: only the node that has just got one has a new score."""
    demand = run[0].demand
    extra = _preferences(demand, rooms)
    heap = [
        (-(room.score(demand) + extra[room.index]), room.index, room) for room in rooms if room.fits(demand.requests)
    ]
    heapq.heapify(heap)
    bound = dict[str, str]()
    for pod in run:
        if not heap:
            break
        _, index, room = heap[0]
        room.take(demand)
        bound[pod.name] = room.node.name
        if topology.is_watched:
            topology.record(demand, domains(room.node))
        if room.fits(demand.requests):
            heapq.heapreplace(heap, (-(room.score(demand) + extra[index]), index, room))
        else:
            heapq.heappop(heap)
    return bound


def _each(run: Sequence[PodView], rooms: Sequence[_Room], topology: Topology) -> dict[str, str]:
    """Place pods one by one, each looking at where the others are."""
    demand = run[0].demand
    eligible = _eligible(demand, rooms)
    extra = _preferences(demand, rooms)
    bound = dict[str, str]()
    for pod in run:
        options = [
            room
            for room in rooms
            if room.fits(demand.requests) and topology.obstacle(demand, domains(room.node), eligible) is None
        ]
        if not options:
            break
        liked = _liked(demand, options, topology)
        best = max(options, key=lambda room: (room.score(demand) + extra[room.index] + liked[room.index], -room.index))
        best.take(demand)
        topology.record(demand, domains(best.node))
        bound[pod.name] = best.node.name
    return bound


def _eligible(demand: Demand, rooms: Sequence[_Room]) -> dict[str, set[str]]:
    keys = {constraint.topology_key for constraint in demand.spread}
    found: dict[str, set[str]] = {key: set() for key in keys}
    for room in rooms:
        domain_of = domains(room.node)
        for key in keys:
            domain = domain_of(key)
            if domain is not None:
                found[key].add(domain)
    return found


def _preferences(demand: Demand, rooms: Sequence[_Room]) -> dict[int, float]:
    """Return what preferred node affinity and `PreferNoSchedule` taints add to scores, normalised over the nodes."""
    found = {room.index: 0.0 for room in rooms}
    if demand.preferred:
        terms = [(term.weight, read_requirements(term.expressions)) for term in demand.preferred]
        weights = {
            room.index: sum(weight for weight, wanted in terms if matches_labels(room.node.labels, wanted))
            for room in rooms
        }
        _add(found, weights, _WEIGHT_NODE_AFFINITY)
    avoided = {
        room.index: sum(1 for taint in room.node.taints if untolerated(demand, (taint,), preferences=True))
        for room in rooms
        if room.node.taints
    }
    if any(avoided.values()):
        most = max(avoided.values())
        for index in found:
            found[index] += _WEIGHT_TAINTS * 100 * (1 - avoided.get(index, 0) / most)
    return found


def _liked(demand: Demand, rooms: Sequence[_Room], topology: Topology) -> dict[int, float]:
    """Return what preferred pod affinity and `ScheduleAnyway` spread add to scores."""
    found = {room.index: 0.0 for room in rooms}
    weights = dict.fromkeys(found, 0.0)
    signed = [(term, 1) for term in demand.preferred_affinity] + [(term, -1) for term in demand.preferred_anti_affinity]
    for term, sign in signed:
        inner = term.pod_affinity_term
        counts = topology.counts(
            inner, inner.topology_key, inner.label_selector, inner.namespaces or (demand.namespace,)
        )
        for room in rooms:
            weights[room.index] += sign * term.weight * counts.get(domains(room.node)(inner.topology_key) or "", 0)
    _add(found, weights, _WEIGHT_POD_AFFINITY)
    crowded = dict.fromkeys(found, 0.0)
    for constraint in demand.spread:
        if constraint.when_unsatisfiable == "ScheduleAnyway":
            counts = topology.counts(
                constraint, constraint.topology_key, constraint.label_selector, (demand.namespace,)
            )
            for room in rooms:
                crowded[room.index] -= counts.get(domains(room.node)(constraint.topology_key) or "", 0)
    _add(found, crowded, _WEIGHT_SPREAD)
    return found


def _add(scores: dict[int, float], raw: Mapping[int, float], weight: int) -> None:
    """Add raw scores, normalised to 0..100 over the nodes."""
    least, most = min(raw.values(), default=0), max(raw.values(), default=0)
    if most > least:
        for index, value in raw.items():
            scores[index] += weight * 100 * (value - least) / (most - least)


def _message(demand: Demand, rooms: Sequence[_Room], reasons: Mapping[str, int], topology: Topology) -> str:
    """Return the message of a `FailedScheduling` event and of the condition `PodScheduled`."""
    if not rooms:
        return "no nodes available to schedule pods"
    counted = Counter(reasons)
    eligible = _eligible(demand, [room for room in rooms if _forbidden(demand, room.node) is None])
    for room in rooms:
        if _forbidden(demand, room.node) is not None:
            continue
        short = lacking(room.free, demand.requests) + (["Too many pods"] if room.free_pods < 1 else [])
        obstacle = None if short else topology.obstacle(demand, domains(room.node), eligible)
        counted.update(short or ([obstacle] if obstacle else []))
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
    hopeless = sum(reasons.values())
    parts = [f"{hopeless} Preemption is not helpful for scheduling"] if hopeless else []
    parts += [f"{len(rooms) - hopeless} No preemption victims found for incoming pod"] if hopeless < len(rooms) else []
    available = f"0/{len(rooms)} nodes are available: "
    return f"{available}{listed}. preemption: {available}{', '.join(parts)}."


def _share(used: int, of: int) -> float:
    return min(1.0, used / of) if of else 1.0
