"""Operations on integrations."""

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.deployment import deploy_changes
from forebay.services.apigatewayv2.http_api import (
    INTEGRATION,
    ROUTE,
    child_key,
    list_children,
    load_api,
    load_child,
    page_children,
)
from forebay.services.apigatewayv2.integration import check_integration, with_defaults
from forebay.services.apigatewayv2.member import changed, copied


@operation
def create_integration(call: Call, request: api.CreateIntegrationRequest) -> api.CreateIntegrationResult:
    """Create an integration; routes name it as `integrations/<id>`."""
    load_api(call, request.api_id)
    draft = copied(api.Integration, request, tls_config=_tls(request.tls_config))
    integration = msgspec.structs.replace(draft, integration_id=call.ids.token(limits.CHILD_ID_CHARACTERS))
    return copied(api.CreateIntegrationResult, _put(call, request.api_id, integration))


@operation(readonly=True)
def get_integration(call: Call, request: api.GetIntegrationRequest) -> api.GetIntegrationResult:
    """Return an integration."""
    return copied(api.GetIntegrationResult, _load(call, request.api_id, request.integration_id))


@operation(readonly=True)
def get_integrations(call: Call, request: api.GetIntegrationsRequest) -> api.GetIntegrationsResponse:
    """List the integrations of an API."""
    load_api(call, request.api_id)
    page, token = page_children(call, INTEGRATION, (request.api_id,), request.next_token, request.max_results)
    return api.GetIntegrationsResponse(items=page, next_token=token)


@operation
def update_integration(call: Call, request: api.UpdateIntegrationRequest) -> api.UpdateIntegrationResult:
    """Change what is given. Maps of parameters are merged: an empty text takes its key away."""
    existing = _load(call, request.api_id, request.integration_id)
    fixed = ("integration_id", "request_parameters", "response_parameters", "tls_config")
    integration = msgspec.structs.replace(
        changed(existing, request, fixed=fixed),
        request_parameters=_merged(existing.request_parameters, request.request_parameters),
        response_parameters=_merged_responses(existing.response_parameters, request.response_parameters),
        tls_config=existing.tls_config if request.tls_config is None else _tls(request.tls_config),
    )
    return copied(api.UpdateIntegrationResult, _put(call, request.api_id, integration))


@operation
def delete_integration(call: Call, request: api.DeleteIntegrationRequest) -> None:
    """Delete an integration that no route targets."""
    _load(call, request.api_id, request.integration_id)
    target = f"integrations/{request.integration_id}"
    if any(route.target == target for route in list_children(call, ROUTE, request.api_id)):
        raise api.ConflictException(
            f"Cannot delete Integration with id '{request.integration_id}' that is referenced by a route"
        )
    call.records.delete(INTEGRATION, child_key(call, request.api_id, request.integration_id))
    deploy_changes(call, request.api_id)


def _put(call: Call, api_id: str, draft: api.Integration) -> api.Integration:
    integration = with_defaults(draft)
    check_integration(integration, call.platform.table.names)
    call.records.put(INTEGRATION, child_key(call, api_id, integration.integration_id or ""), integration)
    deploy_changes(call, api_id)
    return integration


def _load(call: Call, api_id: str, integration_id: str) -> api.Integration:
    return load_child(call, INTEGRATION, api_id, integration_id, "Integration")


def _tls(given: api.TlsConfigInput | None) -> api.TlsConfig | None:
    return None if given is None else copied(api.TlsConfig, given)


def _merged(old: dict[str, str] | None, given: dict[str, str] | None) -> dict[str, str] | None:
    if given is None:
        return old
    return {name: value for name, value in {**(old or {}), **given}.items() if value} or None


def _merged_responses(
    old: dict[str, dict[str, str]] | None, given: dict[str, dict[str, str]] | None
) -> dict[str, dict[str, str]] | None:
    if given is None:
        return old
    merged = dict(old or {})
    for status, mappings in given.items():
        kept = _merged(merged.get(status), mappings) if mappings else None
        if kept:
            merged[status] = kept
        else:
            merged.pop(status, None)
    return merged or None
