"""The definitions of the custom kinds, as clients list them. They are part of the node and cannot be changed."""

from forebay.scaling.cluster.kinds import RESOURCES, Object, Resource

_CREATED = "2024-01-01T00:00:00Z"


def custom_definitions() -> list[Object]:
    """Return a CustomResourceDefinition for each custom kind."""
    return sorted(
        (_definition(each) for each in RESOURCES if each.is_custom), key=lambda each: each["metadata"]["name"]
    )


def _definition(resource: Resource) -> Object:
    names = {
        "plural": resource.plural,
        "singular": resource.singular,
        "kind": resource.kind,
        "listKind": resource.list_kind,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    columns = [
        {"name": each.name, "type": each.type, "jsonPath": f".{each.path}", "priority": each.priority}
        for each in resource.columns
    ]
    version: Object = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "subresources": {"status": {}} if "status" in resource.subresources else {},
        "additionalPrinterColumns": columns,
    }
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": _CREATED}
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}", "uid": resource.id, "creationTimestamp": _CREATED},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [version],
        },
        "status": {"conditions": conditions, "acceptedNames": names, "storedVersions": [resource.version]},
    }
