"""The HPA against upstream's unit tests restated as vectors, and against timelines recorded from a real controller."""

import pytest

from forebay.scaling.manifests.hpa import (
    Behavior,
    ExternalMetric,
    HpaSpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ScalingPolicy,
    ScalingRules,
)
from forebay.scaling.manifests.meta import CrossReference
from forebay.scaling.policies import hpa
from forebay.scaling.policies.hpa_replicas import (
    MetricError,
    PodsMetric,
    PodState,
    PodTimes,
    Sample,
    Tolerance,
    average_utilization,
    average_value,
    external_average,
    external_value,
)
from forebay.scaling.policies.hpa_shaping import (
    Bounds,
    HpaHistory,
    Recommendation,
    Rules,
    ScaleEvent,
    change_in_period,
    down_rules,
    limit,
    limit_with_behavior,
    scale_down_limit,
    scale_up_limit,
    stabilize,
    stabilize_with_behavior,
    store_event,
    up_rules,
)
from tests.unit.scaling.vectors import document, vectors

NOW = 1_000_000.0
# What upstream's own tests use.
TIMES = PodTimes(cpu_initialization_seconds=120, initial_readiness_seconds=10)


def _policies(rules) -> tuple[ScalingPolicy, ...]:
    return tuple(ScalingPolicy(p["type"], p["value"], p["periodSeconds"]) for p in rules["policies"])


def _rules(rules) -> Rules:
    return Rules(rules["stabilizationWindowSeconds"], rules["selectPolicy"], _policies(rules))


def _events(events) -> tuple[ScaleEvent, ...]:
    return tuple(ScaleEvent(event["replicaChange"], NOW - event["ageSeconds"]) for event in events)


def _log(recommendations) -> tuple[Recommendation, ...]:
    return tuple(Recommendation(past["replicas"], NOW - past["ageSeconds"]) for past in recommendations)


@pytest.mark.parametrize("case", vectors("hpa", "behavior_rate"))
def test_policies_limit_the_rate(case):
    up = _rules(case["scaleUp"]) if "scaleUp" in case else up_rules(None)
    down = _rules(case["scaleDown"]) if "scaleDown" in case else down_rules(None)
    history = HpaHistory((), _events(case.get("scaleUpEvents", ())), _events(case.get("scaleDownEvents", ())))
    bounds = Bounds(case["minReplicas"], case["maxReplicas"])
    shaped = limit_with_behavior(case["currentReplicas"], case["desiredReplicas"], bounds, (up, down), history, NOW)
    assert (shaped.replicas, shaped.reason) == (case["expect"]["replicas"], case["expect"]["condition"])


@pytest.mark.parametrize("case", vectors("hpa", "scale_limit_select_min"))
def test_min_policy_is_the_smallest_change(case):
    limit_of = scale_up_limit if case["direction"] == "up" else scale_down_limit
    assert limit_of(case["currentReplicas"], _rules(case["rules"]), HpaHistory(), NOW) == case["expect"]


@pytest.mark.parametrize("case", vectors("hpa", "stabilize_no_behavior"))
def test_highest_recent_recommendation_holds(case):
    stable, log = stabilize(_log(case["recommendations"]), case["desired"], case["windowSeconds"], NOW)
    assert (stable, len(log)) == (case["expect"]["stabilized"], case["expect"]["logLength"])


@pytest.mark.parametrize("case", vectors("hpa", "stabilize_with_behavior"))
def test_both_windows_hold_the_count(case):
    windows = (case["scaleUpWindow"], case["scaleDownWindow"])
    stable, log = stabilize_with_behavior(
        _log(case["recommendations"]), case["desired"], case["currentReplicas"], windows, NOW
    )
    assert stable == case["expect"]["stabilized"]
    if case["expect"]["log"] is not None:
        assert [past.replicas for past in log] == case["expect"]["log"]


@pytest.mark.parametrize("case", vectors("hpa", "convert_no_behavior"))
def test_count_at_most_doubles(case):
    shaped = limit(case["currentReplicas"], case["desired"], Bounds(case["minReplicas"], case["maxReplicas"]))
    assert (shaped.replicas, shaped.reason) == (case["expect"]["replicas"], case["expect"]["condition"])


