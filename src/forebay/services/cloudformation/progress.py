"""A deployment's hold on its stack: what it knows of it, and every change of it, committed with its events.

Each commit checks that the deployment still is the stack's own: one that was superseded (by a delete during a create)
stops at its next step.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from forebay.core.errors import ForebayError
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.services.cloudformation.event import append_events, resource_event, stack_event
from forebay.services.cloudformation.lookup import list_exports, list_resources, resource_key
from forebay.services.cloudformation.stack import (
    DEPLOYMENT,
    RESOURCE,
    STACK,
    Deployment,
    Export,
    Stack,
    StackEvent,
    StackResource,
    stack_key,
)
from forebay.store.contract import Transaction, View


class Superseded(ForebayError):
    """Another deployment has taken over the stack."""


class Progress:
    """The state of one deployment under way."""

    def __init__(
        self, platform: Platform, stack: Stack, deployment: Deployment, resources: dict[str, StackResource]
    ) -> None:
        self.platform = platform
        self.stack = stack
        self.deployment = deployment
        self.resources = resources

    @property
    def caller(self) -> Caller:
        """The caller that the deployment acts as: the one who asked for it."""
        deployment = self.deployment
        return Caller(
            self.stack.account,
            self.stack.region,
            deployment.access_key,
            deployment.principal,
            deployment.token,
            deployment.endpoint,
            user_agent="cloudformation.amazonaws.com",
        )

    @property
    def now(self) -> float:
        """The time."""
        return self.platform.clock.now()

    @property
    def is_first(self) -> bool:
        """Whether the stack itself is being created."""
        return self.deployment.kind == "CREATE"

    async def is_cancelled(self) -> bool:
        """Return whether nothing further is to be begun: cancelled, out of time, or superseded."""
        current = await self.platform.store.find(DEPLOYMENT, stack_key(self.stack))
        if current is None or current.token != self.deployment.token:
            raise Superseded
        late = current.deadline is not None and self.now >= current.deadline
        return current.phase == "forward" and (current.cancelled or late)

    async def load_exports(self) -> dict[str, Export]:
        """Return the exports of the stack's account and region."""
        stack = self.stack
        return await self.platform.store.view(lambda view: list_exports(view.records, stack.account, stack.region))

    async def put_resource(
        self, resource: StackResource, *, silent: bool = False, physical_id: str | None = None
    ) -> StackResource:
        """Commit a resource's new state and (unless `silent`) the event that tells of it."""
        resource = replace(resource, changed_at=self.now)
        token = self.deployment.client_token
        events = [] if silent else [resource_event(resource, token, physical_id)]

        def work(transaction: Transaction) -> None:
            transaction.records.put(RESOURCE, resource_key(self.stack, resource.logical_id), resource)

        await self._commit(work, events)
        self.resources[resource.logical_id] = resource
        return resource

    async def drop_resource(self, resource: StackResource, *, keep_record: bool) -> None:
        """Commit that a resource is gone: `DELETE_COMPLETE` (or skipped), its record kept only for deleted stacks."""
        resource = replace(resource, changed_at=self.now, action="", pending=None, previous=None)
        events = [resource_event(resource, self.deployment.client_token)]
        key = resource_key(self.stack, resource.logical_id)

        def work(transaction: Transaction) -> None:
            if keep_record:
                transaction.records.put(RESOURCE, key, resource)
            else:
                transaction.records.delete(RESOURCE, key)

        await self._commit(work, events)
        if keep_record:
            self.resources[resource.logical_id] = resource
        else:
            self.resources.pop(resource.logical_id, None)

    async def add_event(self, resource: StackResource, physical_id: str) -> None:
        """Commit an event about a physical resource that is no longer the current one."""
        resource = replace(resource, changed_at=self.now)
        await self._commit(lambda _: None, [resource_event(resource, self.deployment.client_token, physical_id)])

    async def put_stack(
        self,
        stack: Stack,
        *,
        deployment: Deployment | None = None,
        work: Callable[[Transaction], None] = lambda _: None,
        silent: bool = False,
    ) -> None:
        """Commit the stack's new state with its event, the deployment's next phase, and whatever belongs to it."""
        events = [] if silent else [stack_event(stack, self.now, self.platform.ids, self.deployment.client_token)]

        def commit(transaction: Transaction) -> None:
            work(transaction)
            transaction.records.put(STACK, stack_key(stack), stack)
            if deployment is not None:
                current = transaction.records.find(DEPLOYMENT, stack_key(stack))
                kept = deployment if current is None else replace(deployment, cancelled=current.cancelled)
                transaction.records.put(DEPLOYMENT, stack_key(stack), kept)

        await self._commit(commit, events)
        self.stack = stack
        if deployment is not None:
            self.deployment = deployment

    async def finish(self, stack: Stack, work: Callable[[Transaction], None] = lambda _: None) -> None:
        """Commit the stack's last state; the deployment is over."""

        def commit(transaction: Transaction) -> None:
            work(transaction)
            transaction.records.delete(DEPLOYMENT, stack_key(stack))

        await self.put_stack(stack, work=commit)

    async def _commit(self, work: Callable[[Transaction], None], events: Sequence[StackEvent]) -> None:
        def guarded(transaction: Transaction) -> None:
            current = transaction.records.find(DEPLOYMENT, stack_key(self.stack))
            if current is None or current.token != self.deployment.token:
                raise Superseded
            work(transaction)
            if events:
                transaction.apply(append_events(self.stack.uuid, events))

        await self.platform.store.transact(guarded)


async def load_progress(platform: Platform, key: str) -> Progress | None:
    """Return the deployment that runs on a stack, as the store has it; None where none does."""

    def look(view: View) -> tuple[Stack, Deployment, dict[str, StackResource]] | None:
        stack = view.records.find(STACK, key)
        deployment = view.records.find(DEPLOYMENT, key)
        if stack is None or deployment is None:
            return None
        return stack, deployment, list_resources(view.records, stack)

    found = await platform.store.view(look)
    return None if found is None else Progress(platform, *found)
