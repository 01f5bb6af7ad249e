"""Which pods a replica set deletes first, and how a Deployment's pods are counted.

The order is that of Kubernetes' `controller.ActivePodsWithRanks` (`pkg/controller/controller_utils.go`): deletion is
not eviction, so PodDisruptionBudgets have no say.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


class Candidate(msgspec.Struct, frozen=True):
    """What is looked at in a pod that might go. Times are seconds since the epoch."""

    name: str
    node: str = ""
    phase: str = "Running"
    is_ready: bool = True
    ready_since: float = 0.0
    deletion_cost: int = 0
    restarts: int = 0
    created_at: float = 0.0


def parse_deletion_cost(annotation: str | None) -> int:
    """Read the annotation; what is no 32-bit whole number counts as 0, as Kubernetes counts it."""
    if annotation is None:
        return 0
    digits = annotation.removeprefix("-")
    if not digits.isdecimal() or (digits != "0" and digits.startswith("0")) or annotation == "-0":
        return 0
    cost = int(annotation)
    return cost if -(2**31) <= cost < 2**31 else 0


def victims(pods: Sequence[Candidate], count: int, related: Iterable[str], now: float) -> list[Candidate]:
    """Return the `count` pods that go first.

    `related` are the nodes (one entry a pod) of all active pods of the same Deployment: crowded nodes give first.
    """
    if count >= len(pods):
        return list(pods)
    crowd = Counter(node for node in related if node)
    return sorted(pods, key=lambda pod: _rank(pod, crowd, now))[:count]


def _rank(pod: Candidate, crowd: Counter[str], now: float) -> tuple[float, ...]:
    return (
        1 if pod.node else 0,
        _PHASES.get(pod.phase, 2),
        1 if pod.is_ready else 0,
        pod.deletion_cost,
        -crowd[pod.node],
        _age_bucket(now - pod.ready_since) if pod.is_ready else 0,
        -pod.restarts,
        _age_bucket(now - pod.created_at),
        # Upstream breaks what is still even by UID; names do as well and are stable.
    )


def _age_bucket(age_seconds: float) -> int:
    """Return the power of two of an age: pods of about the same age are alike (LogarithmicScaleDown)."""
    return int(math.log2(age_seconds)) + 1 if age_seconds >= 1 else 0
