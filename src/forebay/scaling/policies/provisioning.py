"""Karpenter's provisioner: on which nodes pending pods will run, and which new nodes are made for them.

Order and rules are those of karpenter v1.14 (`pkg/controllers/provisioning/scheduling`): pods by CPU, memory, age and
name; for each the nodes there are, then the nodes of this round with fewest pods first, then a new one from the pools
by weight. Equal pods go in one step, which changes nothing but the time it takes.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from forebay.scaling.policies.demand import Demand, relaxed, untolerated
from forebay.scaling.policies.instance_types import InstanceType, Offering
from forebay.scaling.policies.node import NodeView, PodView
from forebay.scaling.policies.nodepools import Pool, sells
from forebay.scaling.policies.requirements import (
    CAPACITY_TYPE,
    HOSTNAME,
    NODEPOOL,
    Requirements,
    ValueSet,
    conflict,
    matches_labels,
    merged,
    read_requirements,
)
from forebay.scaling.policies.topology import Topology, domains

# Types that a claim is launched with; the cloud picks among them.
LAUNCH_TYPES_MAX = 600
# How long a node is kept for the pods it was chosen for: max(2 x batch maximum, 10 s).
NOMINATION_SECONDS = 20.0


class NewNode(msgspec.Struct, frozen=True):
    """A node to be made: its pool, the types it may be of (cheapest first), and the pods it is for."""

    pool: str
    types: tuple[InstanceType, ...]
    requirements: Requirements
    pods: tuple[PodView, ...]

    def choice(self) -> tuple[InstanceType, Offering]:
        """Return the cheapest offering of all, as kwok launches it."""
        offers = [(kind, kind.cheapest(self.requirements)) for kind in self.types]
        known = [(kind, offering) for kind, offering in offers if offering is not None]
        return min(known, key=lambda pair: pair[1].price)

    @property
    def price(self) -> float:
        """What the cheapest choice costs an hour."""
        return self.choice()[1].price


class ProvisioningPlan(msgspec.Struct, frozen=True):
    """What a round decides: pods that existing nodes will take, nodes to make, and pods that nothing takes."""

    nominations: Mapping[str, str]
    new_nodes: tuple[NewNode, ...]
    unschedulable: Mapping[str, str]


class _Claim:
    """A node of this round while pods are added."""

    def __init__(self, index: int, pool: Pool, types: Sequence[InstanceType], requirements: Requirements) -> None:
        self.index = index
        self.pool = pool
        self.types = list(types)
        self.requirements = requirements
        self.used = pool.daemon_overhead
        self.count = pool.daemon_pods
        self.pods: list[PodView] = []
        self.merged = set[int]()

    def narrowed(self, demand: Demand) -> Requirements | None:
        """Return the requirements with a pod's own, or None where they conflict."""
        if id(demand) in self.merged:
            return self.requirements
        wanted = _wanted(demand)
        if conflict(self.requirements, wanted) is not None:
            return None
        return merged(self.requirements, wanted)

    def room_for(self, demand: Demand, requirements: Requirements) -> int:
        """Return how many pods of a kind fit on the largest type that is still possible."""
        types = self.types if requirements is self.requirements else [k for k in self.types if sells(k, requirements)]
        return max((self._room_on(kind, demand) for kind in types), default=0)

    def add(self, pods: Sequence[PodView], demand: Demand, requirements: Requirements) -> None:
        """Add equal pods and drop the types that have become too small."""
        if requirements is not self.requirements:
            self.types = [kind for kind in self.types if sells(kind, requirements)]
            self.requirements = requirements
        self.types = [kind for kind in self.types if self._room_on(kind, demand) >= len(pods)]
        self.merged.add(id(demand))
        self.used = self.used.plus(demand.requests, len(pods))
        self.count += len(pods)
        self.pods += pods

    def _room_on(self, kind: InstanceType, demand: Demand) -> int:
        free = kind.allocatable.plus(self.used, -1)
        return max(0, min(kind.pods_max - self.count, free.room_for(demand.requests)))


class _Spot:
    """An existing node while pods are added."""

    __slots__ = ("free", "free_pods", "node")

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self.free = node.free
        self.free_pods = node.free_pods

    def room_for(self, demand: Demand) -> int:
        """Return how many pods of a kind fit."""
        return max(0, min(self.free_pods, self.free.room_for(demand.requests)))

    def take(self, demand: Demand, count: int) -> None:
        """Add equal pods."""
        self.free = self.free.plus(demand.requests, -count)
        self.free_pods -= count


