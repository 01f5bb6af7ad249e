"""From a request to its answer: route, authenticate, decode, run the operation, encode.

The one place where the wire meets the operation table. Every failure leaves here as an answer in the words of the
request's protocol.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import structlog

from forebay.core.clock import monotonic
from forebay.core.errors import ServiceError, Unavailable
from forebay.core.http import Answer, Request, Response
from forebay.core.ids import Ids
from forebay.core.shapes import Operation, ServiceModel
from forebay.operations.call import Caller
from forebay.operations.metrics import Metrics, OperationMetrics
from forebay.operations.service import Address
from forebay.operations.table import OperationTable
from forebay.wire.authentication import Authenticator, Identity
from forebay.wire.codecs import codec_for
from forebay.wire.codecs.contract import Codec
from forebay.wire.rest_table import RestTable
from forebay.wire.routing import (
    CLUSTER_LABEL,
    CLUSTER_PATHS,
    QUEUE_PATH,
    SIGNING_SERVICES,
    TARGETED,
    Route,
    Scope,
    find_route,
    ingress_address,
    is_cluster_path,
    path_style,
)
from forebay.wire.signature import find_scope

log = structlog.get_logger()

Special = Callable[[Request], Awaitable[Answer]]
FindIngress = Callable[[Address], Awaitable[Special | None]]


# Actions of SQS that no queue's URL takes (recorded by users of the Query protocol; AWS documents no list).
_OF_ACCOUNT = frozenset({"CreateQueue", "ListQueues"})

# What the links in SNS's messages ask for; "requires an AWS signature only when AuthenticateOnUnsubscribe is true" (API
# reference, ConfirmSubscription and Unsubscribe).
_MAY_BE_UNSIGNED = frozenset({("sns", "ConfirmSubscription"), ("sns", "Unsubscribe")})

# Services that take no request without a signature, whosever, even where any key is good: clients know them so.
_MUST_BE_SIGNED = frozenset({"dynamodb", "dynamodbstreams"})


class Plan(NamedTuple):
    """What a request turned out to ask for."""

    model: ServiceModel
    operation: Operation
    labels: Mapping[str, str]
    codec: Codec
    metrics: OperationMetrics


class Application:
    """Answers every request of a node.

    `specials` answer paths by their first segment (`/_forebay`, `/metrics`) that are no AWS API. `public_url` is the
    base of URLs handed out; without it the request's own host serves. `hosts` are host names that lead to an ingress.
    """

    def __init__(  # noqa: PLR0913 - the meeting point of the wire's parts, built once
        self,
        table: OperationTable,
        authenticator: Authenticator,
        metrics: Metrics,
        ids: Ids,
        *,
        default_region: str,
        public_url: str | None,
        specials: Mapping[str, Special],
        find_ingress: FindIngress,
        hosts: Mapping[str, str],
    ) -> None:
        self._table = table
        self._authenticator = authenticator
        self._metrics = metrics
        self._ids = ids
        self._default_region = default_region
        self._public_url = public_url
        self._specials = specials
        self._find_ingress = find_ingress
        self._hosts = hosts
        self._rest_tables: dict[str, RestTable] = {}
        # Plans by `X-Amz-Target`: what the JSON protocols ask for is all in that header.
        self._targets: dict[str, Plan] = {}

    def handle(self, request: Request) -> Awaitable[Answer]:
        """Return the answer to come of one request; it raises nothing but cancellation."""
        address = ingress_address(request, self._hosts)
        if address is not None:
            return self._enter(request, address)
        if request.path.startswith(("/_", "/metrics")):
            special = self._specials.get(request.path.split("/", 2)[1])
            if special is not None:
                return special(request)
        if request.path.startswith(CLUSTER_PATHS) and is_cluster_path(request):
            return self._enter(request, Address(CLUSTER_LABEL, "", request.path))
        return self._answer(request)

    async def _enter(self, request: Request, address: Address) -> Answer:
        ingress = await self._find_ingress(address)
        return await (self._answer(request) if ingress is None else ingress(request))

    async def _answer(self, request: Request) -> Response:
        request_id = self._ids.uuid()
        started = monotonic()
        scope = find_scope(request)
        plan = self._targets.get(request.headers.get("x-amz-target", ""))
        if plan is None:
            try:
                plan = await self._plan(request, scope)
            except Exception as error:  # noqa: BLE001 - the dispatcher's catch; what is no ServiceError is logged
                return await self._refuse(request, scope, _as_answer(error, "", request_id), request_id)
        code = ""
        try:
            identity = self._authenticator.identify_open(scope) or await self._authenticator.identify(
                request,
                may_be_unsigned=(plan.model.name, plan.operation.name) in _MAY_BE_UNSIGNED,
                must_be_signed=plan.model.name in _MUST_BE_SIGNED,
            )
            caller = self._caller(request, identity, request_id)
            shape = plan.codec.decode(plan.operation, request, plan.labels)
            output = await self._table.run_encoded(caller, plan.model.name, plan.operation.name, shape)
            return plan.codec.encode(plan.operation, output, request_id)
        except Exception as failure:  # noqa: BLE001 - the dispatcher's catch; what is no ServiceError is logged
            error = _as_answer(failure, plan.operation.name, request_id)
            code = error.code
            return plan.codec.encode_error(plan.operation, error, request_id)
        finally:
            plan.metrics.add(code, monotonic() - started)

    async def _plan(self, request: Request, scope: Scope) -> Plan:
        route = find_route(request, scope)
        if route.operation is None:
            return await self._plan_rest(request, route)
        # A service that is not known by its target is named by its signature, at least.
        service = route.services[0] if route.services else self._foreign(scope)
        if service is None or service not in self._table.names:
            raise _unknown_operation(service, route.operation)
        model = await self._table.load(service)
        operation = model.operations.get(route.operation)
        if operation is None or not _is_valid_at(request, model, route):
            raise _unknown_action(model, route)
        plan = self._planned(model, operation, {}, _answered_as(route.protocol, request))
        if route.protocol == "json":
            # One entry an operation of the models at most, so this is bounded.
            self._targets[request.headers["x-amz-target"]] = plan
        return plan

    def _foreign(self, scope: Scope) -> str | None:
        known = (scope.service in self._table.names) or scope.service in SIGNING_SERVICES
        return None if known else scope.service or None

    def _planned(self, model: ServiceModel, operation: Operation, labels: Mapping[str, str], protocol: str) -> Plan:
        counters = self._metrics.of(model.name, operation.name)
        return Plan(model, operation, labels, codec_for(model, protocol), counters)

    async def _plan_rest(self, request: Request, route: Route) -> Plan:
        for service in route.services:
            if service not in self._table.names:
                continue
            model = await self._table.load(service)
            rest = self._rest_tables.get(service)
            if rest is None:
                rest = self._rest_tables[service] = RestTable(model)
            match = rest.find(path_style(request) if service == "s3" else request)
            if match is not None:
                return self._planned(model, match.operation, match.labels, model.protocols[0])
        if route.services and not any(service in self._table.names for service in route.services):
            raise ServiceError.of("NotImplemented", f"Service {route.services[0]} is not part of Forebay.", 501)
        raise ServiceError.of("UnknownOperationException", "No operation has this method and path.", 404)

    async def _refuse(self, request: Request, scope: Scope, error: ServiceError, request_id: str) -> Response:
        """Answer where not even the operation is known, in the form the request's client reads."""
        self._metrics.of("", "").add(error.code, 0.0)
        protocol = _likely_protocol(request, scope)
        model = None
        # What has failed to load is not tried again for the answer's sake.
        if protocol in {"query", "json"} and error.status < 500:
            service = next((name for name in find_route(request, scope).services if name in self._table.names), None)
            # The XML of errors is in the service's namespace, and so may be the names of errors in JSON.
            model = None if service is None else await self._table.load(service)
        return codec_for(model, _answered_as(protocol, request)).encode_error(None, error, request_id)

    def _caller(self, request: Request, identity: Identity, request_id: str) -> Caller:
        scheme = "https" if request.secure else "http"
        return Caller(
            identity.account,
            identity.scope.region or self._default_region,
            identity.access_key,
            identity.principal,
            request_id,
            self._public_url or f"{scheme}://{request.host}",
            request.peer,
            request.headers.get("x-amzn-trace-id"),
            request.headers.get("user-agent", ""),
        )


