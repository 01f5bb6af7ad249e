"""TriggerAuthentication: the parameters that a trigger gets from Secrets, ConfigMaps and the workload's environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from forebay.scaling.cluster.environments import container_environment, values_of
from forebay.scaling.cluster.images import NotRunnable
from forebay.scaling.cluster.kinds import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    EMPTY,
    REPLICA_SETS,
    SECRETS,
    TRIGGER_AUTHENTICATIONS,
    Object,
    Resource,
)
from forebay.scaling.cluster.objects import Index
from forebay.scaling.manifests.keda import Trigger
from forebay.scaling.manifests.problem import InvalidManifest

# KEDA's default namespace of the operator, where secrets of cluster-wide objects lie.
OPERATOR_NAMESPACE = "keda"
_TAKEN = frozenset({"secretTargetRef", "configMapTargetRef", "env", "podIdentity"})


@dataclass(frozen=True)
class Parameters:
    """What a trigger is given beside its metadata."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])
    # `aws`, where the identity is that of KEDA or of the workload.
    pod_identity: str = ""
    role_arn: str = ""


def scaled_resource(api_version: str, kind: str) -> Resource | None:
    """Return the resource of a scale target, or None where it is none that can be scaled here."""
    known = {("apps/v1", "Deployment"): DEPLOYMENTS, ("apps/v1", "ReplicaSet"): REPLICA_SETS}
    return known.get((api_version or "apps/v1", kind or "Deployment"))


def workload_environment(index: Index, namespace: str, template: Object, container_name: str) -> dict[str, str]:
    """Return the environment of a workload's container, as KEDA resolves it: without what only a running pod has."""
    containers = cast("list[Object]", (template.get("spec") or EMPTY).get("containers") or [])
    chosen = next((each for each in containers if each.get("name") == container_name), None)
    if container_name and chosen is None:
        raise InvalidManifest(f"couldn't find container with name {container_name} on Target object")
    container = chosen or (containers[0] if containers else EMPTY)
    pod = {"metadata": {"namespace": namespace, "name": "", "uid": ""}, "spec": template.get("spec") or EMPTY}
    env = [each for each in container.get("env") or () if "fieldRef" not in (each.get("valueFrom") or EMPTY)]
    try:
        return container_environment(index, pod, {**container, "env": env}, {})
    except NotRunnable as problem:
        raise InvalidManifest(problem.message) from None


def parameters_of(index: Index, namespace: str, trigger: Trigger, environment: Mapping[str, str]) -> Parameters:
    """Return the parameters that a trigger's authentication gives it.

    Raises:
        InvalidManifest: it is not there, lacks what it names, or has a source that is not taken here.
    """
    reference = trigger.authentication_ref
    if reference is None:
        return Parameters()
    is_wide = reference.kind == "ClusterTriggerAuthentication"
    kind = CLUSTER_TRIGGER_AUTHENTICATIONS if is_wide else TRIGGER_AUTHENTICATIONS
    found = index.find(kind, "" if is_wide else namespace, reference.name)
    if found is None:
        raise InvalidManifest(f"{kind.kind}.keda.sh {reference.name!r} not found".replace("'", '"'))
    spec = found["spec"]
    foreign = sorted(set(spec) - _TAKEN)
    if foreign:
        raise InvalidManifest(f"{kind.kind} {reference.name}: {', '.join(foreign)} is not supported here")
    place = OPERATOR_NAMESPACE if is_wide else namespace
    values: dict[str, str] = {}
    for source, resource in (("configMapTargetRef", CONFIG_MAPS), ("secretTargetRef", SECRETS)):
        for each in cast("list[Object]", spec.get(source) or []):
            values[each["parameter"]] = _value(index, resource, place, each)
    for each in cast("list[Object]", spec.get("env") or []):
        values[each["parameter"]] = environment.get(each["name"], "")
    identity = cast("Object", spec.get("podIdentity") or EMPTY)
    provider = str(identity.get("provider") or "")
    if provider not in {"", "none", "aws", "aws-eks"}:
        raise InvalidManifest(f"{kind.kind} {reference.name}: podIdentity {provider} is not supported here")
    return Parameters(values, provider.removesuffix("-eks").replace("none", ""), str(identity.get("roleArn") or ""))


def _value(index: Index, resource: Resource, namespace: str, reference: Object) -> str:
    thing = index.find(resource, namespace, reference["name"])
    if thing is None:
        raise InvalidManifest(f'{resource.singular} "{reference["name"]}" not found in namespace {namespace}')
    values = values_of({"kind": resource.kind, **thing})
    if reference["key"] not in values:
        raise InvalidManifest(f"no key {reference['key']} in {resource.singular} {namespace}/{reference['name']}")
    return values[reference["key"]]