class _Round:
    """The working state of one scheduling simulation."""

    def __init__(self, nodes: Sequence[NodeView], pools: Sequence[Pool], settling: frozenset[str]) -> None:
        ordered = sorted(nodes, key=lambda node: (not node.is_initialized, node.name))
        self.spots = [_Spot(node) for node in ordered]
        # Weight descending, and equal weights by name descending.
        self.pools = sorted(sorted(pools, key=lambda p: p.name, reverse=True), key=lambda p: -p.manifest.spec.weight)
        self.limits = {pool.name: pool.limits for pool in pools}
        self.claims: list[_Claim] = []
        self.nominations = dict[str, str]()
        self._settling = settling
        self.topology = Topology(ordered)
        self._guarded = any(demand.anti_affinity for node in ordered for demand in node.demands)
        self._templates = dict[tuple[str, int], tuple[Requirements, list[InstanceType]] | None]()

    def schedule(self, run: Sequence[PodView], demand: Demand) -> Sequence[PodView]:
        """Place equal pods, `demand` being theirs or a relaxed one; return those for which there is no room."""
        if demand.has_topology or self._guarded:
            return [pod for pod in run if not self._one(pod, demand)]
        left = self._on_existing(run, demand)
        left = self._on_claims(left, demand)
        while left:
            opened = self._open(demand, None)
            if opened is None:
                return left
            count = min(len(left), opened.room_for(demand, opened.requirements))
            self._add(opened, left[:count], demand, opened.requirements)
            left = left[count:]
        return left

    def _on_existing(self, run: Sequence[PodView], demand: Demand) -> Sequence[PodView]:
        wanted = _wanted(demand)
        for spot in self.spots:
            if not run:
                break
            count = min(len(run), spot.room_for(demand))
            if count and self._takes(spot, run[0]) and may_run(demand, spot.node, wanted):
                self._settle(spot, run[:count], demand)
                run = run[count:]
        return run

    def _takes(self, spot: _Spot, pod: PodView) -> bool:
        return not pod.is_moved or spot.node.name not in self._settling

    def _settle(self, spot: _Spot, pods: Sequence[PodView], demand: Demand) -> None:
        spot.take(demand, len(pods))
        for pod in pods:
            self.nominations[pod.name] = spot.node.name
            self.topology.record(demand, domains(spot.node))

    def _on_claims(self, run: Sequence[PodView], demand: Demand) -> Sequence[PodView]:
        """Fill the claims of this round, always the one with fewest pods."""
        heap: list[tuple[int, int, int]] = []
        narrowed = dict[int, Requirements]()
        for claim in self.claims:
            wanted = (
                claim.narrowed(demand) if untolerated(demand, claim.pool.taints, preferences=True) is None else None
            )
            room = claim.room_for(demand, wanted) if wanted is not None else 0
            if wanted is not None and room:
                narrowed[claim.index] = wanted
                heap.append((len(claim.pods), claim.index, room))
        heapq.heapify(heap)
        added: dict[int, list[PodView]] = {}
        for index, pod in enumerate(run):
            if not heap:
                run = run[index:]
                break
            count, at, room = heap[0]
            added.setdefault(at, []).append(pod)
            if room > 1:
                heapq.heapreplace(heap, (count + 1, at, room - 1))
            else:
                heapq.heappop(heap)
        else:
            run = []
        for at, pods in added.items():
            self._add(self.claims[at], pods, demand, narrowed[at])
        return run

    def _add(self, claim: _Claim, pods: Sequence[PodView], demand: Demand, requirements: Requirements) -> None:
        is_first = not claim.pods
        claim.add(pods, demand, requirements)
        for _ in pods:
            self.topology.record(demand, _domains_of(claim, claim.requirements))
        if is_first:
            self.limits[claim.pool.name] = self.limits[claim.pool.name].after(claim.types)

    def _open(self, demand: Demand, extra: "_Extra | None") -> _Claim | None:
        """Open a claim of the first pool that has a type for a pod."""
        for pool in self.pools:
            template = self._template(pool, demand)
            if template is None:
                continue
            requirements, types = template
            limits = self.limits[pool.name]
            claim = _Claim(len(self.claims), pool, [kind for kind in types if limits.allows(kind)], requirements)
            narrowed = extra(claim) if extra else claim.requirements
            if narrowed is not None and claim.room_for(demand, narrowed) and _is_varied(claim, pool):
                self.claims.append(claim)
                return claim
        return None

    def _template(self, pool: Pool, demand: Demand) -> tuple[Requirements, list[InstanceType]] | None:
        key = (pool.name, id(demand))
        if key not in self._templates:
            self._templates[key] = _template(pool, demand)
        return self._templates[key]

    def _one(self, pod: PodView, demand: Demand) -> bool:
        """Place one pod whose place depends on others'."""
        eligible = self._eligible(demand)
        for spot in self.spots:
            fits = spot.room_for(demand) and self._takes(spot, pod) and may_run(demand, spot.node)
            if fits and self.topology.obstacle(demand, domains(spot.node), eligible) is None:
                self._settle(spot, [pod], demand)
                return True

        def chosen(claim: _Claim) -> Requirements | None:
            return self._domain(claim, demand, eligible)

        for claim in sorted(self.claims, key=lambda claim: (len(claim.pods), claim.index)):
            bears = untolerated(demand, claim.pool.taints, preferences=True) is None
            narrowed = chosen(claim) if bears else None
            if narrowed is not None and claim.room_for(demand, narrowed):
                self._add(claim, [pod], demand, narrowed)
                return True
        opened = self._open(demand, chosen)
        if opened is None:
            return False
        narrowed = chosen(opened)
        if narrowed is None:
            return False
        self._add(opened, [pod], demand, narrowed)
        return True

    def _eligible(self, demand: Demand) -> dict[str, set[str]]:
        """Return the domains of spread keys: those of nodes, and those that pools could still make."""
        found: dict[str, set[str]] = {constraint.topology_key: set() for constraint in demand.spread}
        for key, known in found.items():
            if key == HOSTNAME:
                continue
            known.update(d for spot in self.spots if may_run(demand, spot.node) and (d := domains(spot.node)(key)))
            for pool in self.pools:
                template = self._template(pool, demand)
                for kind in template[1] if template else ():
                    known.update(
                        v
                        for v in kind.requirements.get(key, ValueSet()).values
                        if template and _open_to(template[0], key, v)
                    )
        return found

    def _domain(self, claim: _Claim, demand: Demand, eligible: Mapping[str, set[str]]) -> Requirements | None:
        """Return a claim's requirements narrowed to domains in which a pod may run, the emptiest first."""
        narrowed = claim.narrowed(demand)
        if narrowed is None:
            return None
        for key in self._keys(demand):
            if key == HOSTNAME or _single(narrowed, key) is not None:
                continue
            options = {v for kind in claim.types for v in kind.requirements.get(key, ValueSet()).values}
            options = {value for value in options if _open_to(narrowed, key, value)}
            narrowed = self._pick(claim, demand, narrowed, key, sorted(options), eligible)
            if narrowed is None:
                return None
        return narrowed if self.topology.obstacle(demand, _domains_of(claim, narrowed), eligible) is None else None

    def _pick(
        self,
        claim: _Claim,
        demand: Demand,
        narrowed: Requirements,
        key: str,
        options: Sequence[str],
        eligible: Mapping[str, set[str]],
    ) -> Requirements | None:
        best: tuple[int, Requirements] | None = None
        for value in options:
            tried = merged(narrowed, {key: ValueSet(frozenset({value}))})
            if self.topology.obstacle(demand, _domains_of(claim, tried), eligible) is None:
                count = sum(
                    self.topology.counts(c, key, c.label_selector, (demand.namespace,)).get(value, 0)
                    for c in demand.spread
                    if c.topology_key == key
                )
                if best is None or count < best[0]:
                    best = (count, tried)
        return None if best is None else best[1]

    @staticmethod
    def _keys(demand: Demand) -> list[str]:
        spread = [c.topology_key for c in demand.spread]
        return [*spread, *(term.topology_key for term in (*demand.affinity, *demand.anti_affinity))]


