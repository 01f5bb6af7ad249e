"""Manifests of a setting for simulations: a worker, its ScaledObject, and its nodes."""

from pathlib import Path
from typing import Any

import yaml

from forebay.scaling.manifests.documents import read_text
from forebay.scaling.simulation.arrivals import parse_arrivals
from forebay.scaling.simulation.result import Result
from forebay.scaling.simulation.run import simulate
from forebay.scaling.simulation.scenario import Options, Scenario, scenario_of


def deployment(cpu: str = "500m", **annotations: str) -> dict[str, Any]:
    container = {"name": "w", "image": "w", "resources": {"requests": {"cpu": cpu, "memory": "512Mi"}}}
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [container]}}
    marks = {f"simulation.forebay.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker", "annotations": marks},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "w"}}, "template": template},
    }


def scaled_object(trigger: str = "aws-sqs-queue", cached: bool = False, **spec: Any) -> dict[str, Any]:
    metadata = {"queueURL": "orders", "queueLength": "5", "awsRegion": "us-east-1"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "worker"},
        "spec": {
            "scaleTargetRef": {"name": "worker"},
            "triggers": [{"type": trigger, "metadata": metadata, "useCachedMetrics": cached}],
            **spec,
        },
    }


def node_pool(policy: str = "WhenEmpty", budget: str = "100%", **spec: Any) -> dict[str, Any]:
    requirements = [
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
    ]
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "workers"},
        "spec": {
            "template": {"spec": {"nodeClassRef": reference, "requirements": requirements}},
            "disruption": {"consolidationPolicy": policy, "budgets": [{"nodes": budget}]},
            **spec,
        },
    }


def scenario(*documents: dict[str, Any], options: Options = Options()) -> Scenario:  # noqa: B008
    reads, problems = read_text(yaml.safe_dump_all(documents))
    assert problems == []
    return scenario_of(reads, problems, options, "setting")


def run(*documents: dict[str, Any], arrivals: str, seconds: float, options: Options = Options()) -> Result:  # noqa: B008
    return simulate(scenario(*documents, options=options), {"": parse_arrivals(arrivals)}, seconds)


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "setting.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path