def _as_answer(failure: Exception, operation: str, request_id: str) -> ServiceError:
    """Return the caller's answer to any failure; nothing of a bug but its being one."""
    if isinstance(failure, ServiceError):
        return failure
    if isinstance(failure, Unavailable):
        return ServiceError.of("ServiceUnavailable", "The service is unavailable. Please try again shortly.", 503)
    log.error("request.failed", operation=operation, request_id=request_id, exc_info=failure)
    return ServiceError.of("InternalFailure", "An internal error occurred.", 500)


def _answered_as(protocol: str, request: Request) -> str:
    """Return the protocol in which a request is answered: Query also knows JSON, for those who accept nothing else."""
    return "query-json" if protocol == "query" and request.headers.get("accept") == "application/json" else protocol


def _likely_protocol(request: Request, scope: Scope) -> str:
    """Return the protocol of a client that asks for what this node does not know."""
    if "x-amz-target" in request.headers or scope.service in TARGETED:
        return "json"
    if request.headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "smithy-rpc-v2-cbor"
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if is_form or "Action=" in request.query or scope.service == "sqs":
        return "query"
    # What is left is REST: XML is S3's, which needs no signature; every other service that has none is asked in JSON.
    return "rest-xml" if scope.service in ("", "s3") else "rest-json"


def _unknown_operation(service: str | None, operation: str) -> ServiceError:
    if service is None:
        return ServiceError.of("UnknownOperationException", f"The operation {operation} is not known.", 400)
    return ServiceError.of("NotImplemented", f"Service {service} is not part of Forebay.", 501)


def _is_valid_at(request: Request, model: ServiceModel, route: Route) -> bool:
    """Return whether an action may be asked for at the request's path: SQS knows none of an account's at a queue's."""
    is_of_account = route.protocol == "query" and model.name == "sqs" and route.operation in _OF_ACCOUNT
    return not (is_of_account and QUEUE_PATH.match(request.path))


def _unknown_action(model: ServiceModel, route: Route) -> ServiceError:
    if route.protocol == "query":
        where = "endpoint" if model.name == "sqs" else "web service"
        text = f"The action {route.operation} is not valid for this {where}."
        return ServiceError.of("InvalidAction", text, 400)
    return ServiceError.of("UnknownOperationException", f"{model.service_id} has no operation {route.operation}.", 400)
