"""Write the numbers of Kubernetes' protobuf fields: `src/forebay/services/kubernetes/protobuf_fields.json`.

    pip download --no-deps -d DIR k8s-proto && tar xzf DIR/k8s-proto-*.tar.gz -C DIR
    .venv/bin/python -m tools.generate_kubernetes_protobuf DIR/k8s-proto-0.0.3

kubectl's `create` sends built-in kinds as protobuf and takes no other answer than that it was understood. Field numbers
never change, so an old set of descriptors serves for core/v1 and meta/v1; what that package lacks stands below. Run by
hand, like `tools.generate_kubernetes`.
"""

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

TARGET = Path(__file__).parent.parent / "src/forebay/services/kubernetes/protobuf_fields.json"
ROOTS = ("core.v1.Namespace", "core.v1.ConfigMap", "core.v1.Secret", "core.v1.ServiceAccount", "core.v1.Pod")
_SCALARS = {3: "int", 5: "int", 8: "bool", 9: "string", 12: "bytes"}
_META = "meta.v1.ObjectMeta"

# message -> number -> (name, type); "[]" before a type stands for a list, "{}" for a map from strings.
OWN: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "apps.v1.Deployment": {1: ("metadata", _META), 2: ("spec", "apps.v1.DeploymentSpec"), 3: ("status", "ignored")},
    "apps.v1.DeploymentSpec": {
        1: ("replicas", "int"),
        2: ("selector", "meta.v1.LabelSelector"),
        3: ("template", "core.v1.PodTemplateSpec"),
        4: ("strategy", "apps.v1.DeploymentStrategy"),
        5: ("minReadySeconds", "int"),
        6: ("revisionHistoryLimit", "int"),
        7: ("paused", "bool"),
        9: ("progressDeadlineSeconds", "int"),
    },
    "apps.v1.DeploymentStrategy": {1: ("type", "string"), 2: ("rollingUpdate", "apps.v1.RollingUpdateDeployment")},
    "apps.v1.RollingUpdateDeployment": {
        1: ("maxUnavailable", "util.intstr.IntOrString"),
        2: ("maxSurge", "util.intstr.IntOrString"),
    },
    "batch.v1.Job": {1: ("metadata", _META), 2: ("spec", "batch.v1.JobSpec"), 3: ("status", "ignored")},
    "batch.v1.JobSpec": {
        1: ("parallelism", "int"),
        2: ("completions", "int"),
        3: ("activeDeadlineSeconds", "int"),
        4: ("selector", "meta.v1.LabelSelector"),
        5: ("manualSelector", "bool"),
        6: ("template", "core.v1.PodTemplateSpec"),
        7: ("backoffLimit", "int"),
        8: ("ttlSecondsAfterFinished", "int"),
        9: ("completionMode", "string"),
        10: ("suspend", "bool"),
    },
    "policy.v1.PodDisruptionBudget": {
        1: ("metadata", _META),
        2: ("spec", "policy.v1.PodDisruptionBudgetSpec"),
        3: ("status", "ignored"),
    },
    "policy.v1.PodDisruptionBudgetSpec": {
        1: ("minAvailable", "util.intstr.IntOrString"),
        2: ("selector", "meta.v1.LabelSelector"),
        3: ("maxUnavailable", "util.intstr.IntOrString"),
        4: ("unhealthyPodEvictionPolicy", "string"),
    },
    "policy.v1.Eviction": {1: ("metadata", _META), 2: ("deleteOptions", "meta.v1.DeleteOptions")},
    "scheduling.v1.PriorityClass": {
        1: ("metadata", _META),
        2: ("value", "int"),
        3: ("globalDefault", "bool"),
        4: ("description", "string"),
        5: ("preemptionPolicy", "string"),
    },
    "autoscaling.v1.HorizontalPodAutoscaler": {
        1: ("metadata", _META),
        2: ("spec", "autoscaling.v1.HorizontalPodAutoscalerSpec"),
        3: ("status", "ignored"),
    },
    "autoscaling.v1.HorizontalPodAutoscalerSpec": {
        1: ("scaleTargetRef", "autoscaling.v2.CrossVersionObjectReference"),
        2: ("minReplicas", "int"),
        3: ("maxReplicas", "int"),
        4: ("targetCPUUtilizationPercentage", "int"),
    },
    "autoscaling.v2.HorizontalPodAutoscaler": {
        1: ("metadata", _META),
        2: ("spec", "autoscaling.v2.HorizontalPodAutoscalerSpec"),
        3: ("status", "ignored"),
    },
    "autoscaling.v2.HorizontalPodAutoscalerSpec": {
        1: ("scaleTargetRef", "autoscaling.v2.CrossVersionObjectReference"),
        2: ("minReplicas", "int"),
        3: ("maxReplicas", "int"),
        4: ("metrics", "[]autoscaling.v2.MetricSpec"),
    },
    "autoscaling.v2.CrossVersionObjectReference": {
        1: ("kind", "string"),
        2: ("name", "string"),
        3: ("apiVersion", "string"),
    },
    "autoscaling.v2.MetricSpec": {1: ("type", "string"), 4: ("resource", "autoscaling.v2.ResourceMetricSource")},
    "autoscaling.v2.ResourceMetricSource": {1: ("name", "string"), 2: ("target", "autoscaling.v2.MetricTarget")},
    "autoscaling.v2.MetricTarget": {
        1: ("type", "string"),
        2: ("value", "api.resource.Quantity"),
        3: ("averageValue", "api.resource.Quantity"),
        4: ("averageUtilization", "int"),
    },
}
# Fields that are younger than the descriptors.
LATER: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "core.v1.Container": {22: ("startupProbe", "core.v1.Probe"), 24: ("restartPolicy", "string")},
    "core.v1.ConfigMap": {4: ("immutable", "bool")},
    "core.v1.Secret": {5: ("immutable", "bool")},
    "core.v1.Probe": {7: ("terminationGracePeriodSeconds", "int")},
}