@pytest.mark.parametrize("case", vectors("hpa", "store_events"))
def test_outdated_events_make_room(case):
    events = tuple(
        ScaleEvent(event["replicaChange"], NOW - event["ageSeconds"], event["outdated"]) for event in case["prevEvents"]
    )
    assert case["expect"]["changeIn60s"] == change_in_period(events, 60, NOW)
    if case["rules"] is None:
        return  # Without `behavior` nothing is stored: see test_no_events_are_kept_without_behavior.
    stored = store_event(events, case["replicaChange"], _policies(case["rules"]), NOW)
    assert [[event.change, event.is_outdated] for event in stored] == case["expect"]["events"]


def test_no_events_are_kept_without_behavior():
    decision = hpa.decide(_spec(), 1, [_proposal(500, 1)], HpaHistory(), NOW)
    assert decision.is_rescaled
    assert decision.history.up_events == ()


@pytest.mark.parametrize("case", vectors("hpa", "replica_calculator"))
def test_calculator_counts_as_upstream_s(case):
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(MetricError) as raised:
            _calculate(case)
        assert expected["error"] in str(raised.value).replace(" default/pod-", " test-namespace/test-pod-")
        return
    usage = _calculate(case)
    assert usage.replicas == expected["replicas"]
    if "utilizationPct" in expected:
        assert usage.percent == expected["utilizationPct"]
    if "usageMilli" in expected:
        assert usage.milli == expected["usageMilli"]


def _calculate(case):
    current = case["currentReplicas"]
    if "resource" not in case and not case["metric"]["kind"].startswith("Pods"):
        return _calculate_external(case, current)
    resource = case.get("resource")
    if resource is None:
        metric = _pods_metric(case, [[level] for level in case["metric"]["levelsMilli"]])
        return average_value(metric, case["metric"]["targetMilli"])
    levels = resource.get("levelsMilliByContainer") or [
        [level, level] for level in resource.get("levelsMilliPerContainer", [])
    ]
    return average_utilization(_pods_metric(case, levels, resource), resource["targetUtilizationPct"] or 100)


def _pods_metric(case, levels, resource=None) -> PodsMetric:
    names = (resource or {}).get("metricPodNames") or [f"pod-{index}" for index in range(len(levels))]
    return PodsMetric(
        pods=_pods(case, resource),
        samples={
            name: Sample({f"container{place + 1}": value for place, value in enumerate(values)}, at=NOW)
            for name, values in zip(names, levels, strict=True)
        },
        current_replicas=case["currentReplicas"],
        now=NOW,
        times=TIMES,
        resource="cpu" if resource else "",
        container=case.get("container", ""),
    )


def _calculate_external(case, current):
    metric = case["metric"]
    total = sum(metric["levelsMilli"])
    if metric["kind"].endswith("/AverageValue"):
        return external_average(total, metric["perPodTargetMilli"], current, Tolerance())
    return external_value(total, metric["targetMilli"], current, _pods(case), Tolerance())


def _pods(case, resource=None) -> list[PodState]:
    phases = case.get("podPhase", [])
    count = max(case["currentReplicas"], len(phases))
    ready = case.get("podReady", [True] * count)
    deleting = case.get("podDeleting", [False] * count)
    starts = case.get("podStart", ["-1h"] * count)
    ages = {"now": 0, "-3m": 180, "-1h": 3600}
    requests = (resource or {}).get("requestsMilli", [])
    return [
        PodState(
            name=f"pod-{index}",
            phase=phases[index] if index < len(phases) else "Running",
            is_ready=ready[index],
            started_at=NOW - ages[starts[index]],
            ready_changed_at=NOW - ages[starts[index]],
            is_deleting=deleting[index],
            requests_milli={
                f"container{place}": requests[index] if index < len(requests) else None for place in (1, 2)
            },
        )
        for index in range(count)
    ]


@pytest.mark.parametrize("case", vectors("hpa", "external_average_value_queue"))
def test_queue_asks_for_a_share_a_pod(case):
    usage = external_average(case["total"] * 1000, case["averageTarget"] * 1000, case["statusReplicas"], Tolerance())
    assert usage.replicas == case["expect"]


