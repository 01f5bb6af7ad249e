"""Every rule finds its mistake, and nothing in manifests that are right."""

from pathlib import Path

import pytest
import yaml

from forebay.scaling.lint.check import RULES, check
from forebay.scaling.manifests.documents import read_paths, read_text
from tests.unit.scaling.simulation.setting import deployment, node_pool, scaled_object

_ROOT = Path(__file__).resolve().parents[4]


def _right_object(**spec):
    """A ScaledObject without a known mistake."""
    found = scaled_object("external-push", pollingInterval=5, fallback={"failureThreshold": 3, "replicas": 2}, **spec)
    found["spec"]["triggers"][0]["useCachedMetrics"] = True
    return found


def _sqs(**metadata):
    found = _right_object()
    base = {"queueURL": "orders", "awsRegion": "us-east-1", "identityOwner": "operator"}
    found["spec"]["triggers"] = [{"type": "aws-sqs-queue", "metadata": {**base, **metadata}, "useCachedMetrics": True}]
    return found


def _worker(**marks):
    found = deployment(**marks)
    del found["spec"]["replicas"]
    return found


def _job(strategy="default", trigger="aws-sqs-queue", **metadata):
    base = {"queueURL": "orders", "awsRegion": "us-east-1", "identityOwner": "operator", **metadata}
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}}
    template = {"spec": {"containers": [{"name": "j", "image": "j", "resources": resources}]}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledJob",
        "metadata": {"name": "job"},
        "spec": {
            "jobTargetRef": {"template": template},
            "scalingStrategy": {"strategy": strategy},
            "triggers": [{"type": trigger, "metadata": base}],
        },
    }


def _right_pool(**disruption):
    found = node_pool(limits={"cpu": "100"})
    budgets = [{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "10%", "reasons": ["Underutilized", "Drifted"]}]
    found["spec"]["disruption"] = {
        "consolidationPolicy": "WhenEmpty", "consolidateAfter": "2m", "budgets": budgets, **disruption,
    }  # fmt: skip
    return found


def _budget(**spec):
    selector = {"matchLabels": {"app": "w"}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "w"},
        "spec": {"selector": selector, **spec},
    }


def _behavior(**down):
    behavior = {"scaleDown": down}
    return _right_object(advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}})


def _with(found, **changes):
    found["spec"].update(changes)
    return found


def _bare():
    found = _worker()
    del found["spec"]["template"]["spec"]["containers"][0]["resources"]
    return found


def _paused():
    found = _right_object()
    found["metadata"]["annotations"] = {"autoscaling.keda.sh/paused": "true"}
    return found


def _triggered(kind, **trigger):
    return _with(_right_object(), triggers=[{"type": kind, "metadata": {"value": "50"}, **trigger}])


def _uncached():
    found = _right_object()
    found["spec"]["triggers"][0]["useCachedMetrics"] = False
    return found


def _tainted():
    found = _right_pool()
    found["spec"]["template"]["spec"]["taints"] = [{"key": "a", "effect": "NoSchedule"}]
    return found


_HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "own"},
    "spec": {"scaleTargetRef": {"name": "worker", "kind": "Deployment", "apiVersion": "apps/v1"}, "maxReplicas": 5},
}

_RIGHT = (_worker(), _right_object(), _right_pool())