_Extra = Callable[[_Claim], Requirements | None]


def provision(
    pods: Iterable[PodView],
    nodes: Sequence[NodeView],
    pools: Sequence[Pool],
    settling: frozenset[str] = frozenset(),
) -> ProvisioningPlan:
    """Plan a round for pods that the scheduler could not place.

    `nodes` are those that stay, also those still being made; nodes that are going away must not be among them.
    `settling` names those that are not quiet for long enough yet: they take pods that wait, but none that are moved.
    """
    state = _Round(nodes, pools, settling)
    waiting: list[tuple[list[PodView], Demand]] = [
        (run, run[0].demand) for run in _runs(sorted(pods, key=_queue_order))
    ]
    unschedulable = dict[str, str]()
    progress = True
    while waiting and progress:
        # A round without progress ends it: what has failed may fit once others are placed or preferences relaxed.
        progress, again = False, list[tuple[list[PodView], Demand]]()
        for run, demand in waiting:
            left = list(state.schedule(run, demand))
            progress = progress or len(left) < len(run)
            if left:
                easier = relaxed(demand)
                progress = progress or easier is not None
                again.append((left, easier or demand))
        waiting = again
    for run, demand in waiting:
        unschedulable.update(dict.fromkeys((pod.name for pod in run), _reason(demand, state)))
    return ProvisioningPlan(state.nominations, tuple(_finished(claim) for claim in state.claims), unschedulable)


def _queue_order(pod: PodView) -> tuple[int, int, float, str]:
    return -pod.demand.requests.cpu_milli, -pod.demand.requests.memory_bytes, pod.created_at, pod.name


