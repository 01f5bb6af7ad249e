"""Selectors: labels and fields, as queries and as objects write them. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from forebay.scaling.cluster.kinds import EMPTY, Object, Resource
from forebay.scaling.cluster.objects import labels_of
from forebay.scaling.cluster.status import StatusError, bad_request

Matches = Callable[[Object], bool]

_TERM = re.compile(
    r"\s*(?:(?P<not>!)\s*(?P<absent>[^\s=!,()]+)"
    r"|(?P<key>[^\s=!,()]+)\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[^\s,()]*)"
    r"|\s+(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?)\s*(?:,|$)"
)
_FIELD = re.compile(r"([A-Za-z.]+)\s*(==|=|!=)\s*([^,]*)")
# What can be selected by besides name and namespace. (Kubernetes documentation, "Field Selectors".)
_FIELDS: Mapping[str, Sequence[str]] = {
    "pods": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase"),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
    "events": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")),
        *("involvedObject.resourceVersion", "reason", "reportingComponent", "source", "type"),
    ),
    "events.events.k8s.io": ("reason", "type", "regarding.kind", "regarding.name"),
}


def parse_label_selector(text: str) -> Matches:
    """Return what a query's label selector asks.

    Raises:
        StatusError: it cannot be read.
    """
    if not text.strip():
        return lambda _thing: True
    terms: list[Callable[[Mapping[str, str]], bool]] = []
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None or match.end() == at:
            raise bad_request(
                f"unable to parse requirement: found '{text[at:]}', expected: identifier or 'end of string'"
            )
        terms.append(_label_term(match))
        at = match.end()
    return lambda thing: all(term(labels_of(thing)) for term in terms)


def _label_term(match: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    if match["not"]:
        absent = match["absent"]
        return lambda labels: absent not in labels
    key, value = match["key"], match["value"]
    values = {item.strip() for item in (match["values"] or "").split(",")}
    match match["operator"] or match["set"]:
        case "=" | "==":
            return lambda labels: labels.get(key) == value
        case "!=":
            return lambda labels: labels.get(key) != value
        case "in":
            return lambda labels: key in labels and labels[key] in values
        case "notin":
            return lambda labels: labels.get(key) not in values
        case _:
            return lambda labels: key in labels


def parse_field_selector(resource: Resource, text: str) -> Matches:
    """Return what a query's field selector asks.

    Raises:
        StatusError: it cannot be read, or names a field that is none to select by.
    """
    terms: list[tuple[list[str], bool, str]] = []
    for part in filter(None, text.split(",")):
        match = _FIELD.fullmatch(part.strip())
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if path not in {"metadata.name", "metadata.namespace", *_FIELDS.get(resource.id, ())}:
            raise _unsupported_field(resource, path)
        terms.append((path.split("."), operator == "!=", value))
    return lambda thing: all((_text_at(thing, path) == value) != negated for path, negated, value in terms)


def _unsupported_field(resource: Resource, path: str) -> StatusError:
    return bad_request(
        f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match label selector "", field '
        f'selector "{path}": field label not supported: {path}'
    )


def _text_at(thing: Object, path: Sequence[str]) -> str:
    value: Any = thing
    for name in path:
        value = cast("Object", value).get(name) if isinstance(value, dict) else None
    if isinstance(value, dict):
        # The source of an event is selected by its component.
        value = cast("Object", value).get("component")
    return "" if value is None else str(value)


def matches_labels(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Return whether labels fit a selector object; an empty one fits all, an absent one none."""
    if selector is None:
        return False
    wanted = cast("Mapping[str, str]", selector.get("matchLabels") or EMPTY)
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_fits(expression, labels) for expression in cast("list[Object]", selector.get("matchExpressions") or []))


def _fits(expression: Object, labels: Mapping[str, str]) -> bool:
    key: str = expression["key"]
    values = cast("list[str]", expression.get("values") or [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def format_selector(selector: Object | None) -> str:
    """Return a selector object as queries write it."""
    if selector is None:
        return ""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or EMPTY).items())]
    for each in cast("list[Object]", selector.get("matchExpressions") or []):
        values = ",".join(each.get("values") or ())
        operator = {"In": f" in ({values})", "NotIn": f" notin ({values})", "Exists": ""}.get(each["operator"])
        terms.append(f"!{each['key']}" if operator is None else f"{each['key']}{operator}")
    return ",".join(terms)
