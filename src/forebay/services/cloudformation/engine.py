"""Drives a deployment through its phases to the end: forward, and then cleanup, or rollback and its cleanup.

Where it stands is in the store after every step, so `Engine.run` begins where the last one was interrupted.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from forebay.core.errors import ServiceError
from forebay.services.cloudformation.graph import run_all, run_graph
from forebay.services.cloudformation.outputs import commit_outputs, evaluate_outputs, release_exports
from forebay.services.cloudformation.plan import reverse
from forebay.services.cloudformation.progress import Progress
from forebay.services.cloudformation.resource_steps import ResourceSteps
from forebay.services.cloudformation.scope import StackScope, parameter_values, pseudo_parameters, template_of
from forebay.services.cloudformation.stack import (
    STACK_NAME,
    Revision,
    StackResource,
)
from forebay.services.cloudformation.template.references import dependencies
from forebay.store.contract import Transaction
from forebay.store.records import record_key

_Test = Callable[[StackResource], bool]

_RETAINED = {"Retain", "RetainExceptOnCreate"}


class Engine:
    """One run of one deployment."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    async def run(self) -> None:
        """Go on from where the deployment stands until it is over."""
        deployment = self._progress.deployment
        if deployment.kind == "DELETE":
            await self._delete_stack()
            return
        if deployment.phase == "forward":
            await self._forward()
        if self._progress.deployment.phase == "rollback":
            await (self._roll_back_create() if self._progress.is_first else self._roll_back_update())
        if self._progress.deployment.phase == "cleanup":
            await self._clean_up("UPDATE_COMPLETE", self._progress.stack.revision)
        if self._progress.deployment.phase == "rollback_cleanup":
            await self._clean_up("UPDATE_ROLLBACK_COMPLETE", self._progress.stack.revision)

    # --- forward ---

    async def _forward(self) -> None:
        progress = self._progress
        try:
            scope = await self._scope(progress.stack.revision)
            active = scope.active()
            graph = dependencies(scope.template, active)
        except ServiceError as error:
            await self._fail([], error.message)
            return
        template = scope.template
        steps = ResourceSteps(progress, {name: template.resources[name].properties for name in active})
        failed = await run_graph(graph, lambda name: steps.bring_up(template.resources[name], scope))
        if failed:
            await self._fail(failed)
            return
        await self._succeed(scope)

    async def _scope(self, revision: Revision) -> StackScope:
        progress = self._progress
        stack = progress.stack
        values = {
            **pseudo_parameters(stack.id, stack.name, revision.notification_arns),
            **parameter_values(revision.parameters),
        }
        exports = await progress.load_exports()
        return StackScope(template_of(revision), values, progress.resources.get, exports)

    async def _succeed(self, scope: StackScope) -> None:
        progress = self._progress
        try:
            outputs = evaluate_outputs(scope)
            work = commit_outputs(progress.stack, outputs, scope.imports)
            stack = replace(progress.stack, outputs=outputs, reason=None)
            if progress.is_first:
                await progress.finish(replace(stack, status="CREATE_COMPLETE"), work)
                return
            stack = replace(stack, status="UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            await progress.put_stack(stack, deployment=replace(progress.deployment, phase="cleanup"), work=work)
        except ServiceError as error:
            # An output cannot be evaluated, or an export is another stack's or in use.
            await self._fail([], error.message)

    async def _fail(self, failed: Sequence[str], why: str | None = None) -> None:
        progress = self._progress
        deployment = progress.deployment
        verb = "create" if progress.is_first or self._is_failed_create(failed) else "update"
        reason = why or f"The following resource(s) failed to {verb}: [{', '.join(failed)}]. "
        if deployment.on_failure == "DO_NOTHING":
            status = "CREATE_FAILED" if progress.is_first else "UPDATE_FAILED"
            await progress.finish(replace(progress.stack, status=status, reason=reason))
            return
        if progress.is_first:
            deletes = deployment.on_failure == "DELETE"
            status = "DELETE_IN_PROGRESS" if deletes else "ROLLBACK_IN_PROGRESS"
            verb = "Delete" if deletes else "Rollback"
            reason = f"{reason.rstrip()} {verb} requested by user."
        else:
            status = "UPDATE_ROLLBACK_IN_PROGRESS"
        stack = replace(progress.stack, status=status, reason=reason)
        await progress.put_stack(stack, deployment=replace(deployment, phase="rollback", failed=tuple(failed)))

    def _is_failed_create(self, failed: Sequence[str]) -> bool:
        resources = [self._progress.resources.get(name) for name in failed]
        return bool(resources) and all(item is not None and item.status == "CREATE_FAILED" for item in resources)

    # --- rollback ---

    async def _roll_back_create(self) -> None:
        progress = self._progress
        undo = progress.stack.retain_except_on_create
        failed = await self._remove_all(
            lambda item: item.deletion_policy == "Retain" and not undo,
        )
        stack = replace(progress.stack, reason=None, outputs=())
        if failed:
            reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            status = "DELETE_FAILED" if progress.deployment.on_failure == "DELETE" else "ROLLBACK_FAILED"
            await progress.finish(replace(stack, status=status, reason=reason))
        elif progress.deployment.on_failure == "DELETE":
            await self._finish_deleted()
        else:
            await progress.finish(replace(stack, status="ROLLBACK_COMPLETE"))

    async def _roll_back_update(self) -> None:
        progress = self._progress
        deployment = progress.deployment
        previous = deployment.previous
        assert previous is not None
        touched = {
            name: item
            for name, item in progress.resources.items()
            if item.deployment == deployment.number and not item.is_new and name not in deployment.skip
        }
        graph = {name: frozenset(item.depends_on) & frozenset(touched) for name, item in touched.items()}
        steps = ResourceSteps(progress, {})
        failed = await run_all(_without_cycles(graph), lambda name: steps.put_back(progress.resources[name]))
        if failed:
            reason = f"The following resource(s) failed to update: [{', '.join(failed)}]. "
            stack = replace(progress.stack, status="UPDATE_ROLLBACK_FAILED", reason=reason)
            # The deployment stays, for ContinueUpdateRollback; its timer is gone.
            await progress.put_stack(stack, deployment=deployment)
            return
        stack = replace(
            progress.stack,
            status="UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            reason=None,
            revision=previous,
            outputs=deployment.previous_outputs,
        )
        await progress.put_stack(stack, deployment=replace(deployment, phase="rollback_cleanup"))

    # --- cleanup ---

    async def _clean_up(self, status: str, revision: Revision) -> None:
        """Delete what the template no longer has and what was replaced; a failure is told and left behind."""
        progress = self._progress
        scope = await self._scope(revision)
        wanted = set(scope.active())
        gone = {name: item for name, item in progress.resources.items() if name not in wanted}
        steps = ResourceSteps(progress, {})
        graph = _removal_graph(gone)

        async def remove(name: str) -> bool:
            item = progress.resources[name]
            keeps = item.deletion_policy in _RETAINED and not item.is_new
            return await steps.remove(item, keep_record=False, is_retained=keeps)

        await run_all(graph, remove)
        replaced = {name: item for name, item in progress.resources.items() if item.previous is not None}
        await run_all(_removal_graph(replaced), lambda name: steps.remove_previous(progress.resources[name]))
        await progress.finish(replace(progress.stack, status=status, reason=None))

    # --- delete ---

    async def _delete_stack(self) -> None:
        progress = self._progress
        deployment = progress.deployment
        in_use = await self._exports_in_use()
        if in_use is not None:
            await progress.finish(replace(progress.stack, status="DELETE_FAILED", reason=in_use))
            return
        failed = await self._remove_all(
            lambda item: item.deletion_policy in _RETAINED or item.logical_id in deployment.retain
        )
        if failed:
            reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
            await progress.finish(replace(progress.stack, status="DELETE_FAILED", reason=reason))
            return
        await self._finish_deleted()

    async def _exports_in_use(self) -> str | None:
        stack = self._progress.stack

        def look(transaction: Transaction) -> str | None:
            return release_exports(transaction, stack, (), check_only=True)

        return await self._progress.platform.store.transact(look)

    async def _remove_all(self, is_retained: _Test) -> list[str]:
        progress = self._progress
        steps = ResourceSteps(progress, {})

        async def remove(name: str) -> bool:
            item = progress.resources[name]
            await steps.remove_previous(item)
            item = progress.resources[name]
            return await steps.remove(item, keep_record=True, is_retained=is_retained(item))

        return await run_all(_removal_graph(progress.resources), remove)

    async def _finish_deleted(self) -> None:
        progress = self._progress
        now = progress.now
        stack = replace(progress.stack, status="DELETE_COMPLETE", reason=None, deleted_at=now)

        def work(transaction: Transaction) -> None:
            release_exports(transaction, stack, ())
            transaction.records.delete(STACK_NAME, record_key(stack.account, stack.region, stack.name))

        await progress.finish(stack, work)


def _removal_graph(resources: Mapping[str, StackResource]) -> dict[str, frozenset[str]]:
    """Return for each resource those that needed it when they were made, and so go before it."""
    names = frozenset(resources)
    made = {name: frozenset(item.depends_on) & names - {name} for name, item in resources.items()}
    return _without_cycles(reverse(made))


def _without_cycles(graph: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return a graph that can be run: resources of different revisions may name each other in a circle."""
    ordered: list[str] = []
    waiting = {name: set(needed) for name, needed in graph.items()}
    while waiting:
        ready = sorted(name for name, needed in waiting.items() if not needed) or [min(waiting)]
        for name in ready:
            waiting.pop(name)
        ordered.extend(ready)
        for needed in waiting.values():
            needed.difference_update(ready)
    position = {name: index for index, name in enumerate(ordered)}
    return {
        name: frozenset(other for other in needed if position[other] < position[name]) for name, needed in graph.items()
    }
