"""Discovery: which groups, versions and kinds there are, in the older form and in the aggregated one."""

from collections.abc import Sequence
from typing import Any

from forebay.scaling.cluster.kinds import RESOURCES, Object, Resource

KUBERNETES_VERSION = "1.34"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_READ_VERBS = ["get", "list"]
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SUBRESOURCES = {
    "scale": ("autoscaling", "v1", "Scale", ["get", "patch", "update"]),
    "log": ("", "v1", "Pod", ["get"]),
    "eviction": ("policy", "v1", "Eviction", ["create"]),
}


def version(forebay_version: str) -> Object:
    """Return `/version`: of the API that is spoken, and by whom."""
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": f"v{KUBERNETES_VERSION}.0+forebay-{forebay_version}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    }


def groups() -> list[str]:
    """Return the names of all groups but the core one."""
    return list(dict.fromkeys(resource.group for resource in RESOURCES if resource.group))


def versions_of(group: str) -> list[str]:
    """Return a group's versions."""
    return list(dict.fromkeys(resource.version for resource in RESOURCES if resource.group == group))


def api_versions(host: str) -> Object:
    """Return `/api`."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list() -> Object:
    """Return `/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [api_group(group) for group in groups()]}


def api_group(group: str) -> Object:
    """Return `/apis/<group>`."""
    versions = [{"groupVersion": f"{group}/{each}", "version": each} for each in versions_of(group)]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": group,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resource_list(group: str, version: str) -> Object:
    """Return `/api/v1` or `/apis/<group>/<version>`."""
    found: list[Object] = []
    for resource in _in(group, version):
        found.append(
            {
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": _READ_VERBS if resource.read_only else _VERBS,
                **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
                **({"categories": list(resource.categories)} if resource.categories else {}),
            }
        )
        found += [_old_subresource(resource, name) for name in sorted(resource.subresources)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}


def _old_subresource(resource: Resource, name: str) -> Object:
    group, version, kind, verbs = _subresource(resource, name)
    entry: Object = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if (group, version) != (resource.group, resource.version):
        entry |= {"group": group, "version": version}
    return entry | {"kind": kind, "verbs": verbs}


def _subresource(resource: Resource, name: str) -> tuple[str, str, str, Sequence[str]]:
    own = resource.group, resource.version, resource.kind, ["get", "patch", "update"]
    return _SUBRESOURCES.get(name, own)


def wants_aggregated(accept: str) -> bool:
    """Return whether a client takes the aggregated form."""
    return "as=APIGroupDiscoveryList" in accept and "v=v2" in accept


def aggregated(*, core: bool) -> tuple[Object, str]:
    """Return `/api` or `/apis` in the aggregated form (apidiscovery.k8s.io/v2), and its content type."""
    items = [_discovered(group) for group in ([""] if core else groups())]
    found: Object = {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }
    return found, _AGGREGATED


def _discovered(group: str) -> Object:
    versions = [
        {
            "version": version,
            "freshness": "Current",
            "resources": [_discovered_resource(resource) for resource in _in(group, version)],
        }
        for version in versions_of(group)
    ]
    metadata: Object = {"name": group} if group else {}
    return {"metadata": {**metadata, "creationTimestamp": None}, "versions": versions}


def _discovered_resource(resource: Resource) -> Object:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _READ_VERBS if resource.read_only else _VERBS,
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_discovered_subresource(resource, name) for name in sorted(resource.subresources)]
    return entry


def _discovered_subresource(resource: Resource, name: str) -> Object:
    group, version, kind, verbs = _subresource(resource, name)
    return {"subresource": name, "responseKind": _kind(group, version, kind), "verbs": verbs}


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}


def _in(group: str, version: str) -> list[Resource]:
    return [resource for resource in RESOURCES if (resource.group, resource.version) == (group, version)]
