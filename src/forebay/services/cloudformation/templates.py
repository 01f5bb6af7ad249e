"""Operations on templates: validate, get, summarise."""

import json
from collections.abc import Mapping
from typing import Any, cast

from forebay.api import cloudformation as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.cloudformation.change_sets import load_change_set
from forebay.services.cloudformation.checks import capability_reason, required_capabilities
from forebay.services.cloudformation.documents import read_template_url
from forebay.services.cloudformation.lookup import load_stack
from forebay.services.cloudformation.resources.registry import find_type
from forebay.services.cloudformation.stack import Revision
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.parameters import Declaration, read_declarations
from forebay.services.cloudformation.template.parsing import parse_template
from forebay.services.cloudformation.template.references import check_references
from forebay.services.cloudformation.template.sections import Template, read_template


@operation
async def validate_template(call: Call, request: api.ValidateTemplateInput) -> api.ValidateTemplateOutput:
    """Check a template's language and say which parameters and capabilities it asks for."""
    template = _read(await _given(call, request.template_body, request.template_url))
    capabilities, reason = _capabilities(template)
    return api.ValidateTemplateOutput(
        parameters=[
            api.TemplateParameter(
                parameter_key=item.key,
                default_value=item.default,
                no_echo=item.no_echo,
                description=item.description or None,
            )
            for item in read_declarations(template.parameters).values()
        ],
        description=template.description or None,
        capabilities=capabilities,
        capabilities_reason=reason,
        declared_transforms=list(template.transforms) or None,
    )


@operation
async def get_template_summary(call: Call, request: api.GetTemplateSummaryInput) -> api.GetTemplateSummaryOutput:
    """Say what a template, given or a stack's own, asks for and consists of."""
    if request.stack_name is not None:
        name = request.stack_name
        stack = await call.look(lambda inner: load_stack(inner.reader, call.account, call.region, name))
        body = stack.revision.body
    else:
        body = await _given(call, request.template_body, request.template_url)
    template = _read(body)
    capabilities, reason = _capabilities(template)
    types = list(dict.fromkeys(item.type for item in template.resources.values()))
    raw = parse_template(body)
    return api.GetTemplateSummaryOutput(
        parameters=[_declared(item) for item in read_declarations(template.parameters).values()],
        description=template.description or None,
        capabilities=capabilities,
        capabilities_reason=reason,
        resource_types=types,
        version=None if raw.get("AWSTemplateFormatVersion") is None else str(raw["AWSTemplateFormatVersion"]),
        metadata=json.dumps(template.metadata) if template.metadata else None,
        declared_transforms=list(template.transforms) or None,
        resource_identifier_summaries=_identifiers(template, types),
    )


@operation(readonly=True)
def get_template(call: Call, request: api.GetTemplateInput) -> api.GetTemplateOutput:
    """Return a stack's or change set's template, as it was given or after its macros."""
    if request.change_set_name is not None:
        _, change_set = load_change_set(call, request.change_set_name, request.stack_name)
        revision = change_set.revision
    elif request.stack_name is not None:
        revision = load_stack(call.reader, call.account, call.region, request.stack_name).revision
    else:
        raise invalid("At least one of StackName or ChangeSetName must be specified")
    processed = request.template_stage == "Processed"
    return api.GetTemplateOutput(
        template_body=_processed(revision) if processed else revision.body,
        stages_available=["Original", "Processed"],
    )


def _processed(revision: Revision) -> str:
    """Return a template after macros: where it has none, that is the text as it was given."""
    raw: Mapping[str, Any] = parse_template(revision.body)
    return revision.processed if raw.get("Transform") is not None else revision.body


async def _given(call: Call, body: str | None, url: str | None) -> str:
    if (body is None) == (url is None):
        raise invalid("Either Template URL or Template Body must be specified.")
    return body if body is not None else await read_template_url(call, url or "")


def _read(body: str) -> Template:
    template = read_template(parse_template(body))
    # SAM's own references become right only when its translator has run.
    if not template.transforms:
        check_references(template)
    return template


def _capabilities(template: Template) -> tuple[list[api.Capability] | None, str | None]:
    needed = list(required_capabilities(template))
    reason = capability_reason(template) if needed else None
    if template.transforms:
        needed.append("CAPABILITY_AUTO_EXPAND")
        macros = f"The following transform(s) require capabilities: [{', '.join(template.transforms)}]"
        reason = macros if reason is None else reason
    return cast("list[api.Capability]", needed) or None, reason


def _declared(item: Declaration) -> api.ParameterDeclaration:
    allowed = None if item.allowed_values is None else list(item.allowed_values)
    return api.ParameterDeclaration(
        parameter_key=item.key,
        default_value=item.default,
        parameter_type=item.type,
        no_echo=item.no_echo,
        description=item.description or None,
        parameter_constraints=api.ParameterConstraints(allowed_values=allowed),
    )


def _identifiers(template: Template, types: list[str]) -> list[api.ResourceIdentifierSummary]:
    summaries: list[api.ResourceIdentifierSummary] = []
    for name in types:
        registered = find_type(name)
        if registered is None:
            continue
        ids = [item.logical_id for item in template.resources.values() if item.type == name]
        summaries.append(
            api.ResourceIdentifierSummary(
                resource_type=name,
                logical_resource_ids=ids[:200],
                resource_identifiers=list(registered.schema.identifier),
            )
        )
    return summaries