def _runs(pods: Iterable[PodView]) -> list[list[PodView]]:
    found: list[list[PodView]] = []
    for pod in pods:
        if found and found[-1][0].demand is pod.demand and found[-1][0].is_moved == pod.is_moved:
            found[-1].append(pod)
        else:
            found.append([pod])
    return found


def may_run(demand: Demand, node: NodeView, wanted: Requirements | None = None) -> bool:
    """Tell whether a pod may run on a node with enough room; `wanted` saves working out what it asks of labels."""
    if node.is_unschedulable or node.is_deleting:
        return False
    if untolerated(demand, node.taints, preferences=True) is not None:
        return False
    return matches_labels(node.labels, _wanted(demand) if wanted is None else wanted)


def _wanted(demand: Demand) -> Requirements:
    """Return what is asked of labels: the first required term, and the heaviest preference as if it were required."""
    wanted = demand.alternatives[0]
    if demand.preferred:
        heaviest = max(demand.preferred, key=lambda term: term.weight)
        wanted = merged(wanted, read_requirements(heaviest.expressions))
    return wanted


def _template(pool: Pool, demand: Demand) -> tuple[Requirements, list[InstanceType]] | None:
    if untolerated(demand, pool.taints, preferences=True) is not None:
        return None
    wanted = _wanted(demand)
    if conflict(pool.requirements, wanted) is not None:
        return None
    requirements = merged(pool.requirements, wanted)
    return requirements, [kind for kind in pool.compatible_types if sells(kind, requirements)]


def _is_varied(claim: _Claim, pool: Pool) -> bool:
    """Tell whether the types left satisfy every `minValues` of the pool (policy Strict)."""
    for requirement in pool.manifest.spec.template.spec.requirements:
        if requirement.min_values is not None:
            known = {v for kind in claim.types for v in kind.requirements.get(requirement.key, ValueSet()).values}
            if len(known) < requirement.min_values:
                return False
    return True


def _finished(claim: _Claim) -> NewNode:
    priced = [(offer.price, kind.name, kind) for kind in claim.types if (offer := kind.cheapest(claim.requirements))]
    ordered = sorted(priced, key=lambda entry: entry[:2])
    types = tuple(kind for _, _, kind in ordered[:LAUNCH_TYPES_MAX])
    return NewNode(claim.pool.name, types, claim.requirements, tuple(claim.pods))


def _reason(demand: Demand, state: _Round) -> str:
    """Say why no pool takes a pod, one clause a pool as Karpenter's events have them."""
    if not state.pools:
        return "no nodepools found"
    return "; ".join(
        f'incompatible with nodepool "{pool.name}", {_obstacle(demand, pool, state)}' for pool in state.pools
    )


def _obstacle(demand: Demand, pool: Pool, state: _Round) -> str:
    taint = untolerated(demand, pool.taints)
    if taint is not None:
        return f"did not tolerate taint (taint={taint.key}={taint.value}:{taint.effect})"
    wanted = _wanted(demand)
    key = conflict(pool.requirements, wanted)
    if key is not None:
        return f'incompatible requirements, label "{key}" does not have a value that suits both'
    types = [kind for kind in pool.compatible_types if sells(kind, merged(pool.requirements, wanted))]
    if types and not any(state.limits[pool.name].allows(kind) for kind in types):
        return "all available instance types exceed limits for nodepool"
    if not any(_Claim(0, pool, [kind], {}).room_for(demand, {}) for kind in types):
        return "no instance type has enough resources"
    return "no instance type satisfied the topology of the pod"


def _open_to(requirements: Requirements, key: str, value: str) -> bool:
    found = requirements.get(key)
    return found is None or found.has(value)


def _single(requirements: Requirements, key: str) -> str | None:
    found = requirements.get(key)
    if found is None or found.is_complement or len(found.values) != 1:
        return None
    return next(iter(found.values))


def _domains_of(claim: _Claim, requirements: Requirements) -> Callable[[str], str | None]:
    def domain_of(key: str) -> str | None:
        return f"claim-{claim.index}" if key == HOSTNAME else _single(requirements, key)

    return domain_of


def node_labels(node: NewNode, kind: InstanceType, offering: Offering, pool: Pool) -> dict[str, str]:
    """Return the labels that a node bears once it is launched."""
    found = {key: next(iter(v.values)) for key, v in kind.requirements.items() if len(v.values) == 1}
    single = {key: _single(node.requirements, key) for key in node.requirements}
    found.update({key: value for key, value in single.items() if value is not None})
    found.update({key: next(iter(v.values)) for key, v in offering.requirements.items()})
    found.update(pool.manifest.spec.template.metadata.labels)
    return {**found, NODEPOOL: pool.name, CAPACITY_TYPE: found.get(CAPACITY_TYPE, "on-demand")}
