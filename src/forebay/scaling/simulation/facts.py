"""What a setting's manifests mean in seconds and pods, said before any simulation: the first half of `explain`."""

import math
from collections.abc import Iterator

from forebay.scaling.manifests.quantity import format_seconds
from forebay.scaling.policies import batching, disruption, hpa
from forebay.scaling.policies.budgets import allowed
from forebay.scaling.policies.hpa_replicas import Usage
from forebay.scaling.policies.hpa_shaping import HpaHistory, down_rules
from forebay.scaling.policies.nodepools import Pool
from forebay.scaling.simulation.scenario import CronTrigger, QueueTrigger, ResourceTrigger, Scenario, WorkloadPlan
from forebay.scaling.simulation.workload import hpa_spec

_RAMP_STEPS_MAX = 40


def facts(scenario: Scenario) -> str:
    """Write what follows from the manifests of a setting."""
    lines: list[str] = []
    for plan in scenario.workloads:
        lines += [_title(plan), *(f"  - {line}" for line in _of_workload(plan))]
    for pool in scenario.pools:
        lines += [f"NodePool {pool.name}", *(f"  - {line}" for line in _of_pool(pool, scenario))]
    if not scenario.pools:
        lines.append("No NodePool: pods start at once, on a machine without end.")
    return "\n".join(lines)


def _title(plan: WorkloadPlan) -> str:
    kind = "ScaledJob" if plan.scaled_job else "Deployment"
    return f"{kind} {plan.name}" + (f", queue {plan.queue}" if plan.queue else "")


def _of_workload(plan: WorkloadPlan) -> Iterator[str]:
    yield from _triggers(plan)
    if plan.scaled_job is not None:
        spec = plan.scaled_job.spec
        yield (
            f"jobs are made every {spec.polling_interval} s, at most {spec.max_replica_count} at a time, by strategy "
            f"{spec.scaling_strategy.strategy}; they end by themselves, there is no cooldown"
        )
    if plan.scaled_object is not None:
        yield from _of_object(plan)
    if plan.scaled_job is None:
        yield from _of_hpa(plan)
    workers = plan.workers
    yield (
        f"assumed: a message takes {workers.work_time.mean:g} s on average; a pod starts in {workers.start_seconds:g} s"
        f" and works on {workers.concurrency} at once"
    )


def _triggers(plan: WorkloadPlan) -> Iterator[str]:
    for trigger in plan.triggers:
        source = trigger.trigger
        if isinstance(source, ResourceTrigger):
            yield f"trigger {source.resource}: always active, so never zero; what pods use is not simulated"
        elif isinstance(source, CronTrigger):
            yield f"trigger {trigger.metric_name}: {source.desired} replicas inside its window"
        else:
            counted = "waiting and in flight" if source.sqs.counts_in_flight else "waiting"
            yield (
                f"trigger {trigger.metric_name}: messages {counted}, {source.sqs.target} for each replica, "
                f"active above {source.sqs.activation}"
            )


def _of_object(plan: WorkloadPlan) -> Iterator[str]:
    assert plan.scaled_object is not None
    spec = plan.scaled_object.spec
    minimum = spec.min_replica_count or 0
    lifted = minimum or 1
    if minimum == 0 or spec.idle_replica_count is not None:
        pushed = any(isinstance(t.trigger, QueueTrigger) and t.trigger.is_pushed for t in plan.triggers)
        wait = "at once (pushed)" if pushed else f"within {spec.polling_interval} s (pollingInterval)"
        yield f"0 -> {lifted}: by KEDA, {wait} after the first message"
        last = spec.idle_replica_count or 0
        until = spec.cooldown_period + spec.polling_interval
        yield (
            f"N -> {last}: by KEDA in one step, {spec.cooldown_period} to {until} s "
            "after the last poll that found work (cooldownPeriod)"
        )
    else:
        yield f"never below {minimum} replicas, so cooldownPeriod has no meaning"


def _of_hpa(plan: WorkloadPlan) -> Iterator[str]:
    spec = hpa_spec(plan)
    if spec is None:
        return
    steps = _ramp(plan)
    shown = ", ".join(map(str, steps if len(steps) <= 12 else [*steps[:11], "...", steps[-1]]))
    seconds = (len(steps) - 1) * hpa.SYNC_SECONDS
    yield f"{steps[0]} -> {steps[-1]}: by the HPA, a step every 15 s at most: {shown} (about {format_seconds(seconds)})"
    window = down_rules(spec.behavior).window_seconds
    policies = "" if spec.behavior is None else ", then as its policies allow"
    yield f"down: by the HPA to the most that was asked for in {window} s{policies}"


def _ramp(plan: WorkloadPlan) -> list[int]:
    spec = hpa_spec(plan)
    assert spec is not None
    current, history, now = max(1, spec.min_replicas), HpaHistory(), 0.0
    steps = [current]
    while current < spec.max_replicas and len(steps) < _RAMP_STEPS_MAX:
        wanted = hpa.Proposal("metric", Usage(spec.max_replicas))
        found = hpa.decide(spec, current, [wanted], history, now)
        history, now = found.history, now + hpa.SYNC_SECONDS + 0.1
        if not found.is_rescaled and now > 3600:
            break
        if found.is_rescaled:
            current = found.replicas
            steps.append(current)
    return steps


def _of_pool(pool: Pool, scenario: Scenario) -> Iterator[str]:
    names = len(pool.compatible_types)
    yield f"{names} instance types suit; the cheapest that takes what waits is bought"
    delay = scenario.registration_seconds[pool.name]
    yield (
        f"a new node takes {batching.IDLE_SECONDS:g} to {batching.MAX_SECONDS:g} s to be decided on "
        f"and {delay:g} s to be ready"
    )
    spec = pool.manifest.spec.disruption
    quiet = pool.consolidate_after_seconds
    if math.isinf(quiet):
        yield "nodes are never consolidated (consolidateAfter: Never)"
        return
    first = quiet + disruption.VALIDATION_SECONDS
    last = format_seconds(first + disruption.ROUND_SECONDS)
    yield f"an empty node goes {format_seconds(first)} to {last} after its last pod"
    at_once = allowed(spec.budgets, "Empty", 10, scenario_start())
    yield f"empty nodes that go at once, of 10: {min(at_once, 10)}" + (
        f", all of them in about {format_seconds(math.ceil(10 / at_once) * 30.0)}" if 0 < at_once < 10 else ""
    )
    if spec.consolidation_policy != "WhenEmpty":
        yield f"{spec.consolidation_policy}: nodes with pods on them go, too, and their pods are evicted"


def scenario_start() -> float:
    """Return the moment at which simulations begin unless told otherwise: Monday, 2026-01-05 at midnight, UTC."""
    return 1_767_571_200.0
