"""What a deployment has to do with one resource: pure decisions over its old and new properties."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.services.cloudformation.resources.registry import Registered
from forebay.services.cloudformation.stack import Action, StackResource
from forebay.services.cloudformation.template.errors import invalid


class Decision(msgspec.Struct, frozen=True):
    """What to do, and which top-level properties made it so."""

    action: Action
    changed: frozenset[str] = frozenset()
    # Those of them that cannot be changed in place.
    replacing: frozenset[str] = frozenset()


def decide(registered: Registered | None, old: StackResource | None, properties: Mapping[str, Any]) -> Decision:
    """Return whether a resource is created, updated, replaced, or left alone (an empty action)."""
    if old is None or old.physical_id is None:
        return Decision("create", frozenset(properties))
    changed = frozenset(
        name for name in {*old.properties, *properties} if old.properties.get(name) != properties.get(name)
    )
    if not changed or registered is None:
        return Decision("", changed)
    replacing = _replacing(registered, old.properties, properties, changed)
    return Decision("replace" if replacing else "update", changed, replacing)


def _replacing(
    registered: Registered, old: Mapping[str, Any], new: Mapping[str, Any], changed: frozenset[str]
) -> frozenset[str]:
    kind = registered.type
    if kind.update is None:
        return changed
    fixed = [path for path in registered.schema.create_only if _at(old, path) != _at(new, path)]
    replacing = frozenset(path.partition(".")[0] for path in fixed)
    if not replacing and kind.replaces is not None and kind.replaces(old, new):
        return changed
    return replacing


def _at(properties: Mapping[str, Any], path: str) -> Any:
    value: Any = properties
    for part in path.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, Mapping) else None
    return value


def check_replaceable(registered: Registered, old: StackResource, properties: Mapping[str, Any]) -> None:
    """Check that a replacement can stand beside what it replaces.

    Raises:
        ServiceError: the template gives the physical name, and the same as before.
    """
    rule = registered.type.naming
    if rule is None or rule.property not in registered.schema.settable:
        return
    given = properties.get(rule.property)
    if given is not None and given == old.properties.get(rule.property):
        raise invalid(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {given} and update the stack again."
        )


def reverse(graph: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return a dependency graph turned round: for each name, those that need it and must go first."""
    turned: dict[str, set[str]] = {name: set() for name in graph}
    for name, needed in graph.items():
        for other in needed:
            if other in turned:
                turned[other].add(name)
    return {name: frozenset(others) for name, others in turned.items()}
