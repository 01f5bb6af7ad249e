"""Evictions and disruption budgets: which pods may be taken away on purpose, and the budgets' status."""

import copy
from collections.abc import Sequence
from typing import cast

from forebay.scaling.cluster.kinds import DISRUPTION_BUDGETS, EMPTY, PODS, REPLICA_SETS, Object
from forebay.scaling.cluster.objects import Deletion, controller_of, is_deleting, name_of, namespace_of
from forebay.scaling.cluster.replica_sets import phase_of
from forebay.scaling.cluster.status import StatusError
from forebay.scaling.cluster.views import budgeted_pod
from forebay.scaling.cluster.world import World, set_conditions
from forebay.scaling.manifests.documents import read_manifest
from forebay.scaling.manifests.workloads import PodDisruptionBudget
from forebay.scaling.policies.disruption_budget import BudgetedPod, allowance, selects
from forebay.scaling.policies.outcome import Condition


async def evict(world: World, pod: Object, grace_seconds: int | None = None, *, is_dry_run: bool = False) -> None:
    """Delete a pod if all budgets that are about it allow that.

    Raises:
        StatusError: a budget does not.
    """
    subject = budgeted_pod(pod)
    for budget in world.index.all(DISRUPTION_BUDGETS, namespace_of(pod)):
        read = cast("PodDisruptionBudget", read_manifest(budget).manifest)
        if phase_of(pod) in {"Succeeded", "Failed", "Pending"} or not selects(read, subject):
            continue
        found = allowance(read, _budgeted(world, namespace_of(pod)), _expected(world, read))
        if found.disruptions_allowed < 1:
            raise _kept(budget, found.desired_healthy, found.current_healthy)
    if not is_dry_run:
        await world.objects.delete(PODS, pod, Deletion(grace_seconds))


def _kept(budget: Object, desired: int, healthy: int) -> StatusError:
    name = name_of(budget)
    text = f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    details = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return StatusError(429, "TooManyRequests", message, details)


def _budgeted(world: World, namespace: str) -> list[BudgetedPod]:
    pods = [pod for pod in world.index.all(PODS, namespace) if phase_of(pod) not in {"Succeeded", "Failed"}]
    return [budgeted_pod(pod) for pod in pods if not is_deleting(pod)]


def _expected(world: World, budget: PodDisruptionBudget) -> int | None:
    """Return how many pods a budget's pods should be: the scales of their replica sets."""
    namespace = budget.metadata.namespace or "default"
    uids: set[str] = set()
    for pod in world.index.all(PODS, namespace):
        owner = controller_of(pod)
        if owner is not None and selects(budget, budgeted_pod(pod)):
            uids.add(owner["uid"])
    sets = [each for each in world.index.all(REPLICA_SETS, namespace) if each["metadata"]["uid"] in uids]
    return sum(int(each["spec"].get("replicas", 0)) for each in sets) if sets else None


class DisruptionBudgets:
    """Keeps the status of disruption budgets. A `Worker`."""

    name = "kubernetes.disruption_budgets"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run_once(self) -> float:
        """Count for every budget."""
        for budget in self._world.index.all(DISRUPTION_BUDGETS):
            read = cast("PodDisruptionBudget", read_manifest(budget).manifest)
            found = allowance(read, _budgeted(self._world, namespace_of(budget)), _expected(self._world, read))
            allowed = found.disruptions_allowed
            reason = "SufficientPods" if allowed else "InsufficientPods"
            condition = Condition("DisruptionAllowed", "True" if allowed else "False", reason, " ")
            status = {
                "observedGeneration": budget["metadata"].get("generation", 1),
                "disruptionsAllowed": allowed,
                "currentHealthy": found.current_healthy,
                "desiredHealthy": found.desired_healthy,
                "expectedPods": found.expected_pods,
            }
            await self._tell(budget, status, [condition])
        return float("inf")

    async def _tell(self, budget: Object, status: Object, conditions: Sequence[Condition]) -> None:
        now = self._world.now()

        def change(thing: Object) -> None:
            old = cast("Object", thing.get("status") or EMPTY)
            thing["status"] = {**status, "conditions": copy.deepcopy(old.get("conditions") or [])}
            set_conditions(thing["status"], conditions, now)

        trial = copy.deepcopy(budget)
        change(trial)
        if trial != budget:
            await self._world.objects.change(DISRUPTION_BUDGETS, budget, change)
