"""Operations on OpenAPI definitions: make an API of one, or make an API into what one says."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.apis import check_api, new_api, shown_api
from forebay.services.apigatewayv2.authorizers import put_authorizer
from forebay.services.apigatewayv2.deployment import deploy_changes
from forebay.services.apigatewayv2.errors import bad_request
from forebay.services.apigatewayv2.http_api import (
    API,
    AUTHORIZER,
    INTEGRATION,
    ROUTE,
    api_key,
    child_key,
    delete_children,
    load_api,
)
from forebay.services.apigatewayv2.integration import check_integration, with_defaults
from forebay.services.apigatewayv2.member import copied
from forebay.services.apigatewayv2.openapi import DefinedRoute, Definition, InvalidDefinition, parse_definition
from forebay.services.apigatewayv2.routes import check_route


@operation
def import_api(call: Call, request: api.ImportApiRequest) -> api.ImportApiResponse:
    """Create an API from a definition."""
    definition = _parse(request)
    made = new_api(call, definition.draft)
    _fill(call, made.api_id or "", definition)
    return copied(api.ImportApiResponse, shown_api(call, made), warnings=definition.warnings or None)


@operation
def reimport_api(call: Call, request: api.ReimportApiRequest) -> api.ReimportApiResponse:
    """Replace an API's routes, integrations and authorizers by a definition's; its stages and tags stay."""
    existing = load_api(call, request.api_id)
    definition = _parse(request)
    given = definition.draft
    updated = msgspec.structs.replace(
        existing,
        name=given.name,
        description=given.description,
        version=given.version,
        cors_configuration=given.cors_configuration,
        disable_execute_api_endpoint=bool(given.disable_execute_api_endpoint),
        tags={**(existing.tags or {}), **(given.tags or {})} or None,
    )
    check_api(updated)
    call.records.put(API, api_key(call, request.api_id), updated)
    delete_children(call, request.api_id, (ROUTE, INTEGRATION, AUTHORIZER))
    _fill(call, request.api_id, definition)
    return copied(api.ReimportApiResponse, shown_api(call, updated), warnings=definition.warnings or None)


def _parse(request: api.ImportApiRequest | api.ReimportApiRequest) -> Definition:
    try:
        definition = parse_definition(request.body, request.basepath)
    except InvalidDefinition as error:
        raise bad_request(str(error)) from None
    if request.fail_on_warnings and definition.warnings:
        raise bad_request("Warnings found during import:\n\t" + "\n\t".join(definition.warnings))
    return definition


def _fill(call: Call, api_id: str, definition: Definition) -> None:
    authorizers: dict[str, str] = {}
    for name, draft in definition.authorizers.items():
        authorizer_id = call.ids.token(limits.CHILD_ID_CHARACTERS)
        put_authorizer(call, api_id, msgspec.structs.replace(draft, authorizer_id=authorizer_id))
        authorizers[name] = authorizer_id
    keys: set[str] = set()
    for defined in definition.routes:
        key = defined.route.route_key
        if key in keys:
            raise api.ConflictException(f"Route with key {key} already exists for this API")
        keys.add(key)
        _put_route(call, api_id, defined, authorizers)
    deploy_changes(call, api_id)


def _put_route(call: Call, api_id: str, defined: DefinedRoute, authorizers: dict[str, str]) -> None:
    target = None
    if defined.integration is not None:
        integration_id = call.ids.token(limits.CHILD_ID_CHARACTERS)
        integration = with_defaults(msgspec.structs.replace(defined.integration, integration_id=integration_id))
        check_integration(integration, call.platform.table.names)
        call.records.put(INTEGRATION, child_key(call, api_id, integration_id), integration)
        target = f"integrations/{integration_id}"
    route = msgspec.structs.replace(
        defined.route,
        route_id=call.ids.token(limits.CHILD_ID_CHARACTERS),
        target=target,
        authorizer_id=None if defined.authorizer is None else authorizers[defined.authorizer],
        api_key_required=False,
    )
    check_route(call, api_id, route)
    call.records.put(ROUTE, child_key(call, api_id, route.route_id or ""), route)
