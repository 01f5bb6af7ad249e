"""Operations on routes."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.apis import invalid_route_key
from forebay.services.apigatewayv2.deployment import deploy_changes
from forebay.services.apigatewayv2.errors import bad_request, not_implemented
from forebay.services.apigatewayv2.http_api import (
    AUTHORIZER,
    INTEGRATION,
    ROUTE,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.member import changed, copied
from forebay.services.apigatewayv2.route_key import InvalidRouteKey, parse_route_key

# Members that only WebSocket APIs have.
_WEBSOCKET = (
    "model_selection_expression",
    "request_models",
    "request_parameters",
    "route_response_selection_expression",
)


@operation
def create_route(call: Call, request: api.CreateRouteRequest) -> api.CreateRouteResult:
    """Create a route."""
    load_api(call, request.api_id)
    route = copied(api.Route, request, route_id=call.ids.token(limits.CHILD_ID_CHARACTERS))
    _put(call, request.api_id, route)
    return copied(api.CreateRouteResult, _shown(route))


@operation(readonly=True)
def get_route(call: Call, request: api.GetRouteRequest) -> api.GetRouteResult:
    """Return a route."""
    return copied(api.GetRouteResult, _shown(_load(call, request.api_id, request.route_id)))


@operation(readonly=True)
def get_routes(call: Call, request: api.GetRoutesRequest) -> api.GetRoutesResponse:
    """List the routes of an API."""
    load_api(call, request.api_id)
    page, token = page_children(call, ROUTE, (request.api_id,), request.next_token, request.max_results)
    return api.GetRoutesResponse(items=[_shown(route) for route in page], next_token=token)


@operation
def update_route(call: Call, request: api.UpdateRouteRequest) -> api.UpdateRouteResult:
    """Change what is given."""
    existing = _load(call, request.api_id, request.route_id)
    route = changed(existing, request, fixed=("route_id", "route_key"))
    route = msgspec.structs.replace(route, route_key=request.route_key or existing.route_key)
    if request.authorization_type == "NONE":
        route = msgspec.structs.replace(route, authorizer_id=None, authorization_scopes=None)
    _put(call, request.api_id, route)
    return copied(api.UpdateRouteResult, _shown(route))


@operation
def delete_route(call: Call, request: api.DeleteRouteRequest) -> None:
    """Delete a route."""
    _load(call, request.api_id, request.route_id)
    call.records.delete(ROUTE, child_key(call, request.api_id, request.route_id))
    deploy_changes(call, request.api_id)


def check_route(call: Call, api_id: str, route: api.Route) -> None:
    """Check a route and what it refers to.

    Raises:
        BadRequestException: AWS would refuse it.
        NotImplemented: it is sound, but this node cannot run it.
    """
    try:
        parse_route_key(route.route_key)
    except InvalidRouteKey:
        raise invalid_route_key() from None
    if route.api_key_required:
        raise bad_request("API keys are not supported for HTTP APIs")
    for member in _WEBSOCKET:
        if getattr(route, member):
            raise bad_request(f"{member} is not supported for HTTP APIs")
    if route.target is not None:
        integration = route.target.removeprefix("integrations/")
        if call.reader.find(INTEGRATION, child_key(call, api_id, integration)) is None:
            raise bad_request(f"Unable to find Integration by ID {integration}")
    _check_authorization(call, api_id, route)


def _check_authorization(call: Call, api_id: str, route: api.Route) -> None:
    match route.authorization_type or "NONE":
        case "NONE":
            if route.authorizer_id is not None:
                raise bad_request("AuthorizerId cannot be specified for AuthorizationType NONE")
        case "AWS_IAM":
            if call.platform.config.credentials is not None:
                raise not_implemented(
                    "Routes with AWS_IAM authorization are not implemented by Forebay on nodes that check credentials."
                )
        case "CUSTOM":
            _check_authorizer(call, api_id, route, "REQUEST")
        case "JWT":
            _check_authorizer(call, api_id, route, "JWT")
        case _:
            raise bad_request("Invalid authorization type specified. Must be one of [AWS_IAM, CUSTOM, JWT, NONE]")


def _check_authorizer(call: Call, api_id: str, route: api.Route, authorizer_type: str) -> None:
    if route.authorizer_id is None:
        raise bad_request(f"AuthorizerId must be specified for AuthorizationType {route.authorization_type}")
    authorizer = call.reader.find(AUTHORIZER, child_key(call, api_id, route.authorizer_id))
    if authorizer is None or authorizer.authorizer_type != authorizer_type:
        raise bad_request("Invalid Authorizer identifier specified")
    scopes = route.authorization_scopes or ()
    if scopes and authorizer_type != "JWT":
        raise bad_request("AuthorizationScopes are only supported for AuthorizationType JWT")
    if len(scopes) > limits.SCOPES_PER_ROUTE_MAX:
        raise bad_request(f"AuthorizationScopes must have at most {limits.SCOPES_PER_ROUTE_MAX} entries")


def _put(call: Call, api_id: str, route: api.Route) -> None:
    check_route(call, api_id, route)
    for other in list_children(call, ROUTE, api_id):
        if other.route_key == route.route_key and other.route_id != route.route_id:
            raise api.ConflictException(f"Route with key {route.route_key} already exists for this API")
    call.records.put(ROUTE, child_key(call, api_id, route.route_id or ""), route)
    deploy_changes(call, api_id)


def _load(call: Call, api_id: str, route_id: str) -> api.Route:
    return load_child(call, ROUTE, api_id, route_id, "Route")


def _shown(route: api.Route) -> api.Route:
    return msgspec.structs.replace(
        route, api_key_required=bool(route.api_key_required), authorization_type=route.authorization_type or "NONE"
    )
