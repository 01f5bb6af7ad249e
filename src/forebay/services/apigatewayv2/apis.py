"""Operations on APIs: create (also in one go, with a target), read, change, delete, and their CORS configuration."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.cors import check_cors
from forebay.services.apigatewayv2.deployment import deploy_changes, put_stage
from forebay.services.apigatewayv2.errors import bad_request, not_implemented
from forebay.services.apigatewayv2.http_api import (
    API,
    API_MAPPING,
    CHILDREN,
    INTEGRATION,
    ROUTE,
    api_key,
    child_key,
    delete_children,
    list_children,
    load_api,
    page_children,
)
from forebay.services.apigatewayv2.integration import check_integration, function_arn, with_defaults
from forebay.services.apigatewayv2.member import changed, copied
from forebay.services.apigatewayv2.route_key import DEFAULT, InvalidRouteKey, parse_route_key
from forebay.services.apigatewayv2.tags import check_tags
from forebay.store.records import key_prefix

ROUTE_SELECTION = "$request.method $request.path"
API_KEY_SELECTION = "$request.header.x-api-key"


@operation
def create_api(call: Call, request: api.CreateApiRequest) -> api.CreateApiResponse:
    """Create an API; with a target also a route to it and a stage that is deployed automatically."""
    if request.protocol_type == "WEBSOCKET":
        raise not_implemented("WebSocket APIs are not implemented by Forebay yet.")
    if request.protocol_type != "HTTP":
        raise bad_request("Invalid protocol specified. Must be one of [HTTP, WEBSOCKET]")
    if request.target is None and (request.route_key is not None or request.credentials_arn is not None):
        raise bad_request("Target must be specified for quick create")
    made = new_api(call, copied(api.Api, request, route_selection_expression=request.route_selection_expression or ""))
    if request.target is not None:
        _quick_create(call, made, request)
    return copied(api.CreateApiResponse, shown_api(call, made))


@operation(readonly=True)
def get_api(call: Call, request: api.GetApiRequest) -> api.GetApiResponse:
    """Return an API."""
    return copied(api.GetApiResponse, shown_api(call, load_api(call, request.api_id)))


@operation(readonly=True)
def get_apis(call: Call, request: api.GetApisRequest) -> api.GetApisResponse:
    """List the APIs of the account and region."""
    page, token = page_children(call, API, (), request.next_token, request.max_results)
    return api.GetApisResponse(items=[shown_api(call, item) for item in page], next_token=token)


@operation
def update_api(call: Call, request: api.UpdateApiRequest) -> api.UpdateApiResponse:
    """Change what is given; `Target`, `RouteKey` and `CredentialsArn` change what quick create made."""
    existing = load_api(call, request.api_id)
    updated = changed(existing, request, fixed=("api_id", "protocol_type", "name"))
    updated = msgspec.structs.replace(
        updated,
        name=request.name or existing.name,
        route_selection_expression=updated.route_selection_expression or ROUTE_SELECTION,
        api_key_selection_expression=updated.api_key_selection_expression or API_KEY_SELECTION,
    )
    check_api(updated)
    call.records.put(API, api_key(call, request.api_id), updated)
    if request.target is not None or request.route_key is not None or request.credentials_arn is not None:
        _change_quick(call, request)
    deploy_changes(call, request.api_id)
    return copied(api.UpdateApiResponse, shown_api(call, updated))


@operation
def delete_api(call: Call, request: api.DeleteApiRequest) -> None:
    """Delete an API and all that belongs to it."""
    load_api(call, request.api_id)
    for _, mapping in call.reader.list(API_MAPPING, key_prefix(call.account, call.region)):
        if mapping.api_id == request.api_id:
            raise bad_request(
                f"Deleting API {request.api_id} failed. Please remove all API mappings related to the API in your "
                "domain names"
            )
    delete_children(call, request.api_id, CHILDREN)
    call.records.delete(API, api_key(call, request.api_id))


@operation
def delete_cors_configuration(call: Call, request: api.DeleteCorsConfigurationRequest) -> None:
    """Take an API's CORS configuration away."""
    existing = load_api(call, request.api_id)
    call.records.put(API, api_key(call, request.api_id), msgspec.structs.replace(existing, cors_configuration=None))
    deploy_changes(call, request.api_id)


def new_api(call: Call, draft: api.Api) -> api.Api:
    """Check and keep a new API; gives it its id and defaults."""
    made = msgspec.structs.replace(
        draft,
        api_id=call.ids.token(limits.API_ID_CHARACTERS),
        protocol_type="HTTP",
        created_date=call.now,
        route_selection_expression=draft.route_selection_expression or ROUTE_SELECTION,
        api_key_selection_expression=draft.api_key_selection_expression or API_KEY_SELECTION,
        disable_execute_api_endpoint=bool(draft.disable_execute_api_endpoint),
        ip_address_type=draft.ip_address_type or "ipv4",
        api_gateway_managed=None,
        disable_schema_validation=None,
    )
    check_api(made)
    check_tags(made.tags)
    call.records.put(API, api_key(call, made.api_id or ""), made)
    return made


