"""One sync of a HorizontalPodAutoscaler: from the proposals of its metrics to the replicas that it writes.

Conditions, reasons, messages and events are worded as the controller of Kubernetes 1.34 words them.
"""

from collections.abc import Sequence

import msgspec

from forebay.scaling.manifests.hpa import (
    Behavior,
    ExternalMetric,
    HpaSpec,
    MetricSpec,
    MetricTarget,
    ResourceMetric,
    ScalingRules,
)
from forebay.scaling.manifests.meta import LabelSelector
from forebay.scaling.manifests.quantity import parse_quantity
from forebay.scaling.policies.hpa_replicas import Tolerance, Usage
from forebay.scaling.policies.hpa_shaping import (
    Bounds,
    HpaHistory,
    Recommendation,
    Shaped,
    down_rules,
    limit,
    limit_with_behavior,
    stabilize,
    stabilize_with_behavior,
    store_event,
    up_rules,
)
from forebay.scaling.policies.outcome import Condition, Event

SYNC_SECONDS = 15.0

# What the API server fills in for an HPA without metrics.
DEFAULT_METRICS = (
    MetricSpec("Resource", resource=ResourceMetric("cpu", MetricTarget("Utilization", average_utilization=80))),
)

_SCALE_READ = Condition(
    "AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale"
)
_NEW_SCALE = Condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
_UP_STABILIZED = Condition(
    "AbleToScale",
    "True",
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
_DOWN_STABILIZED = Condition(
    "AbleToScale",
    "True",
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)


class Proposal(msgspec.Struct, frozen=True):
    """What one metric asks for; `name` is how Kubernetes calls it."""

    name: str
    usage: Usage


class Failure(msgspec.Struct, frozen=True):
    """A metric without an answer; `reason` such as `FailedGetExternalMetric`."""

    reason: str
    message: str


class Flags(msgspec.Struct, frozen=True):
    """What the controller is started with."""

    downscale_stabilization_seconds: int = 300
    tolerance: float = 0.1


class HpaDecision(msgspec.Struct, frozen=True):
    """What a sync decides: the count, whether it is written, what it is said to be, and what to remember."""

    replicas: int
    is_rescaled: bool
    conditions: tuple[Condition, ...]
    events: tuple[Event, ...]
    history: HpaHistory
    why: str = ""


def metrics_of(spec: HpaSpec) -> tuple[MetricSpec, ...]:
    """Return an HPA's metrics, or those that the API server gives it."""
    return spec.metrics or DEFAULT_METRICS


def tolerance_of(behavior: Behavior | None, flags: Flags) -> Tolerance:
    """Return the tolerances: the HPA's own where it has them, else the controller's."""

    def own(rules: ScalingRules | None) -> float:
        return flags.tolerance if rules is None or rules.tolerance is None else float(parse_quantity(rules.tolerance))

    return Tolerance(own(behavior.scale_up if behavior else None), own(behavior.scale_down if behavior else None))


def external_metric_name(metric: ExternalMetric) -> str:
    """Return a metric's name as conditions and events show it, with Go's print of its selector."""
    return f"external metric {metric.metric.name}({_printed(metric.metric.selector)})"


def _printed(selector: LabelSelector | None) -> str:
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted(selector.match_labels.items()))
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    )


def decide(
    spec: HpaSpec,
    current: int,
    proposals: Sequence[Proposal | Failure],
    history: HpaHistory,
    now: float,
    flags: Flags = Flags(),  # noqa: B008 - frozen
) -> HpaDecision:
    """Decide one sync; `proposals` are those of `metrics_of(spec)` in order (unused at 0 replicas)."""
    if history.recommendations is None:
        history = msgspec.structs.replace(history, recommendations=(Recommendation(current, now),))
    if current == 0 and spec.min_replicas != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        disabled = Condition("ScalingActive", "False", "ScalingDisabled", text)
        return HpaDecision(0, False, (_SCALE_READ, disabled), (), history, why=text)  # noqa: FBT003 - the field's name says it
    if current > spec.max_replicas:
        return _write(
            spec, current, spec.max_replicas, "Current number of replicas above Spec.MaxReplicas", history, now
        )
    if current < spec.min_replicas:
        return _write(
            spec, current, spec.min_replicas, "Current number of replicas below Spec.MinReplicas", history, now
        )
    found = [proposal for proposal in proposals if isinstance(proposal, Proposal)]
    failed = [proposal for proposal in proposals if isinstance(proposal, Failure)]
    best = _highest(found)
    if best is None or (failed and best.usage.replicas < current):
        return _failed(failed, len(proposals), current, history)
    return _shape(spec, current, best, history, now, flags)


