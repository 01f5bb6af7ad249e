"""A stage ready for requests: routes, integrations and authorizers of its deployment, compiled once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from forebay.api import apigatewayv2 as api
from forebay.core.clock import monotonic
from forebay.core.http import Response
from forebay.operations.platform import Platform
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.access_log import Format, compile_format
from forebay.services.apigatewayv2.authorization import AuthorizerCache, LambdaAuthorizer, check_signed
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.function_answer import MalformedAnswer, answer_v1, answer_v2
from forebay.services.apigatewayv2.functions import invoke, resolve_variables, trace_id
from forebay.services.apigatewayv2.http_api import Deployed
from forebay.services.apigatewayv2.http_proxy import HttpClient, http_integration
from forebay.services.apigatewayv2.integration import function_arn
from forebay.services.apigatewayv2.json_web_token import JwtAuthorizer, SigningKeys
from forebay.services.apigatewayv2.outgoing import changed_response, outgoing
from forebay.services.apigatewayv2.parameter_mapping import (
    Change,
    compile_request_changes,
    compile_response_changes,
)
from forebay.services.apigatewayv2.refusal import Refusal
from forebay.services.apigatewayv2.request_event import event_v1, event_v2
from forebay.services.apigatewayv2.route_key import RouteKey, parse_route_key
from forebay.services.apigatewayv2.router import Router
from forebay.services.apigatewayv2.service_call import service_integration
from forebay.services.apigatewayv2.throttle import TokenBucket, bucket_of

Integrate = Callable[[Exchange], Awaitable[Response]]
Authorize = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True)
class Backends:
    """What integrations and authorizers of all stages share."""

    platform: Platform
    client: HttpClient
    authorizers: AuthorizerCache
    signing_keys: SigningKeys


@dataclass(frozen=True)
class ServedRoute:
    """A route ready for requests. `integrate` None: it has no target."""

    key: RouteKey
    authorize: Authorize | None
    integrate: Integrate | None
    bucket: TokenBucket | None


@dataclass(frozen=True)
class ServedStage:
    """A stage ready for requests."""

    name: str
    variables: Mapping[str, str]
    cors: api.Cors | None
    router: Router[ServedRoute]
    log_format: Format | None


def serve_stage(backends: Backends, stage: api.Stage, deployed: Deployed) -> ServedStage:
    """Compile a deployment for a stage."""
    integrations = {
        f"integrations/{item.integration_id}": _with_responses(item, _integrate(backends, item))
        for item in deployed.integrations
    }
    authorizers = {item.authorizer_id: item for item in deployed.authorizers}
    routes: list[tuple[RouteKey, ServedRoute]] = []
    for route in deployed.routes:
        key = parse_route_key(route.route_key)
        authorize = _authorize(backends, route, authorizers.get(route.authorizer_id))
        integrate = None if route.target is None else integrations[route.target]
        routes.append((key, ServedRoute(key, authorize, integrate, bucket_of(stage, route.route_key))))
    return ServedStage(
        stage.stage_name,
        stage.stage_variables or {},
        deployed.cors,
        Router(routes),
        compile_format(stage.access_log_settings),
    )


def _authorize(backends: Backends, route: api.Route, authorizer: api.Authorizer | None) -> Authorize | None:
    if authorizer is None:
        return check_signed if route.authorization_type == "AWS_IAM" else None
    if authorizer.authorizer_type == "JWT":
        clock = backends.platform.clock
        return JwtAuthorizer(backends.signing_keys, clock, authorizer, route.authorization_scopes or ())
    return LambdaAuthorizer(backends.platform, backends.authorizers, authorizer)


def _integrate(backends: Backends, integration: api.Integration) -> Integrate:
    if integration.integration_type == "HTTP_PROXY":
        return http_integration(backends.client, integration)
    if integration.integration_subtype is not None:
        return _within(service_integration(backends.platform, integration), integration)
    return _function_integration(backends.platform, integration)


def _within(integrate: Integrate, integration: api.Integration) -> Integrate:
    """Bound an integration by its timeout; no timer is set for those that cannot wait."""
    if integration.integration_subtype not in ("SQS-ReceiveMessage", "StepFunctions-StartSyncExecution"):
        return integrate
    timeout_seconds = (integration.timeout_in_millis or limits.TIMEOUT_MS_MAX) / 1000

    async def bounded(exchange: Exchange) -> Response:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await integrate(exchange)
        except TimeoutError:
            raise Refusal(503, f"The service did not answer within {timeout_seconds:g} s") from None

    return bounded


def _function_integration(platform: Platform, integration: api.Integration) -> Integrate:
    changes = compile_request_changes(integration.request_parameters or {})
    is_v2 = integration.payload_format_version == "2.0"
    timeout_seconds = (integration.timeout_in_millis or limits.TIMEOUT_MS_MAX) / 1000

    async def integrate(exchange: Exchange) -> Response:
        uri = resolve_variables(integration.integration_uri or "", exchange.stage_variable)
        make = event_v2 if is_v2 else event_v1
        event = make(exchange, outgoing(exchange, changes), trace_id(exchange, platform.ids))
        arn = function_arn(uri)
        if arn is None:
            raise Refusal(500, f"{uri} is not a function")
        payload = await invoke(exchange, platform, arn, event, timeout_seconds=timeout_seconds)
        try:
            return answer_v2(payload) if is_v2 else answer_v1(payload)
        except MalformedAnswer as error:
            raise Refusal(500, f"The function's answer cannot be used: {error}") from None

    return integrate


def _with_responses(integration: api.Integration, integrate: Integrate) -> Integrate:
    """Measure an integration, and apply its response mappings."""
    changes: dict[int, Sequence[Change]] = {
        int(status): compile_response_changes(mappings)
        for status, mappings in (integration.response_parameters or {}).items()
    }

    async def mapped(exchange: Exchange) -> Response:
        started = monotonic()
        try:
            response = await integrate(exchange)
        except Refusal as refusal:
            exchange.integration_error = refusal.detail
            raise
        finally:
            exchange.integration_latency_ms = int((monotonic() - started) * 1000)
        return changed_response(exchange, response, changes.get(response.status, ()))

    return mapped
