"""Nodes and the pods on them, as the scheduler and Karpenter see them at one moment."""

from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from forebay.scaling.manifests.pods import Taint
from forebay.scaling.policies.demand import Demand
from forebay.scaling.policies.resources import Amounts


class PodView(msgspec.Struct, frozen=True):
    """A pod. `is_protected` is `karpenter.sh/do-not-disrupt`, `is_evictable` what the budgets for pods say."""

    name: str
    demand: Demand
    created_at: float = 0.0
    deletion_cost: int = 0
    is_protected: bool = False
    # Until when it is protected, where the annotation is a time.
    protected_until: float = 0.0
    is_evictable: bool = True
    is_daemon: bool = False
    # Taken off its node by a simulation: it does not come back to one that is still settling.
    is_moved: bool = False

    @property
    def move_cost(self) -> float:
        """What moving it costs: 1, more or less by its deletion cost and priority, from -10 to 10."""
        return min(10.0, max(-10.0, 1.0 + self.deletion_cost / 2**27 + self.demand.priority / 2**25))


class NodeView(msgspec.Struct, frozen=True, dict=True):
    """A node, or one that is being made; what no pool owns has no `pool`."""

    name: str
    allocatable: Amounts
    pods_max: int = 110
    labels: Mapping[str, str] = {}
    taints: tuple[Taint, ...] = ()
    pods: tuple[PodView, ...] = ()
    # Kept by who keeps the node; None makes the view add them up itself.
    used: Amounts | None = None
    is_unschedulable: bool = False
    pool: str = ""
    instance_type: str = ""
    capacity_type: str = ""
    price: float = 0.0
    is_ready: bool = True
    is_initialized: bool = True
    is_deleting: bool = False
    is_protected: bool = False
    is_drifted: bool = False
    nominated_until: float = 0.0
    # When consolidateAfter is over: infinity for Never.
    consolidatable_at: float = 0.0
    created_at: float = 0.0
    expires_at: float = float("inf")

    @cached_property
    def free(self) -> Amounts:
        """What no pod has asked for."""
        used = total_requests(self.pods) if self.used is None else self.used
        return self.allocatable.plus(used, -1)

    @cached_property
    def demands(self) -> frozenset[Demand]:
        """The kinds of pods on it."""
        return frozenset(pod.demand for pod in self.pods)

    @cached_property
    def is_empty(self) -> bool:
        """Whether it has no pod whose move would cost anything."""
        return not any(not pod.is_daemon and pod.move_cost > 0 for pod in self.pods)

    @cached_property
    def is_held(self) -> bool:
        """Whether it or a pod on it asks not to be disrupted."""
        return self.is_protected or any(pod.is_protected for pod in self.pods)

    @cached_property
    def protected_until(self) -> float:
        """Until when a pod on it asks not to be disrupted."""
        return max((pod.protected_until for pod in self.pods), default=0.0)

    @cached_property
    def is_evictable(self) -> bool:
        """Whether the budgets for pods let all of its pods go."""
        return all(pod.is_evictable for pod in self.pods)

    @cached_property
    def disruption_cost(self) -> float:
        """What disrupting it costs."""
        return 1.0 + sum(max(0.0, pod.move_cost) for pod in self.pods if not pod.is_daemon)

    @cached_property
    def scored(self) -> tuple[int, int]:
        """CPU and memory of its pods, as scores count them."""
        scores = [pod.demand.scored for pod in self.pods]
        return sum(score[0] for score in scores), sum(score[1] for score in scores)

    @property
    def free_pods(self) -> int:
        """How many more pods it takes."""
        return self.pods_max - len(self.pods)

    def room_for(self, demand: Demand) -> int:
        """Return how many pods of a kind still fit."""
        return max(0, min(self.free_pods, self.free.room_for(demand.requests)))


def total_requests(pods: Iterable[PodView]) -> Amounts:
    """Add up what pods ask for."""
    found = Amounts()
    for pod in pods:
        found = found.plus(pod.demand.requests)
    return found
