"""Karpenter's objects: NodePool, and the node classes of AWS and of kwok."""

from typing import ClassVar, Literal

import msgspec

from forebay.scaling.manifests.meta import ObjectMeta
from forebay.scaling.manifests.pods import Resources, Taint

Reason = Literal["Empty", "Underutilized", "Drifted"]


class Requirement(msgspec.Struct, frozen=True, rename="camel"):
    """One expression over the labels that nodes of the pool may have."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]
    values: tuple[str, ...] = ()
    min_values: int | None = None


class NodeClassReference(msgspec.Struct, frozen=True):
    """The class that says how nodes are made."""

    group: str
    kind: str
    name: str


class ClaimTemplateMeta(msgspec.Struct, frozen=True):
    """Labels and annotations of the pool's nodes."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ClaimTemplateSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What the pool's nodes are like."""

    requirements: tuple[Requirement, ...]
    node_class_ref: NodeClassReference
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    expire_after: str = "720h"
    termination_grace_period: str | None = None


class ClaimTemplate(msgspec.Struct, frozen=True):
    """The pattern that nodes are made from."""

    spec: ClaimTemplateSpec
    metadata: ClaimTemplateMeta = ClaimTemplateMeta()


class Budget(msgspec.Struct, frozen=True):
    """How many of the pool's nodes may be disrupted at once, for which reasons, and when."""

    nodes: str = "10%"
    reasons: tuple[Reason, ...] = ()
    schedule: str | None = None
    duration: str | None = None


class Disruption(msgspec.Struct, frozen=True, rename="camel"):
    """When nodes are taken away or replaced."""

    consolidate_after: str = "0s"
    consolidation_policy: Literal["WhenEmpty", "WhenEmptyOrUnderutilized", "Balanced"] = "WhenEmptyOrUnderutilized"
    budgets: tuple[Budget, ...] = (Budget(),)


class NodePoolSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Nodes of one kind, how many at most, and when they go."""

    template: ClaimTemplate
    disruption: Disruption = Disruption()
    limits: Resources = {}
    weight: int = 0
    replicas: int | None = None


class NodePool(msgspec.Struct, frozen=True, rename="camel"):
    """Where nodes come from."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: NodePoolSpec
    api_version: str = "karpenter.sh/v1"
    kind: str = "NodePool"


class KwokNodeClassSpec(msgspec.Struct, frozen=True, rename="camel"):
    """How long a kwok node takes to register."""

    node_registration_delay: str | None = None


class KWOKNodeClass(msgspec.Struct, frozen=True, rename="camel"):
    """Nodes that exist only as records."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: KwokNodeClassSpec = KwokNodeClassSpec()
    api_version: str = "karpenter.kwok.sh/v1alpha1"
    kind: str = "KWOKNodeClass"


class Kubelet(msgspec.Struct, frozen=True, rename="camel"):
    """What the kubelet keeps for itself, and how many pods it takes."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "clusterDNS", "evictionSoft", "evictionSoftGracePeriod", "evictionMaxPodGracePeriod",
        "imageGCHighThresholdPercent", "imageGCLowThresholdPercent", "cpuCFSQuota",
    })  # fmt: skip

    max_pods: int | None = None
    pods_per_core: int | None = None
    system_reserved: Resources = {}
    kube_reserved: Resources = {}
    eviction_hard: dict[str, str] = {}


class Ec2NodeClassSpec(msgspec.Struct, frozen=True, rename="camel"):
    """How EC2 nodes are made; only `kubelet` matters for what fits on them."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "subnetSelectorTerms", "securityGroupSelectorTerms", "amiSelectorTerms", "capacityReservationSelectorTerms",
        "role", "instanceProfile", "amiFamily", "blockDeviceMappings", "metadataOptions", "userData", "tags",
        "instanceStorePolicy", "detailedMonitoring", "associatePublicIPAddress", "context",
    })  # fmt: skip

    kubelet: Kubelet = Kubelet()


class EC2NodeClass(msgspec.Struct, frozen=True, rename="camel"):
    """Nodes on EC2."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: Ec2NodeClassSpec = Ec2NodeClassSpec()
    api_version: str = "karpenter.k8s.aws/v1"
    kind: str = "EC2NodeClass"
