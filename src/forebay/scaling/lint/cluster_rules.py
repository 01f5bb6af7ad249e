"""Known mistakes with pods, the HPA's behavior, NodePools and PodDisruptionBudgets."""

from collections.abc import Iterator

from forebay.scaling.lint.finding import Finding, Rule
from forebay.scaling.lint.setting import Setting, Worker
from forebay.scaling.manifests.hpa import Behavior
from forebay.scaling.manifests.karpenter import Budget, NodePool
from forebay.scaling.manifests.keda import ScaledJob, ScaledObject
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.budgets import REASONS, allowed, is_active
from forebay.scaling.policies.demand import read_demand
from forebay.scaling.policies.instance_types import kwok_instance_types
from forebay.scaling.policies.node import PodView
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.policies.provisioning import provision
from forebay.scaling.policies.resources import pod_requests
from forebay.scaling.simulation.scenario import PREFIX, parse_work_time

# Twenty nodes are the example by which budgets are judged.
_EXAMPLE_NODES = 20
_SLOW_SHARE = 0.2


def _of(pool: NodePool) -> str:
    return f"NodePool/{pool.metadata.name}"


def _grace(setting: Setting) -> Iterator[Finding]:
    for worker in setting.workers:
        text = worker.annotations.get(f"{PREFIX}message-seconds")
        if text is None or isinstance(worker.owner, ScaledJob):
            continue
        try:
            longest = max(parse_work_time(text).classes)
        except InvalidManifest as error:
            yield Finding(worker.name, f"annotation {PREFIX}message-seconds: {error}")
            continue
        grace = worker.template.spec.termination_grace_period_seconds
        if longest > grace:
            found = f"a message takes up to {longest:g} s, terminationGracePeriodSeconds is {grace}: work is cut off"
            yield Finding(worker.name, found, "raise terminationGracePeriodSeconds above the longest message")


def _requests(setting: Setting) -> Iterator[Finding]:
    for worker in setting.workers:
        asked = pod_requests(worker.template.spec)
        missing = [n for n, amount in (("cpu", asked.cpu_milli), ("memory", asked.memory_bytes)) if not amount]
        if missing:
            text = f"no request for {' and '.join(missing)}: to the scheduler and Karpenter its pods need nothing"
            yield Finding(worker.name, text, "set resources.requests to what a pod really uses")


def _utilization(setting: Setting) -> Iterator[Finding]:
    for worker in setting.workers:
        if not isinstance(worker.owner, ScaledObject):
            continue
        asked = pod_requests(worker.template.spec)
        for trigger in worker.owner.spec.triggers:
            kind = trigger.metric_type or trigger.metadata.get("type", "Utilization")
            amount = {"cpu": asked.cpu_milli, "memory": asked.memory_bytes}.get(trigger.type)
            if amount == 0 and kind == "Utilization":
                yield Finding(
                    worker.name, f"a {trigger.type} trigger by utilization: missing request for {trigger.type}"
                )


def _behaviors(setting: Setting) -> Iterator[tuple[str, Behavior]]:
    for item in setting.scaled_objects:
        advanced = item.spec.advanced
        config = advanced.horizontal_pod_autoscaler_config if advanced else None
        if config is not None and config.behavior is not None:
            yield f"ScaledObject/{item.metadata.name}", config.behavior
    for item in setting.hpas:
        if item.spec.behavior is not None:
            yield f"HorizontalPodAutoscaler/{item.metadata.name}", item.spec.behavior


def _flapping(setting: Setting) -> Iterator[Finding]:
    for subject, behavior in _behaviors(setting):
        if behavior.scale_down is not None and behavior.scale_down.stabilization_window_seconds == 0:
            text = "scaleDown.stabilizationWindowSeconds 0: the HPA averages nothing, so each dip takes pods away"
            yield Finding(subject, text, "set it to at least the time between bursts, or limit it by a Percent policy")


