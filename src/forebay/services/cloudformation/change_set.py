"""Domain: change sets, and what a revision would change in a stack."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.api import cloudformation as api
from forebay.services.cloudformation.plan import Decision, decide
from forebay.services.cloudformation.resources.registry import find_type
from forebay.services.cloudformation.resources.schema import coerce
from forebay.services.cloudformation.scope import StackScope
from forebay.services.cloudformation.stack import Export, Revision, StackResource
from forebay.services.cloudformation.template.references import dependencies, order
from forebay.services.cloudformation.template.sections import Resource, Template
from forebay.store.records import Kind


class ChangeSet(msgspec.Struct, frozen=True):
    """One change set of a stack; `changes` are as the answer gives them."""

    id: str
    name: str
    uuid: str
    stack_id: str
    stack_name: str
    type: str
    created_at: float
    status: str
    execution_status: str
    revision: Revision
    reason: str | None = None
    description: str | None = None
    changes: tuple[dict[str, Any], ...] = ()
    on_stack_failure: str | None = None
    include_nested_stacks: bool = False


CHANGE_SET = Kind("cloudformation.change_set", ChangeSet)
"""Under account, region, the stack's UUID and the change set's."""


def find_changes(
    template: Template,
    values: Mapping[str, Any],
    resources: Mapping[str, StackResource],
    exports: Mapping[str, Export],
) -> list[api.Change]:
    """Return what a template would add, modify and remove.

    Raises:
        ServiceError: a function cannot be evaluated.
    """
    pending: set[str] = set()
    scope = StackScope(template, values, resources.get, exports, unknown=pending.__contains__)
    active = scope.active()
    changes: list[api.Change] = []
    for name in order(dependencies(template, active)):
        resource, old = template.resources[name], resources.get(name)
        if old is None or old.physical_id is None:
            pending.add(name)
            changes.append(_change("Add", resource.logical_id, resource.type))
        elif (modified := _modification(resource, old, scope, pending)) is not None:
            changes.append(modified)
    for name, old in sorted(resources.items()):
        if name not in active and old.physical_id is not None:
            changes.append(_change("Remove", name, old.type, old.physical_id))
    return sorted(
        changes, key=lambda change: cast("api.ResourceChange", change.resource_change).logical_resource_id or ""
    )


def _modification(resource: Resource, old: StackResource, scope: StackScope, pending: set[str]) -> api.Change | None:
    registered = find_type(resource.type)
    properties: dict[str, Any] = scope.scope.resolve(resource.properties)
    if registered is not None and not registered.type.open_properties:
        properties = coerce(registered.schema, properties)
    decision = decide(registered, old, properties)
    if not decision.action:
        return None
    if decision.action == "replace":
        pending.add(resource.logical_id)
    details = [_detail(name, decision) for name in sorted(decision.changed)]
    return _change(
        "Modify",
        resource.logical_id,
        resource.type,
        old.physical_id,
        replacement="True" if decision.action == "replace" else "False",
        details=details,
    )


def _detail(name: str, decision: Decision) -> api.ResourceChangeDetail:
    target = api.ResourceTargetDefinition(
        attribute="Properties",
        name=name,
        requires_recreation="Always" if name in decision.replacing else "Never",
    )
    return api.ResourceChangeDetail(target=target, evaluation="Static", change_source="DirectModification")


def _change(
    action: api.ChangeAction,
    logical_id: str,
    kind: str,
    physical_id: str | None = None,
    *,
    replacement: api.Replacement | None = None,
    details: list[api.ResourceChangeDetail] | None = None,
) -> api.Change:
    return api.Change(
        type="Resource",
        resource_change=api.ResourceChange(
            action=action,
            logical_resource_id=logical_id,
            physical_resource_id=physical_id,
            resource_type=kind,
            replacement=replacement,
            scope=["Properties"] if details else [],
            details=details or [],
        ),
    )
