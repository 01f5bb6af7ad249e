"""What a pod asks of the node that it runs on, read once for all pods of the same template.

Pods of one template share one `Demand` object: placing many equal pods then costs hardly more than placing one.
"""

from collections.abc import Mapping
from functools import cached_property

import msgspec

from forebay.scaling.manifests.meta import SelectorRequirement
from forebay.scaling.manifests.pods import (
    PodAffinityTerm,
    PodSpec,
    Taint,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodTerm,
)
from forebay.scaling.policies.requirements import Requirements, merged, read_requirements
from forebay.scaling.policies.resources import Amounts, pod_requests

# What a pod without a request counts as, in scores only (`non_zero.go` of the scheduler).
_UNASKED_CPU_MILLI = 100
_UNASKED_MEMORY_BYTES = 200 << 20


class PreferredTerm(msgspec.Struct, frozen=True):
    """A node affinity term that is better kept than not."""

    weight: int
    expressions: tuple[SelectorRequirement, ...]


class Demand(msgspec.Struct, frozen=True, dict=True, eq=False):
    """Everything about a pod that decides where it may run. Compared by identity."""

    requests: Amounts
    labels: Mapping[str, str] = {}
    namespace: str = "default"
    priority: int = 0
    selector: Mapping[str, str] = {}
    # Terms of which one must hold; none at all is no condition.
    terms: tuple[tuple[SelectorRequirement, ...], ...] = ()
    preferred: tuple[PreferredTerm, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    spread: tuple[TopologySpreadConstraint, ...] = ()
    affinity: tuple[PodAffinityTerm, ...] = ()
    anti_affinity: tuple[PodAffinityTerm, ...] = ()
    preferred_affinity: tuple[WeightedPodTerm, ...] = ()
    preferred_anti_affinity: tuple[WeightedPodTerm, ...] = ()
    host_ports: tuple[int, ...] = ()
    tolerates_preferences: bool = False
    # Whether less important pods may be taken away for it.
    preempts: bool = True

    @cached_property
    def alternatives(self) -> tuple[Requirements, ...]:
        """The requirements on labels, one for each term of which one must hold."""
        base = read_requirements((), self.selector)
        if not self.terms:
            return (base,)
        return tuple(merged(base, read_requirements(term)) for term in self.terms)

    @cached_property
    def has_topology(self) -> bool:
        """Whether other pods matter to where this one may run."""
        terms = (self.affinity, self.anti_affinity, self.preferred_affinity, self.preferred_anti_affinity)
        return bool(self.spread) or any(terms) or bool(self.host_ports)

    @cached_property
    def scored(self) -> tuple[int, int]:
        """CPU and memory as scores count them."""
        return self.requests.cpu_milli or _UNASKED_CPU_MILLI, self.requests.memory_bytes or _UNASKED_MEMORY_BYTES


def read_demand(
    spec: PodSpec, labels: Mapping[str, str] | None = None, namespace: str = "default", priority: int | None = None
) -> Demand:
    """Read a pod's spec; `priority` is that of its PriorityClass.

    Raises:
        InvalidManifest: a quantity cannot be read.
    """
    affinity = spec.affinity
    node = affinity.node_affinity if affinity else None
    near = affinity.pod_affinity if affinity else None
    far = affinity.pod_anti_affinity if affinity else None
    required = node.required_during_scheduling_ignored_during_execution if node else None
    preferred = node.preferred_during_scheduling_ignored_during_execution if node else ()
    return Demand(
        requests=pod_requests(spec),
        labels=labels or {},
        namespace=namespace,
        priority=(spec.priority if priority is None else priority) or 0,
        selector=spec.node_selector,
        terms=tuple((*term.match_expressions, *term.match_fields) for term in required.node_selector_terms)
        if required
        else (),
        preferred=tuple(PreferredTerm(term.weight, term.preference.match_expressions) for term in preferred),
        tolerations=spec.tolerations,
        spread=spec.topology_spread_constraints,
        affinity=near.required_during_scheduling_ignored_during_execution if near else (),
        anti_affinity=far.required_during_scheduling_ignored_during_execution if far else (),
        preferred_affinity=near.preferred_during_scheduling_ignored_during_execution if near else (),
        preferred_anti_affinity=far.preferred_during_scheduling_ignored_during_execution if far else (),
        preempts=spec.preemption_policy != "Never",
        host_ports=tuple(port.host_port for container in spec.containers for port in container.ports if port.host_port),
    )


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Tell whether a toleration bears a taint (`ToleratesTaint`)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == taint.value


def untolerated(demand: Demand, taints: tuple[Taint, ...], *, preferences: bool = False) -> Taint | None:
    """Return the first taint that keeps a pod off; `preferences` counts `PreferNoSchedule` too."""
    for taint in taints:
        matters = taint.effect != "PreferNoSchedule" or (preferences and not demand.tolerates_preferences)
        if matters and not any(tolerates(toleration, taint) for toleration in demand.tolerations):
            return taint
    return None


def relaxed(demand: Demand) -> Demand | None:  # noqa: PLR0911 - one return a preference, in order
    """Return a demand with one preference less, in Karpenter's order, or None when none is left.

    Order: an OR-ed required term, preferred pod affinity, preferred pod anti-affinity, preferred node affinity,
    `ScheduleAnyway` spread, and last the taints that pods would rather avoid (`preferences.go`).
    """
    if len(demand.terms) > 1:
        return msgspec.structs.replace(demand, terms=demand.terms[1:])
    if demand.preferred_affinity:
        return msgspec.structs.replace(demand, preferred_affinity=_without_heaviest(demand.preferred_affinity))
    if demand.preferred_anti_affinity:
        kept = _without_heaviest(demand.preferred_anti_affinity)
        return msgspec.structs.replace(demand, preferred_anti_affinity=kept)
    if demand.preferred:
        heaviest = max(demand.preferred, key=lambda term: term.weight)
        kept = tuple(term for term in demand.preferred if term is not heaviest)
        return msgspec.structs.replace(demand, preferred=kept)
    for constraint in demand.spread:
        if constraint.when_unsatisfiable == "ScheduleAnyway":
            kept = tuple(other for other in demand.spread if other is not constraint)
            return msgspec.structs.replace(demand, spread=kept)
    if not demand.tolerates_preferences:
        return msgspec.structs.replace(demand, tolerates_preferences=True)
    return None


def _without_heaviest(terms: tuple[WeightedPodTerm, ...]) -> tuple[WeightedPodTerm, ...]:
    heaviest = max(terms, key=lambda term: term.weight)
    return tuple(term for term in terms if term is not heaviest)
