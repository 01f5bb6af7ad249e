"""One resource of a deployment: brought to what the template says, put back, or taken away.

Before anything is done, the intent is committed (what, under which name, with which properties); after it, the outcome.
So whatever moment a crash comes at, the step is resumed: what may have been made already is looked for first.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.lookups import resolve_dynamic_references
from forebay.services.cloudformation.plan import Decision, check_replaceable, decide
from forebay.services.cloudformation.progress import Progress
from forebay.services.cloudformation.resources.contract import Existing, Made, Place, Properties, Site, is_existing
from forebay.services.cloudformation.resources.names import NameRule, physical_name
from forebay.services.cloudformation.resources.registry import Registered, find_type
from forebay.services.cloudformation.resources.schema import coerce, find_mismatch
from forebay.services.cloudformation.scope import StackScope
from forebay.services.cloudformation.site import CANCELLED_TEXTS, Cancelled, StackSite, attempt, failure_reason
from forebay.services.cloudformation.stack import Snapshot, StackResource
from forebay.services.cloudformation.template.references import references_in
from forebay.services.cloudformation.template.sections import Resource

_REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."
_INITIATED = "Resource creation Initiated"
_IN_PROGRESS = {"create": "CREATE_IN_PROGRESS", "update": "UPDATE_IN_PROGRESS", "replace": "UPDATE_IN_PROGRESS"}
_COMPLETE = {"create": "CREATE_COMPLETE", "update": "UPDATE_COMPLETE", "replace": "UPDATE_COMPLETE"}
_FAILED = {"create": "CREATE_FAILED", "update": "UPDATE_FAILED", "replace": "UPDATE_FAILED"}


class ResourceSteps:
    """The steps of one deployment."""

    def __init__(self, progress: Progress, declared: Mapping[str, Properties]) -> None:
        self._progress = progress
        # The template's own properties, from which notices name what was left out.
        self._declared = declared

    # --- forward ---

    async def bring_up(self, declared: Resource, scope: StackScope) -> bool:
        """Create, update or replace a resource, or leave it as it is; return whether it is as the template says."""
        old = self._progress.resources.get(declared.logical_id)
        number = self._progress.deployment.number
        if old is not None and old.deployment == number and old.status.endswith("_COMPLETE"):
            return True
        if old is not None and old.deployment == number and old.action and old.status.endswith("_IN_PROGRESS"):
            return await self._make(old, is_resumed=True)
        try:
            if await self._progress.is_cancelled():
                raise Cancelled(CANCELLED_TEXTS["create"])
            resource, decision = self._intend(declared, scope, old)
        except ServiceError as error:
            await self._fail_early(declared, old, error)
            return False
        if not decision.action:
            await self._keep(resource)
            return True
        await self._progress.put_resource(resource)
        return await self._make(resource, is_resumed=False)

    def _intend(
        self, declared: Resource, scope: StackScope, old: StackResource | None
    ) -> tuple[StackResource, Decision]:
        """Return the resource as it stands with the intent to change it.

        Raises:
            ServiceError: a property's functions cannot be evaluated, or it cannot be replaced.
        """
        registered = find_type(declared.type)
        properties: dict[str, Any] = scope.scope.resolve(declared.properties)
        if registered is not None:
            properties = _settable(registered, properties, ignoring=self._progress.stack.revision.allows_ignored)
        decision = decide(registered, old, properties)
        if decision.action == "replace" and registered is not None and old is not None:
            check_replaceable(registered, old, properties)
        resource = old or StackResource(declared.logical_id, declared.type, "", 0.0)
        return replace(
            resource,
            type=declared.type,
            status=_IN_PROGRESS.get(decision.action, resource.status),
            reason=_REPLACING if decision.action == "replace" else None,
            depends_on=self._needed(declared, scope),
            deletion_policy=_policy(scope, declared.deletion_policy),
            update_replace_policy=_policy(scope, declared.update_replace_policy),
            metadata=None if declared.metadata is None else msgspec.json.encode(declared.metadata).decode(),
            previous=resource.snapshot(),
            deployment=self._progress.deployment.number,
            is_new=resource.physical_id is None,
            action=decision.action,
            name=self._new_name(registered, declared, properties) if decision.action != "update" else resource.name,
            pending=properties,
            is_ignored=registered is None,
        ), decision

    def _needed(self, declared: Resource, scope: StackScope) -> tuple[str, ...]:
        named = {reference.name for reference in references_in(declared.properties)} | set(declared.depends_on)
        return tuple(sorted(named & set(scope.template.resources)))

    def _new_name(self, registered: Registered | None, declared: Resource, properties: Properties) -> str:
        rule = (registered.type.naming if registered else None) or NameRule("", 128)
        suffix = ".fifo" if properties.get("FifoQueue") is True or properties.get("FifoTopic") is True else ""
        stack, ids = self._progress.stack, self._progress.platform.ids
        return physical_name(rule, stack.name, declared.logical_id, ids, suffix)

    async def _fail_early(self, declared: Resource, old: StackResource | None, error: ServiceError) -> None:
        resource = old or StackResource(declared.logical_id, declared.type, "", 0.0)
        status = "CREATE_FAILED" if resource.physical_id is None else "UPDATE_FAILED"
        number = self._progress.deployment.number
        previous = resource.previous if resource.deployment == number else resource.snapshot()
        failed = replace(
            resource,
            status=status,
            reason=error.message,
            deployment=number,
            previous=previous,
            is_new=resource.physical_id is None,
            action="",
            pending=None,
        )
        await self._progress.put_resource(failed)

    async def _keep(self, resource: StackResource) -> None:
        """Commit what of a resource changes without touching it: who it needs, its policies, its metadata."""
        kept = replace(resource, previous=None, is_new=False, action="", pending=None, reason=None)
        stored = self._progress.resources[resource.logical_id]
        if replace(kept, deployment=stored.deployment, changed_at=stored.changed_at) != replace(stored, reason=None):
            await self._progress.put_resource(kept, silent=True)

    async def _make(self, resource: StackResource, *, is_resumed: bool) -> bool:
        """Run the intended action and commit its outcome."""
        registered = find_type(resource.type)
        site = self.site(resource)
        properties = resource.pending or {}
        try:
            if registered is None:
                made = Made(resource.name)
            else:
                real = await resolve_dynamic_references(site, properties)
                current = self._progress.resources[resource.logical_id]
                made = await attempt(self._act(registered, site, current, real, is_resumed=is_resumed))
        except ServiceError as error:
            current = self._progress.resources[resource.logical_id]
            failed = replace(current, status=_FAILED[resource.action], reason=failure_reason(error, site))
            await self._progress.put_resource(failed)
            return False
        await self._complete(resource, made, self._notice(registered, resource, site))
        return True

    async def _act(
        self, registered: Registered, site: Site, resource: StackResource, properties: Properties, *, is_resumed: bool
    ) -> Made:
        kind = registered.type
        if resource.action == "update":
            assert kind.update is not None
            assert resource.previous is not None
            return await kind.update(site, _existing(resource.previous), properties)
        if is_resumed and (found := await self._find_made(registered, site, resource, properties)) is not None:
            return found
        try:
            return await kind.create(site, properties)
        except ServiceError as error:
            if not is_resumed or kind.update is None or not is_existing(error):
                raise
            rule = kind.naming
            name = (properties.get(rule.property) if rule else None) or resource.name
            return await kind.update(site, Existing(str(name), {}), properties)

    async def _find_made(
        self, registered: Registered, site: Site, resource: StackResource, properties: Properties
    ) -> Made | None:
        """Return what an interrupted create has made, completed; None where it has made nothing."""
        kind = registered.type
        was = None if resource.previous is None else resource.previous.physical_id
        made = None if kind.find is None else await kind.find(site, properties)
        if made is None and resource.physical_id is not None and resource.physical_id != was:
            made = Made(resource.physical_id, resource.attributes)
        if made is None or kind.update is None:
            return made
        return await kind.update(site, Existing(made.physical_id, {}, made.attributes), properties)

    async def _complete(self, resource: StackResource, made: Made, notice: str | None) -> None:
        current = self._progress.resources[resource.logical_id]
        was = None if current.previous is None else current.previous.physical_id
        if resource.action != "update" and current.physical_id in {None, was}:
            current = await self._initiated(current, made)
        await self._progress.put_resource(
            replace(
                current,
                status=_COMPLETE[resource.action],
                reason=notice,
                physical_id=made.physical_id,
                properties=resource.pending or {},
                attributes=made.attributes,
                action="",
                pending=None,
            )
        )

    async def _initiated(self, resource: StackResource, made: Made) -> StackResource:
        """Commit that a physical resource is there, though not yet complete."""
        initiated = replace(resource, physical_id=made.physical_id, attributes=made.attributes, reason=_INITIATED)
        return await self._progress.put_resource(initiated)

    def _notice(self, registered: Registered | None, resource: StackResource, site: StackSite) -> str | None:
        """Return what a deploy must say of a resource: what was left out, and what has no effect here."""
        if registered is None:
            return f"Ignored: Forebay has no resource type {resource.type}; nothing was created."
        declared = self._declared.get(resource.logical_id, {})
        ignored = [*registered.unknown(declared), *registered.unsupported(declared)]
        parts: list[str] = []
        if ignored:
            parts.append(f"Ignored properties that Forebay does not have: {', '.join(ignored)}.")
        idle = registered.without_effect(resource.pending or {})
        if idle:
            parts.append(f"Accepted without effect: {', '.join(idle)}.")
        return " ".join([*parts, *site.notes]) or None

    # --- back ---

    async def put_back(self, resource: StackResource) -> bool:
        """Undo what this deployment did to a resource that was there before; return whether that worked."""
        previous = resource.previous
        if previous is None:
            return True
        if resource.physical_id != previous.physical_id:
            await self._put_back_replaced(resource, previous)
            return True
        in_progress = replace(resource, status="UPDATE_IN_PROGRESS", reason=None, action="", pending=None)
        await self._progress.put_resource(in_progress)
        registered = find_type(previous.type)
        site = self.site(resource)
        attributes = previous.attributes
        try:
            if registered is not None and registered.type.update is not None:
                # Of an update that failed on its way, some of the new properties may be in force.
                now = resource.properties if resource.pending is None else resource.pending
                existing = Existing(previous.physical_id, now, resource.attributes)
                real = await resolve_dynamic_references(site, previous.properties)
                attributes = (await attempt(registered.type.update(site, existing, real))).attributes
        except ServiceError as error:
            failed = replace(in_progress, status="UPDATE_FAILED", reason=failure_reason(error, site))
            await self._progress.put_resource(failed)
            return False
        done = replace(
            in_progress, status="UPDATE_COMPLETE", properties=previous.properties, attributes=attributes, previous=None
        )
        await self._progress.put_resource(done)
        return True

    async def _put_back_replaced(self, resource: StackResource, previous: Snapshot) -> None:
        """Make the old physical resource the current one again; the new one is deleted in the cleanup."""
        new = resource.snapshot()
        await self._progress.put_resource(
            replace(
                resource,
                status="UPDATE_COMPLETE",
                reason=None,
                physical_id=previous.physical_id,
                properties=previous.properties,
                attributes=previous.attributes,
                previous=None if new is None else replace(new, retain=False),
                # Done: a rollback that is taken up again must not turn it round once more.
                deployment=0,
                action="",
                pending=None,
            )
        )

    # --- away ---

    async def remove(self, resource: StackResource, *, keep_record: bool, is_retained: bool) -> bool:
        """Delete a resource, or skip it where its policy says so; return whether it is out of the stack."""
        if resource.status in {"DELETE_COMPLETE", "DELETE_SKIPPED"}:
            return True
        if is_retained:
            skipped = replace(resource, status="DELETE_SKIPPED", reason=None)
            await self._progress.drop_resource(skipped, keep_record=keep_record)
            return True
        deleting = await self._progress.put_resource(
            replace(resource, status="DELETE_IN_PROGRESS", reason=None, pending=None)
        )
        error_text = await self._delete(resource, resource.snapshot())
        if error_text is not None:
            await self._progress.put_resource(replace(deleting, status="DELETE_FAILED", reason=error_text))
            return False
        gone = replace(deleting, status="DELETE_COMPLETE")
        await self._progress.drop_resource(gone, keep_record=keep_record)
        return True

    async def remove_previous(self, resource: StackResource) -> bool:
        """Delete the physical resource that was replaced; return whether that worked."""
        previous = resource.previous
        if previous is None or previous.physical_id == resource.physical_id:
            return True
        told = replace(resource, status="DELETE_SKIPPED" if previous.retain else "DELETE_IN_PROGRESS", reason=None)
        await self._progress.add_event(told, previous.physical_id)
        error_text = None if previous.retain else await self._delete(resource, previous)
        if not previous.retain:
            status = "DELETE_COMPLETE" if error_text is None else "DELETE_FAILED"
            told = replace(told, status=status, reason=error_text)
            await self._progress.add_event(told, previous.physical_id)
        await self._progress.put_resource(replace(resource, previous=None), silent=True)
        return error_text is None

    async def _delete(self, resource: StackResource, physical: Snapshot | None) -> str | None:
        """Delete a physical resource; return why that failed."""
        registered = find_type(resource.type)
        if physical is None or registered is None or resource.is_ignored:
            return None
        site = self.site(resource)
        try:
            await attempt(registered.type.delete(site, _existing(physical)))
        except ServiceError as error:
            return failure_reason(error, site)
        return None

    def site(self, resource: StackResource) -> StackSite:
        """Return the site of a resource."""
        stack, deployment = self._progress.stack, self._progress.deployment
        place = Place(
            account=stack.account,
            region=stack.region,
            endpoint=deployment.endpoint,
            stack_id=stack.id,
            stack_name=stack.name,
            logical_id=resource.logical_id,
            type=resource.type,
            name=resource.name,
            token=deployment.token,
            capabilities=stack.revision.capabilities,
            tags=stack.revision.tags,
        )

        async def record(made: Made) -> None:
            await self._initiated(self._progress.resources[resource.logical_id], made)

        return StackSite(self._progress, place, record)


def _existing(snapshot: Snapshot) -> Existing:
    return Existing(snapshot.physical_id, snapshot.properties, snapshot.attributes)


def _policy(scope: StackScope, policy: object) -> str | None:
    resolved = scope.scope.resolve(policy)
    return resolved if isinstance(resolved, str) else None


def _settable(registered: Registered, properties: dict[str, Any], *, ignoring: bool) -> dict[str, Any]:
    """Return properties in their schema's types; with `ignoring`, without those that this platform does not have.

    Raises:
        ServiceError: one is of another kind than its schema's.
    """
    if registered.type.open_properties:
        return properties
    typed = coerce(registered.schema, properties)
    mismatch = find_mismatch(registered.schema, typed)
    if mismatch is not None:
        raise ServiceError.of("InvalidRequest", f"Model validation failed ({mismatch})")
    if not ignoring:
        return typed
    known = registered.schema.settable - registered.type.unsupported
    return {name: value for name, value in typed.items() if name in known}
