"""OpenAPI documents: version 3 by group and version, and version 2 as one, made from the table of kinds and schemas.

kubectl reads of them what it may ask of a server (field validation, dry run), how lists merge, and what `explain` says.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

import msgspec

from forebay.scaling.cluster.kinds import RESOURCES, Object, Resource
from forebay.scaling.cluster.schemas import Schema, definitions
from forebay.services.kubernetes.discovery import KUBERNETES_VERSION

_PREFIX = "#/components/schemas/"
_OLD_PREFIX = "#/definitions/"
_INFO = {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}.0"}
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
# kubectl takes from here which patch it sends; custom kinds have no strategic one.
_BUILT_IN_PATCHES = (*_PATCHES, "application/strategic-merge-patch+json")
_COMMON = ("DeleteOptions", "Status", "ListMeta")
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_TEXTS = {
    "dryRun": "When present, indicates that modifications should not be persisted.",
    "fieldManager": "The name of the actor that makes the changes.",
    "fieldValidation": "What is said of unknown fields: Ignore, Warn or Strict.",
    "force": "Take over fields that conflict.",
    "pretty": "If 'true', then the output is pretty printed.",
}


def index() -> Object:
    """Return `/openapi/v3`: where the document of each group and version lies."""
    paths: Object = {}
    for group, version in _versions():
        name = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = hashlib.sha256(document(group, version)).hexdigest()[:32].upper()
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
    return {"paths": paths}


def _versions() -> list[tuple[str, str]]:
    return list(dict.fromkeys((resource.group, resource.version) for resource in RESOURCES))


@cache
def document(group: str, version: str) -> bytes:
    """Return the document of one version of a group; empty where there is none."""
    resources = [each for each in RESOURCES if (each.group, each.version) == (group, version)]
    if not resources:
        return b""
    names = [resource.definition for resource in resources] + [_META + name for name in _COMMON]
    schemas = dict(_marked(_reachable([*names, "io.k8s.api.autoscaling.v1.Scale"]), resources))
    paths: Object = {}
    for resource in resources:
        paths |= _paths(resource)
    made = {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}
    return msgspec.json.encode(made)


@cache
def old_document() -> bytes:
    """Return `/openapi/v2`: everything in one."""
    schemas = dict(_marked(definitions(), RESOURCES))
    paths: Object = {}
    for resource in RESOURCES:
        paths |= _paths(resource)
    made = {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": schemas}
    return msgspec.json.encode(made).replace(_PREFIX.encode(), _OLD_PREFIX.encode())


def _marked(schemas: Mapping[str, Schema], resources: Any) -> Iterator[tuple[str, Schema]]:
    """Yield definitions; those of kinds say which they are, and what only we understand is put in OpenAPI's words."""
    kinds = {resource.definition: resource for resource in resources}
    for name, schema in schemas.items():
        resource = kinds.get(name)
        if "x-forebay" in schema:
            yield name, {"oneOf": [{"type": "string"}, {"type": "number"}], "description": schema["description"]}
        elif schema.get("format") == "int-or-string":
            yield name, {**schema, "oneOf": [{"type": "integer"}, {"type": "string"}]}
        elif resource is not None:
            yield name, {**schema, "x-kubernetes-group-version-kind": [_kind(resource)]}
        else:
            yield name, schema


def _reachable(names: list[str]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    while names:
        name = names.pop()
        if name not in found:
            found[name] = definitions()[name]
            names += _references(found[name])
    return found


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        values = cast("Object", schema)
        if isinstance(values.get("$ref"), str):
            yield values["$ref"].removeprefix(_PREFIX)
        for value in values.values():
            yield from _references(value)


def _kind(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource) -> Object:
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced:
        base += "/namespaces/{namespace}"
    schema = {"$ref": _PREFIX + resource.definition}
    collection: Object = {"get": _operation(resource, "list", (), None)}
    one: Object = {"get": _operation(resource, "get", (), schema)}
    if not resource.read_only:
        writing = ("dryRun", "fieldManager", "fieldValidation")
        collection["post"] = _operation(resource, "post", writing, schema, (("*/*"),))
        one["put"] = _operation(resource, "put", writing, schema, (("*/*"),))
        patches = _PATCHES if resource.is_custom else _BUILT_IN_PATCHES
        one["patch"] = _operation(resource, "patch", (*writing, "force"), schema, patches)
        one["delete"] = _operation(resource, "delete", ("dryRun",), schema)
    paths = {f"{base}/{resource.plural}": collection, f"{base}/{resource.plural}/{{name}}": one}
    if resource.namespaced:
        everywhere = base.removesuffix("/namespaces/{namespace}")
        paths[f"{everywhere}/{resource.plural}"] = {"get": _operation(resource, "list", (), None)}
    return paths


def _operation(
    resource: Resource, action: str, options: tuple[str, ...], schema: Schema | None, bodies: tuple[str, ...] = ()
) -> Object:
    content = {"application/json": {"schema": schema or {"type": "object"}}}
    made: Object = {
        "operationId": f"{action}{resource.version.capitalize()}{resource.kind}",
        "parameters": [
            {"name": name, "in": "query", "description": _TEXTS[name], "schema": {"type": "string"}}
            for name in (*options, "pretty")
        ],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _kind(resource),
    }
    if bodies:
        made["requestBody"] = {"content": {body: {"schema": schema or {}} for body in bodies}}
    return made
