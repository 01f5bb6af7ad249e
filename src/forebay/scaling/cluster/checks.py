"""The rules that an object must keep to be accepted, with the words of the API server, or of KEDA's webhook.

Pure: an object, the one it replaces, and a way to look at others. Types and unknown fields are `schemas`' matter.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from forebay.scaling.cluster import kinds
from forebay.scaling.cluster.kinds import EMPTY, Object, Resource
from forebay.scaling.cluster.status import FieldError, StatusError, invalid, invalid_value, required, unsupported

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL = re.compile(_LABEL)
_QUANTITY = re.compile(r"[+-]?[0-9.]+([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?")
_NAME_MAX = 253
_LABEL_MAX = 63
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_QUANTITY_TEXT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_NOT_NEGATIVE = "must be greater than or equal to 0"

Look = Callable[[Resource, str], list[Object]]
"""Gives the objects of a kind in a namespace."""

Rule = Callable[[Object], Iterator[FieldError]]


def check(resource: Resource, thing: Object, before: Object | None, look: Look) -> None:
    """Refuse an object that breaks a rule.

    Raises:
        StatusError: it does; every broken rule is named.
    """
    errors = list(_metadata(resource, thing["metadata"]))
    rule = _RULES.get(resource.id)
    if rule is not None:
        errors += rule(thing)
    if before is not None:
        errors += _immutable(resource, thing, before)
    if errors:
        raise invalid(resource, thing["metadata"].get("name", ""), errors)
    if resource is kinds.SCALED_OBJECTS:
        _check_scaled_object(thing, look)


def _metadata(resource: Resource, metadata: Object) -> Iterator[FieldError]:
    name = metadata.get("name")
    if not name:
        if not metadata.get("generateName"):
            yield required("metadata.name", "name or generateName is required")
        return
    pattern, text, limit = (
        (_DNS_LABEL, _LABEL_TEXT, _LABEL_MAX)
        if resource is kinds.NAMESPACES
        else (_SUBDOMAIN, _SUBDOMAIN_TEXT, _NAME_MAX)
    )
    if not pattern.fullmatch(name):
        yield invalid_value("metadata.name", name, text)
    elif len(name) > limit:
        yield invalid_value("metadata.name", name, f"must be no more than {limit} characters")


def _deployment(thing: Object) -> Iterator[FieldError]:
    spec = thing["spec"]
    yield from _count(spec, "replicas")
    yield from _selector(spec)
    yield from _template(spec, ("Always",))


def _selector(spec: Object) -> Iterator[FieldError]:
    selector = cast("Object", spec.get("selector") or EMPTY)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield required("spec.selector")
        return
    labels = cast("Object", ((spec.get("template") or EMPTY).get("metadata") or EMPTY).get("labels") or EMPTY)
    wanted = cast("Mapping[str, str]", selector.get("matchLabels") or EMPTY)
    if any(labels.get(name) != value for name, value in wanted.items()):
        shown = "map[string]string{" + ", ".join(f'"{k}":"{v}"' for k, v in sorted(labels.items())) + "}"
        text = f"Invalid value: {shown}: `selector` does not match template `labels`"
        yield FieldError("spec.template.metadata.labels", "FieldValueInvalid", text)


def _job(thing: Object) -> Iterator[FieldError]:
    spec = thing["spec"]
    for name in ("parallelism", "completions", "backoffLimit"):
        yield from _count(spec, name)
    policy = ((spec.get("template") or EMPTY).get("spec") or EMPTY).get("restartPolicy")
    if policy not in {"OnFailure", "Never"}:
        yield unsupported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))
    yield from _template(spec, None)


def _template(spec: Object, policies: tuple[str, ...] | None) -> Iterator[FieldError]:
    template = cast("Object | None", spec.get("template"))
    if not template:
        yield required("spec.template.spec.containers")
        return
    pod = cast("Object", template.get("spec") or EMPTY)
    if policies is not None and pod.get("restartPolicy") not in policies:
        yield unsupported("spec.template.spec.restartPolicy", pod.get("restartPolicy"), policies)
    yield from _pod_spec(pod, "spec.template.spec")


def _pod(thing: Object) -> Iterator[FieldError]:
    yield from _pod_spec(thing["spec"], "spec")


def _pod_spec(spec: Object, path: str) -> Iterator[FieldError]:
    containers = cast("list[Object]", spec.get("containers") or [])
    if not containers:
        yield required(f"{path}.containers")
    names: set[str] = set()
    for index, container in enumerate(containers):
        yield from _container(container, f"{path}.containers[{index}]", names)
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        yield invalid_value(f"{path}.terminationGracePeriodSeconds", grace, _NOT_NEGATIVE)
    policy = spec.get("restartPolicy")
    if policy not in {"Always", "OnFailure", "Never"}:
        yield unsupported(f"{path}.restartPolicy", policy, ("Always", "OnFailure", "Never"))


def _container(container: Object, path: str, names: set[str]) -> Iterator[FieldError]:
    name = container.get("name")
    if not name:
        yield required(f"{path}.name")
    elif not _DNS_LABEL.fullmatch(name):
        yield invalid_value(f"{path}.name", name, _LABEL_TEXT)
    elif name in names:
        yield FieldError(f"{path}.name", "FieldValueDuplicate", f'Duplicate value: "{name}"')
    names.add(str(name))
    if not container.get("image"):
        yield required(f"{path}.image")
    resources = cast("Object", container.get("resources") or EMPTY)
    for part in ("limits", "requests"):
        for key, amount in cast("Object", resources.get(part) or EMPTY).items():
            if not _QUANTITY.fullmatch(str(amount)):
                yield invalid_value(f"{path}.resources.{part}[{key}]", amount, _QUANTITY_TEXT)


def _autoscaler(thing: Object) -> Iterator[FieldError]:
    spec = thing["spec"]
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas")
    if not isinstance(high, int) or high < 1:
        yield invalid_value("spec.maxReplicas", high or 0, "must be greater than 0")
    elif isinstance(low, int) and high < low:
        yield invalid_value("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    target = cast("Object", spec.get("scaleTargetRef") or EMPTY)
    for name in ("kind", "name"):
        if not target.get(name):
            yield required(f"spec.scaleTargetRef.{name}")


def _budget(thing: Object) -> Iterator[FieldError]:
    spec = thing["spec"]
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        text = "minAvailable and maxUnavailable cannot be both set"
        yield invalid_value("spec", "", text)


def _count(spec: Object, name: str) -> Iterator[FieldError]:
    value = spec.get(name)
    if isinstance(value, int) and value < 0:
        yield invalid_value(f"spec.{name}", value, _NOT_NEGATIVE)


def _scaled_object(thing: Object) -> Iterator[FieldError]:
    if not thing["spec"].get("triggers"):
        yield required("spec.triggers")


def _immutable(resource: Resource, thing: Object, before: Object) -> Iterator[FieldError]:
    fixed = {
        kinds.DEPLOYMENTS.id: ("selector",),
        kinds.REPLICA_SETS.id: ("selector",),
        kinds.JOBS.id: ("selector", "template"),
    }
    for name in fixed.get(resource.id, ()):
        if thing["spec"].get(name) != before["spec"].get(name):
            yield FieldError(f"spec.{name}", "FieldValueInvalid", "Invalid value: field is immutable")
    if resource is kinds.PODS and _fixed_part(thing["spec"]) != _fixed_part(before["spec"]):
        text = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
            "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
            "negative)"
        )
        yield FieldError("spec", "FieldValueForbidden", text)


def _fixed_part(spec: Object) -> Object:
    changeable = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"}
    kept = {name: value for name, value in spec.items() if name not in changeable}
    for name in ("containers", "initContainers"):
        containers = cast("list[Object]", kept.get(name) or [])
        kept[name] = [{**container, "image": "", "imagePullPolicy": ""} for container in containers]
    return kept


def _check_scaled_object(thing: Object, look: Look) -> None:  # noqa: C901 - the webhook's rules, in its order
    """Refuse what KEDA's webhook refuses, in its words."""
    spec, metadata = thing["spec"], thing["metadata"]
    target = cast("Object", spec.get("scaleTargetRef") or EMPTY)
    low, high, idle = spec.get("minReplicaCount"), spec.get("maxReplicaCount", 100), spec.get("idleReplicaCount")
    if low is not None and low > high:
        raise denied(f"MinReplicaCount={low} must be less than MaxReplicaCount={high}")
    if idle is not None and idle >= (low or 0):
        raise denied(f"IdleReplicaCount={idle} must be less than MinReplicaCount={low or 0}")
    names = [trigger["name"] for trigger in spec["triggers"] if trigger.get("name")]
    for name in {name for name in names if names.count(name) > 1}:
        raise denied(f'triggerName "{name}" is defined multiple times in the ScaledObject, but it must be unique')
    kind = f"{target.get('apiVersion') or 'apps/v1'}.{target.get('kind') or 'Deployment'}"
    managed = f"the workload '{target.get('name')}' of type '{kind}' is already managed by the"
    namespace = metadata.get("namespace", "")
    for other in look(kinds.SCALED_OBJECTS, namespace):
        same = _target_of(other["spec"]["scaleTargetRef"]) == _target_of(target)
        if same and other["metadata"]["name"] != metadata.get("name"):
            raise denied(f"{managed} ScaledObject '{other['metadata']['name']}'")
    if (metadata.get("annotations") or EMPTY).get("validations.keda.sh/hpa-ownership") == "false":
        return
    own = ((spec.get("advanced") or EMPTY).get("horizontalPodAutoscalerConfig") or EMPTY).get("name")
    for other in look(kinds.AUTOSCALERS, namespace):
        is_own = other["metadata"]["name"] == (own or f"keda-hpa-{metadata.get('name')}")
        if _target_of(other["spec"]["scaleTargetRef"]) == _target_of(target) and not is_own:
            raise denied(f"{managed} hpa '{other['metadata']['name']}'")


def _target_of(reference: Object) -> tuple[Any, ...]:
    return reference.get("kind") or "Deployment", reference.get("name")


def denied(text: str) -> StatusError:
    """Return the refusal of KEDA's webhook."""
    return StatusError(403, "Forbidden", f'admission webhook "vscaledobject.kb.io" denied the request: {text}')


_RULES: Mapping[str, Rule] = {
    kinds.DEPLOYMENTS.id: _deployment,
    kinds.REPLICA_SETS.id: _deployment,
    kinds.JOBS.id: _job,
    kinds.PODS.id: _pod,
    kinds.AUTOSCALERS.id: _autoscaler,
    kinds.DISRUPTION_BUDGETS.id: _budget,
    kinds.SCALED_OBJECTS.id: _scaled_object,
}
