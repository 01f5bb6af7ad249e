"""Requests to APIs: find the stage and the route, ask the authorizer, run the integration, answer, log."""

import base64
from urllib.parse import unquote

import structlog

from forebay.core.clock import monotonic
from forebay.core.http import Request, Response, header_texts
from forebay.operations.platform import Platform
from forebay.operations.service import Address
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.access_log import AccessLog
from forebay.services.apigatewayv2.cors import cors_headers, is_preflight, preflight, without_cors
from forebay.services.apigatewayv2.exchange import Exchange, Place
from forebay.services.apigatewayv2.live_apis import CUSTOM_DOMAIN, LiveApi, LiveApis
from forebay.services.apigatewayv2.refusal import Refusal
from forebay.services.apigatewayv2.route_key import DEFAULT
from forebay.services.apigatewayv2.served_stage import ServedStage

log = structlog.get_logger()


class HttpApiIngress:
    """Answers requests to HTTP APIs, by host name or by path."""

    def __init__(self, platform: Platform, apis: LiveApis, access_log: AccessLog) -> None:
        self._clock = platform.clock
        self._ids = platform.ids
        self._apis = apis
        self._access_log = access_log

    async def handle(self, request: Request, address: Address) -> Response:
        """Answer a request."""
        started = monotonic()
        found = await self._find(request, address)
        if found is None:
            return Refusal(404).response()
        exchange, stage = found
        try:
            response = await self._answer(exchange, stage)
        except Refusal as refusal:
            exchange.error = refusal
            response = refusal.response()
        except Exception:
            log.exception("ingress.failed", api=exchange.place.api_id, request_id=exchange.request_id)
            exchange.error = Refusal(500)
            response = exchange.error.response()
        response = self._finished(exchange, stage, response)
        if stage.log_format is not None:
            latency_ms = int((monotonic() - started) * 1000)
            self._access_log.add(stage.log_format.line(exchange, response, latency_ms))
        return response

    async def _answer(self, exchange: Exchange, stage: ServedStage) -> Response:
        request = exchange.request
        if stage.cors is not None and is_preflight(request.method, request.headers):
            return preflight(stage.cors, request.headers)
        match = stage.router.find(request.method, exchange.path())
        if match is None:
            raise Refusal(404, "No route matches")
        route = match.route
        exchange.route_key = route.key.text
        exchange.resource = route.key.path or exchange.path()
        exchange.path_parameters = match.parameters
        if route.bucket is not None and not route.bucket.take(exchange.at):
            raise Refusal(429, "The route's limit is exceeded")
        if len(request.body) > limits.PAYLOAD_BYTES_MAX:
            raise Refusal(413, "The request's body is larger than 10 MB")
        if route.authorize is not None:
            await route.authorize(exchange)
        if route.integrate is None:
            raise Refusal(404, "The route has no target")
        return await route.integrate(exchange)

    def _finished(self, exchange: Exchange, stage: ServedStage, response: Response) -> Response:
        headers = response.headers
        if stage.cors is not None and not is_preflight(exchange.request.method, exchange.request.headers):
            headers = (*without_cors(headers), *cors_headers(stage.cors, exchange.request.headers))
        # Mappings, functions and CORS settings write what they like into headers.
        headers = header_texts((*headers, ("apigw-requestid", exchange.request_id)))
        return Response(response.status, headers, response.body)

    async def _find(self, request: Request, address: Address) -> tuple[Exchange, ServedStage] | None:
        path = unquote(address.path) if "%" in address.path else address.path
        if address.label == CUSTOM_DOMAIN:
            mapping = self._apis.find_mapping(address.resource_id, path)
            live = None if mapping is None else self._apis.find(mapping.api_id)
            if mapping is None or live is None:
                return None
            stage = await self._apis.stage(live, mapping.stage)
            key = mapping.api_mapping_key
            rest = path[len(key) + 1 :] or "/" if key else path
            return None if stage is None else (self._exchange(request, live, stage, rest, path), stage)
        live = self._apis.find(address.resource_id)
        if live is None or live.record.disable_execute_api_endpoint:
            return None
        first = path[1:].partition("/")[0]
        if first in live.stages and first != DEFAULT:
            stage = await self._apis.stage(live, first)
            rest = path[len(first) + 1 :] or "/"
        else:
            stage = await self._apis.stage(live, DEFAULT)
            rest = path
        return None if stage is None else (self._exchange(request, live, stage, rest, path), stage)

    def _exchange(self, request: Request, live: LiveApi, stage: ServedStage, path: str, raw_path: str) -> Exchange:
        domain = request.host.rsplit(":", 1)[0]
        if request.path.startswith("/_aws/") and not domain.startswith(f"{live.api_id}."):
            # Reached by path: the name that it would have on AWS.
            domain = f"{live.api_id}.execute-api.{live.region}.amazonaws.com"
        place = Place(live.account, live.region, live.api_id, stage.name, stage.variables, domain)
        return Exchange(
            request,
            place,
            path=path,
            raw_path=raw_path,
            request_id=self._request_id(),
            at=self._clock.now(),
        )

    def _request_id(self) -> str:
        """Return an id as HTTP APIs give them: sixteen characters, the last of which pads."""
        return base64.urlsafe_b64encode(bytes.fromhex(self._ids.uuid().replace("-", "")[:22])).decode()
