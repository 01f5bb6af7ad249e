"""Karpenter's requirements: for each label the set of values that is still possible, narrowed by intersection.

A set may be a complement (all values but some) and may be bounded, so that `Gt` and `NotIn` are sets too.
Source: karpenter `pkg/scheduling/requirement.go` and `requirements.go`.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
ARCH = "kubernetes.io/arch"
OS = "kubernetes.io/os"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
HOSTNAME = "kubernetes.io/hostname"
CAPACITY_TYPE = "karpenter.sh/capacity-type"
NODEPOOL = "karpenter.sh/nodepool"

# Labels that a node may turn out to have though its pool does not say so.
WELL_KNOWN = frozenset(
    {INSTANCE_TYPE, ARCH, OS, ZONE, REGION, CAPACITY_TYPE, NODEPOOL, "node.kubernetes.io/windows-build"}
)
_WELL_KNOWN_PREFIXES = ("karpenter.k8s.aws/", "karpenter.kwok.sh/")

_INVERSE = frozenset({"NotIn", "DoesNotExist"})


class Expression(Protocol):
    """What node affinity and pools both write."""

    @property
    def key(self) -> str:
        """The label."""
        ...

    @property
    def operator(self) -> str:
        """`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`, `Gte` or `Lte`."""
        ...

    @property
    def values(self) -> tuple[str, ...]:
        """The values, one for the comparisons."""
        ...


class ValueSet(msgspec.Struct, frozen=True):
    """The values that a label may have."""

    values: frozenset[str] = frozenset()
    is_complement: bool = False
    above: int | None = None
    below: int | None = None

    def has(self, value: str) -> bool:
        """Tell whether a value is in the set."""
        return (value in self.values) != self.is_complement and self._within(value)

    def intersect(self, other: "ValueSet") -> "ValueSet":
        """Return the values that are in both sets."""
        if not self.is_complement and not other.is_complement:
            # Both name their values: bounds have been applied to them already.
            return ValueSet(self.values & other.values)
        above = max((bound for bound in (self.above, other.above) if bound is not None), default=None)
        below = min((bound for bound in (self.below, other.below) if bound is not None), default=None)
        if above is not None and below is not None and above + 1 >= below:
            return ValueSet()
        bounds = ValueSet(frozenset(), True, above, below)  # noqa: FBT003 - the field's name says it
        if self.is_complement and other.is_complement:
            return ValueSet(self.values | other.values, True, above, below)  # noqa: FBT003
        kept = other.values - self.values if self.is_complement else self.values - other.values
        return ValueSet(frozenset(value for value in kept if bounds.has(value)))

    def meets(self, other: "ValueSet") -> bool:
        """Tell whether some value is in both sets."""
        if not self.is_complement and not other.is_complement:
            return not self.values.isdisjoint(other.values)
        return not self.intersect(other).is_empty

    @property
    def is_empty(self) -> bool:
        """Tell whether no value is possible."""
        return not self.is_complement and not self.values

    @property
    def allows_absence(self) -> bool:
        """Tell whether a node without the label will do (`NotIn` and `DoesNotExist`)."""
        return self.is_empty or (self.is_complement and bool(self.values))

    def _within(self, value: str) -> bool:
        if self.above is None and self.below is None:
            return True
        try:
            number = int(value)
        except ValueError:
            return False
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


ANY = ValueSet(is_complement=True)

Requirements = Mapping[str, ValueSet]


def value_set(operator: str, values: tuple[str, ...]) -> ValueSet:
    """Return the set that an expression describes."""
    if operator in {"In", "NotIn"}:
        return ValueSet(frozenset(values), is_complement=operator == "NotIn")
    if operator == "DoesNotExist":
        return ValueSet()
    if operator in {"Gt", "Gte"}:
        return ValueSet(is_complement=True, above=int(values[0]) - (operator == "Gte"))
    if operator in {"Lt", "Lte"}:
        return ValueSet(is_complement=True, below=int(values[0]) + (operator == "Lte"))
    return ANY


def read_requirements(expressions: Iterable[Expression], labels: Mapping[str, str] | None = None) -> Requirements:
    """Return the sets that expressions and labels describe together."""
    found = {key: ValueSet(frozenset({value})) for key, value in (labels or {}).items()}
    for expression in expressions:
        narrowed = value_set(expression.operator, expression.values)
        before = found.get(expression.key)
        found[expression.key] = narrowed if before is None else before.intersect(narrowed)
    return found


def merged(first: Requirements, second: Requirements) -> Requirements:
    """Return what both ask for together."""
    found = dict(first)
    for key, values in second.items():
        before = found.get(key)
        found[key] = values if before is None else before.intersect(values)
    return found


def is_well_known(key: str) -> bool:
    """Tell whether a label is one that nodes get without their pool naming it."""
    return key in WELL_KNOWN or key.startswith(_WELL_KNOWN_PREFIXES)


def conflict(node: Requirements, pod: Requirements, *, well_known: bool = True) -> str | None:
    """Return the first label on which a node to be and a pod cannot agree, or None.

    A label that the node does not define is a conflict, unless it is well-known or the pod does without.
    """
    for key, wanted in pod.items():
        defined = node.get(key)
        if defined is None:
            if not wanted.allows_absence and not (well_known and is_well_known(key)):
                return key
        elif not defined.meets(wanted) and not (defined.allows_absence and wanted.allows_absence):
            return key
    return None


def matches_labels(labels: Mapping[str, str], wanted: Requirements) -> bool:
    """Tell whether a node with these labels satisfies what a pod asks for."""
    for key, values in wanted.items():
        label = labels.get(key)
        if label is None:
            if not values.allows_absence:
                return False
        elif not values.has(label):
            return False
    return True
