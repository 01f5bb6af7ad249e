"""HorizontalPodAutoscaler, autoscaling/v2."""

from typing import ClassVar, Literal

import msgspec

from forebay.scaling.manifests.meta import CrossReference, LabelSelector, ObjectMeta


class MetricTarget(msgspec.Struct, frozen=True, rename="camel"):
    """The value that a metric is held at."""

    type: Literal["Utilization", "Value", "AverageValue"]
    value: str | int | float | None = None
    average_value: str | int | float | None = None
    average_utilization: int | None = None


class MetricIdentifier(msgspec.Struct, frozen=True):
    """A metric's name, and the labels that choose it."""

    name: str
    selector: LabelSelector | None = None


class ResourceMetric(msgspec.Struct, frozen=True):
    """CPU or memory over the pods."""

    name: str
    target: MetricTarget


class ContainerResourceMetric(msgspec.Struct, frozen=True):
    """CPU or memory of one container over the pods."""

    name: str
    container: str
    target: MetricTarget


class PodsMetric(msgspec.Struct, frozen=True):
    """A metric that every pod has."""

    metric: MetricIdentifier
    target: MetricTarget


class ObjectMetric(msgspec.Struct, frozen=True, rename="camel"):
    """A metric of one object."""

    described_object: CrossReference
    metric: MetricIdentifier
    target: MetricTarget


class ExternalMetric(msgspec.Struct, frozen=True):
    """A metric from outside, such as a queue's depth."""

    metric: MetricIdentifier
    target: MetricTarget


class MetricSpec(msgspec.Struct, frozen=True, rename="camel"):
    """One of the metrics that an autoscaler follows."""

    type: Literal["Resource", "ContainerResource", "Pods", "Object", "External"]
    resource: ResourceMetric | None = None
    container_resource: ContainerResourceMetric | None = None
    pods: PodsMetric | None = None
    object: ObjectMetric | None = None
    external: ExternalMetric | None = None


class ScalingPolicy(msgspec.Struct, frozen=True, rename="camel"):
    """How much may change in a period."""

    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: int


class ScalingRules(msgspec.Struct, frozen=True, rename="camel"):
    """How one direction behaves; what is absent has the API's default."""

    stabilization_window_seconds: int | None = None
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: tuple[ScalingPolicy, ...] | None = None
    tolerance: str | int | float | None = None


class Behavior(msgspec.Struct, frozen=True, rename="camel"):
    """How scaling up and down behave."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class HpaSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What is scaled, between which bounds, by what."""

    scale_target_ref: CrossReference
    max_replicas: int
    min_replicas: int = 1
    metrics: tuple[MetricSpec, ...] = ()
    behavior: Behavior | None = None


class HorizontalPodAutoscaler(msgspec.Struct, frozen=True, rename="camel"):
    """Keeps a number of pods at what its metrics ask for."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: HpaSpec
    api_version: str = "autoscaling/v2"
    kind: str = "HorizontalPodAutoscaler"
