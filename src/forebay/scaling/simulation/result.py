"""What a simulation has found: samples over time, decisions with their reasons, and the numbers that sum it up."""

from collections.abc import Sequence

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One decision: when (seconds from the start), who took it, what it was, and why."""

    at: float
    who: str
    what: str
    why: str = ""


class Sample(msgspec.Struct, frozen=True):
    """How things stood at a moment."""

    at: float
    visible: int
    in_flight: int
    oldest_seconds: float
    pods_ready: int
    pods: int
    nodes_ready: int
    nodes: int
    dollars_per_hour: float


class Latency(msgspec.Struct, frozen=True):
    """Seconds that percentages of messages did not exceed."""

    p50: float
    p95: float
    p99: float
    most: float


class PoolCost(msgspec.Struct, frozen=True):
    """What nodes of one kind cost."""

    pool: str
    instance_type: str
    capacity_type: str
    node_hours: float
    dollars: float


class Summary(msgspec.Struct, frozen=True):
    """The numbers of one setting."""

    received: int
    processed: int
    left: int
    cut_off: int
    depth_most: int
    oldest_most_seconds: float
    wait: Latency
    latency: Latency
    first_start_seconds: float | None
    pods_most: int
    pod_hours: float
    nodes_most: int
    node_hours: float
    # The part of the nodes' CPU and memory, the scarcer of the two, that no pod asked for.
    idle_share: float
    dollars: float
    dollars_per_million: float | None
    evictions: dict[str, int]
    node_removals: dict[str, int]
    costs: tuple[PoolCost, ...]


class Result(msgspec.Struct, frozen=True):
    """One setting, simulated."""

    name: str
    start: float
    seconds: float
    tick_seconds: float
    samples: Sequence[Sample]
    timeline: Sequence[Entry]
    summary: Summary
