"""The HPA that KEDA writes for a ScaledObject: one external metric a trigger, or one of them all."""

from collections.abc import Sequence

import msgspec

from forebay.scaling.manifests.hpa import (
    Behavior,
    ExternalMetric,
    HorizontalPodAutoscaler,
    HpaSpec,
    MetricIdentifier,
    MetricSpec,
    MetricTarget,
    ResourceMetric,
    ScalingRules,
)
from forebay.scaling.manifests.keda import MetricType, ScaledObject, Trigger
from forebay.scaling.manifests.meta import CrossReference, LabelSelector, ObjectMeta, OwnerReference
from forebay.scaling.manifests.problem import InvalidManifest
from forebay.scaling.policies.scaled_object import PAUSED_SCALE_IN, PAUSED_SCALE_OUT, has_mark

COMPOSITE_METRIC = "composite-metric"
SELECTOR_LABEL = "scaledobject.keda.sh/name"


class ExternalTarget(msgspec.Struct, frozen=True):
    """A trigger's external metric: its name, and what it is held at."""

    metric_name: str
    target: float
    type: MetricType = "AverageValue"


def hpa_name(scaled_object: ScaledObject) -> str:
    """Return the name of a ScaledObject's HPA."""
    advanced = scaled_object.spec.advanced
    config = advanced.horizontal_pod_autoscaler_config if advanced else None
    return config.name if config and config.name else f"keda-hpa-{scaled_object.metadata.name}"


def hpa_of(scaled_object: ScaledObject, targets: Sequence[ExternalTarget | None]) -> HorizontalPodAutoscaler:
    """Return the HPA for a ScaledObject; `targets` are the triggers' metrics in order, None for cpu and memory.

    Raises:
        InvalidManifest: a cpu or memory trigger has no value that can be read.
    """
    spec, meta = scaled_object.spec, scaled_object.metadata
    label = {SELECTOR_LABEL: meta.name}
    owner = OwnerReference(scaled_object.api_version, scaled_object.kind, meta.name, meta.uid, controller=True)
    target = spec.scale_target_ref
    return HorizontalPodAutoscaler(
        metadata=ObjectMeta(
            name=hpa_name(scaled_object),
            namespace=meta.namespace,
            labels={
                "app.kubernetes.io/managed-by": "keda-operator",
                "app.kubernetes.io/name": hpa_name(scaled_object),
                "app.kubernetes.io/part-of": meta.name,
                **label,
            },
            owner_references=(owner,),
        ),
        spec=HpaSpec(
            scale_target_ref=CrossReference(target.name, target.kind, target.api_version),
            min_replicas=max(1, spec.min_replica_count or 0),
            max_replicas=spec.max_replica_count,
            metrics=tuple(_metrics(scaled_object, targets, label)),
            behavior=_behavior(scaled_object),
        ),
    )


def _metrics(
    scaled_object: ScaledObject, targets: Sequence[ExternalTarget | None], label: dict[str, str]
) -> list[MetricSpec]:
    advanced = scaled_object.spec.advanced
    modifiers = advanced.scaling_modifiers if advanced else None
    resources = [
        _resource(trigger)
        for trigger, target in zip(scaled_object.spec.triggers, targets, strict=True)
        if target is None
    ]
    external = [target for target in targets if target is not None]
    if modifiers and modifiers.formula:
        # All external metrics become one.
        kind = modifiers.metric_type or "AverageValue"
        external = [ExternalTarget(COMPOSITE_METRIC, float(modifiers.target), kind)]
    return [*resources, *(_external(target, label) for target in external)]


def _external(target: ExternalTarget, label: dict[str, str]) -> MetricSpec:
    quantity = f"{round(target.target * 1000)}m"
    held = (
        MetricTarget("Value", value=quantity)
        if target.type == "Value"
        else MetricTarget("AverageValue", average_value=quantity)
    )
    return MetricSpec(
        "External", external=ExternalMetric(MetricIdentifier(target.metric_name, LabelSelector(label)), held)
    )


def _resource(trigger: Trigger) -> MetricSpec:
    kind = trigger.metric_type or trigger.metadata.get("type", "Utilization")
    value = trigger.metadata.get("value", "")
    if not value:
        raise InvalidManifest(f"trigger {trigger.type}: value is required")
    if kind == "AverageValue":
        held = MetricTarget("AverageValue", average_value=value)
    elif value.isdecimal():
        held = MetricTarget("Utilization", average_utilization=int(value))
    else:
        raise InvalidManifest(f"trigger {trigger.type}: a utilization is a whole percentage, not {value!r}")
    return MetricSpec("Resource", resource=ResourceMetric(trigger.type, held))


def _behavior(scaled_object: ScaledObject) -> Behavior | None:
    advanced = scaled_object.spec.advanced
    config = advanced.horizontal_pod_autoscaler_config if advanced else None
    behavior = config.behavior if config else None
    annotations = scaled_object.metadata.annotations
    if has_mark(annotations, PAUSED_SCALE_IN):
        behavior = behavior or Behavior()
        down = msgspec.structs.replace(behavior.scale_down or ScalingRules(), select_policy="Disabled")
        behavior = msgspec.structs.replace(behavior, scale_down=down)
    if has_mark(annotations, PAUSED_SCALE_OUT):
        behavior = behavior or Behavior()
        up = msgspec.structs.replace(behavior.scale_up or ScalingRules(), select_policy="Disabled")
        behavior = msgspec.structs.replace(behavior, scale_up=up)
    return behavior
