"""What names mean in one stack: pseudo parameters, parameters, resources and exports."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from forebay.core.arn import partition_of
from forebay.services.cloudformation.stack import Export, Revision, StackResource
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.functions import Scope
from forebay.services.cloudformation.template.parameters import Bound
from forebay.services.cloudformation.template.sections import Template, read_template

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""What stands in a change set for values that only the deployment will bring."""


def pseudo_parameters(stack_id: str, stack_name: str, notification_arns: Iterable[str] = ()) -> dict[str, Any]:
    """Return the pseudo parameters of a stack."""
    parts = stack_id.split(":")
    region, account = parts[3], parts[4]
    partition = partition_of(region)
    return {
        "AWS::AccountId": account,
        "AWS::NotificationARNs": list(notification_arns),
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::StackId": stack_id,
        "AWS::StackName": stack_name,
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
    }


def parameter_values(parameters: Mapping[str, Bound]) -> dict[str, Any]:
    """Return what `Ref` gives for each parameter."""
    return {key: parameter.in_template for key, parameter in parameters.items()}


class StackScope:
    """The scope of a stack's template over resources as they stand; `imports` gathers what it imported."""

    def __init__(
        self,
        template: Template,
        values: Mapping[str, Any],
        resources: Callable[[str], StackResource | None],
        exports: Mapping[str, Export],
        *,
        unknown: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self.template = template
        self.imports: set[str] = set()
        self._resources = resources
        self._exports = exports
        self._unknown = unknown
        self.scope = Scope(
            values,
            template.mappings,
            template.conditions,
            reference=self._reference,
            attribute=self._attribute,
            imported=self._imported,
        )

    def active(self) -> list[str]:
        """Return the logical ids of the resources whose conditions hold."""
        resources = self.template.resources.values()
        return [item.logical_id for item in resources if item.condition is None or self.scope.condition(item.condition)]

    def _load(self, name: str) -> StackResource:
        resource = self._resources(name)
        if resource is None or resource.physical_id is None:
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{name}] in the Resources block of the "
                "template"
            )
        return resource

    def _reference(self, name: str) -> str:
        if self._unknown(name):
            return KNOWN_AFTER_APPLY
        return cast("str", self._load(name).physical_id)

    def _attribute(self, name: str, attribute: str) -> Any:
        if self._unknown(name):
            return KNOWN_AFTER_APPLY
        resource = self._load(name)
        if resource.is_ignored:
            return f"{resource.physical_id}-{attribute}"
        found = _find_attribute(resource.attributes, attribute)
        if found is None:
            raise invalid(f"Attribute {attribute} of resource {name} ({resource.type}) has no value here.")
        return found

    def _imported(self, name: str) -> str:
        export = self._exports.get(name)
        if export is None:
            raise invalid(f"No export named {name} found.")
        self.imports.add(name)
        return export.value


def _find_attribute(attributes: Mapping[str, Any], name: str) -> Any:
    if name in attributes:
        return attributes[name]
    value: Any = attributes
    for part in name.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, (dict, Mapping)) else None
    return value


def template_of(revision: Revision) -> Template:
    """Return a revision's template, typed."""
    return read_template(json.loads(revision.processed))