def check_api(draft: api.Api) -> None:
    """Check the members of an API.

    Raises:
        BadRequestException: AWS would refuse one.
    """
    if not draft.name or len(draft.name) > limits.NAME_CHARACTERS_MAX:
        raise bad_request("Invalid API name specified: it must have 1 to 128 characters")
    if draft.route_selection_expression != ROUTE_SELECTION:
        raise bad_request(f"Invalid route selection expression. For HTTP APIs it must be {ROUTE_SELECTION}")
    if draft.ip_address_type not in ("ipv4", "dualstack"):
        raise bad_request("Invalid ipAddressType specified. Must be one of [ipv4, dualstack]")
    check_cors(draft.cors_configuration)


def shown_api(call: Call, kept: api.Api) -> api.Api:
    """Return an API as it is shown: with the URL under which this caller reaches it.

    The URL has the API's id in its path and not, as AWS's, in its host name: names below `localhost` resolve in
    browsers and curl, but not in every client. `http://<id>.execute-api.localhost:<port>` is answered too.
    """
    return msgspec.structs.replace(kept, api_endpoint=f"{call.caller.endpoint}/_aws/execute-api/{kept.api_id}")


def _quick_create(call: Call, made: api.Api, request: api.CreateApiRequest) -> None:
    api_id = made.api_id or ""
    key = request.route_key or DEFAULT
    integration = _quick_integration(call, request.target or "", request.credentials_arn)
    route = api.Route(
        route_key=_checked(key),
        route_id=call.ids.token(limits.CHILD_ID_CHARACTERS),
        target=f"integrations/{integration.integration_id}",
        api_gateway_managed=True,
        api_key_required=False,
        authorization_type="NONE",
    )
    call.records.put(INTEGRATION, child_key(call, api_id, integration.integration_id or ""), integration)
    call.records.put(ROUTE, child_key(call, api_id, route.route_id or ""), route)
    put_stage(
        call,
        api_id,
        api.Stage(
            stage_name=DEFAULT,
            api_gateway_managed=True,
            auto_deploy=True,
            created_date=call.now,
            default_route_settings=api.RouteSettings(detailed_metrics_enabled=False),
            route_settings={},
            stage_variables={},
        ),
    )
    deploy_changes(call, api_id)


def _quick_integration(call: Call, target: str, credentials: str | None) -> api.Integration:
    is_lambda = function_arn(target) is not None
    integration = api.Integration(
        integration_id=call.ids.token(limits.CHILD_ID_CHARACTERS),
        api_gateway_managed=True,
        credentials_arn=credentials,
        integration_type="AWS_PROXY" if is_lambda else "HTTP_PROXY",
        integration_uri=target,
        integration_method="POST" if is_lambda else "ANY",
        payload_format_version="2.0" if is_lambda else "1.0",
    )
    integration = with_defaults(integration)
    check_integration(integration, call.platform.table.names)
    return integration


def _change_quick(call: Call, request: api.UpdateApiRequest) -> None:
    api_id = request.api_id
    integrations = [item for item in list_children(call, INTEGRATION, api_id) if item.api_gateway_managed]
    routes = [item for item in list_children(call, ROUTE, api_id) if item.api_gateway_managed]
    if not integrations or not routes:
        raise bad_request("Target, RouteKey and CredentialsArn can only be updated for APIs made by quick create")
    if request.route_key is not None:
        route = msgspec.structs.replace(routes[0], route_key=_checked(request.route_key))
        call.records.put(ROUTE, child_key(call, api_id, route.route_id or ""), route)
    if request.target is not None or request.credentials_arn is not None:
        old = integrations[0]
        credentials = old.credentials_arn if request.credentials_arn is None else request.credentials_arn or None
        integration = _quick_integration(call, request.target or old.integration_uri or "", credentials)
        integration = msgspec.structs.replace(integration, integration_id=old.integration_id)
        call.records.put(INTEGRATION, child_key(call, api_id, integration.integration_id or ""), integration)


def _checked(route_key: str) -> str:
    try:
        return parse_route_key(route_key).text
    except InvalidRouteKey:
        raise invalid_route_key() from None


def invalid_route_key() -> api.BadRequestException:
    """Return the answer for a text that is no route key."""
    return bad_request(
        "The provided route key is not formatted properly for HTTP protocol. "
        'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
    )
