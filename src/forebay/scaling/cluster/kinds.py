"""The kinds of objects that the cluster keeps: their names in paths and on the command line, and what of them prints.

One table, from which discovery, routing, validation and printing are made. A kind that is not here does not exist, and
the API answers so, as a cluster without its definition does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An object as JSON has it. Whoever is handed one may read it; who changes it works on a copy."""

EMPTY: Object = {}
"""Stands for an object that is not there. Never changed."""

_CORE = "io.k8s.api.core.v1."


@dataclass(frozen=True)
class Column:
    """One printed column. `path` leads to the value by dots; kinds with columns of their own making have none."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Resource:
    """One kind and the paths under which it is served."""

    group: str
    version: str
    kind: str
    plural: str
    definition: str
    short_names: Sequence[str] = ()
    categories: Sequence[str] = ()
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()
    columns: Sequence[Column] = ()
    # Served by rules of its own: nothing can be written.
    read_only: bool = False
    # `metadata.generation` counts the changes of what is asked for.
    has_generation: bool = False
    is_custom: bool = False

    @property
    def api_version(self) -> str:
        """The group and version, as objects bear them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def id(self) -> str:
        """The plural and group, as errors name them (`deployments.apps`)."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The name of one."""
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        """The kind of a list of them."""
        return f"{self.kind}List"


_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})
_AGE = Column("Age", "metadata.creationTimestamp", "date")


def _keda(kind: str, plural: str, short: Sequence[str], columns: Sequence[Column], **rest: Any) -> Resource:
    definition = f"sh.keda.v1alpha1.{kind}"
    return Resource(
        "keda.sh",
        "v1alpha1",
        kind,
        plural,
        definition,
        short_names=short,
        columns=columns,
        is_custom=True,
        has_generation=True,
        **rest,
    )


def _condition(name: str, kind: str, priority: int = 0) -> Column:
    return Column(name, f'status.conditions[type="{kind}"].status', priority=priority)


_AUTHENTICATION_COLUMNS = (
    Column("PodIdentity", "spec.podIdentity.provider"),
    Column("Secret", "spec.secretTargetRef[*].name"),
    Column("Env", "spec.env[*].name"),
    Column("VaultAddress", "spec.hashiCorpVault.address"),
    Column("ScaledObjects", "status.scaledobjects", priority=1),
    Column("ScaledJobs", "status.scaledjobs", priority=1),
)

