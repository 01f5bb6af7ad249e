"""Amounts of CPU, memory and whatever else nodes have and pods ask for, in whole numbers."""

from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from forebay.scaling.manifests.pods import Container, PodSpec, Resources
from forebay.scaling.manifests.quantity import parse_milli, parse_whole


class Amounts(msgspec.Struct, frozen=True, dict=True):
    """CPU in milli-units, memory and disk in bytes, extended resources by name in whole units."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    ephemeral_bytes: int = 0
    extended: tuple[tuple[str, int], ...] = ()

    @cached_property
    def by_name(self) -> dict[str, int]:
        """Extended resources as a mapping."""
        return dict(self.extended)

    def plus(self, other: "Amounts", times: int = 1) -> "Amounts":
        """Add another amount some times over (a negative number takes it away)."""
        extended = self.extended
        if other.extended:
            found = dict(extended)
            for name, amount in other.extended:
                found[name] = found.get(name, 0) + amount * times
            extended = tuple(sorted(found.items()))
        return Amounts(
            self.cpu_milli + other.cpu_milli * times,
            self.memory_bytes + other.memory_bytes * times,
            self.ephemeral_bytes + other.ephemeral_bytes * times,
            extended,
        )

    def largest(self, other: "Amounts") -> "Amounts":
        """Return the larger of each."""
        names = {**self.by_name, **other.by_name}
        extended = ((name, max(self.by_name.get(name, 0), other.by_name.get(name, 0))) for name in names)
        return Amounts(
            max(self.cpu_milli, other.cpu_milli),
            max(self.memory_bytes, other.memory_bytes),
            max(self.ephemeral_bytes, other.ephemeral_bytes),
            tuple(sorted(extended)),
        )

    def room_for(self, other: "Amounts") -> int:
        """Return how often another amount fits in this one; 1,000,000 where it asks for nothing."""
        times = 1_000_000
        if other.cpu_milli:
            times = self.cpu_milli // other.cpu_milli
        if other.memory_bytes:
            times = min(times, self.memory_bytes // other.memory_bytes)
        if other.ephemeral_bytes:
            times = min(times, self.ephemeral_bytes // other.ephemeral_bytes)
        for name, amount in other.extended:
            if amount:
                times = min(times, self.by_name.get(name, 0) // amount)
        return max(0, times)


NOTHING = Amounts()

_OWN = frozenset({"cpu", "memory", "ephemeral-storage", "pods", "nodes"})


def read_amounts(resources: Resources) -> Amounts:
    """Read a manifest's resources.

    Raises:
        InvalidManifest: a quantity cannot be read.
    """
    return Amounts(
        parse_milli(resources.get("cpu", 0)),
        parse_whole(resources.get("memory", 0)),
        parse_whole(resources.get("ephemeral-storage", 0)),
        tuple(sorted((name, parse_whole(value)) for name, value in resources.items() if name not in _OWN)),
    )


def container_requests(container: Container) -> Amounts:
    """Return what a container asks for; a limit stands in for a request that is absent, as the API server has it."""
    return read_amounts({**container.resources.limits, **container.resources.requests})


def pod_requests(spec: PodSpec) -> Amounts:
    """Return what a pod asks for: its containers together, or its largest init container, and the overhead.

    Init containers that restart always run beside what follows them (KEP-753).
    """
    beside, largest = NOTHING, NOTHING
    for container in spec.init_containers:
        asked = container_requests(container)
        if container.restart_policy == "Always":
            beside = beside.plus(asked)
            largest = largest.largest(beside)
        else:
            largest = largest.largest(beside.plus(asked))
    together = total(container_requests(container) for container in spec.containers).plus(beside)
    return together.largest(largest).plus(read_amounts(spec.overhead))


def total(amounts: Iterable[Amounts]) -> Amounts:
    """Add amounts up."""
    found = NOTHING
    for amount in amounts:
        found = found.plus(amount)
    return found


def lacking(free: Amounts, asked: Amounts) -> list[str]:
    """Name the resources that do not suffice, as the scheduler's messages name them."""
    names = [
        ("cpu", free.cpu_milli, asked.cpu_milli),
        ("memory", free.memory_bytes, asked.memory_bytes),
        ("ephemeral-storage", free.ephemeral_bytes, asked.ephemeral_bytes),
        *((name, free.by_name.get(name, 0), amount) for name, amount in asked.extended),
    ]
    return [f"Insufficient {name}" for name, has, wants in names if wants > has]


def as_quantities(amounts: Amounts, pods: int | None = None) -> Mapping[str, str]:
    """Return amounts as a status shows them."""
    found = {"cpu": f"{amounts.cpu_milli}m", "memory": str(amounts.memory_bytes)}
    if amounts.ephemeral_bytes:
        found["ephemeral-storage"] = str(amounts.ephemeral_bytes)
    found.update({name: str(amount) for name, amount in amounts.extended})
    return found if pods is None else {**found, "pods": str(pods)}
