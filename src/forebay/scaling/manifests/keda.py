"""KEDA's objects, `keda.sh/v1alpha1`: ScaledObject, ScaledJob and their credentials."""

from typing import ClassVar, Literal

import msgspec

from forebay.scaling.manifests.hpa import Behavior
from forebay.scaling.manifests.meta import ObjectMeta
from forebay.scaling.manifests.workloads import JobSpec

MetricType = Literal["AverageValue", "Value", "Utilization"]
FallbackBehavior = Literal[
    "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower", "scalingModifiers"
]


class ScaleTarget(msgspec.Struct, frozen=True, rename="camel"):
    """What a ScaledObject scales: anything with a `scale` subresource."""

    name: str
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    env_source_container_name: str = ""


class AuthenticationRef(msgspec.Struct, frozen=True):
    """Which TriggerAuthentication a trigger uses."""

    name: str
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] = "TriggerAuthentication"


class Trigger(msgspec.Struct, frozen=True, rename="camel"):
    """One source of load."""

    type: str
    metadata: dict[str, str] = {}
    name: str = ""
    metric_type: MetricType | None = None
    use_cached_metrics: bool = False
    authentication_ref: AuthenticationRef | None = None


class Fallback(msgspec.Struct, frozen=True, rename="camel"):
    """How many replicas stand in for a metric that cannot be read."""

    failure_threshold: int
    replicas: int
    behavior: FallbackBehavior = "static"


class HpaConfig(msgspec.Struct, frozen=True):
    """How KEDA writes its HPA."""

    name: str = ""
    behavior: Behavior | None = None


class ScalingModifiers(msgspec.Struct, frozen=True, rename="camel"):
    """A formula over all triggers, which makes one metric of them."""

    formula: str = ""
    target: str = ""
    activation_target: str = ""
    metric_type: MetricType | None = None


class Advanced(msgspec.Struct, frozen=True, rename="camel"):
    """Settings that few need."""

    restore_to_original_replica_count: bool = False
    horizontal_pod_autoscaler_config: HpaConfig | None = None
    scaling_modifiers: ScalingModifiers | None = None


class ScaledObjectSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What is scaled, by which triggers, between which bounds."""

    scale_target_ref: ScaleTarget
    triggers: tuple[Trigger, ...]
    polling_interval: int = 30
    cooldown_period: int = 300
    initial_cooldown_period: int = 0
    idle_replica_count: int | None = None
    min_replica_count: int | None = None
    max_replica_count: int = 100
    fallback: Fallback | None = None
    advanced: Advanced | None = None


class ScaledObject(msgspec.Struct, frozen=True, rename="camel"):
    """Scales a workload by events, from zero and back."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: ScaledObjectSpec
    api_version: str = "keda.sh/v1alpha1"
    kind: str = "ScaledObject"


class ScalingStrategy(msgspec.Struct, frozen=True, rename="camel"):
    """How many jobs are made for a queue's length."""

    # KEDA takes the name as it stands: what it does not know is `default`.
    strategy: str = "default"
    custom_scaling_queue_length_deduction: int | None = None
    custom_scaling_running_job_percentage: str | float | None = None
    pending_pod_conditions: tuple[str, ...] = ()
    multiple_scalers_calculation: str = "max"


class Rollout(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of running jobs when the ScaledJob changes."""

    strategy: str = "default"
    propagation_policy: str = "background"


class ScaledJobSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Which jobs are made, by which triggers, how many at most."""

    job_target_ref: JobSpec
    triggers: tuple[Trigger, ...]
    polling_interval: int = 30
    min_replica_count: int = 0
    max_replica_count: int = 100
    successful_jobs_history_limit: int = 100
    failed_jobs_history_limit: int = 100
    env_source_container_name: str = ""
    rollout: Rollout = Rollout()
    rollout_strategy: str = ""
    scaling_strategy: ScalingStrategy = ScalingStrategy()


class ScaledJob(msgspec.Struct, frozen=True, rename="camel"):
    """Makes a job for each piece of work."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: ScaledJobSpec
    api_version: str = "keda.sh/v1alpha1"
    kind: str = "ScaledJob"


class TargetRef(msgspec.Struct, frozen=True):
    """A parameter of a trigger, from a key of a Secret or ConfigMap."""

    parameter: str
    name: str
    key: str


class AuthEnvironment(msgspec.Struct, frozen=True, rename="camel"):
    """A parameter of a trigger, from an environment variable of the workload."""

    parameter: str
    name: str
    container_name: str = ""


class PodIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """Credentials that come from where KEDA or the workload runs."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"identityId", "identityTenantId", "identityAuthorityHost"})

    provider: str
    role_arn: str = ""
    external_id: str = msgspec.field(default="", name="externalID")
    identity_owner: str = ""


class TriggerAuthenticationSpec(msgspec.Struct, frozen=True, rename="camel"):
    """Where the parameters of triggers come from."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "hashiCorpVault", "azureKeyVault", "gcpSecretManager", "awsSecretManager", "boundServiceAccountToken",
        "filePath", "oauth2",
    })  # fmt: skip

    secret_target_ref: tuple[TargetRef, ...] = ()
    config_map_target_ref: tuple[TargetRef, ...] = ()
    env: tuple[AuthEnvironment, ...] = ()
    pod_identity: PodIdentity | None = None


class TriggerAuthentication(msgspec.Struct, frozen=True, rename="camel"):
    """Credentials of triggers in one namespace."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: TriggerAuthenticationSpec
    api_version: str = "keda.sh/v1alpha1"
    kind: str = "TriggerAuthentication"


class ClusterTriggerAuthentication(msgspec.Struct, frozen=True, rename="camel"):
    """Credentials of triggers in every namespace."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"status"})

    metadata: ObjectMeta
    spec: TriggerAuthenticationSpec
    api_version: str = "keda.sh/v1alpha1"
    kind: str = "ClusterTriggerAuthentication"
