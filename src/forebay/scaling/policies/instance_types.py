"""What nodes can be bought: capacity, overhead, and offerings with their prices.

The built-in table is that of kwok's cloud provider, made by its own formula; `forebay scale instance-types` prints it.
Own tables have the format of kwok's `INSTANCE_TYPES_FILE_PATH`, so that one file serves both.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from forebay.scaling.manifests.karpenter import Kubelet, Requirement
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.quantity import parse_whole
from forebay.scaling.policies.requirements import (
    ARCH,
    CAPACITY_TYPE,
    INSTANCE_TYPE,
    OS,
    ZONE,
    Requirements,
    ValueSet,
    merged,
    read_requirements,
)
from forebay.scaling.policies.resources import Amounts, read_amounts

_GIB = 1 << 30
_MIB = 1 << 20

_KWOK_CPUS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)
_KWOK_FAMILIES = {"c": 2, "s": 4, "m": 8}
_KWOK_ZONES = ("test-zone-a", "test-zone-b", "test-zone-c", "test-zone-d")
_KWOK_OVERHEAD = Amounts(cpu_milli=100, memory_bytes=10 * _MIB)
_SPOT_SHARE = 0.7

_KWOK_SIZE, _KWOK_FAMILY = "karpenter.kwok.sh/instance-size", "karpenter.kwok.sh/instance-family"
_KWOK_CPU, _KWOK_MEMORY = "karpenter.kwok.sh/instance-cpu", "karpenter.kwok.sh/instance-memory"


class Offering(msgspec.Struct, frozen=True):
    """A zone and capacity type in which a type can be had, and its price an hour."""

    price: float
    requirements: Requirements
    is_available: bool = True


class InstanceType(msgspec.Struct, frozen=True, dict=True):
    """A kind of machine."""

    name: str
    capacity: Amounts
    pods_max: int
    requirements: Requirements
    offerings: tuple[Offering, ...]
    overhead: Amounts = Amounts()

    @cached_property
    def allocatable(self) -> Amounts:
        """What is left for pods, and for daemons."""
        return self.capacity.plus(self.overhead, -1)

    def cheapest(self, wanted: Requirements) -> Offering | None:
        """Return the cheapest available offering that requirements allow, or None."""
        for offering in self._by_price:
            if _allows(wanted, offering):
                return offering
        return None

    @cached_property
    def _by_price(self) -> tuple[Offering, ...]:
        available = [offering for offering in self.offerings if offering.is_available]
        return tuple(sorted(available, key=lambda offering: offering.price))


def _allows(wanted: Requirements, offering: Offering) -> bool:
    for key, values in offering.requirements.items():
        asked = wanted.get(key)
        if asked is not None and not asked.meets(values):
            return False
    return True


def _one(value: str) -> ValueSet:
    return ValueSet(frozenset({value}))


def kwok_instance_types() -> tuple[InstanceType, ...]:
    """Return kwok's 144 types: families c, s and m have 2, 4 and 8 GiB a CPU.

    A CPU costs 0.025 an hour and 10^9 bytes 0.001; spot is 0.7 of it. Pods: 16 a CPU, at most 1,024.
    """
    return tuple(
        _kwok_type(family, cpu, arch, os)
        for cpu in _KWOK_CPUS
        for family in _KWOK_FAMILIES
        for os in ("linux", "windows")
        for arch in ("amd64", "arm64")
    )


def _kwok_type(family: str, cpu: int, arch: str, os: str) -> InstanceType:
    name = f"{family}-{cpu}x-{arch}-{os}"
    memory = cpu * _KWOK_FAMILIES[family] * _GIB
    price = 0.025 * cpu + 0.001 * memory / 1e9
    offerings = tuple(
        Offering(price * (_SPOT_SHARE if kind == "spot" else 1), {CAPACITY_TYPE: _one(kind), ZONE: _one(zone)})
        for zone in _KWOK_ZONES
        for kind in ("spot", "on-demand")
    )
    labels = {
        INSTANCE_TYPE: name, ARCH: arch, OS: os, _KWOK_SIZE: f"{cpu}x", _KWOK_FAMILY: family, _KWOK_CPU: str(cpu),
        _KWOK_MEMORY: str(memory),
    }  # fmt: skip
    return _typed(
        name,
        Amounts(cpu * 1000, memory, 20 * _GIB),
        min(16 * cpu, 1024),
        read_requirements((), labels),
        offerings,
    )


def _typed(
    name: str, capacity: Amounts, pods_max: int, requirements: Requirements, offerings: tuple[Offering, ...]
) -> InstanceType:
    sold = dict(requirements)
    for key in (ZONE, CAPACITY_TYPE):
        values = [offering.requirements[key].values for offering in offerings if key in offering.requirements]
        if values:
            sold[key] = ValueSet(frozenset[str]().union(*values))
    return InstanceType(name, capacity, pods_max, sold, offerings, _KWOK_OVERHEAD)


def read_instance_types(path: Path) -> tuple[InstanceType, ...]:
    """Read a table in kwok's format: a JSON list of name, offerings, architecture, operatingSystems and resources.

    Raises:
        InvalidManifest: the file is not of that format.
    """
    try:
        table = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise InvalidManifest(f"{path}: {error}") from None
    return tuple(_read_type(entry, f"{path}[{index}]") for index, entry in enumerate(table))


class _FileOffering(msgspec.Struct, frozen=True, rename="pascal"):
    price: float
    available: bool = True
    requirements: tuple[Requirement, ...] = ()


class _FileType(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    offerings: tuple[_FileOffering, ...]
    architecture: str = "amd64"
    operating_systems: tuple[str, ...] = ("linux",)
    resources: dict[str, str | int | float] = {}


def _read_type(entry: Mapping[str, Any], place: str) -> InstanceType:
    try:
        found = msgspec.convert(entry, _FileType)
    except msgspec.ValidationError as error:
        raise InvalidManifest(f"{place}: {error}") from None
    capacity = read_amounts(found.resources)
    labels = {INSTANCE_TYPE: found.name, ARCH: found.architecture, _KWOK_CPU: str(capacity.cpu_milli // 1000)}
    own = {OS: ValueSet(frozenset(found.operating_systems)), _KWOK_MEMORY: _one(str(capacity.memory_bytes))}
    return _typed(
        found.name,
        capacity,
        parse_whole(found.resources.get("pods", 110)),
        merged(read_requirements((), labels), own),
        tuple(Offering(o.price, read_requirements(o.requirements), o.available) for o in found.offerings),
    )


def format_instance_types(types: Sequence[InstanceType]) -> str:
    """Write a table in kwok's format."""
    return msgspec.json.format(msgspec.json.encode([_entry(kind) for kind in types]), indent=2).decode() + "\n"


