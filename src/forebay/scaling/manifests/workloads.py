"""Kubernetes' own objects that the local cluster takes: workloads, their configuration, budgets and classes."""

from typing import ClassVar

import msgspec

from forebay.scaling.manifests.meta import LabelSelector, ObjectMeta
from forebay.scaling.manifests.pods import PodSpec, PodTemplate


class RollingUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """How many pods may be more or fewer while an update runs."""

    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"


class DeploymentStrategy(msgspec.Struct, frozen=True, rename="camel"):
    """How new pods take the place of old ones."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Pods of one kind, and how many."""

    selector: LabelSelector
    template: PodTemplate
    replicas: int | None = None
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10
    progress_deadline_seconds: int = 600
    paused: bool = False


class Deployment(msgspec.Struct, frozen=True, rename="camel"):
    """Workers that run for ever."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: DeploymentSpec
    api_version: str = "apps/v1"
    kind: str = "Deployment"


class JobSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Pods that run to their end."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "podReplacementPolicy",
        "managedBy",
    })  # fmt: skip

    template: PodTemplate
    parallelism: int = 1
    completions: int | None = None
    completion_mode: str = "NonIndexed"
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    selector: LabelSelector | None = None
    manual_selector: bool = False


class Job(msgspec.Struct, frozen=True, rename="camel"):
    """Work that ends."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: JobSpec
    api_version: str = "batch/v1"
    kind: str = "Job"


class Pod(msgspec.Struct, frozen=True, rename="camel"):
    """A pod by itself."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: PodSpec
    api_version: str = "v1"
    kind: str = "Pod"


class Secret(msgspec.Struct, frozen=True, rename="camel"):
    """Values that are not shown; `data` is base64."""

    metadata: ObjectMeta
    data: dict[str, str] = {}
    string_data: dict[str, str] = {}
    type: str = "Opaque"
    immutable: bool = False
    api_version: str = "v1"
    kind: str = "Secret"


class ConfigMap(msgspec.Struct, frozen=True, rename="camel"):
    """Values that may be shown."""

    metadata: ObjectMeta
    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}
    immutable: bool = False
    api_version: str = "v1"
    kind: str = "ConfigMap"


class Namespace(msgspec.Struct, frozen=True, rename="camel"):
    """A room of names."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status", "spec"})

    metadata: ObjectMeta
    api_version: str = "v1"
    kind: str = "Namespace"


class PriorityClass(msgspec.Struct, frozen=True, rename="camel"):
    """How important pods are."""

    metadata: ObjectMeta
    value: int
    global_default: bool = False
    description: str = ""
    preemption_policy: str = "PreemptLowerPriority"
    api_version: str = "scheduling.k8s.io/v1"
    kind: str = "PriorityClass"


class DisruptionBudgetSpec(msgspec.Struct, frozen=True, rename="camel"):
    """How many of a set of pods must stay, or may go."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_pod_eviction_policy: str = "IfHealthyBudget"


class PodDisruptionBudget(msgspec.Struct, frozen=True, rename="camel"):
    """Protects pods from eviction; not from scaling in."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: DisruptionBudgetSpec
    api_version: str = "policy/v1"
    kind: str = "PodDisruptionBudget"