RESOURCES: Sequence[Resource] = (
    Resource("", "v1", "Namespace", "namespaces", _CORE + "Namespace", ("ns",), namespaced=False, subresources=_STATUS),
    Resource(
        "", "v1", "Pod", "pods", _CORE + "Pod", ("po",), ("all",), subresources=frozenset({"status", "log", "eviction"})
    ),
    Resource("", "v1", "Node", "nodes", _CORE + "Node", ("no",), namespaced=False, subresources=_STATUS),
    Resource("", "v1", "Event", "events", _CORE + "Event", ("ev",)),
    Resource("", "v1", "Secret", "secrets", _CORE + "Secret"),
    Resource("", "v1", "ConfigMap", "configmaps", _CORE + "ConfigMap", ("cm",)),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", _CORE + "ServiceAccount", ("sa",)),
    Resource(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "io.k8s.api.apps.v1.Deployment",
        ("deploy",),
        ("all",),
        subresources=_SCALED,
        has_generation=True,
    ),
    Resource(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        "io.k8s.api.apps.v1.ReplicaSet",
        ("rs",),
        ("all",),
        subresources=_SCALED,
        has_generation=True,
    ),
    Resource(
        "batch",
        "v1",
        "Job",
        "jobs",
        "io.k8s.api.batch.v1.Job",
        (),
        ("all",),
        subresources=_STATUS,
        has_generation=True,
    ),
    Resource(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
        ("hpa",),
        ("all",),
        subresources=_STATUS,
    ),
    Resource(
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
        ("hpa",),
        ("all",),
    ),
    Resource(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "io.k8s.api.policy.v1.PodDisruptionBudget",
        ("pdb",),
        subresources=_STATUS,
        has_generation=True,
    ),
    Resource(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        "io.k8s.api.scheduling.v1.PriorityClass",
        ("pc",),
        namespaced=False,
    ),
    Resource("coordination.k8s.io", "v1", "Lease", "leases", "io.k8s.api.coordination.v1.Lease"),
    Resource("events.k8s.io", "v1", "Event", "events", "io.k8s.api.events.v1.Event", ("ev",)),
    _keda(
        "ScaledObject",
        "scaledobjects",
        ("so",),
        (
            Column("ScaleTargetKind", "status.scaleTargetKind"),
            Column("ScaleTargetName", "spec.scaleTargetRef.name"),
            Column("Min", "spec.minReplicaCount", "integer"),
            Column("Max", "spec.maxReplicaCount", "integer"),
            _condition("Ready", "Ready"),
            _condition("Active", "Active"),
            _condition("Fallback", "Fallback"),
            _condition("Paused", "Paused"),
            Column("Triggers", "status.triggersTypes"),
            Column("Authentications", "status.authenticationsTypes"),
            _AGE,
        ),
        subresources=_STATUS,
    ),
    _keda(
        "ScaledJob",
        "scaledjobs",
        ("sj",),
        (
            Column("Min", "spec.minReplicaCount", "integer"),
            Column("Max", "spec.maxReplicaCount", "integer"),
            _condition("Ready", "Ready"),
            _condition("Active", "Active"),
            _condition("Paused", "Paused"),
            Column("Triggers", "status.triggersTypes"),
            Column("Authentications", "status.authenticationsTypes"),
            _AGE,
        ),
        subresources=_STATUS,
    ),
    _keda(
        "TriggerAuthentication",
        "triggerauthentications",
        ("ta", "triggerauth"),
        _AUTHENTICATION_COLUMNS,
        subresources=_STATUS,
    ),
    _keda(
        "ClusterTriggerAuthentication",
        "clustertriggerauthentications",
        ("cta", "clustertriggerauth"),
        _AUTHENTICATION_COLUMNS,
        namespaced=False,
        subresources=_STATUS,
    ),
    Resource(
        "karpenter.sh",
        "v1",
        "NodePool",
        "nodepools",
        "sh.karpenter.v1.NodePool",
        (),
        ("karpenter",),
        namespaced=False,
        subresources=_STATUS,
        columns=(
            Column("NodeClass", "spec.template.spec.nodeClassRef.name"),
            Column("Nodes", "status.resources.nodes"),
            _condition("Ready", "Ready"),
            _AGE,
            Column("Weight", "spec.weight", "integer", 1),
            Column("CPU", "status.resources.cpu", "string", 1),
            Column("Memory", "status.resources.memory", "string", 1),
        ),
        has_generation=True,
        is_custom=True,
    ),
    Resource(
        "karpenter.sh",
        "v1",
        "NodeClaim",
        "nodeclaims",
        "sh.karpenter.v1.NodeClaim",
        (),
        ("karpenter",),
        namespaced=False,
        subresources=_STATUS,
        columns=(
            Column("Type", r"metadata.labels.node\.kubernetes\.io/instance-type"),
            Column("Capacity", r"metadata.labels.karpenter\.sh/capacity-type"),
            Column("Zone", r"metadata.labels.topology\.kubernetes\.io/zone"),
            Column("Node", "status.nodeName"),
            _condition("Ready", "Ready"),
            _AGE,
            Column("ImageID", "status.imageID", "string", 1),
            Column("ID", "status.providerID", "string", 1),
            Column("NodePool", r"metadata.labels.karpenter\.sh/nodepool", "string", 1),
            Column("NodeClass", "spec.nodeClassRef.name", "string", 1),
            _condition("Drifted", "Drifted", 1),
        ),
        has_generation=True,
        is_custom=True,
    ),
    Resource(
        "karpenter.k8s.aws",
        "v1",
        "EC2NodeClass",
        "ec2nodeclasses",
        "aws.k8s.karpenter.v1.EC2NodeClass",
        ("ec2nc", "ec2ncs"),
        ("karpenter",),
        namespaced=False,
        subresources=_STATUS,
        columns=(_condition("Ready", "Ready"), _AGE, Column("Role", "spec.role", "string", 1)),
        has_generation=True,
        is_custom=True,
    ),
    Resource(
        "karpenter.kwok.sh",
        "v1alpha1",
        "KWOKNodeClass",
        "kwoknodeclasses",
        "sh.kwok.karpenter.v1alpha1.KWOKNodeClass",
        ("kwoknc", "kwokncs"),
        ("karpenter",),
        namespaced=False,
        subresources=_STATUS,
        columns=(_AGE,),
        has_generation=True,
        is_custom=True,
    ),
    Resource(
        "metrics.k8s.io",
        "v1beta1",
        "NodeMetrics",
        "nodes",
        "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
        namespaced=False,
        read_only=True,
    ),
    Resource(
        "metrics.k8s.io",
        "v1beta1",
        "PodMetrics",
        "pods",
        "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
        read_only=True,
    ),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        ("crd", "crds"),
        ("api-extensions",),
        namespaced=False,
        read_only=True,
        columns=(Column("Created At", "metadata.creationTimestamp", "date"),),
    ),
)