def _spec(behavior: Behavior | None = None, maximum: int = 100) -> HpaSpec:
    metric = ExternalMetric(MetricIdentifier("s0-aws-sqs-orders"), MetricTarget("AverageValue", average_value="5"))
    return HpaSpec(CrossReference("worker"), maximum, 1, (MetricSpec("External", external=metric),), behavior)


def _proposal(total: int, replicas: int, target: int = 5) -> hpa.Proposal:
    return hpa.Proposal("external metric", external_average(total * 1000, target * 1000, replicas, Tolerance()))


class Timeline:
    """An HPA synced under a virtual clock."""

    def __init__(self, spec: HpaSpec, replicas: int, sync_seconds: float, flags: hpa.Flags = hpa.Flags()) -> None:  # noqa: B008
        self.spec, self.replicas, self.sync_seconds, self.flags = spec, replicas, sync_seconds, flags
        self.history, self.now = HpaHistory(), NOW
        self.seen, self.steps, self.conditions = [replicas], [], ()

    def run(self, total: int, seconds: float) -> None:
        """Sync for a while with a metric that stands still."""
        start = self.now
        while self.now <= start + seconds:
            proposals = [_proposal(total, self.replicas)] if self.replicas else []
            decision = hpa.decide(self.spec, self.replicas, proposals, self.history, self.now, self.flags)
            self.history, self.conditions = decision.history, decision.conditions
            if decision.is_rescaled:
                self.replicas = decision.replicas
                self.seen.append(decision.replicas)
                self.steps.append(self.now - start)
            self.now += self.sync_seconds


@pytest.mark.parametrize("case", vectors("hpa", "ramp_every_sync"))
def test_ramp_takes_one_step_a_sync(case):
    behavior = Behavior(scale_down=ScalingRules(stabilization_window_seconds=300))
    spec = _spec(None if case["behavior"] == "absent" else behavior, case["maxReplicas"])
    timeline = Timeline(spec, case["start"], 15.0)
    timeline.run(case["desired"] * 5, 15 * 10)
    assert timeline.seen == case["expectSequence"]


def _recorded(start: int, word: str):
    cases = [case for case in document("hpa")["observed_real_controller"] if word in case["name"]]
    (case,) = [case for case in cases if case["startReplicas"] == start]
    return case


def test_recorded_ramp_without_behavior():
    case = _recorded(1, "no behavior")
    timeline = Timeline(_spec(), 1, 1.0)
    timeline.run(500, 60)
    assert timeline.seen == case["expectSequence"]


def test_recorded_ramp_with_default_policies():
    case = _recorded(1, "15 s default up policies")
    timeline = Timeline(_spec(Behavior(scale_down=ScalingRules(stabilization_window_seconds=5))), 1, 1.0)
    timeline.run(500, 40)
    assert timeline.seen == case["expectSequence"][: len(timeline.seen)]
    # The recorded controller synced a little less often than once a second: a step is late by up to two syncs.
    assert timeline.steps == [pytest.approx(step, abs=2.6) for step in case["stepSeconds"]]


@pytest.mark.parametrize(("start", "word"), [(100, "stabilisation flag 10 s"), (20, "window 5 s")])
def test_recorded_fall_waits_for_its_window(start, word):
    case = _recorded(start, word)
    behavior = Behavior(scale_down=ScalingRules(stabilization_window_seconds=5)) if start == 20 else None
    timeline = Timeline(_spec(behavior), start, 0.5, hpa.Flags(downscale_stabilization_seconds=10))
    timeline.run(0, 30)
    assert timeline.seen == case["expectSequence"]
    assert timeline.steps == [pytest.approx(case["stepSeconds"][0], abs=1.0)]


def test_recorded_zero_is_left_alone():
    case = _recorded(0, "0 replicas")
    timeline = Timeline(_spec(), 0, 1.0)
    timeline.run(500, 60)
    assert timeline.seen == case["expectSequence"]
    (condition,) = [c for c in timeline.conditions if c.type == "ScalingActive"]
    assert f"{condition.type}={condition.status} {condition.reason}" == case["condition"]
