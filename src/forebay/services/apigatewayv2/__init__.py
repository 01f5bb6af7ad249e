"""API Gateway: HTTP APIs (version 2 of its API).

Reading order: `http_api`, `route_key`, `integration`, `deployment` (what is kept, and the rules), `apis`, `routes`,
`integrations`, `authorizers`, `stages`, `deployments`, `domain_names`, `api_mappings`, `vpc_links`, `models`, `tags`
(operations), `openapi` and `imports` (definitions). The way of a request: `ingress`, `live_apis` and `served_stage`
(what a stage is compiled to), `router`, `exchange` (what is known of the request), `parameter_mapping` and `outgoing`,
then an integration: `functions` with `request_event` and `function_answer`, `service_call`, `http_proxy`. `cors`,
`throttle`, `authorization`, `json_web_token` and `access_log` stand beside it.

An API is reached by path, `/_aws/execute-api/<id>/...` (what its endpoint shows), and by host name,
`<id>.execute-api.<anything>`; through an API mapping also by its custom domain name in the Host header.

Left out, and answered with an error that says so: WebSocket APIs, VPC link integrations, routing
rules, mutual TLS, portals, exports. Kept and shown, but without effect: certificates of domain names, VPC links,
models, TLS settings of integrations, detailed metrics. Differs from AWS: automatic deployments that no stage serves
any more are deleted, a mapping on an unknown domain name creates it, a repeated header has one value in events of
format 1.0, and routes with AWS_IAM take any signature on an open node (on others they are refused).
"""

from forebay.api import apigatewayv2 as api
from forebay.operations.platform import Platform
from forebay.operations.service import Parts, Service
from forebay.services.apigatewayv2 import (
    api_mappings,
    apis,
    authorizers,
    deployments,
    domain_names,
    imports,
    integrations,
    models,
    routes,
    stages,
    tags,
    vpc_links,
)
from forebay.services.apigatewayv2.access_log import AccessLog
from forebay.services.apigatewayv2.authorization import AuthorizerCache
from forebay.services.apigatewayv2.http_proxy import HttpClient
from forebay.services.apigatewayv2.ingress import HttpApiIngress
from forebay.services.apigatewayv2.json_web_token import SigningKeys
from forebay.services.apigatewayv2.live_apis import LiveApis
from forebay.services.apigatewayv2.served_stage import Backends
from forebay.services.apigatewayv2.target import ApiTarget


async def _build(platform: Platform) -> Parts:
    client = HttpClient()
    cache = AuthorizerCache(platform.clock)
    live = LiveApis(platform, Backends(platform, client, cache, SigningKeys(client, platform.clock)))
    await live.load()
    access_log = AccessLog(platform)
    ingress = HttpApiIngress(platform, live, access_log)
    return Parts(
        target=ApiTarget(live, ingress),
        ingress=ingress,
        shared=[live, cache],
        close=[client.close, access_log.flush],
    )


SERVICE = Service(
    name="apigatewayv2",
    model=api.MODEL,
    operations=[
        apis,
        routes,
        integrations,
        authorizers,
        stages,
        deployments,
        domain_names,
        api_mappings,
        vpc_links,
        models,
        imports,
        tags,
    ],
    build=_build,
    labels=("execute-api",),
)