# Rule -> manifests with its mistake.
_MISTAKES = {
    "cooldown-without-zero": [_worker(), _right_object(minReplicaCount=2, cooldownPeriod=60)],
    "in-flight-counted-twice": [_job("accurate")],
    "bounds": [_worker(), _right_object(minReplicaCount=200)],
    "idle-not-zero": [_worker(), _right_object(minReplicaCount=5, idleReplicaCount=2)],
    "queue-url": [_worker(), _sqs(queueURL="http://localhost:4566/orders")],
    "trigger-metadata": [_worker(), _sqs(queueLength="many")],
    "trigger-credentials": [_worker(), _sqs(identityOwner="pod")],
    "no-fallback": [_worker(), scaled_object("external-push", True, pollingInterval=5)],
    "metric-reads": [_worker(), _uncached()],
    "cold-start": [_worker(), _with(_sqs(), pollingInterval=30)],
    "jump-to-zero": [_worker(), _behavior(policies=[{"type": "Pods", "value": 1, "periodSeconds": 60}])],
    "two-autoscalers": [_worker(), _right_object(), _HPA],
    "never-zero": [_worker(), _triggered("cpu")],
    "target": [deployment(), _right_object()],
    "first-poll": [_with(deployment(), replicas=3), _right_object()],
    "job-push": [_job(trigger="external-push")],
    "formula": [_worker(), _right_object(advanced={"scalingModifiers": {"formula": "a +", "target": "1"}})],
    "paused": [_worker(), _paused()],
    "grace-too-short": [_worker(message_seconds="10-90"), _right_object()],
    "no-requests": [_bare(), _right_object()],
    "utilization-without-request": [_bare(), _with(_triggered("cpu"), minReplicaCount=1)],
    "flapping": [_worker(), _behavior(stabilizationWindowSeconds=0)],
    "slow-to-zero": [_right_pool(budgets=[{"nodes": "10%"}])],
    "least-budget-counts": [_right_pool(budgets=[{"nodes": "100%", "reasons": ["Empty"]}, {"nodes": "10%"}])],
    "unreadable-budget": [_right_pool(budgets=[{"nodes": "100%", "schedule": "@daily"}])],
    "consolidation-evicts-workers": [*_RIGHT[:2], _right_pool(consolidationPolicy="WhenEmptyOrUnderutilized")],
    "hasty-consolidation": [_right_pool(consolidateAfter="0s")],
    "no-limits": [node_pool()],
    "no-pool-fits": [*_RIGHT[:2], _tainted()],
    "budget-does-not-protect": [_worker(), _right_object(), _budget(maxUnavailable=1)],
}  # fmt: skip


def _found(documents):
    reads, problems = read_text(yaml.safe_dump_all(documents))
    assert problems == []
    return [(rule.name, finding) for rule, finding in check(reads, problems).findings]


def test_right_manifests_have_no_findings():
    assert _found(_RIGHT) == []


@pytest.mark.parametrize("name", _MISTAKES)
def test_rule_finds_its_mistake(name):
    findings = [finding for rule, finding in _found(_MISTAKES[name]) if rule == name]
    assert findings
    assert all("/" in finding.subject for finding in findings)


def test_every_rule_has_a_mistake_to_find():
    assert set(_MISTAKES) == {rule.name for rule in RULES}


def test_every_rule_is_in_the_reference():
    page = (_ROOT / "docs" / "reference" / "lint-rules.md").read_text()
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.gravity} |" in page, rule.name


def test_default_strategy_without_in_flight_is_found_too():
    (found,) = [
        finding for rule, finding in _found([_job(scaleOnInFlight="false")]) if rule == "in-flight-counted-twice"
    ]
    assert "too few" in found.text


def test_missing_authentications_are_named():
    made = _sqs()
    made["spec"]["triggers"][0]["authenticationRef"] = {"name": "absent"}
    texts = [finding.text for rule, finding in _found([_worker(), made]) if rule == "trigger-credentials"]
    assert texts == ["TriggerAuthentication/absent is not among the manifests"]


def test_example_has_no_findings():
    reads, problems = read_paths([_ROOT / "examples" / "kubernetes" / "manifests"])
    report = check(reads, problems)
    assert (report.findings, report.errors) == ((), 0)


def test_rules_can_be_left_out():
    reads, problems = read_text(yaml.safe_dump_all(_MISTAKES["no-limits"]))
    report = check(reads, problems, frozenset({"no-limits"}))
    assert "no-limits" not in [rule.name for rule, _ in report.findings]