def _entry(kind: InstanceType) -> dict[str, Any]:
    def values(key: str) -> list[str]:
        found = kind.requirements.get(key)
        return sorted(found.values) if found else []

    return {
        "name": kind.name,
        "architecture": "".join(values(ARCH)),
        "operatingSystems": values(OS),
        "resources": {
            "cpu": str(kind.capacity.cpu_milli // 1000),
            "memory": f"{kind.capacity.memory_bytes // _MIB}Mi",
            "pods": str(kind.pods_max),
            "ephemeral-storage": f"{kind.capacity.ephemeral_bytes // _MIB}Mi",
        },
        "offerings": [
            {
                "Price": offering.price,
                "Available": offering.is_available,
                "Requirements": list(_expressions(offering.requirements)),
            }
            for offering in kind.offerings
        ],
    }


def _expressions(requirements: Requirements) -> Iterator[dict[str, Any]]:
    for key, values in sorted(requirements.items()):
        yield {"key": key, "operator": "In", "values": sorted(values.values)}


def aws_kube_reserved(vcpus: int, pods: int) -> Amounts:
    """Return what AWS's nodes keep for the kubelet: 6 % of the first CPU, and ever less of the others; 11 MiB a pod.

    Source: karpenter-provider-aws `pkg/providers/instancetype/types.go`, from EKS's `bootstrap.sh`.
    """
    shares = ((1, 60), (1, 10), (2, 5), (math.inf, 2.5))
    left, milli = float(vcpus), 0.0
    for count, share in shares:
        taken = min(left, count)
        milli += taken * share
        left -= taken
    return Amounts(int(milli), (11 * pods + 255) * _MIB)


def aws_overhead(vcpus: int, pods: int, kubelet: Kubelet) -> Amounts:
    """Return what is not left for pods on AWS's nodes: kube-reserved, system-reserved and the eviction threshold."""
    reserved = aws_kube_reserved(vcpus, pods)
    own = read_amounts(kubelet.kube_reserved)
    reserved = Amounts(own.cpu_milli or reserved.cpu_milli, own.memory_bytes or reserved.memory_bytes)
    threshold = kubelet.eviction_hard.get("memory.available", "100Mi")
    eviction = 0 if threshold.endswith("%") else parse_whole(threshold)
    return reserved.plus(read_amounts(kubelet.system_reserved)).plus(Amounts(0, eviction))


def aws_memory_bytes(size_mib: int, arch: str = "amd64") -> int:
    """Return the memory that a node of a type turns out to have: AWS's hypervisor takes about 7.5 % of it."""
    left = size_mib - (64 if arch == "arm64" else 0)
    return (left - math.ceil(left * 0.075)) * _MIB


def with_kubelet(kind: InstanceType, kubelet: Kubelet) -> InstanceType:
    """Return a type as an EC2NodeClass's kubelet settings make it."""
    cpus = max(1, kind.capacity.cpu_milli // 1000)
    pods = kind.pods_max if kubelet.max_pods is None else kubelet.max_pods
    if kubelet.pods_per_core is not None:
        pods = min(pods, kubelet.pods_per_core * cpus)
    return msgspec.structs.replace(kind, pods_max=pods, overhead=aws_overhead(cpus, pods, kubelet))
