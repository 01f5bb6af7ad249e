"""NodePools with what they can buy and what they have already: the side of Karpenter's input that stands still."""

from collections.abc import Sequence
from functools import cached_property

import msgspec

from forebay.scaling.manifests.karpenter import NodePool
from forebay.scaling.manifests.pods import Taint
from forebay.scaling.manifests.quantity import parse_milli, parse_optional_duration, parse_whole
from forebay.scaling.policies.instance_types import InstanceType
from forebay.scaling.policies.requirements import NODEPOOL, Requirements, ValueSet, merged, read_requirements
from forebay.scaling.policies.resources import Amounts, read_amounts


class Pool(msgspec.Struct, frozen=True, dict=True):
    """A NodePool with the types it can buy, and what it has already."""

    manifest: NodePool
    types: tuple[InstanceType, ...]
    in_use: Amounts = Amounts()
    nodes: int = 0
    daemon_overhead: Amounts = Amounts()
    daemon_pods: int = 0

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.manifest.metadata.name

    @cached_property
    def requirements(self) -> Requirements:
        """What the labels of its nodes may be."""
        template = self.manifest.spec.template
        own = read_requirements(template.spec.requirements, template.metadata.labels)
        return merged(own, {NODEPOOL: ValueSet(frozenset({self.name}))})

    @cached_property
    def taints(self) -> tuple[Taint, ...]:
        """The taints its nodes keep; startup taints go by themselves."""
        return self.manifest.spec.template.spec.taints

    @cached_property
    def limits(self) -> "Limits":
        """What may still be made."""
        limits = self.manifest.spec.limits
        amounts = read_amounts(limits)
        named = dict(amounts.extended)
        return Limits(
            cpu_milli=parse_milli(limits["cpu"]) - self.in_use.cpu_milli if "cpu" in limits else None,
            memory_bytes=parse_whole(limits["memory"]) - self.in_use.memory_bytes if "memory" in limits else None,
            nodes=parse_whole(limits["nodes"]) - self.nodes if "nodes" in limits else None,
            extended=tuple((name, amount - self.in_use.by_name.get(name, 0)) for name, amount in named.items()),
        )

    @cached_property
    def expire_after_seconds(self) -> float:
        """How long a node lives at most."""
        return parse_optional_duration(self.manifest.spec.template.spec.expire_after)

    @cached_property
    def consolidate_after_seconds(self) -> float:
        """How long a node must be quiet."""
        return parse_optional_duration(self.manifest.spec.disruption.consolidate_after)

    @cached_property
    def compatible_types(self) -> tuple[InstanceType, ...]:
        """The types that its requirements leave."""
        return tuple(kind for kind in self.types if sells(kind, self.requirements))


class Limits(msgspec.Struct, frozen=True):
    """What a pool may still make; None is no limit."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None
    nodes: int | None = None
    extended: tuple[tuple[str, int], ...] = ()

    def allows(self, kind: InstanceType) -> bool:
        """Tell whether a node of a type stays within the limits."""
        return (
            (self.cpu_milli is None or kind.capacity.cpu_milli <= self.cpu_milli)
            and (self.memory_bytes is None or kind.capacity.memory_bytes <= self.memory_bytes)
            and (self.nodes is None or self.nodes >= 1)
            and all(kind.capacity.by_name.get(name, 0) <= left for name, left in self.extended)
        )

    def after(self, kinds: Sequence[InstanceType]) -> "Limits":
        """Return what is left once a claim is open: the largest of its types is taken, pessimistically."""
        largest = Amounts()
        for kind in kinds:
            largest = largest.largest(kind.capacity)
        return Limits(
            None if self.cpu_milli is None else self.cpu_milli - largest.cpu_milli,
            None if self.memory_bytes is None else self.memory_bytes - largest.memory_bytes,
            None if self.nodes is None else self.nodes - 1,
            tuple((name, left - largest.by_name.get(name, 0)) for name, left in self.extended),
        )


def sells(kind: InstanceType, requirements: Requirements) -> bool:
    """Tell whether a type can be had under requirements."""
    for key, wanted in requirements.items():
        has = kind.requirements.get(key)
        if has is not None and not has.meets(wanted) and not (has.allows_absence and wanted.allows_absence):
            return False
    return kind.cheapest(requirements) is not None
