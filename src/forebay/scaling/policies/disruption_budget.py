"""What PodDisruptionBudgets allow: how many of the selected pods may be evicted now."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from forebay.scaling.manifests.workloads import DisruptionBudgetSpec, PodDisruptionBudget


class BudgetedPod(msgspec.Struct, frozen=True):
    """A pod as budgets see it."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    is_ready: bool = True


class Allowance(msgspec.Struct, frozen=True):
    """The numbers of a budget's status."""

    expected_pods: int
    current_healthy: int
    desired_healthy: int

    @property
    def disruptions_allowed(self) -> int:
        """How many more pods may be evicted."""
        return max(0, self.current_healthy - self.desired_healthy) if self.expected_pods else 0


def selects(budget: PodDisruptionBudget, pod: BudgetedPod) -> bool:
    """Tell whether a budget is about a pod; one without a selector is about none."""
    selector = budget.spec.selector
    same = (budget.metadata.namespace or "default") == pod.namespace
    return same and selector is not None and selector.matches(pod.labels)


def allowance(budget: PodDisruptionBudget, pods: Sequence[BudgetedPod], expected: int | None = None) -> Allowance:
    """Count a budget's pods; `expected` is the scale of their controllers, else they are counted as they are."""
    selected = [pod for pod in pods if selects(budget, pod)]
    total = len(selected) if expected is None else expected
    healthy = sum(1 for pod in selected if pod.is_ready)
    return Allowance(total, healthy, _desired_healthy(budget.spec, total))


def may_evict(pod: BudgetedPod, budgets: Sequence[PodDisruptionBudget], pods: Sequence[BudgetedPod]) -> bool:
    """Tell whether the eviction API would let a pod go now.

    A pod under two budgets is never evicted; one that is not ready goes while its budget's healthy pods suffice, or
    always under `AlwaysAllow`.
    """
    concerned = [budget for budget in budgets if selects(budget, pod)]
    if not concerned:
        return True
    if len(concerned) > 1:
        return False
    budget = concerned[0]
    found = allowance(budget, pods)
    if not pod.is_ready:
        always = budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow"
        return always or (found.current_healthy >= found.desired_healthy and found.desired_healthy > 0)
    return found.disruptions_allowed > 0


def _desired_healthy(spec: DisruptionBudgetSpec, total: int) -> int:
    if spec.max_unavailable is not None:
        return max(0, total - _scaled(spec.max_unavailable, total))
    if spec.min_available is not None:
        return _scaled(spec.min_available, total)
    return 0


def _scaled(value: int | str, total: int) -> int:
    """Return a number, or a percentage of the total rounded up (the disruption controller rounds both up)."""
    if isinstance(value, int):
        return value
    if value.endswith("%"):
        return math.ceil(int(value.removesuffix("%")) * total / 100)
    return int(value)
