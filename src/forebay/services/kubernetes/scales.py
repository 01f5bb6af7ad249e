"""The `scale` subresource: a workload's number of replicas as an object of its own."""

import copy
from typing import Any, cast

from forebay.core.clock import Clock
from forebay.scaling.cluster.changes import json_patch, merge_patch
from forebay.scaling.cluster.kinds import EMPTY, Object
from forebay.scaling.cluster.objects import Objects, Writer, instant
from forebay.scaling.cluster.ownership import Manager, record
from forebay.scaling.cluster.selectors import format_selector
from forebay.scaling.cluster.status import StatusError, bad_request, conflict, not_found
from forebay.services.kubernetes.ask import Ask, body_of


def scale_of(thing: Object) -> Object:
    """Return a workload's scale."""
    metadata, status = thing["metadata"], cast("Object", thing.get("status") or EMPTY)
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {"replicas": thing["spec"].get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": format_selector(thing["spec"].get("selector"))},
    }


class Scales:
    """Reads and writes scales."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    def get(self, ask: Ask) -> Object:
        """Return a scale.

        Raises:
            StatusError: the workload is not there.
        """
        thing = self._objects.index.find(ask.resource, ask.namespace, ask.name)
        if thing is None:
            raise not_found(ask.resource, ask.name)
        return scale_of(thing)

    async def put(self, ask: Ask) -> Object:
        """Change a scale, by a whole one or by a patch.

        Raises:
            StatusError: the workload is not there or has changed, or the number does not fit.
        """
        body = body_of(ask.request)
        kind = ask.request.headers.get("content-type", "").split(";", 1)[0]
        manager = Manager(ask.manager, "Update", "scale", instant(self._clock.now()))

        def work(writer: Writer) -> Object:
            before = writer.load(ask.resource, ask.namespace, ask.name)
            wanted = _changed(scale_of(before), body, kind if ask.request.method == "PATCH" else "")
            version = cast("Object", wanted.get("metadata") or EMPTY).get("resourceVersion")
            if version and version != before["metadata"]["resourceVersion"]:
                raise conflict(ask.resource, ask.name)
            thing = copy.deepcopy(before)
            thing["spec"]["replicas"] = _replicas(ask, wanted)
            record(ask.resource, before, thing, manager)
            if ask.is_dry_run:
                return scale_of(thing)
            return scale_of(writer.update(ask.resource, thing, before))

        return await self._objects.write(work)


def _changed(scale: Object, body: Any, patch_type: str) -> Object:
    if patch_type.endswith("json-patch+json") and isinstance(body, list):
        return json_patch(scale, cast("list[Object]", body))
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized (must be of type Scale)")
    return cast("Object", merge_patch(scale, cast("object", body))) if patch_type else cast("Object", body)


def _replicas(ask: Ask, wanted: Object) -> int:
    value = cast("Object", wanted.get("spec") or EMPTY).get("replicas", 0)
    if not isinstance(value, int) or value < 0:
        rule = f"Invalid value: {value}: must be greater than or equal to 0"
        text = f'Scale.autoscaling "{ask.name}" is invalid: spec.replicas: {rule}'
        cause = {
            "reason": "FieldValueInvalid",
            "message": rule,
            "field": "spec.replicas",
        }
        raise StatusError(422, "Invalid", text, {"name": ask.name, "kind": "Scale", "causes": [cause]})
    return value
