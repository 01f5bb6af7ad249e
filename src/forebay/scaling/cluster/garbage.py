"""What goes with something else: dependents of owners that are gone, contents of namespaces, old events, ended jobs."""

from typing import cast

from forebay.scaling.cluster.kinds import (
    BY_KIND,
    EVENTS,
    JOBS,
    NAMESPACES,
    NEW_EVENTS,
    OLD_AUTOSCALERS,
    RESOURCES,
    Object,
    Resource,
)
from forebay.scaling.cluster.objects import Deletion, is_deleting, name_of, parse_instant, uid_of
from forebay.scaling.cluster.world import World, is_condition_true

_EVENT_SECONDS = 3600.0
_KEPT = [each for each in RESOURCES if not each.read_only and each not in (NEW_EVENTS, OLD_AUTOSCALERS)]


class GarbageCollector:
    """Deletes what has lost its reason to be. A `Worker`."""

    name = "kubernetes.garbage"

    def __init__(self, world: World) -> None:
        self._world = world

    async def run_once(self) -> float:
        """Look at everything once."""
        uids = {uid_of(thing): thing for resource in _KEPT for thing in self._world.index.all(resource)}
        for resource in _KEPT:
            if resource is EVENTS:
                continue
            for thing in self._world.index.all(resource):
                await self._look(resource, thing, uids)
        for namespace in self._world.index.all(NAMESPACES):
            if is_deleting(namespace):
                await self._empty(namespace)
        return min(await self._expire_events(), await self._expire_jobs())

    async def _look(self, resource: Resource, thing: Object, uids: dict[str, Object]) -> None:
        finalizers = cast("list[str]", thing["metadata"].get("finalizers") or [])
        if is_deleting(thing) and "foregroundDeletion" in finalizers:
            await self._finish_foreground(resource, thing)
        if is_deleting(thing) and "orphan" in finalizers:
            await self._orphan(resource, thing)
        owners = cast("list[Object]", thing["metadata"].get("ownerReferences") or [])
        known = [owner for owner in owners if (owner["apiVersion"], owner["kind"]) in BY_KIND]
        if owners and len(known) == len(owners) and not any(owner["uid"] in uids for owner in owners):
            if not is_deleting(thing):
                await self._world.objects.delete(resource, thing, Deletion())
        elif any(self._goes_first(owner, uids) for owner in owners) and not is_deleting(thing):
            await self._world.objects.delete(resource, thing, Deletion(propagation="Foreground"))

    def _goes_first(self, reference: Object, uids: dict[str, Object]) -> bool:
        owner = uids.get(reference["uid"])
        return (
            owner is not None
            and is_deleting(owner)
            and "foregroundDeletion" in (owner["metadata"].get("finalizers") or ())
        )

    def _dependents(self, owner: Object) -> list[tuple[Resource, Object]]:
        uid = uid_of(owner)
        return [
            (resource, thing)
            for resource in _KEPT
            for thing in self._world.index.all(resource)
            if any(reference["uid"] == uid for reference in thing["metadata"].get("ownerReferences") or ())
        ]

    async def _finish_foreground(self, resource: Resource, thing: Object) -> None:
        blocking = [
            each
            for _, each in self._dependents(thing)
            for reference in each["metadata"]["ownerReferences"]
            if reference["uid"] == uid_of(thing) and reference.get("blockOwnerDeletion")
        ]
        if not blocking:
            await self._world.objects.change(resource, thing, lambda each: _drop_finalizer(each, "foregroundDeletion"))

    async def _orphan(self, resource: Resource, thing: Object) -> None:
        uid = uid_of(thing)

        def change(each: Object) -> None:
            references = each["metadata"]["ownerReferences"]
            each["metadata"]["ownerReferences"] = [reference for reference in references if reference["uid"] != uid]

        for below, dependent in self._dependents(thing):
            await self._world.objects.change(below, dependent, change)
        await self._world.objects.change(resource, thing, lambda each: _drop_finalizer(each, "orphan"))

    async def _empty(self, namespace: Object) -> None:
        left = 0
        for resource in _KEPT:
            for thing in self._world.index.all(resource, name_of(namespace)) if resource.namespaced else ():
                left += 1
                if not is_deleting(thing):
                    await self._world.objects.delete(resource, thing, Deletion())
        if not left:

            def change(thing: Object) -> None:
                thing["spec"]["finalizers"] = []

            await self._world.objects.change(NAMESPACES, namespace, change)

    async def _expire_events(self) -> float:
        now, due = self._world.now(), float("inf")
        for event in self._world.index.all(EVENTS):
            at = parse_instant(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp")) or now
            wait = at + _EVENT_SECONDS - now
            if wait <= 0:
                await self._world.objects.delete(EVENTS, event)
            else:
                due = min(due, wait)
        return due

    async def _expire_jobs(self) -> float:
        now, due = self._world.now(), float("inf")
        for job in self._world.index.all(JOBS):
            seconds = job["spec"].get("ttlSecondsAfterFinished")
            has_ended = is_condition_true(job, "Complete") or is_condition_true(job, "Failed")
            if seconds is None or not has_ended or is_deleting(job):
                continue
            status = job["status"]
            ended = max(
                (parse_instant(each["lastTransitionTime"]) or 0.0 for each in status["conditions"]), default=now
            )
            wait = ended + seconds - now
            if wait <= 0:
                await self._world.objects.delete(JOBS, job, Deletion(propagation="Foreground"))
            else:
                due = min(due, wait)
        return due


def _drop_finalizer(thing: Object, name: str) -> None:
    finalizers = [each for each in thing["metadata"].get("finalizers") or () if each != name]
    thing["metadata"]["finalizers"] = finalizers
    if not finalizers:
        del thing["metadata"]["finalizers"]
