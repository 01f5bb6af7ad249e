"""Writing: create, update, patch (four sorts) and delete, each decided and committed in one transaction."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.scaling.cluster.changes import json_patch, merge_patch, strategic_merge_patch
from forebay.scaling.cluster.checks import check
from forebay.scaling.cluster.defaults import set_defaults
from forebay.scaling.cluster.kinds import (
    AUTOSCALERS,
    DISRUPTION_BUDGETS,
    EMPTY,
    NAMESPACES,
    NEW_EVENTS,
    OLD_AUTOSCALERS,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    Object,
    Resource,
)
from forebay.scaling.cluster.objects import Deletion, Objects, Writer, instant, is_deleting, name_of, uid_of
from forebay.scaling.cluster.ownership import Manager, apply, record
from forebay.scaling.cluster.replica_sets import set_priority
from forebay.scaling.cluster.schemas import check_types, inspect, schema_of, unknown_field_error
from forebay.scaling.cluster.status import StatusError, bad_request, conflict, forbidden, not_found
from forebay.scaling.manifests.documents import KINDS, fields_unread
from forebay.services.kubernetes.ask import Ask, body_of, object_of, place
from forebay.services.kubernetes.autoscaler_versions import new_autoscaler

_JSON_PATCH = "application/json-patch+json"
_MERGE_PATCH = "application/merge-patch+json"
_STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"
_SYSTEM_NAMES = (
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "selfLink"),
    "deletionGracePeriodSeconds",
)


# Fields that clients write out with the value that they have anyway.
_AS_ALWAYS = frozenset({"dnsPolicy", "terminationMessagePath", "terminationMessagePolicy", "schedulerName"})
_EMPTY_STATUS: Mapping[str, Object] = {
    REPLICA_SETS.id: {"replicas": 0},
    AUTOSCALERS.id: {"currentReplicas": 0, "desiredReplicas": 0},
    DISRUPTION_BUDGETS.id: {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
}


@dataclass(frozen=True)
class Written:
    """An object as it is after a write, whether it is new, and what the client should be told."""

    thing: Object
    is_new: bool = False
    warnings: Sequence[str] = ()


class _DryRun(Exception):
    """Leaves a transaction with what it would have written."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written


