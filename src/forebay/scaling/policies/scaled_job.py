"""How many jobs KEDA makes for a ScaledJob at a poll.

Source: KEDA v2.20 `pkg/scaling/executor/scale_jobs.go` and `pkg/scaling/scaledjob`; all four strategies.
"""

import math
from collections.abc import Sequence

import msgspec

from forebay.scaling.manifests.keda import ScaledJobSpec, ScalingStrategy


class JobMetric(msgspec.Struct, frozen=True):
    """What one trigger says: the length of its queue, the length for one job, and whether it is active."""

    queue_length: float
    target: float
    is_active: bool = True


class Jobs(msgspec.Struct, frozen=True):
    """Jobs that have not ended, and those of them without a pod that runs or has run."""

    running: int
    pending: int


class JobDecision(msgspec.Struct, frozen=True):
    """How many jobs to make now, and why."""

    create: int
    why: str


class Demand(msgspec.Struct, frozen=True):
    """What the triggers ask for together."""

    queue_length: int
    max_scale: int
    is_active: bool


def capacity(spec: ScaledJobSpec) -> int:
    """Return the `MaxReplicaCount()` of the formulas: what is left above the minimum."""
    return spec.max_replica_count - min(spec.min_replica_count, spec.max_replica_count)


def demand(metrics: Sequence[JobMetric], limit: int, calculation: str = "max") -> Demand:
    """Bring the metrics of the active triggers together by `multipleScalersCalculation`."""
    found = [
        (metric.queue_length, min(metric.queue_length / metric.target if metric.target else 0.0, float(limit)))
        for metric in metrics
        if metric.is_active
    ]
    if not found:
        return Demand(0, 0, is_active=False)
    match calculation:
        case "min":
            length, scale = min(found)
        case "avg":
            length, scale = sum(f[0] for f in found) / len(found), sum(f[1] for f in found) / len(found)
        case "sum":
            length, scale = sum(f[0] for f in found), sum(f[1] for f in found)
        case _:
            length, scale = max(found, key=lambda pair: pair[0])
    return Demand(math.ceil(length), math.ceil(min(scale, limit)), is_active=True)


def effective_max_scale(
    strategy: ScalingStrategy, max_scale: int, jobs: Jobs, limit: int, scale_to: int
) -> tuple[int, int]:
    """Return how many jobs a strategy allows and how many it aims at; `jobs.running` is counted above the minimum."""
    running, pending = jobs.running, jobs.pending
    match strategy.strategy:
        case "custom":
            return _custom(strategy, max_scale, running, limit), scale_to
        case "accurate":
            if max_scale + running - pending > limit:
                return limit - running, scale_to
            return max_scale - pending, scale_to
        case "eager":
            return min(limit - running - pending, max_scale), limit
        case _:
            return max_scale - running, scale_to


def decide(spec: ScaledJobSpec, metrics: Sequence[JobMetric], jobs: Jobs) -> JobDecision:
    """Decide how many jobs are made at a poll."""
    limit = capacity(spec)
    asked = demand(metrics, limit, spec.scaling_strategy.multiple_scalers_calculation)
    if jobs.running < spec.min_replica_count:
        missing = spec.min_replica_count - jobs.running
        return JobDecision(missing, f"{jobs.running} jobs run, minReplicaCount is {spec.min_replica_count}")
    above = Jobs(jobs.running - spec.min_replica_count, jobs.pending)
    effective, scale_to = effective_max_scale(spec.scaling_strategy, asked.max_scale, above, limit, asked.queue_length)
    if not asked.is_active:
        return JobDecision(0, "no trigger is active")
    create = min(scale_to, max(effective, 0))
    why = (
        f"queue length {asked.queue_length} asks for {asked.max_scale}; {jobs.running} run, {jobs.pending} of them "
        f"wait for a pod: strategy {spec.scaling_strategy.strategy} makes {create}"
    )
    return JobDecision(create, why)


def _custom(strategy: ScalingStrategy, max_scale: int, running: int, limit: int) -> int:
    percentage = strategy.custom_scaling_running_job_percentage
    try:
        share = float(percentage) if percentage is not None and percentage != "" else 0.0
    except ValueError:
        # KEDA falls back to the default strategy for a percentage that it cannot read.
        return max_scale - running
    deduction = strategy.custom_scaling_queue_length_deduction or 0
    return min(max_scale - deduction - int(running * share), limit)
