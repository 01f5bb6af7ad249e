"""From what a caller sends to a revision: template read, macros run, parameters bound, everything checked."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from forebay.api import cloudformation as api
from forebay.api import ssm
from forebay.core.errors import ServiceError
from forebay.operations.call import Call
from forebay.services.cloudformation.checks import check_capabilities, check_resources
from forebay.services.cloudformation.documents import parse_location, read_document, read_template_url
from forebay.services.cloudformation.sam import SERVERLESS, translate
from forebay.services.cloudformation.scope import StackScope, parameter_values, pseudo_parameters
from forebay.services.cloudformation.stack import Revision
from forebay.services.cloudformation.template.errors import invalid
from forebay.services.cloudformation.template.functions import Scope
from forebay.services.cloudformation.template.inclusions import INCLUDE, include, inclusion_locations
from forebay.services.cloudformation.template.loops import LANGUAGE_EXTENSIONS, expand_loops
from forebay.services.cloudformation.template.parameters import Bound, Given, bind, read_declarations, ssm_names
from forebay.services.cloudformation.template.parsing import parse_template, parse_value
from forebay.services.cloudformation.template.references import check_references
from forebay.services.cloudformation.template.rules import check_rules
from forebay.services.cloudformation.template.sections import Template, read_template, transforms_of

_MACROS = {SERVERLESS, LANGUAGE_EXTENSIONS, INCLUDE}


class Source(msgspec.Struct, frozen=True):
    """Everything of a request that makes a revision, whichever operation it came with."""

    stack_id: str
    stack_name: str
    body: str | None = None
    url: str | None = None
    use_previous: bool = False
    parameters: tuple[Given, ...] = ()
    tags: dict[str, str] = {}
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] = ()
    role_arn: str | None = None
    rollback_configuration: dict[str, Any] | None = None
    previous: Revision | None = None
    # Direct operations must acknowledge macros; a change set shows what they do.
    acknowledges_macros: bool = False


async def read_source(call: Call, source: Source) -> str:
    """Return the template's text: given, at a URL, or the stack's own.

    Raises:
        ServiceError: `ValidationError` where not exactly one of them is given.
    """
    if source.use_previous:
        if source.previous is None:
            raise invalid("Template can not be reused because there is no previous template.")
        return source.previous.body
    if (source.body is None) == (source.url is None):
        raise invalid("Either Template URL or Template Body must be specified.")
    return source.body if source.body is not None else await read_template_url(call, source.url or "")


def read_given(parameters: Sequence[api.Parameter] | None) -> tuple[Given, ...]:
    """Return a request's parameters."""
    return tuple(
        Given(item.parameter_key or "", item.parameter_value, bool(item.use_previous_value))
        for item in parameters or ()
    )


async def prepare(call: Call, source: Source, body: str) -> tuple[Revision, Template]:
    """Return the revision that a request asks for, with its processed template.

    Raises:
        ServiceError: `ValidationError` or `InsufficientCapabilitiesException`, in CloudFormation's words.
    """
    raw = parse_template(body)
    transforms = transforms_of(raw)
    _check_macros(source, transforms)
    section = cast("dict[str, dict[str, Any]]", raw.get("Parameters") or {})
    declarations = read_declarations(section) if read_template(_shell(raw)) else {}
    previous = source.previous.parameters if source.previous else None
    bound = bind(declarations, source.parameters, previous)
    bound = await _look_up(call, bound, ssm_names(declarations, bound))
    values = {
        **pseudo_parameters(source.stack_id, source.stack_name, source.notification_arns),
        **parameter_values(bound),
    }
    processed = await run_macros(call, raw, transforms, values, bound)
    template = read_template(processed)
    check_rules(template.rules, Scope(values, template.mappings))
    check_references(template)
    allows = Revision("", "", tags=source.tags).allows_ignored
    check_resources(template, allows_ignored=allows)
    check_capabilities(template, source.capabilities)
    # Conditions that cannot be evaluated, and stacks without a resource, are refused before anything is made.
    if not StackScope(template, values, lambda _: None, {}).active():
        raise invalid("Template format error: At least one Resources member must be defined.")
    revision = Revision(
        body=body,
        processed=json.dumps(processed),
        parameters=bound,
        tags=source.tags,
        capabilities=source.capabilities,
        notification_arns=source.notification_arns,
        role_arn=source.role_arn,
        description=template.description,
        rollback_configuration=source.rollback_configuration,
    )
    return revision, template