def _default_budget(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        try:
            empty = allowed(pool.spec.disruption.budgets, "Empty", _EXAMPLE_NODES, 0.0)
        except InvalidManifest:
            continue
        if empty < _EXAMPLE_NODES * _SLOW_SHARE and all(b.schedule is None for b in pool.spec.disruption.budgets):
            text = (
                f"of {_EXAMPLE_NODES} empty nodes {empty} go at once (of 10 or fewer one), at least 25 s apart: "
                "scaling to zero is slow and paid for"
            )
            advice = 'budgets: [{nodes: "100%", reasons: [Empty]}, {nodes: "10%", reasons: [Underutilized, Drifted]}]'
            yield Finding(_of(pool), text, advice)


def _least_budget(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        budgets = pool.spec.disruption.budgets
        open_to_all = [budget for budget in budgets if not budget.reasons and budget.schedule is None]
        named = [budget for budget in budgets if budget.reasons]
        if open_to_all and named:
            text = f"the budget {open_to_all[0].nodes} names no reason, so it holds for those of the others, too"
            yield Finding(_of(pool), text, "the least of all matching budgets counts: give each its reasons")


def _bad_budget(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        for budget in pool.spec.disruption.budgets:
            reason = _unreadable(budget)
            if reason:
                yield Finding(_of(pool), f"a budget cannot be read and so allows nothing: {reason}")


def _unreadable(budget: Budget) -> str:
    try:
        is_active(budget, 0.0)
    except InvalidManifest as error:
        return str(error)
    plain = Budget(budget.nodes)
    if allowed([plain], REASONS[0], 1000, 0.0) == 0 and budget.nodes not in {"0", "0%"}:
        return f"nodes: {budget.nodes}"
    return ""


def _serves(pool: NodePool, worker: Worker) -> str | None:
    """Return why a pool does not take a worker's pods, or None if it does."""
    demand = read_demand(worker.template.spec, worker.template.metadata.labels)
    plan = provision([PodView("pod", demand)], (), [Pool(pool, kwok_instance_types())])
    return next(iter(plan.unschedulable.values()), None)


def _evicted(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        if pool.spec.disruption.consolidation_policy == "WhenEmpty":
            continue
        for worker in setting.workers:
            protected = "karpenter.sh/do-not-disrupt" in worker.template.metadata.annotations
            if not protected and _serves(pool, worker) is None:
                text = f"consolidation evicts pods of {worker.name} while they work"
                advice = (
                    "give workers a pool with consolidationPolicy: WhenEmpty, or annotate their pods with "
                    'karpenter.sh/do-not-disrupt: "true"'
                )
                yield Finding(_of(pool), text, advice)


def _hasty(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        if pool.spec.disruption.consolidate_after in {"0s", "0", "0m"}:
            text = "consolidateAfter 0s: a node goes in the first pause between bursts, and the next burst waits"
            yield Finding(_of(pool), text, "set consolidateAfter to 1m to 5m")


def _no_limits(setting: Setting) -> Iterator[Finding]:
    for pool in setting.pools:
        if not pool.spec.limits:
            yield Finding(
                _of(pool), "no limits: a queue that fills by mistake buys nodes without end", "set limits.cpu"
            )


def _nowhere(setting: Setting) -> Iterator[Finding]:
    if not setting.pools:
        return
    for worker in setting.workers:
        reasons = [_serves(pool, worker) for pool in setting.pools]
        if all(reasons):
            yield Finding(worker.name, f"no NodePool takes its pods: {'; '.join(reason or '' for reason in reasons)}")


def _protection(setting: Setting) -> Iterator[Finding]:
    for budget in setting.budgets:
        selector = budget.spec.selector
        for worker in setting.workers:
            if selector is None or not selector.matches(worker.template.metadata.labels):
                continue
            subject = f"PodDisruptionBudget/{budget.metadata.name}"
            if budget.spec.max_unavailable in {0, "0", "0%"} or budget.spec.min_available == "100%":
                text = f"it lets no pod of {worker.name} go: nodes with one are never drained"
                yield Finding(subject, text, "allow at least one, or use karpenter.sh/do-not-disrupt on the pods")
            elif isinstance(worker.owner, ScaledObject):
                text = f"it does not protect {worker.name} from scaling in: that is deletion, not eviction"
                advice = "keep controller.kubernetes.io/pod-deletion-cost high on busy pods (forebay.worker does)"
                yield Finding(subject, text, advice)


RULES = (
    Rule("grace-too-short", "error", "A message takes longer than a pod may take to stop.", _grace),
    Rule("no-requests", "warning", "Pods ask for no CPU or memory.", _requests),
    Rule("utilization-without-request", "error", "Utilization of a resource that is not requested.", _utilization),
    Rule("flapping", "warning", "Scaling down without a stabilisation window.", _flapping),
    Rule("slow-to-zero", "warning", "The budget takes empty nodes away one at a time.", _default_budget),
    Rule("least-budget-counts", "warning", "A budget without reasons binds those with reasons.", _least_budget),
    Rule("unreadable-budget", "error", "A budget cannot be read.", _bad_budget),
    Rule("consolidation-evicts-workers", "warning", "Consolidation moves pods that work on messages.", _evicted),
    Rule("hasty-consolidation", "warning", "Nodes go in the first pause.", _hasty),
    Rule("no-limits", "warning", "A NodePool without limits.", _no_limits),
    Rule("no-pool-fits", "error", "No NodePool takes the pods.", _nowhere),
    Rule(
        "budget-does-not-protect",
        "warning",
        "A PodDisruptionBudget protects from less, or more, than meant.",
        _protection,
    ),
)
