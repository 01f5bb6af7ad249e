"""A template as typed sections, checked for the shape that CloudFormation requires of each."""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from forebay.services.cloudformation.template.errors import invalid

_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
}
_RESOURCE_MEMBERS = {
    "Condition",
    "Connectors",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Description",
    "IgnoreGlobals",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
    "Version",
}
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]+\Z")
DELETION_POLICIES = ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot")


class Resource(msgspec.Struct, frozen=True):
    """One resource as the template declares it; `properties` still hold functions."""

    logical_id: str
    type: str
    properties: dict[str, Any]
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: Any = None
    update_replace_policy: Any = None
    metadata: Any = None


class Output(msgspec.Struct, frozen=True):
    """One output as the template declares it."""

    key: str
    value: Any
    description: str | None = None
    export: Any = None
    condition: str | None = None


class Template(msgspec.Struct, frozen=True):
    """A template, its sections typed and their shape checked."""

    description: str | None
    parameters: dict[str, dict[str, Any]]
    mappings: dict[str, Any]
    conditions: dict[str, Any]
    resources: dict[str, Resource]
    outputs: dict[str, Output]
    metadata: dict[str, Any]
    transforms: tuple[str, ...]
    rules: dict[str, Any]


def transforms_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the template's macros, in order."""
    transform = raw.get("Transform")
    if transform is None:
        return ()
    items = cast("list[Any]", transform) if isinstance(transform, list) else [transform]
    names: list[str] = []
    for item in items:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, dict) and isinstance(cast("dict[str, Any]", item).get("Name"), str):
            names.append(cast("dict[str, Any]", item)["Name"])
        else:
            raise invalid("Template format error: Every Transform member must be a string or an object with a Name.")
    return tuple(names)


def read_template(raw: Mapping[str, Any]) -> Template:
    """Type a template's sections.

    Raises:
        ServiceError: a section or resource does not have the shape that CloudFormation requires.
    """
    unknown = [name for name in raw if name not in _SECTIONS]
    if unknown:
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    version = raw.get("AWSTemplateFormatVersion")
    if version is not None and str(version) != "2010-09-09":
        raise invalid("Template format error: unsupported value for AWSTemplateFormatVersion.")
    description = raw.get("Description")
    if description is not None and not isinstance(description, str):
        raise invalid("Template format error: Description must be a string.")
    resources = _section(raw, "Resources")
    if not resources:
        raise invalid("Template format error: At least one Resources member must be defined.")
    return Template(
        description=description,
        parameters=_parameters(_section(raw, "Parameters")),
        mappings=_mappings(_section(raw, "Mappings")),
        conditions=_section(raw, "Conditions"),
        resources={name: _resource(name, value) for name, value in resources.items()},
        outputs={name: _output(name, value) for name, value in _section(raw, "Outputs").items()},
        metadata=_section(raw, "Metadata"),
        transforms=transforms_of(raw),
        rules=_section(raw, "Rules"),
    )


def _section(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = raw.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise invalid(f"Template format error: [/{name}] '{name}' section must be an object")
    return cast("dict[str, Any]", section)


def _parameters(section: dict[str, Any]) -> dict[str, dict[str, Any]]:
    for name, declaration in section.items():
        if not _LOGICAL_ID.match(name):
            raise invalid(f"Template format error: Parameter name {name} is non alphanumeric.")
        if not isinstance(declaration, dict) or "Type" not in declaration:
            raise invalid("Template format error: Every Parameters object must contain a Type member.")
    return section


def _mappings(section: dict[str, Any]) -> dict[str, Any]:
    for name, mapping in section.items():
        if not isinstance(mapping, dict):
            raise invalid(f"Template format error: Every Mappings member {name} must be a map")
        for key, attributes in cast("dict[str, Any]", mapping).items():
            if not isinstance(attributes, dict) and not str(key).startswith("Fn::"):
                raise invalid(f"Template format error: Every Mappings attribute {name}.{key} must be a map")
    return section


def _resource(name: str, value: object) -> Resource:
    if not isinstance(value, dict):
        raise invalid(f"Template format error: [/Resources/{name}] Every Resources object must be an object.")
    raw = cast("dict[str, Any]", value)
    if not _LOGICAL_ID.match(name):
        raise invalid(f"Template format error: Resource name {name} is non alphanumeric.")
    if not isinstance(raw.get("Type"), str):
        raise invalid(f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member.")
    unknown = sorted(set(raw) - _RESOURCE_MEMBERS)
    if unknown:
        raise invalid(f"Invalid template resource property '{unknown[0]}'")
    properties = raw.get("Properties")
    if properties is not None and not isinstance(properties, dict):
        raise invalid(f"Template format error: [/Resources/{name}/Properties] Properties must be an object.")
    depends_on = raw.get("DependsOn") or ()
    names = (depends_on,) if isinstance(depends_on, str) else tuple(depends_on)
    if not all(isinstance(item, str) for item in cast("tuple[object, ...]", names)):
        raise invalid(f"Template format error: [/Resources/{name}/DependsOn] Every DependsOn value must be a string.")
    condition = raw.get("Condition")
    if condition is not None and not isinstance(condition, str):
        raise invalid(f"Template format error: [/Resources/{name}/Condition] Every Condition member must be a string.")
    return Resource(
        logical_id=name,
        type=raw["Type"],
        properties=cast("dict[str, Any]", properties or {}),
        depends_on=names,
        condition=condition,
        deletion_policy=_policy(name, raw, "DeletionPolicy"),
        update_replace_policy=_policy(name, raw, "UpdateReplacePolicy"),
        metadata=raw.get("Metadata"),
    )


def _policy(name: str, raw: dict[str, Any], member: str) -> Any:
    policy = raw.get(member)
    if policy is None or isinstance(policy, dict):
        return cast("dict[str, Any] | None", policy)
    if policy not in DELETION_POLICIES:
        raise invalid(f"Template error: Unrecognized {member} {policy} for resource {name}")
    return policy


def _output(name: str, value: object) -> Output:
    if not isinstance(value, dict) or "Value" not in value:
        raise invalid("Template format error: Every Outputs member must contain a Value object")
    raw = cast("dict[str, Any]", value)
    if not _LOGICAL_ID.match(name):
        raise invalid(f"Template format error: Output name {name} is non alphanumeric.")
    export = raw.get("Export")
    if export is not None and (not isinstance(export, dict) or "Name" not in export):
        raise invalid(
            f"Template format error: Output {name} is malformed. The Name field of every Export member must be "
            "specified."
        )
    description = raw.get("Description")
    return Output(
        key=name,
        value=raw["Value"],
        description=None if description is None else str(description),
        export=None if export is None else cast("dict[str, Any]", export)["Name"],
        condition=raw.get("Condition"),
    )