def _highest(found: Sequence[Proposal]) -> Proposal | None:
    best: Proposal | None = None
    for proposal in found:
        if best is None or proposal.usage.replicas > best.usage.replicas:
            best = proposal
    return best


def _failed(failed: Sequence[Failure], count: int, current: int, history: HpaHistory) -> HpaDecision:
    if not failed:
        failed = [Failure("InvalidMetricSourceType", "no metrics are given")]
    first = failed[0]
    text = f"the HPA was unable to compute the replica count: {first.message}"
    condition = Condition("ScalingActive", "False", first.reason, text)
    summary = f"invalid metrics ({len(failed)} invalid out of {count}), first error is: {first.message}"
    events = (
        *(Event("Warning", failure.reason, failure.message) for failure in failed),
        Event("Warning", "FailedComputeMetricsReplicas", summary),
    )
    return HpaDecision(current, False, (_SCALE_READ, condition), events, history, why=summary)  # noqa: FBT003


def _shape(spec: HpaSpec, current: int, best: Proposal, history: HpaHistory, now: float, flags: Flags) -> HpaDecision:
    wanted = best.usage.replicas
    log = history.recommendations or ()
    bounds = Bounds(spec.min_replicas, spec.max_replicas)
    if spec.behavior is None:
        stable, log = stabilize(log, wanted, flags.downscale_stabilization_seconds, now)
        able = _NEW_SCALE if stable == wanted else _DOWN_STABILIZED
        shaped = limit(current, stable, bounds)
    else:
        up, down = up_rules(spec.behavior), down_rules(spec.behavior, flags.downscale_stabilization_seconds)
        windows = (float(up.window_seconds), float(down.window_seconds))
        stable, log = stabilize_with_behavior(log, wanted, current, windows, now)
        able = _NEW_SCALE if stable == wanted else _UP_STABILIZED if wanted >= current else _DOWN_STABILIZED
        shaped = limit_with_behavior(current, stable, bounds, (up, down), history, now)
    history = msgspec.structs.replace(history, recommendations=log)
    valid = Condition(
        "ScalingActive",
        "True",
        "ValidMetricFound",
        f"the HPA was able to successfully calculate a replica count from {best.name}",
    )
    limited = Condition(
        "ScalingLimited", "False" if shaped.replicas == stable else "True", shaped.reason, shaped.message
    )
    why = _why(best, current, stable, shaped)
    if shaped.replicas == current:
        return HpaDecision(current, False, (able, valid, limited), (), history, why)  # noqa: FBT003
    # The reason speaks of what the metrics want, also where the limits make it something else.
    reason = f"{best.name} above target" if wanted > current else "All metrics below target" if wanted < current else ""
    written = _write(spec, current, shaped.replicas, reason, history, now)
    return msgspec.structs.replace(written, conditions=(*written.conditions, valid, limited), why=why)


def _write(spec: HpaSpec, current: int, replicas: int, reason: str, history: HpaHistory, now: float) -> HpaDecision:
    text = f"the HPA controller was able to update the target scale to {replicas}"
    return HpaDecision(
        replicas=replicas,
        is_rescaled=True,
        conditions=(Condition("AbleToScale", "True", "SucceededRescale", text),),
        events=(Event("Normal", "SuccessfulRescale", f"New size: {replicas}; reason: {reason}"),),
        history=_remembering(spec.behavior, current, replicas, history, now),
        why=reason,
    )


def _remembering(behavior: Behavior | None, current: int, replicas: int, history: HpaHistory, now: float) -> HpaHistory:
    if behavior is None:
        return history
    if replicas > current:
        events = store_event(history.up_events, replicas - current, up_rules(behavior).policies, now)
        return msgspec.structs.replace(history, up_events=events)
    events = store_event(history.down_events, current - replicas, down_rules(behavior).policies, now)
    return msgspec.structs.replace(history, down_events=events)


def _why(best: Proposal, current: int, stable: int, shaped: Shaped) -> str:
    wanted = best.usage.replicas
    parts = [f"{best.name.split('(', maxsplit=1)[0]} asks for {wanted}"]
    if stable != wanted:
        parts.append(f"the stabilisation window holds {stable}")
    if shaped.replicas != stable:
        parts.append(f"{shaped.reason} makes it {shaped.replicas}")
    if shaped.replicas == current:
        parts.append("nothing changes")
    return ", ".join(parts)
