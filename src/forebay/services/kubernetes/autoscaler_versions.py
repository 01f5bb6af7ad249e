"""HorizontalPodAutoscaler v1, which knows nothing but CPU: made of v2 for reading, and into v2 when it is created.

What v1 has no words for stands in annotations, as Kubernetes puts it there. Changes are made through v2.
"""

import json
from typing import cast

from forebay.scaling.cluster.kinds import AUTOSCALERS, EMPTY, OLD_AUTOSCALERS, Object

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_SAME = ("scaleTargetRef", "minReplicas", "maxReplicas")


def old_autoscaler(thing: Object) -> Object:
    """Return an autoscaler as v1 shows it."""
    spec, status = thing["spec"], cast("Object", thing.get("status") or EMPTY)
    made: Object = {name: spec[name] for name in _SAME if name in spec}
    others: list[Object] = []
    for metric in cast("list[Object]", spec.get("metrics") or []):
        percent = _cpu_percent(metric)
        if percent is None or "targetCPUUtilizationPercentage" in made:
            others.append(metric)
        else:
            made["targetCPUUtilizationPercentage"] = percent
    metadata = dict(thing["metadata"])
    marks = {_METRICS: others, _BEHAVIOR: spec.get("behavior")}
    extra = {name: json.dumps(value) for name, value in marks.items() if value}
    if extra:
        metadata["annotations"] = {**(metadata.get("annotations") or EMPTY), **extra}
    kept = ("currentReplicas", "desiredReplicas", "lastScaleTime")
    shown = {name: status[name] for name in kept if name in status}
    head = {"apiVersion": OLD_AUTOSCALERS.api_version, "kind": "HorizontalPodAutoscaler"}
    return {**head, "metadata": metadata, "spec": made, "status": shown}


def new_autoscaler(thing: Object) -> Object:
    """Return an autoscaler of v1 as v2 has it."""
    spec = thing["spec"]
    made: Object = {name: spec[name] for name in _SAME if name in spec}
    percent = spec.get("targetCPUUtilizationPercentage")
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        made["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {**thing, "apiVersion": AUTOSCALERS.api_version, "spec": made}


def _cpu_percent(metric: Object) -> int | None:
    source = cast("Object", metric.get("resource") or EMPTY)
    return (source.get("target") or EMPTY).get("averageUtilization") if source.get("name") == "cpu" else None
