"""From documents (YAML, JSON, or dicts of an API) to typed manifests, with every field accounted for.

A field that its type does not have is named as an error, one that Kubernetes has but that means nothing here as a
warning; neither is dropped silently.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from forebay.scaling.manifests.hpa import HorizontalPodAutoscaler
from forebay.scaling.manifests.karpenter import EC2NodeClass, KWOKNodeClass, NodePool
from forebay.scaling.manifests.keda import ClusterTriggerAuthentication, ScaledJob, ScaledObject, TriggerAuthentication
from forebay.scaling.manifests.problem import InvalidManifest, Problem, UnknownKind
from forebay.scaling.manifests.workloads import (
    ConfigMap,
    Deployment,
    Job,
    Namespace,
    Pod,
    PodDisruptionBudget,
    PriorityClass,
    Secret,
)

Manifest = (
    Deployment
    | Job
    | Pod
    | Secret
    | ConfigMap
    | Namespace
    | PriorityClass
    | PodDisruptionBudget
    | HorizontalPodAutoscaler
    | ScaledObject
    | ScaledJob
    | TriggerAuthentication
    | ClusterTriggerAuthentication
    | NodePool
    | EC2NodeClass
    | KWOKNodeClass
)

# (apiVersion, kind) -> type.
KINDS: Mapping[tuple[str, str], type[Manifest]] = {
    ("apps/v1", "Deployment"): Deployment,
    ("batch/v1", "Job"): Job,
    ("v1", "Pod"): Pod,
    ("v1", "Secret"): Secret,
    ("v1", "ConfigMap"): ConfigMap,
    ("v1", "Namespace"): Namespace,
    ("scheduling.k8s.io/v1", "PriorityClass"): PriorityClass,
    ("policy/v1", "PodDisruptionBudget"): PodDisruptionBudget,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): HorizontalPodAutoscaler,
    ("keda.sh/v1alpha1", "ScaledObject"): ScaledObject,
    ("keda.sh/v1alpha1", "ScaledJob"): ScaledJob,
    ("keda.sh/v1alpha1", "TriggerAuthentication"): TriggerAuthentication,
    ("keda.sh/v1alpha1", "ClusterTriggerAuthentication"): ClusterTriggerAuthentication,
    ("karpenter.sh/v1", "NodePool"): NodePool,
    ("karpenter.k8s.aws/v1", "EC2NodeClass"): EC2NodeClass,
    ("karpenter.kwok.sh/v1alpha1", "KWOKNodeClass"): KWOKNodeClass,
}


# Files that stand beside manifests and are none.
_NO_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml", "images.yaml", "images.yml"})


class Read(msgspec.Struct, frozen=True):
    """A manifest and what its author should know about it."""

    manifest: Manifest
    problems: tuple[Problem, ...]
    source: str = ""


def read_manifest(document: Mapping[str, Any], source: str = "") -> Read:
    """Read one object.

    Raises:
        UnknownKind: it is of no kind that is taken here.
        InvalidManifest: its values do not fit its fields.
    """
    key = (str(document.get("apiVersion", "")), str(document.get("kind", "")))
    kind = KINDS.get(key)
    if kind is None:
        raise UnknownKind(f'no matches for kind "{key[1]}" in version "{key[0]}"')
    try:
        manifest = msgspec.convert(_without_nulls(document), kind)
    except msgspec.ValidationError as error:
        raise InvalidManifest(f"{_name(document)}: {error}") from None
    return Read(manifest, tuple(fields_unread(document, kind)), source)


def fields_unread(document: Any, kind: Any) -> Iterator[Problem]:
    """Name each field of a document that has no effect, or that its type does not have at all."""
    yield from _unread(document, msgspec.inspect.type_info(kind), "")


def read_text(text: str, source: str = "") -> tuple[list[Read], list[Problem]]:
    """Read all objects of a YAML stream (JSON is YAML), also those in a List; what is unreadable becomes a problem."""
    found: list[Read] = []
    problems: list[Problem] = []
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        return [], [Problem("error", source, f"not YAML: {error}")]
    for document in _flattened(documents):
        if not isinstance(document, dict):
            problems.append(Problem("error", source, "a document is not an object"))
            continue
        try:
            found.append(read_manifest(_object(document), source))
        except UnknownKind as error:
            # A Service or Role beside what scales is nobody's mistake; a wrong version of KEDA's kinds is.
            group = str(_object(document).get("apiVersion", "")).partition("/")[0]
            is_ours = group == "autoscaling" or group.endswith(("keda.sh", "karpenter.sh", "karpenter.k8s.aws"))
            problems.append(Problem("error" if is_ours else "warning", source, f"{error}: not looked at"))
        except InvalidManifest as error:
            problems.append(Problem("error", source, str(error)))
    return found, problems


def read_paths(paths: Iterable[Path]) -> tuple[list[Read], list[Problem]]:
    """Read all objects of files, and of the YAML and JSON files right inside folders."""
    found: list[Read] = []
    problems: list[Problem] = []
    for path in paths:
        for file in _files(path):
            read, wrong = read_text(file.read_text(), str(file))
            found += read
            problems += wrong
    return found, problems


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml", ".json"} and p.name not in _NO_MANIFESTS)


def _flattened(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and _object(document).get("kind") == "List":
            yield from _object(document).get("items") or []
        else:
            yield document


def _object(document: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", document)


def _name(document: Mapping[str, Any]) -> str:
    return f"{document.get('kind')}/{_object(document.get('metadata') or {}).get('name', '')}"


def _without_nulls(value: Any) -> Any:
    """Return a document without its null members: to Kubernetes they are absent."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in _object(value).items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in cast("list[Any]", value)]
    return value


def _unread(value: Any, kind: msgspec.inspect.Type, path: str) -> Iterator[Problem]:
    if isinstance(kind, msgspec.inspect.UnionType):
        for option in kind.types:
            yield from _unread(value, option, path)
    elif isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        for name, inner in _object(value).items():
            yield from _unread_field(inner, kind.cls, name, f"{path}.{name}".removeprefix("."))
    elif isinstance(kind, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _unread(inner, kind.item_type, f"{path}[{index}]")


def _unread_field(value: Any, cls: type, name: str, place: str) -> Iterator[Problem]:
    fields, without_effect = _fields(cls)
    if name in fields:
        yield from _unread(value, fields[name], place)
    elif name not in without_effect:
        yield Problem("error", place, f'unknown field "{place}"')
    elif name != "status":
        yield Problem("warning", place, "has no effect here")


@cache
def _fields(cls: type) -> tuple[dict[str, msgspec.inspect.Type], frozenset[str]]:
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    return {field.encode_name: field.type for field in info.fields}, getattr(cls, "without_effect", frozenset())
