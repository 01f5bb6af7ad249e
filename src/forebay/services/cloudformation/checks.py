"""Checks of a whole template before anything is made: types, properties, attributes, capabilities."""

from collections.abc import Collection, Iterable, Mapping

from forebay.api import cloudformation as api
from forebay.services.cloudformation.resources.registry import Registered, find_type, is_known_to_aws
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.references import Reference, references_in
from forebay.services.cloudformation.template.sections import Resource, Template

# Which property makes an IAM resource a named one.
_IAM_NAMES: Mapping[str, str | None] = {
    "AWS::IAM::AccessKey": None,
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::GroupPolicy": None,
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::RolePolicy": None,
    "AWS::IAM::User": "UserName",
    "AWS::IAM::UserPolicy": None,
    "AWS::IAM::UserToGroupAddition": None,
}


def required_capabilities(template: Template) -> tuple[str, ...]:
    """Return the capability that a template's IAM resources need, if any."""
    iam = [item for item in template.resources.values() if item.type in _IAM_NAMES]
    if not iam:
        return ()
    named = any(_IAM_NAMES[item.type] in item.properties for item in iam)
    return ("CAPABILITY_NAMED_IAM",) if named else ("CAPABILITY_IAM",)


def capability_reason(template: Template) -> str:
    """Return the words in which CloudFormation says why a template needs its capability."""
    types = sorted({item.type for item in template.resources.values() if item.type in _IAM_NAMES})
    return f"The following resource(s) require capabilities: [{', '.join(types)}]"


def check_capabilities(template: Template, given: Collection[str]) -> None:
    """Check that the caller acknowledges what a template does to IAM.

    Raises:
        InsufficientCapabilitiesException: the caller does not.
    """
    needed = required_capabilities(template)
    enough = {"CAPABILITY_IAM": ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")}
    for capability in needed:
        if not set(enough.get(capability, (capability,))) & set(given):
            raise api.InsufficientCapabilitiesException(f"Requires capabilities : [{capability}]")


def check_resources(template: Template, *, allows_ignored: bool) -> None:
    """Check every resource's type, properties and the attributes taken of it.

    With `allows_ignored`, unknown types and properties pass; the deployment lists them.

    Raises:
        ServiceError: `ValidationError` that names what is not known or not built here.
    """
    if not allows_ignored:
        _check_types(template.resources.values())
        for resource in template.resources.values():
            registered = find_type(resource.type)
            if registered is not None:
                _check_properties(resource, registered)
    mentioned = [item.properties for item in template.resources.values()]
    results = [item.value for item in template.outputs.values()]
    for reference in references_in([*mentioned, *results]):
        _check_attribute(template, reference)


def _check_types(resources: Iterable[Resource]) -> None:
    types = sorted({item.type for item in resources if find_type(item.type) is None})
    unknown = [name for name in types if not is_known_to_aws(name)]
    if unknown:
        raise invalid(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")
    if types:
        raise invalid(f"Resource types that Forebay does not have: [{', '.join(types)}]")


def _check_properties(resource: Resource, registered: Registered) -> None:
    unknown = registered.unknown(resource.properties)
    if unknown:
        where, _, name = unknown[0].rpartition("/")
        raise invalid(
            f"Properties validation failed for resource {resource.logical_id} with message: "
            f"#{'/' + where if where else ''}: extraneous key [{name}] is not permitted"
        )
    unsupported = registered.unsupported(resource.properties)
    if unsupported:
        raise invalid(
            f"Properties of resource {resource.logical_id} ({resource.type}) that Forebay does not have: "
            f"[{', '.join(unsupported)}]"
        )
    missing = registered.missing(resource.properties)
    if missing:
        raise invalid(
            f"Properties validation failed for resource {resource.logical_id} with message: "
            f"#: required key [{missing[0]}] not found"
        )


def _check_attribute(template: Template, reference: Reference) -> None:
    if reference.attribute is None or reference.attribute == "*" or reference.name not in template.resources:
        return
    registered = find_type(template.resources[reference.name].type)
    if registered is not None and not registered.has_attribute(reference.attribute):
        raise invalid(
            f"Template error: resource {reference.name} does not support attribute type {reference.attribute} "
            "in Fn::GetAtt"
        )
