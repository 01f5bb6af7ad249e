"""Operations on authorizers: Lambda functions that decide on requests, and issuers of tokens."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.authorization import AuthorizerCache
from forebay.services.apigatewayv2.deployment import deploy_changes
from forebay.services.apigatewayv2.errors import bad_request
from forebay.services.apigatewayv2.http_api import (
    AUTHORIZER,
    ROUTE,
    STAGE,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.integration import function_arn
from forebay.services.apigatewayv2.member import changed, copied
from forebay.services.apigatewayv2.parameter_mapping import InvalidMapping, compile_value

_SOURCES = ("$request.header.", "$request.querystring.", "$context.", "$stageVariables.")


@operation
def create_authorizer(call: Call, request: api.CreateAuthorizerRequest) -> api.CreateAuthorizerResponse:
    """Create an authorizer; routes name it by its id."""
    load_api(call, request.api_id)
    authorizer = copied(api.Authorizer, request, authorizer_id=call.ids.token(limits.CHILD_ID_CHARACTERS))
    return copied(api.CreateAuthorizerResponse, put_authorizer(call, request.api_id, authorizer))


@operation(readonly=True)
def get_authorizer(call: Call, request: api.GetAuthorizerRequest) -> api.GetAuthorizerResponse:
    """Return an authorizer."""
    return copied(api.GetAuthorizerResponse, _load(call, request.api_id, request.authorizer_id))


@operation(readonly=True)
def get_authorizers(call: Call, request: api.GetAuthorizersRequest) -> api.GetAuthorizersResponse:
    """List the authorizers of an API."""
    load_api(call, request.api_id)
    page, token = page_children(call, AUTHORIZER, (request.api_id,), request.next_token, request.max_results)
    return api.GetAuthorizersResponse(items=page, next_token=token)


@operation
def update_authorizer(call: Call, request: api.UpdateAuthorizerRequest) -> api.UpdateAuthorizerResponse:
    """Change what is given."""
    existing = _load(call, request.api_id, request.authorizer_id)
    authorizer = changed(existing, request, fixed=("authorizer_id", "name"))
    authorizer = msgspec.structs.replace(authorizer, name=request.name or existing.name)
    return copied(api.UpdateAuthorizerResponse, put_authorizer(call, request.api_id, authorizer))


@operation
def delete_authorizer(call: Call, request: api.DeleteAuthorizerRequest) -> None:
    """Delete an authorizer that no route uses."""
    _load(call, request.api_id, request.authorizer_id)
    for route in list_children(call, ROUTE, request.api_id):
        if route.authorizer_id == request.authorizer_id:
            raise api.ConflictException(
                f"Cannot delete authorizer '{request.authorizer_id}', is referenced in route: {route.route_key}"
            )
    call.records.delete(AUTHORIZER, child_key(call, request.api_id, request.authorizer_id))
    deploy_changes(call, request.api_id)


@operation
async def reset_authorizers_cache(call: Call, request: api.ResetAuthorizersCacheRequest) -> None:
    """Forget all cached answers of a stage's authorizers."""
    await call.look(lambda inner: load_child(inner, STAGE, request.api_id, request.stage_name, "Stage"))
    call.part(AuthorizerCache).reset(request.api_id, request.stage_name)


def put_authorizer(call: Call, api_id: str, draft: api.Authorizer) -> api.Authorizer:
    """Check and keep an authorizer; gives it its defaults."""
    authorizer = msgspec.structs.replace(
        draft,
        authorizer_result_ttl_in_seconds=draft.authorizer_result_ttl_in_seconds or 0,
        enable_simple_responses=bool(draft.enable_simple_responses),
    )
    if authorizer.authorizer_type == "JWT":
        authorizer = msgspec.structs.replace(
            authorizer, authorizer_result_ttl_in_seconds=None, enable_simple_responses=None
        )
    _check(authorizer)
    for other in list_children(call, AUTHORIZER, api_id):
        if other.name == authorizer.name and other.authorizer_id != authorizer.authorizer_id:
            raise bad_request(f"Authorizer name {authorizer.name} is not unique for this API")
    call.records.put(AUTHORIZER, child_key(call, api_id, authorizer.authorizer_id or ""), authorizer)
    deploy_changes(call, api_id)
    return authorizer


def _check(authorizer: api.Authorizer) -> None:
    if not authorizer.name or len(authorizer.name) > limits.NAME_CHARACTERS_MAX:
        raise bad_request("Invalid authorizer name specified: it must have 1 to 128 characters")
    if authorizer.authorizer_type == "JWT":
        _check_jwt(authorizer)
        return
    if authorizer.authorizer_type != "REQUEST":
        raise bad_request("Invalid authorizer type specified. Must be one of [JWT, REQUEST]")
    if not authorizer.authorizer_uri or function_arn(authorizer.authorizer_uri) is None:
        raise bad_request("Authorizer URI must be the invocation URI of a Lambda function")
    if authorizer.authorizer_payload_format_version not in ("1.0", "2.0"):
        raise bad_request("AuthorizerPayloadFormatVersion must be one of [1.0, 2.0] for REQUEST authorizers")
    if authorizer.enable_simple_responses and authorizer.authorizer_payload_format_version != "2.0":
        raise bad_request("EnableSimpleResponses is only supported for authorizer payload format version 2.0")
    _check_cache(authorizer)
    for source in authorizer.identity_source or ():
        _check_source(source)


def _check_jwt(authorizer: api.Authorizer) -> None:
    configuration = authorizer.jwt_configuration
    if configuration is None or not configuration.issuer:
        raise bad_request("Issuer is required for JWT authorizers")
    # AWS asks for https; a node and its issuer may stand on one machine.
    if not configuration.issuer.startswith(("https://", "http://")):
        raise bad_request(f"Invalid issuer: {configuration.issuer}. Issuer must be a URL")
    if not configuration.audience:
        raise bad_request("Audience is required for JWT authorizers")
    if len(configuration.audience) > limits.AUDIENCES_MAX:
        raise bad_request(f"Audience must have at most {limits.AUDIENCES_MAX} entries")
    if authorizer.authorizer_uri is not None or authorizer.authorizer_payload_format_version is not None:
        raise bad_request("AuthorizerUri and AuthorizerPayloadFormatVersion are not supported for JWT authorizers")
    sources = authorizer.identity_source or []
    if len(sources) != 1:
        raise bad_request("JWT authorizers must have exactly one identity source")
    if not sources[0].startswith(("$request.header.", "$request.querystring.")):
        raise bad_request(f"Invalid identity source specified: {sources[0]}")
    _check_source(sources[0])


def _check_cache(authorizer: api.Authorizer) -> None:
    ttl = authorizer.authorizer_result_ttl_in_seconds or 0
    if not 0 <= ttl <= limits.AUTHORIZER_TTL_SECONDS_MAX:
        raise bad_request("AuthorizerResultTtlInSeconds must be between 0 and 3600")
    if ttl > 0 and not authorizer.identity_source:
        raise bad_request("At least one identity source is required if authorizer result caching is enabled")


def _check_source(source: str) -> None:
    try:
        compile_value(source)
    except InvalidMapping:
        raise bad_request(f"Invalid identity source specified: {source}") from None
    if not source.startswith(_SOURCES):
        raise bad_request(f"Invalid identity source specified: {source}")


def _load(call: Call, api_id: str, authorizer_id: str) -> api.Authorizer:
    return load_child(call, AUTHORIZER, api_id, authorizer_id, "Authorizer")
