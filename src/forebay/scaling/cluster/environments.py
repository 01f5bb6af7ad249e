"""The environment of a container: the node's address, then `envFrom`, then `env` with its references.

Source: Kubernetes' `pkg/kubelet/kubelet_pods.go` (`makeEnvironmentVariables`).
"""

import base64
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from forebay.scaling.cluster.images import NotRunnable, expand
from forebay.scaling.cluster.kinds import CONFIG_MAPS, EMPTY, SECRETS, Object, Resource
from forebay.scaling.cluster.objects import Index, annotations_of, labels_of, name_of, namespace_of, uid_of
from forebay.scaling.manifests.quantity import parse_quantity

_CONFIG_ERROR = "CreateContainerConfigError"
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
# What a process of this machine needs to run at all; nothing else of the node's own environment is passed on.
_INHERITED = ("PATH", "LANG", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE")


def container_environment(index: Index, pod: Object, container: Object, base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container; `base` are those that the node gives and the manifest may replace.

    Raises:
        NotRunnable: a Secret, ConfigMap or key is missing.
    """
    made = {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(base)
    for source in cast("list[Object]", container.get("envFrom") or []):
        prefix = str(source.get("prefix") or "")
        for kind, reference in (
            (CONFIG_MAPS, source.get("configMapRef")),
            (SECRETS, source.get("secretRef")),
        ):
            if reference:
                found = _load(index, kind, namespace_of(pod), reference)
                made |= {prefix + key: value for key, value in (found or EMPTY).items()}
    for variable in cast("list[Object]", container.get("env") or []):
        reference = cast("Object | None", variable.get("valueFrom"))
        value = expand(str(variable.get("value") or ""), made)
        if reference:
            value = _referred(index, pod, container, reference)
        if value is not None:
            made[variable["name"]] = value
    return made


def values_of(thing: Object) -> dict[str, str]:
    """Return the values of a Secret or ConfigMap as text."""
    data = cast("Mapping[str, str]", thing.get("data") or EMPTY)
    if thing.get("kind") == "Secret":
        return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
    return dict(data)


def _load(index: Index, kind: Resource, namespace: str, reference: Object) -> dict[str, str] | None:
    thing = index.find(kind, namespace, str(reference.get("name")))
    if thing is not None:
        return values_of(thing)
    if reference.get("optional"):
        return None
    raise NotRunnable(_CONFIG_ERROR, f'{kind.singular} "{reference.get("name")}" not found')


def _referred(index: Index, pod: Object, container: Object, reference: Object) -> str | None:
    for kind, name in ((CONFIG_MAPS, "configMapKeyRef"), (SECRETS, "secretKeyRef")):
        chosen = cast("Object | None", reference.get(name))
        if chosen:
            found = _load(index, kind, namespace_of(pod), chosen)
            if found is None or chosen["key"] in found:
                return None if found is None else found[chosen["key"]]
            if chosen.get("optional"):
                return None
            text = f"couldn't find key {chosen['key']} in {kind.kind} {namespace_of(pod)}/{chosen.get('name')}"
            raise NotRunnable(_CONFIG_ERROR, text)
    if reference.get("fieldRef"):
        return field_of(pod, str(reference["fieldRef"].get("fieldPath")))
    if reference.get("resourceFieldRef"):
        return _resource(pod, container, reference["resourceFieldRef"])
    raise NotRunnable(_CONFIG_ERROR, f"valueFrom has no source that is known here: {sorted(reference)}")


def field_of(pod: Object, path: str) -> str:
    """Return a pod's field as the downward API gives it.

    Raises:
        NotRunnable: pods have no such field.
    """
    match = _KEYED.fullmatch(path)
    if match is not None:
        values = labels_of(pod) if match[1] == "labels" else annotations_of(pod)
        return str(values.get(match[2], ""))
    spec, status = pod["spec"], cast("Object", pod.get("status") or EMPTY)
    known: Mapping[str, Any] = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": status.get("podIP", "127.0.0.1"),
        "status.podIPs": status.get("podIP", "127.0.0.1"),
        "status.hostIP": status.get("hostIP", "127.0.0.1"),
        "status.hostIPs": status.get("hostIP", "127.0.0.1"),
    }
    if path not in known:
        raise NotRunnable(_CONFIG_ERROR, f"unsupported fieldPath: {path}")
    return str(known[path])


def _resource(pod: Object, container: Object, reference: Object) -> str:
    name = reference.get("containerName")
    containers = cast("list[Object]", pod["spec"]["containers"])
    chosen = next((each for each in containers if each["name"] == name), container)
    part, _, resource = str(reference.get("resource")).partition(".")
    amounts = cast("Object", (chosen.get("resources") or EMPTY).get(part) or EMPTY)
    if resource not in amounts:
        return "0"
    divisor = parse_quantity(reference.get("divisor") or 1) or Decimal(1)
    return str(-(-parse_quantity(amounts[resource]) // divisor))
