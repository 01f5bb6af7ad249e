"""Pods as manifests describe them: containers, probes, affinity, tolerations, spread.

Fields that Kubernetes has and that mean nothing for processes on one machine stand in `without_effect` and are named
to the author when used; whatever stands in neither list is unknown.
"""

from typing import ClassVar

import msgspec

from forebay.scaling.manifests.meta import KeyReference, LabelSelector, ObjectMeta, SelectorRequirement

Resources = dict[str, str | int | float]


class ResourceRequirements(msgspec.Struct, frozen=True):
    """What a container asks for, and what it may use at most."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"claims"})

    requests: Resources = {}
    limits: Resources = {}


class FieldReference(msgspec.Struct, frozen=True, rename="camel"):
    """A field of the pod itself, such as `metadata.name`."""

    field_path: str
    api_version: str = "v1"


class ResourceFieldReference(msgspec.Struct, frozen=True, rename="camel"):
    """A container's resource, such as `limits.cpu`."""

    resource: str
    container_name: str = ""
    divisor: str | int = "1"


class EnvVarSource(msgspec.Struct, frozen=True, rename="camel"):
    """Where an environment variable's value comes from."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"fileKeyRef"})

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None
    field_ref: FieldReference | None = None
    resource_field_ref: ResourceFieldReference | None = None


class EnvVar(msgspec.Struct, frozen=True, rename="camel"):
    """An environment variable."""

    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


class OptionalReference(msgspec.Struct, frozen=True):
    """A Secret or ConfigMap that may be absent."""

    name: str = ""
    optional: bool = False


class EnvFrom(msgspec.Struct, frozen=True, rename="camel"):
    """All keys of a Secret or ConfigMap as environment variables."""

    prefix: str = ""
    config_map_ref: OptionalReference | None = None
    secret_ref: OptionalReference | None = None


class HttpHeader(msgspec.Struct, frozen=True):
    """A header of a probe."""

    name: str
    value: str


class ExecAction(msgspec.Struct, frozen=True):
    """A command that is run in the container."""

    command: tuple[str, ...] = ()


class HttpGetAction(msgspec.Struct, frozen=True, rename="camel"):
    """A request to the container."""

    port: int | str
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[HttpHeader, ...] = ()


class TcpSocketAction(msgspec.Struct, frozen=True):
    """A connection to the container."""

    port: int | str
    host: str = ""


class GrpcAction(msgspec.Struct, frozen=True):
    """A health check by gRPC."""

    port: int
    service: str = ""


class SleepAction(msgspec.Struct, frozen=True):
    """A pause."""

    seconds: int


class Handler(msgspec.Struct, frozen=True, rename="camel"):
    """What a lifecycle hook does."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(msgspec.Struct, frozen=True, rename="camel"):
    """What happens after a container's start and before its end."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"stopSignal"})

    post_start: Handler | None = None
    pre_stop: Handler | None = None


class Probe(msgspec.Struct, frozen=True, rename="camel"):
    """A question put to a container again and again."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    grpc: GrpcAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class ContainerPort(msgspec.Struct, frozen=True, rename="camel"):
    """A port that a container listens on."""

    container_port: int
    host_port: int = 0
    name: str = ""
    protocol: str = "TCP"
    host_ip: str = msgspec.field(default="", name="hostIP")


class Container(msgspec.Struct, frozen=True, rename="camel"):
    """One program of a pod."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "imagePullPolicy", "securityContext", "volumeMounts", "volumeDevices", "terminationMessagePath",
        "terminationMessagePolicy", "stdin", "stdinOnce", "tty", "resizePolicy", "restartPolicyRules",
    })  # fmt: skip

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    restart_policy: str | None = None


class Toleration(msgspec.Struct, frozen=True, rename="camel"):
    """A taint that a pod bears."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class Taint(msgspec.Struct, frozen=True, rename="camel"):
    """What keeps pods off a node unless they tolerate it."""

    key: str
    effect: str
    value: str = ""
    time_added: str | None = None


class NodeSelectorTerm(msgspec.Struct, frozen=True, rename="camel"):
    """Expressions over a node's labels and fields; all must hold."""

    match_expressions: tuple[SelectorRequirement, ...] = ()
    match_fields: tuple[SelectorRequirement, ...] = ()


class NodeSelector(msgspec.Struct, frozen=True, rename="camel"):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...]


class PreferredNodeTerm(msgspec.Struct, frozen=True):
    """A term that is better kept than not."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(msgspec.Struct, frozen=True, rename="camel"):
    """Where a pod must and would rather run."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodeTerm, ...] = ()


class PodAffinityTerm(msgspec.Struct, frozen=True, rename="camel"):
    """Pods that a pod wants beside it, or far from it."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"matchLabelKeys", "mismatchLabelKeys", "namespaceSelector"})

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()


class WeightedPodTerm(msgspec.Struct, frozen=True, rename="camel"):
    """A term about pods that is better kept than not."""

    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(msgspec.Struct, frozen=True, rename="camel"):
    """Terms about other pods."""

    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodTerm, ...] = ()


class Affinity(msgspec.Struct, frozen=True, rename="camel"):
    """Everything about where a pod would like to run."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class TopologySpreadConstraint(msgspec.Struct, frozen=True, rename="camel"):
    """How evenly pods spread over zones or nodes."""

    without_effect: ClassVar[frozenset[str]] = frozenset({"matchLabelKeys", "nodeAffinityPolicy", "nodeTaintsPolicy"})

    max_skew: int
    topology_key: str
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelector | None = None
    min_domains: int | None = None


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What a pod runs, and where it may."""

    without_effect: ClassVar[frozenset[str]] = frozenset({
        "volumes", "dnsPolicy", "dnsConfig", "serviceAccount", "automountServiceAccountToken", "hostNetwork", "hostPID",
        "hostIPC", "hostUsers", "shareProcessNamespace", "securityContext", "imagePullSecrets", "hostname", "subdomain",
        "hostAliases", "enableServiceLinks", "setHostnameAsFQDN", "ephemeralContainers", "os",
        "schedulingGates", "resourceClaims", "readinessGates", "hostnameOverride",
    })  # fmt: skip

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    node_selector: dict[str, str] = {}
    node_name: str = ""
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    priority_class_name: str = ""
    priority: int | None = None
    preemption_policy: str = "PreemptLowerPriority"
    scheduler_name: str = "default-scheduler"
    service_account_name: str = ""
    runtime_class_name: str | None = None
    overhead: Resources = {}
    resources: ResourceRequirements | None = None


class PodTemplate(msgspec.Struct, frozen=True):
    """The pattern that pods are made from."""

    spec: PodSpec
    metadata: ObjectMeta = ObjectMeta()
