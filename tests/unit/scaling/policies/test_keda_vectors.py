"""KEDA's decisions against the vectors restated from KEDA v2.20.2."""

import pytest

from forebay.scaling.manifests.keda import (
    Fallback,
    ScaledJobSpec,
    ScaledObject,
    ScaledObjectSpec,
    ScaleTarget,
    ScalingStrategy,
    Trigger,
)
from forebay.scaling.manifests.meta import ObjectMeta
from forebay.scaling.manifests.pods import PodSpec, PodTemplate
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.manifests.workloads import JobSpec
from forebay.scaling.policies import scaled_job, scaled_object, sqs_metric
from tests.unit.scaling.vectors import vectors

NOW = 1_000_000.0
TRIGGER = Trigger("aws-sqs-queue", {"queueURL": "orders"})
_NAMES = {"visible": sqs_metric.VISIBLE, "notVisible": sqs_metric.IN_FLIGHT, "delayed": sqs_metric.DELAYED}


@pytest.mark.parametrize("case", vectors("keda", "sqs_metric"))
def test_sqs_metric_is_keda_s(case):
    metadata = {"queueURL": "orders", "activationQueueLength": str(case["activation"])}
    for name in ("scaleOnInFlight", "scaleOnDelayed"):
        if case.get(name) is not None:
            metadata[name] = str(case[name]).lower()
    trigger = sqs_metric.read_sqs_trigger(metadata)
    attributes = {_NAMES[name]: str(value) for name, value in case["attrs"].items()}
    expected = case["expect"]
    if expected.get("error"):
        with pytest.raises(sqs_metric.UnreadableMetric):
            trigger.value(attributes)
        return
    value = trigger.value(attributes)
    assert (value, trigger.is_active(value)) == (expected["metric"], expected["active"])
    assert list(trigger.attributes) == expected.get("requested", list(trigger.attributes))


@pytest.mark.parametrize("case", vectors("keda", "sqs_queue_url"))
def test_queue_url_is_read_as_keda_reads_it(case):
    if case["expect"].get("error"):
        with pytest.raises(InvalidManifest, match="cannot get queueName from queueURL"):
            sqs_metric.parse_queue_name(case["queueURL"])
        return
    trigger = sqs_metric.read_sqs_trigger({"queueURL": case["queueURL"]})
    assert trigger.queue_name == case["expect"]["name"]
    assert trigger.metric_name(0) == case["expect"]["metricName"]


@pytest.mark.parametrize("case", vectors("keda", "scaledjob_strategy"))
def test_strategy_allows_as_many_jobs_as_keda_s(case):
    strategy = ScalingStrategy(
        strategy=case["strategy"],
        custom_scaling_queue_length_deduction=case["queueLengthDeduction"],
        custom_scaling_running_job_percentage=case["runningJobPercentage"],
    )
    jobs = scaled_job.Jobs(case["running"], case["pending"])
    found = scaled_job.effective_max_scale(strategy, case["maxScale"], jobs, case["maxReplicaCount"], case["scaleTo"])
    assert found == (case["expect"]["effectiveMaxScale"], case["expect"]["scaleTo"])


@pytest.mark.parametrize("case", vectors("keda", "scaledjob_jobs_to_create"))
def test_poll_makes_as_many_jobs_as_keda_s(case):
    spec = ScaledJobSpec(
        job_target_ref=JobSpec(PodTemplate(PodSpec(()))),
        triggers=(TRIGGER,),
        max_replica_count=case["maxReplicaCount"],
        scaling_strategy=ScalingStrategy(case["strategy"]),
    )
    metric = scaled_job.JobMetric(case["queueLength"], case["targetAverageValue"])
    assert scaled_job.decide(spec, [metric], scaled_job.Jobs(case["running"], 0)).create == case["expect"]


@pytest.mark.parametrize("case", vectors("keda", "scaledobject_decision"))
def test_poll_decides_as_keda_does(case):
    marks = {
        "pausedScaleIn": scaled_object.PAUSED_SCALE_IN,
        "pausedScaleOut": scaled_object.PAUSED_SCALE_OUT,
        "forceActivation": scaled_object.FORCE_ACTIVATION,
    }
    subject = ScaledObject(
        metadata=ObjectMeta(name="orders", annotations={mark: "true" for key, mark in marks.items() if case.get(key)}),
        spec=ScaledObjectSpec(
            scale_target_ref=ScaleTarget("worker"),
            triggers=(TRIGGER,),
            min_replica_count=case["minReplicaCount"],
            idle_replica_count=case["idleReplicaCount"],
            initial_cooldown_period=case.get("initialCooldownPeriod", 0),
            fallback=None if case["fallbackReplicas"] is None else Fallback(3, case["fallbackReplicas"]),
        ),
    )
    since = case["secondsSinceLastActive"]
    last_active_at = None if since is None else NOW - since
    poll = scaled_object.Poll(
        current_replicas=case["currentReplicas"],
        is_active=case["active"],
        is_error=case["error"],
        created_at=NOW - case.get("secondsSinceCreation", 86_400),
        last_active_at=last_active_at,
        active_triggers=("s0-aws-sqs-orders",),
    )
    decision = scaled_object.decide(subject, poll, NOW)
    assert decision.set_replicas == case["expect"]["setReplicas"]
    refreshed = NOW if case["expect"]["refreshLastActiveTime"] else last_active_at
    assert decision.last_active_at == refreshed