def main() -> None:
    """Write the file."""
    root = Path(sys.argv[1]) / "k8s/io"
    known: dict[str, dict[str, list[str]]] = {}
    for path in sorted(root.rglob("generated_pb2.py")):
        known |= _messages(path)
    for table in (OWN, LATER):
        for name, fields in table.items():
            known.setdefault(name, {}).update({str(number): list(field) for number, field in fields.items()})
    wanted, kept = [*ROOTS, *OWN, "meta.v1.DeleteOptions"], {}
    while wanted:
        name = wanted.pop()
        if name not in kept and name in known:
            kept[name] = known[name]
            wanted += [kind.lstrip("[]{}") for _, kind in known[name].values()]
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(kept[name], separators=(',', ':'))}" for name in sorted(kept))
    TARGET.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _messages(path: Path) -> dict[str, dict[str, list[str]]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="latin-1"))):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb" and isinstance(node.value, ast.Call):
            literal = node.value.args[0]
            assert isinstance(literal, ast.Constant)
            file = descriptor_pb2.FileDescriptorProto.FromString(str(literal.value).encode("latin-1"))
            return {_short(f".{file.package}.{each.name}"): _fields(each) for each in file.message_type}
    return {}


def _fields(message: Any) -> dict[str, list[str]]:
    entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
    found: dict[str, list[str]] = {}
    for field in message.field:
        entry = entries.get(field.type_name.rpartition(".")[2]) if field.type == 11 else None
        if entry is not None:
            kind = "{}" + _type(next(each for each in entry.field if each.number == 2))
        else:
            kind = ("[]" if field.label == 3 else "") + _type(field)
        found[str(field.number)] = [field.name, kind]
    return found


def _type(field: Any) -> str:
    return _short(field.type_name) if field.type == 11 else _SCALARS[field.type]


def _short(name: str) -> str:
    """Return a message's name without what all have in common."""
    name = name.removeprefix(".k8s.io.apimachinery.pkg.apis.").removeprefix(".k8s.io.apimachinery.pkg.")
    return name.removeprefix(".k8s.io.api.")


if __name__ == "__main__":
    main()
