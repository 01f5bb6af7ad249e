"""What must hold for every load: bounds, monotony, convergence, and the way to zero and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.scaling.manifests.hpa import Behavior, HpaSpec, ScalingPolicy, ScalingRules
from forebay.scaling.manifests.keda import Fallback, ScaledObject, ScaledObjectSpec, ScaleTarget, Trigger
from forebay.scaling.manifests.meta import CrossReference, ObjectMeta
from forebay.scaling.policies import hpa, scaled_object
from forebay.scaling.policies.fallback import Health, Target, fallback_value, is_falling_back
from forebay.scaling.policies.hpa_replicas import Tolerance, external_average
from forebay.scaling.policies.hpa_shaping import HpaHistory

_policies = st.builds(
    ScalingPolicy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.sampled_from([15, 30, 60, 120])
)
_rules = st.none() | st.builds(
    ScalingRules,
    st.none() | st.integers(0, 120),
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.none() | st.lists(_policies, min_size=1, max_size=3).map(tuple),
)
_behaviors = st.none() | st.builds(Behavior, _rules, _rules)
_loads = st.lists(st.integers(0, 5000), min_size=1, max_size=40)


def _run(behavior, minimum, maximum, start, loads):
    spec = HpaSpec(CrossReference("worker"), maximum, minimum, (), behavior)
    replicas, history, now = start, HpaHistory(), 0.0
    for load in loads:
        usage = external_average(load * 1000, 5000, replicas, Tolerance())
        found = hpa.decide(spec, replicas, [hpa.Proposal("load", usage)], history, now)
        yield replicas, found
        replicas, history, now = found.replicas, found.history, now + hpa.SYNC_SECONDS


@settings(max_examples=80, deadline=None)
@given(_behaviors, st.integers(1, 5), st.integers(5, 100), st.integers(1, 150), _loads)
def test_hpa_never_leaves_its_bounds(behavior, minimum, maximum, start, loads):
    for _, found in _run(behavior, minimum, maximum, start, loads):
        assert minimum <= found.replicas <= maximum


@settings(max_examples=80, deadline=None)
@given(_behaviors, st.integers(1, 50), st.integers(0, 1000), st.integers(0, 1000))
def test_more_load_never_means_fewer_replicas(behavior, start, load, more):
    (_, low), *_ = _run(behavior, 1, 100, start, [load])
    (_, high), *_ = _run(behavior, 1, 100, start, [load + more])
    assert high.replicas >= low.replicas


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100), st.integers(1, 600))
def test_steady_load_converges_and_stays(start, load):
    seen = [found.replicas for _, found in _run(None, 1, 100, start, [load] * 60)]
    wanted = min(100, max(1, -(-load // 5)))
    assert len(set(seen[-20:])) == 1
    # Within the tolerance of what the load asks for.
    assert abs(seen[-1] - wanted) <= max(1, wanted * 0.11)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 3), st.integers(0, 120))
def test_zero_is_left_with_work_and_reached_without(active, minimum, cooldown):
    spec = ScaledObjectSpec(
        ScaleTarget("worker"), (Trigger("cpu"),), min_replica_count=minimum, cooldown_period=cooldown
    )
    subject = ScaledObject(ObjectMeta(name="orders"), spec)
    replicas, last, now = 0, None, 1000.0
    quiet_since = now
    # Silence after the given polls, long enough for any cooldown.
    for is_active in [*active, *[False] * 10]:
        poll = scaled_object.Poll(replicas, is_active, False, 0.0, last)
        found = scaled_object.decide(subject, poll, now)
        replicas = replicas if found.set_replicas is None else found.set_replicas
        last = found.last_active_at
        if is_active:
            quiet_since = now
            assert replicas >= max(1, minimum)
        elif now - quiet_since <= cooldown and last is not None and minimum == 0:
            assert replicas >= 1, "gone before the cooldown"
        now += 30.0
    assert replicas == minimum


def test_pause_annotations_hold_the_count():
    def decide(annotations, current, active):
        subject = ScaledObject(
            ObjectMeta(name="orders", annotations=annotations),
            ScaledObjectSpec(ScaleTarget("worker"), (Trigger("cpu"),)),
        )
        poll = scaled_object.Poll(current, active, False, 0.0)
        return scaled_object.decide(subject, poll, 1e6).set_replicas

    assert decide({scaled_object.PAUSED: "true"}, 5, False) is None
    assert decide({scaled_object.PAUSED: "false"}, 5, False) == 0
    # A value that is no boolean counts as true.
    assert decide({scaled_object.PAUSED: "please"}, 5, False) is None
    assert decide({scaled_object.PAUSED_REPLICAS: "3"}, 5, False) == 3
    assert decide({scaled_object.PAUSED_REPLICAS: "5"}, 5, True) is None


@pytest.mark.parametrize(
    ("behavior", "current", "replicas"),
    [
        ("static", 9, 4),
        ("currentReplicas", 9, 9),
        ("currentReplicasIfHigher", 9, 9),
        ("currentReplicasIfHigher", 2, 4),
        ("currentReplicasIfLower", 9, 4),
        ("currentReplicasIfLower", 2, 2),
    ],
)
def test_fallback_reports_the_value_that_asks_for_its_replicas(behavior, current, replicas):
    fallback = Fallback(3, 4, behavior)
    value = fallback_value(fallback, Target(5.0), current_replicas=current, ready_replicas=current)
    assert value == 5.0 * replicas
    assert external_average(round(value * 1000), 5000, current, Tolerance()).replicas == replicas


def test_fallback_begins_above_its_threshold_and_ends_with_a_good_read():
    fallback, health = Fallback(2, 4), Health()
    seen = []
    for _ in range(3):
        health = health.after(is_read=False)
        seen.append(is_falling_back(fallback, health))
    assert seen == [False, False, True]
    assert not is_falling_back(fallback, health.after(is_read=True))
    assert not is_falling_back(None, health)


def test_fallback_of_a_value_needs_ready_pods():
    fallback, target = Fallback(3, 4), Target(10.0, "Value")
    assert fallback_value(fallback, target, current_replicas=2, ready_replicas=0) is None
    assert fallback_value(fallback, target, current_replicas=2, ready_replicas=2) == 20.0
    modifiers = Fallback(3, 4, "scalingModifiers")
    assert fallback_value(modifiers, target, current_replicas=2, ready_replicas=2) is None
