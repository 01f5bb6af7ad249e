"""Answers of the API: objects, lists, tables and refusals as HTTP."""

from collections.abc import Sequence
from typing import Any

import msgspec

from forebay.core.http import Response, header_text
from forebay.scaling.cluster.kinds import EVENTS, NEW_EVENTS, OLD_AUTOSCALERS, Object, Resource
from forebay.scaling.cluster.status import StatusError
from forebay.services.kubernetes.autoscaler_versions import old_autoscaler

JSON = ("Content-Type", "application/json")


def answer(value: object, status: int = 200, warnings: Sequence[str] = ()) -> Response:
    """Return a value as an answer; warnings go where kubectl shows them."""
    headers = [JSON, ("Cache-Control", "no-cache, private")]
    for text in warnings:
        quoted = header_text(text).replace("\\", "\\\\").replace('"', '\\"')
        headers.append(("Warning", f'299 - "{quoted}"'))
    return Response(status, tuple(headers), msgspec.json.encode(value))


def refusal(error: StatusError) -> Response:
    """Return a refusal as an answer."""
    return answer(error.as_object(), error.code)


def served(resource: Resource, thing: Object) -> Object:
    """Return an object as it is served under a kind: with its kind, and newer events made of older ones."""
    if resource is NEW_EVENTS and thing.get("apiVersion") != NEW_EVENTS.api_version:
        return _new_event(thing)
    if resource is EVENTS and thing.get("apiVersion") == NEW_EVENTS.api_version:
        return _old_event(thing)
    if resource is OLD_AUTOSCALERS and thing.get("apiVersion") != OLD_AUTOSCALERS.api_version:
        return old_autoscaler(thing)
    return {"apiVersion": resource.api_version, "kind": resource.kind, **thing}


def metadata_only(thing: Object) -> Object:
    """Return an object's metadata as a kind of its own."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": thing["metadata"]}


# Event of v1 and of events.k8s.io: the same, under other names.
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


def _new_event(thing: Object) -> Object:
    renamed = {_EVENT_NAMES.get(name, name): value for name, value in thing.items()}
    return {**renamed, "apiVersion": NEW_EVENTS.api_version, "kind": "Event"}


def _old_event(thing: Object) -> Object:
    names = {new: old for old, new in _EVENT_NAMES.items()}
    renamed: dict[str, Any] = {names.get(name, name): value for name, value in thing.items()}
    return {**renamed, "apiVersion": "v1", "kind": "Event"}
