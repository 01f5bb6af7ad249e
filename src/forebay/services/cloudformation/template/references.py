"""Who needs whom in a template: references, their checks, and the order that follows from them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.functions import SUB_VARIABLE
from forebay.services.cloudformation.template.sections import Template

PSEUDO_PARAMETERS = frozenset(
    {
        "AWS::AccountId",
        "AWS::NoValue",
        "AWS::NotificationARNs",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)
_DYNAMIC = re.compile(r"\{\{resolve:")


class Reference(msgspec.Struct, frozen=True):
    """One mention of a name: by `Ref` or `Fn::Sub` (`attribute` None), or of an attribute of it."""

    name: str
    attribute: str | None = None
    # Which function mentions it, for the error's text.
    by: str = "Ref"


def references_in(value: object) -> Iterator[Reference]:
    """Yield every mention of a parameter or resource in a value, in order; both branches of `Fn::If` count."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from references_in(item)
    elif isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if len(mapping) == 1:
            (name, argument), *_ = mapping.items()
            found = _direct(name, argument)
            if found is not None:
                yield from found
                return
        for item in mapping.values():
            yield from references_in(item)


def _direct(name: str, argument: object) -> list[Reference] | None:
    if name == "Ref" and isinstance(argument, str):
        return [Reference(argument)]
    if name == "Fn::GetAtt":
        parts: Any = argument.split(".", 1) if isinstance(argument, str) else argument
        if isinstance(parts, list) and len(cast("list[Any]", parts)) == 2 and isinstance(parts[0], str):
            attribute = parts[1] if isinstance(parts[1], str) else "*"
            return [Reference(parts[0], attribute, "Fn::GetAtt")]
    if name == "Fn::Sub":
        return _in_sub(argument)
    return None


def _in_sub(argument: object) -> list[Reference]:
    text, variables = (argument, {}) if isinstance(argument, str) else _sub_parts(argument)
    found = list(references_in(variables))
    for match in SUB_VARIABLE.finditer(text):
        name = match.group(1).strip()
        if name in variables:
            continue
        resource, dot, attribute = name.partition(".")
        found.append(Reference(resource if dot else name, attribute if dot else None, "Fn::Sub"))
    return found


def _sub_parts(argument: object) -> tuple[str, dict[str, Any]]:
    parts = cast("list[Any]", argument) if isinstance(argument, list) else []
    if len(parts) == 2 and isinstance(parts[0], str) and isinstance(parts[1], dict):
        return parts[0], cast("dict[str, Any]", parts[1])
    raise invalid(
        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as "
        "first argument, and an optional second argument to specify a mapping of values to replace in the string"
    )


def check_references(template: Template) -> None:
    """Check that every mentioned name exists, every condition is declared, and no resource needs itself.

    Raises:
        ServiceError: in CloudFormation's words.
    """
    _check_conditions(template)
    for item in template.resources.values():
        _check_functions(template, item.properties)
    _check_names(template, "Resources", [item.properties for item in template.resources.values()])
    _check_names(template, "Outputs", [[item.value, item.export] for item in template.outputs.values()])
    missing = sorted(
        {name for item in template.resources.values() for name in item.depends_on if name not in template.resources}
    )
    if missing:
        raise invalid(
            f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] in the Resources block of "
            "the template"
        )
    order(dependencies(template, template.resources))


def _check_names(template: Template, block: str, values: Iterable[object]) -> None:
    unresolved: list[str] = []
    for value in values:
        for reference in references_in(value):
            known = reference.name in template.resources
            if known or (reference.attribute is None and _is_value(template, reference.name)):
                continue
            if reference.by == "Fn::GetAtt":
                raise invalid(f"Template error: instance of Fn::GetAtt references undefined resource {reference.name}")
            if reference.name not in unresolved:
                unresolved.append(reference.name)
    if unresolved:
        raise invalid(
            f"Template format error: Unresolved resource dependencies [{', '.join(unresolved)}] in the {block} block "
            "of the template"
        )


def _check_functions(template: Template, value: object) -> None:
    """Check the conditions and maps that functions name, also in branches that are not taken."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _check_functions(template, item)
    elif isinstance(value, dict):
        for name, argument in cast("dict[str, object]", value).items():
            first = cast("list[object]", argument)[0] if isinstance(argument, list) and argument else None
            if name == "Fn::If" and isinstance(first, str) and first not in template.conditions:
                raise invalid(f"Template error: unresolved condition dependency {first} in Fn::If")
            is_map_name = (
                name == "Fn::FindInMap" and isinstance(first, str) and len(cast("list[object]", argument)) == 3
            )
            if is_map_name and first not in template.mappings:
                raise invalid(
                    f"Template error: Mapping named '{first}' is not present in the 'Mappings' section of template."
                )
            _check_functions(template, cast("object", argument))


def _is_value(template: Template, name: str) -> bool:
    return name in template.parameters or name in PSEUDO_PARAMETERS


def _check_conditions(template: Template) -> None:
    for item in (*template.resources.values(), *template.outputs.values()):
        if item.condition is not None and item.condition not in template.conditions:
            block = "Outputs" if item in template.outputs.values() else "Resources"
            raise invalid(
                f"Template format error: Unresolved condition dependency {item.condition} in the {block} block of the "
                "template"
            )
    for reference in references_in(template.conditions):
        if not _is_value(template, reference.name):
            raise invalid(
                f"Template format error: Unresolved dependencies [{reference.name}]. Cannot reference resources in the "
                "Conditions block of the template"
            )


def dependencies(template: Template, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return for each of the named resources which others of them it needs first."""
    kept = frozenset(names)
    graph: dict[str, frozenset[str]] = {}
    for name in kept:
        resource = template.resources[name]
        mentioned = {reference.name for reference in references_in(resource.properties)}
        graph[name] = frozenset((mentioned | set(resource.depends_on)) & kept)
    return graph


def order(graph: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the names so that each comes after those it needs.

    Raises:
        ServiceError: some need each other; the text lists them.
    """
    waiting = {name: set(needed) for name, needed in graph.items()}
    ordered: list[str] = []
    while waiting:
        ready = sorted(name for name, needed in waiting.items() if not needed)
        if not ready:
            cycle = ", ".join(sorted(_in_cycles(waiting)))
            raise invalid(f"Circular dependency between resources: [{cycle}]")
        ordered.extend(ready)
        for name in ready:
            del waiting[name]
        for needed in waiting.values():
            needed.difference_update(ready)
    return ordered


def _in_cycles(waiting: Mapping[str, set[str]]) -> set[str]:
    """Return the members of cycles: what is left when those that nobody needs are taken away too."""
    left = set(waiting)
    while True:
        needed = {name for item in left for name in waiting[item] if name in left}
        if needed == left:
            return left
        left = needed


def has_dynamic_references(value: object) -> bool:
    """Return whether a value holds `{{resolve:...}}`."""
    if isinstance(value, str):
        return _DYNAMIC.search(value) is not None
    if isinstance(value, dict):
        return any(has_dynamic_references(item) for item in cast("dict[str, object]", value).values())
    return isinstance(value, list) and any(has_dynamic_references(item) for item in cast("list[object]", value))
