"""How pods are spread over domains (zones, nodes): counts that placing pods changes as it goes.

The counts live as long as one decision. Spread constraints, affinity and anti-affinity among pods, and host ports are
all questions to them.
"""

from collections.abc import Callable, Iterable, Mapping

from forebay.scaling.manifests.meta import LabelSelector
from forebay.scaling.manifests.pods import PodAffinityTerm, TopologySpreadConstraint
from forebay.scaling.policies.demand import Demand
from forebay.scaling.policies.node import NodeView
from forebay.scaling.policies.requirements import HOSTNAME

# Tells the domain of a node to be for a topology key, or None where it is open.
DomainOf = Callable[[str], str | None]

_Counted = tuple[str, LabelSelector | None, tuple[str, ...]]


class Topology:
    """Counts of pods in domains, made when first asked for."""

    def __init__(self, nodes: Iterable[NodeView]) -> None:
        self._nodes = list(nodes)
        self._counts = dict[int, tuple[_Counted, dict[str, int]]]()
        self._placed = list[tuple[Demand, DomainOf]]()
        # Anti-affinity holds both ways: terms of pods that are already there keep others away.
        self._guards = list[tuple[PodAffinityTerm, str, DomainOf]]()
        self._ports = dict[str, set[int]]()
        for node in self._nodes:
            for demand in node.demands:
                if demand.has_topology:
                    self._guard(demand, domains(node))

    @property
    def is_watched(self) -> bool:
        """Whether any count has been asked for, so that it must be kept up."""
        return bool(self._counts) or bool(self._guards)

    def record(self, demand: Demand, domain_of: DomainOf) -> None:
        """Count one more pod."""
        self._placed.append((demand, domain_of))
        for (key, selector, namespaces), counts in self._counts.values():
            domain = domain_of(key)
            if domain is not None and _selected(demand, selector, namespaces):
                counts[domain] = counts.get(domain, 0) + 1
        if demand.has_topology:
            self._guard(demand, domain_of)

    def obstacle(self, demand: Demand, domain_of: DomainOf, eligible: Mapping[str, set[str]]) -> str | None:
        """Return why a pod may not go where these domains are, in the scheduler's words, or None.

        `eligible` are the domains a key has among nodes that the pod may run on.
        """
        if demand.host_ports and self._ports.get(domain_of(HOSTNAME) or "", set()) & set(demand.host_ports):
            return "node(s) didn't have free ports for the requested pod ports"
        for term, namespace, guard_of in self._guards:
            here = domain_of(term.topology_key)
            mine = _selected(demand, term.label_selector, term.namespaces or (namespace,))
            if mine and here is not None and here == guard_of(term.topology_key):
                return "node(s) didn't satisfy existing pods anti-affinity rules"
        for constraint in demand.spread:
            if constraint.when_unsatisfiable == "DoNotSchedule" and not self.spreads(
                demand, constraint, domain_of(constraint.topology_key), eligible
            ):
                return "node(s) didn't match pod topology spread constraints"
        return self._affinity_obstacle(demand, domain_of)

    def spreads(
        self,
        demand: Demand,
        constraint: TopologySpreadConstraint,
        domain: str | None,
        eligible: Mapping[str, set[str]],
    ) -> bool:
        """Tell whether one more pod in a domain keeps the skew within its bound."""
        if domain is None:
            return False
        counts = self.counts(constraint, constraint.topology_key, constraint.label_selector, (demand.namespace,))
        known = eligible.get(constraint.topology_key, set())
        least = min((counts.get(other, 0) for other in known), default=0)
        if constraint.min_domains is not None and len(known) < constraint.min_domains:
            least = 0
        own = _selected(demand, constraint.label_selector, (demand.namespace,))
        return counts.get(domain, 0) + own - least <= constraint.max_skew

    def counts(
        self, owner: object, key: str, selector: LabelSelector | None, namespaces: tuple[str, ...]
    ) -> dict[str, int]:
        """Return pods by domain for what a constraint or term selects."""
        found = self._counts.get(id(owner))
        if found is not None:
            return found[1]
        counts = dict[str, int]()
        for node in self._nodes:
            domain = domains(node)(key)
            if domain is not None:
                counts[domain] = counts.get(domain, 0) + sum(
                    1 for pod in node.pods if _selected(pod.demand, selector, namespaces)
                )
        for demand, domain_of in self._placed:
            domain = domain_of(key)
            if domain is not None and _selected(demand, selector, namespaces):
                counts[domain] = counts.get(domain, 0) + 1
        self._counts[id(owner)] = ((key, selector, namespaces), counts)
        return counts

    def _affinity_obstacle(self, demand: Demand, domain_of: DomainOf) -> str | None:
        for term in demand.anti_affinity:
            counts = self._of_term(demand, term)
            if counts.get(domain_of(term.topology_key) or "", 0):
                return "node(s) didn't match pod anti-affinity rules"
        for term in demand.affinity:
            counts = self._of_term(demand, term)
            first = not any(counts.values()) and _selected(
                demand, term.label_selector, term.namespaces or (demand.namespace,)
            )
            domain = domain_of(term.topology_key)
            if domain is None or not (counts.get(domain, 0) or first):
                return "node(s) didn't match pod affinity rules"
        return None

    def _of_term(self, demand: Demand, term: PodAffinityTerm) -> dict[str, int]:
        namespaces = term.namespaces or (demand.namespace,)
        return self.counts(term, term.topology_key, term.label_selector, namespaces)

    def _guard(self, demand: Demand, domain_of: DomainOf) -> None:
        self._guards += [(term, demand.namespace, domain_of) for term in demand.anti_affinity]
        if demand.host_ports:
            self._ports.setdefault(domain_of(HOSTNAME) or "", set()).update(demand.host_ports)


def domains(node: NodeView) -> DomainOf:
    """Return a node's domains: its labels, and its name where it has no hostname label."""

    def domain_of(key: str) -> str | None:
        return node.labels.get(key, node.name if key == HOSTNAME else None)

    return domain_of


def _selected(demand: Demand, selector: LabelSelector | None, namespaces: tuple[str, ...]) -> bool:
    return selector is not None and demand.namespace in namespaces and selector.matches(demand.labels)