BY_PATH = {(each.group, each.version, each.plural): each for each in RESOURCES}
BY_KIND = {(each.api_version, each.kind): each for each in RESOURCES}


def resource_of(api_version: str, kind: str) -> Resource:
    """Return the resource of a kind that is known to be in the table."""
    return BY_KIND[api_version, kind]


NAMESPACES = resource_of("v1", "Namespace")
PODS = resource_of("v1", "Pod")
NODES = resource_of("v1", "Node")
EVENTS = resource_of("v1", "Event")
SECRETS = resource_of("v1", "Secret")
CONFIG_MAPS = resource_of("v1", "ConfigMap")
SERVICE_ACCOUNTS = resource_of("v1", "ServiceAccount")
DEPLOYMENTS = resource_of("apps/v1", "Deployment")
REPLICA_SETS = resource_of("apps/v1", "ReplicaSet")
JOBS = resource_of("batch/v1", "Job")
AUTOSCALERS = resource_of("autoscaling/v2", "HorizontalPodAutoscaler")
OLD_AUTOSCALERS = resource_of("autoscaling/v1", "HorizontalPodAutoscaler")
DISRUPTION_BUDGETS = resource_of("policy/v1", "PodDisruptionBudget")
PRIORITY_CLASSES = resource_of("scheduling.k8s.io/v1", "PriorityClass")
LEASES = resource_of("coordination.k8s.io/v1", "Lease")
NEW_EVENTS = resource_of("events.k8s.io/v1", "Event")
SCALED_OBJECTS = resource_of("keda.sh/v1alpha1", "ScaledObject")
SCALED_JOBS = resource_of("keda.sh/v1alpha1", "ScaledJob")
TRIGGER_AUTHENTICATIONS = resource_of("keda.sh/v1alpha1", "TriggerAuthentication")
CLUSTER_TRIGGER_AUTHENTICATIONS = resource_of("keda.sh/v1alpha1", "ClusterTriggerAuthentication")
NODE_POOLS = resource_of("karpenter.sh/v1", "NodePool")
NODE_CLAIMS = resource_of("karpenter.sh/v1", "NodeClaim")
EC2_NODE_CLASSES = resource_of("karpenter.k8s.aws/v1", "EC2NodeClass")
KWOK_NODE_CLASSES = resource_of("karpenter.kwok.sh/v1alpha1", "KWOKNodeClass")
NODE_METRICS = resource_of("metrics.k8s.io/v1beta1", "NodeMetrics")
POD_METRICS = resource_of("metrics.k8s.io/v1beta1", "PodMetrics")
DEFINITIONS = resource_of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