class Writes:
    """Carries out what changes objects."""

    def __init__(self, objects: Objects, clock: Clock, ids: Ids) -> None:
        self._objects = objects
        self._clock = clock
        self._ids = ids

    async def create(self, ask: Ask) -> Written:
        """Create the object of the request's body.

        Raises:
            StatusError: it exists, its namespace does not, or it breaks a rule.
        """
        thing, warnings = self._admitted(ask, object_of(ask))
        if ask.resource is OLD_AUTOSCALERS:
            ask, thing = replace(ask, resource=AUTOSCALERS), new_autoscaler(thing)
        return await self._run(ask, lambda writer: self._create(writer, ask, thing, warnings, self._updating(ask)))

    async def update(self, ask: Ask) -> Written:
        """Replace an object by that of the request's body.

        Raises:
            StatusError: it is not there, has changed meanwhile, or breaks a rule.
        """
        thing, warnings = self._admitted(ask, object_of(ask))

        def work(writer: Writer) -> Written:
            before = writer.load(ask.resource, ask.namespace, ask.name)
            return self._replace(writer, ask, copy.deepcopy(thing), before, warnings)

        return await self._run(ask, work)

    async def patch(self, ask: Ask) -> Written:
        """Change an object by a patch of the sort that the content type says.

        Raises:
            StatusError: the patch does not fit, or its outcome breaks a rule.
        """
        kind = ask.request.headers.get("content-type", "").split(";", 1)[0].strip()
        body = body_of(ask.request)
        if kind == _APPLY_PATCH:
            return await self._apply(ask, body)
        change = _patching(ask.resource, kind, body)

        def work(writer: Writer) -> Written:
            before = writer.load(ask.resource, ask.namespace, ask.name)
            patched = change(copy.deepcopy(before))
            place(ask, patched)
            thing, warnings = self._admitted(ask, patched)
            return self._replace(writer, ask, thing, before, warnings)

        return await self._run(ask, work)

    async def _apply(self, ask: Ask, body: Any) -> Written:
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        if not ask.query.get("fieldManager"):
            text = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            raise StatusError(422, "Invalid", text)
        given = cast("Object", body)
        place(ask, given)
        if given["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        version = given["metadata"].get("resourceVersion")
        applied, warnings = self._admitted(ask, given)
        for name in _SYSTEM_NAMES:
            applied["metadata"].pop(name, None)
        manager = Manager(ask.manager, "Apply", ask.subresource, instant(self._clock.now()))

        def work(writer: Writer) -> Written:
            before = writer.find(ask.resource, ask.namespace, ask.name)
            made = apply(ask.resource, before, applied, manager, force=ask.flag("force"))
            whole = copy.deepcopy(made)
            set_defaults(ask.resource, whole)
            check_types(ask.resource, ask.name, inspect(ask.resource, whole)[1])
            if before is None:
                return self._create(writer, ask, made, warnings, None)
            made["metadata"].pop("resourceVersion", None)
            if version:
                made["metadata"]["resourceVersion"] = version
            return self._replace(writer, ask, made, before, warnings, is_applied=True)

        return await self._run(ask, work)

    async def delete(self, ask: Ask) -> tuple[Object, bool]:
        """Delete an object; return it as it is then, and whether it is gone.

        Raises:
            StatusError: it is not there, or not the one that was meant.
        """
        deletion = _deletion(ask)

        def work(writer: Writer) -> tuple[Object, bool]:
            before = writer.load(ask.resource, ask.namespace, ask.name)
            if ask.is_dry_run:
                return before, True
            return writer.delete(ask.resource, before, deletion)

        return await self._objects.write(work)

    async def delete_all(self, ask: Ask, things: Sequence[Object]) -> None:
        """Delete the objects that a request selects."""
        deletion = _deletion(ask)
        if ask.is_dry_run:
            return
        for thing in things:
            await self._objects.delete(ask.resource, thing, deletion)

    # --- inside a transaction ---

    async def _run(self, ask: Ask, work: Callable[[Writer], Written]) -> Written:
        def attempt(writer: Writer) -> Written:
            written = work(writer)
            if ask.is_dry_run:
                raise _DryRun(written)
            return written

        try:
            return await self._objects.write(attempt)
        except _DryRun as dry:
            return dry.written

    def _create(
        self, writer: Writer, ask: Ask, thing: Object, warnings: Sequence[str], manager: Manager | None
    ) -> Written:
        resource = ask.resource
        thing = copy.deepcopy(thing)
        metadata = thing["metadata"]
        for name in _SYSTEM_NAMES:
            metadata.pop(name, None)
        if "status" in resource.subresources:
            thing.pop("status", None)
            if not resource.is_custom:
                # Built-in kinds always have one; clients that are typed rely on it.
                thing["status"] = dict(_EMPTY_STATUS.get(resource.id, {}))
        self._check_namespace(writer, resource, metadata)
        metadata["uid"] = self._ids.uuid()
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self._ids.token(5)
        set_defaults(resource, thing)
        if resource is PODS:
            self._set_priority(thing)
        check(resource, thing, None, self._objects.index.all)
        if manager is not None:
            metadata.pop("managedFields", None)
            record(resource, None, thing, manager)
        return Written(writer.create(resource, thing), is_new=True, warnings=warnings)

    def _set_priority(self, pod: Object) -> None:
        name = pod["spec"].get("priorityClassName")
        if name and self._objects.index.find(PRIORITY_CLASSES, "", name) is None:
            raise forbidden(PODS, pod["metadata"].get("name", ""), f"no PriorityClass with name {name} was found")
        set_priority(self._objects.index, pod)

    def _check_namespace(self, writer: Writer, resource: Resource, metadata: Object) -> None:
        if not resource.namespaced:
            return
        namespace = writer.find(NAMESPACES, "", metadata.get("namespace", ""))
        if namespace is None:
            raise not_found(NAMESPACES, metadata.get("namespace", ""))
        if is_deleting(namespace):
            text = f"unable to create new content in namespace {name_of(namespace)} because it is being terminated"
            raise forbidden(resource, metadata.get("name", ""), text)

    def _replace(
        self,
        writer: Writer,
        ask: Ask,
        thing: Object,
        before: Object,
        warnings: Sequence[str],
        *,
        is_applied: bool = False,
    ) -> Written:
        resource, metadata = ask.resource, thing["metadata"]
        version = metadata.get("resourceVersion")
        if version and version != before["metadata"]["resourceVersion"]:
            raise conflict(resource, ask.name)
        if metadata.get("uid") not in {None, uid_of(before)}:
            text = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {uid_of(before)}"
            raise conflict(resource, ask.name, text)
        thing = _kept_parts(ask, thing, before)
        set_defaults(resource, thing)
        check(resource, thing, before, self._objects.index.all)
        if not is_applied:
            metadata = thing["metadata"]
            if "managedFields" not in metadata:
                metadata["managedFields"] = copy.deepcopy(before["metadata"].get("managedFields") or [])
            record(resource, before, thing, self._updating(ask))
        return Written(writer.update(resource, thing, before), warnings=warnings)

    def _updating(self, ask: Ask) -> Manager:
        return Manager(ask.manager, "Update", ask.subresource, instant(self._clock.now()))

    # --- admission ---

    def _admitted(self, ask: Ask, given: Object) -> tuple[Object, list[str]]:
        """Return an object without unknown fields, and the warnings about them and about what has no effect here.

        Raises:
            StatusError: a value is of another type, or a field is unknown and the client wants it strict.
        """
        resource = ask.resource
        if resource is NEW_EVENTS:
            return given, []
        given = cast("Object", _without_nulls(given))
        is_applied = ask.request.headers.get("content-type", "").startswith(_APPLY_PATCH)
        # Of a patched object the server's own defaults would be named, too.
        is_whole = is_applied or ask.request.method == "POST"
        idle = _without_effect(given) if is_whole else []
        if resource.is_custom and not is_applied:
            # Their schemas' own defaults come before the check of what is missing.
            set_defaults(resource, given)
        kept, findings = inspect(resource, given)
        mode = ask.query.get("fieldValidation", "Warn")
        if findings.unknown and mode == "Strict":
            raise unknown_field_error(resource, findings.unknown)
        if is_applied:
            # What is applied need not be whole; its outcome must.
            findings.missing.clear()
        check_types(resource, given["metadata"].get("name", ""), findings)
        if mode == "Ignore":
            return kept, []
        warnings = [f'unknown field "{path}"' for path in findings.unknown]
        return kept, warnings + idle


def _kept_parts(ask: Ask, thing: Object, before: Object) -> Object:
    """Return an object with what a client cannot change as it was: identity, and spec or status."""
    resource, metadata = ask.resource, thing["metadata"]
    for name in _SYSTEM_NAMES:
        if name in before["metadata"]:
            metadata[name] = before["metadata"][name]
        else:
            metadata.pop(name, None)
    if ask.subresource == "status":
        changed = {**before, "metadata": {**before["metadata"]}}
        changed["metadata"]["managedFields"] = metadata.get("managedFields") or []
        changed.pop("status", None)
        return changed | ({"status": thing["status"]} if thing.get("status") is not None else {})
    if "status" in resource.subresources:
        thing.pop("status", None)
        if "status" in before:
            thing["status"] = before["status"]
    return thing


def _without_effect(thing: Object) -> list[str]:
    kind = KINDS.get((thing["apiVersion"], thing["kind"]))
    if kind is None:
        return []
    problems = fields_unread(thing, kind)
    unknown = 'unknown field "'
    found = [
        each.path for each in problems if not each.path.startswith("metadata.") and not each.text.startswith(unknown)
    ]
    return [f"{path} has no effect here" for path in found if path.rpartition(".")[2] not in _AS_ALWAYS]


def _patching(resource: Resource, kind: str, body: Any) -> Callable[[Object], Object]:
    if kind == _JSON_PATCH and isinstance(body, list):
        operations = cast("list[Mapping[str, Any]]", body)
        return lambda thing: json_patch(thing, operations)
    if kind == _MERGE_PATCH and isinstance(body, dict):
        change = cast("Object", body)
        return lambda thing: cast("Object", merge_patch(thing, change))
    if kind == _STRATEGIC_PATCH and isinstance(body, dict) and not resource.is_custom:
        change = cast("Object", body)
        return lambda thing: strategic_merge_patch(schema_of(resource), thing, change)
    supported = [_JSON_PATCH, _MERGE_PATCH, *([] if resource.is_custom else [_STRATEGIC_PATCH]), _APPLY_PATCH]
    text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    raise StatusError(415, "UnsupportedMediaType", text)


def _deletion(ask: Ask) -> Deletion:
    options: Object = {}
    if ask.request.body:
        body = body_of(ask.request)
        options = cast("Object", body) if isinstance(body, dict) else {}
    preconditions = cast("Object", options.get("preconditions") or EMPTY)
    grace = options.get("gracePeriodSeconds", ask.number("gracePeriodSeconds"))
    policy = options.get("propagationPolicy") or ask.query.get("propagationPolicy") or "Background"
    if options.get("orphanDependents"):
        policy = "Orphan"
    if policy not in {"Background", "Foreground", "Orphan"}:
        text = f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{policy}"'
        raise StatusError(422, "Invalid", text)
    return Deletion(grace, policy, preconditions.get("uid"), preconditions.get("resourceVersion"))


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        items = cast("Object", value).items()
        return {name: _without_nulls(member) for name, member in items if member is not None}
    return [_without_nulls(item) for item in cast("list[object]", value)] if isinstance(value, list) else value
