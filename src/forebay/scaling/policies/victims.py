"""Which pods a replica set deletes first, and how a Deployment's pods are counted.

The order is that of Kubernetes' `controller.ActivePodsWithRanks` (`pkg/controller/controller_utils.go`): deletion is
not eviction, so PodDisruptionBudgets have no say. What is even to the end upstream breaks by UID, here by place.
"""

import heapq
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
    weak = [pod for pod in pods if not (pod.node and pod.is_ready and pod.phase == "Running")]
    if count <= len(weak):
        return sorted(weak, key=lambda pod: _rank(pod, crowd, now))[:count]
    chosen = list(weak)
    # Only where a group of equals is not taken whole must its pods be told apart by age.
    for group in _groups(pods, crowd):
        left = count - len(chosen)
        if left <= 0:
            break
        chosen += group if len(group) <= left else _youngest(group, left, now)
    return chosen


def _groups(pods: Sequence[Candidate], crowd: Counter[str]) -> list[list[Candidate]]:
    """Return the pods that run and are ready, by deletion cost and then by how crowded their nodes are."""
    groups: dict[tuple[int, int], list[Candidate]] = {}
    for pod in pods:
        if pod.node and pod.is_ready and pod.phase == "Running":
            key = (pod.deletion_cost, -crowd[pod.node])
            group = groups.get(key)
            if group is None:
                groups[key] = [pod]
            else:
                group.append(pod)
    return [groups[key] for key in sorted(groups)]


def _youngest(pods: Sequence[Candidate], count: int, now: float) -> list[Candidate]:
    buckets = dict[float, int]()
    keys: list[tuple[int, int, int, int]] = []
    for index, pod in enumerate(pods):
        for moment in (pod.ready_since, pod.created_at):
            if moment not in buckets:
                buckets[moment] = _age_bucket(now - moment)
        keys.append((buckets[pod.ready_since], -pod.restarts, buckets[pod.created_at], index))
    return [pods[key[3]] for key in heapq.nsmallest(count, keys)]


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
    )


def _age_bucket(age_seconds: float) -> int:
    """Return the power of two of an age: pods of about the same age are alike (LogarithmicScaleDown)."""
    return int(math.log2(age_seconds)) + 1 if age_seconds >= 1 else 0