def _shell(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template with a placeholder for what macros will make, so that its other sections can be checked."""
    shell = {
        name: value for name, value in raw.items() if name in {"AWSTemplateFormatVersion", "Description", "Parameters"}
    }
    return {**shell, "Resources": {"Placeholder": {"Type": "Placeholder"}}}


def _check_macros(source: Source, transforms: Sequence[str]) -> None:
    unknown = [name for name in transforms if name not in _MACROS]
    if unknown:
        raise invalid(f"No transform named {unknown[0]} found.")
    if transforms and source.acknowledges_macros and "CAPABILITY_AUTO_EXPAND" not in source.capabilities:
        raise api.InsufficientCapabilitiesException("Requires capabilities : [CAPABILITY_AUTO_EXPAND]")


async def _look_up(call: Call, bound: dict[str, Bound], names: Mapping[str, str]) -> dict[str, Bound]:
    """Return parameters with the values of the SSM parameters that they name."""
    if not names:
        return bound
    request = ssm.GetParametersRequest(names=sorted(set(names.values())), with_decryption=False)
    answer = await call.invoke("ssm", "GetParameters", request)
    found = {item.name: item.value for item in answer.parameters or ()}
    missing = sorted({name for name in names.values() if name not in found})
    if missing:
        raise invalid(f"Unable to fetch parameters [{','.join(missing)}] from parameter store for this account.")
    return {key: replace(item, resolved=found[names[key]]) if key in names else item for key, item in bound.items()}


async def run_macros(
    call: Call,
    raw: Mapping[str, Any],
    transforms: Sequence[str],
    values: Mapping[str, Any],
    bound: Mapping[str, Bound],
) -> dict[str, Any]:
    """Return a template with its macros run: inclusions, then loops, then SAM.

    Raises:
        ServiceError: one fails; the text names it.
    """
    scope = Scope(values, raw.get("Mappings") or {})
    processed: dict[str, Any] = {name: value for name, value in raw.items() if name != "Transform"}
    processed = await _include(call, _with_top_inclusion(raw, processed), scope)
    if LANGUAGE_EXTENSIONS in transforms:
        processed = expand_loops(processed, scope.resolve)
    if SERVERLESS in transforms:
        parameters = {key: item.value if item.resolved is None else item.resolved for key, item in bound.items()}
        # The translator wants to see its own name in the template.
        processed = await translate({**processed, "Transform": SERVERLESS}, parameters, call.region)
    return processed


def _with_top_inclusion(raw: Mapping[str, Any], processed: dict[str, Any]) -> dict[str, Any]:
    """Return the template with an `AWS::Include` of its Transform section where the function form has it."""
    transform = raw.get("Transform")
    items = cast("list[object]", transform) if isinstance(transform, list) else [transform]
    objects = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
    inclusion = next((item for item in objects if item.get("Name") == INCLUDE), None)
    return processed if inclusion is None else {**processed, "Fn::Transform": inclusion}


async def _include(call: Call, template: dict[str, Any], scope: Scope) -> dict[str, Any]:
    locations = inclusion_locations(template, scope.resolve)
    if not locations:
        return template
    contents: dict[str, object] = {}
    for location in sorted(locations):
        try:
            bucket, key = parse_location(location)
        except ValueError:
            raise invalid(f"Transform {INCLUDE} failed with: The location parameter is not a valid S3 uri.") from None
        try:
            contents[location] = parse_value(await read_document(call, bucket, key))
        except ServiceError as error:
            raise invalid(f"Transform {INCLUDE} failed with: {error.message}") from None
    return include(template, contents, scope.resolve)
