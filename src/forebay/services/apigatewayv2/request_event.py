"""The events that functions get for requests, in the payload formats 1.0 and 2.0. Pure.

See AWS's developer guide, "Create AWS Lambda proxy integrations for HTTP APIs", and "Control access to HTTP APIs with
AWS Lambda authorizers" for those of authorizers.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from forebay.services.apigatewayv2.exchange import Exchange, parse_query
from forebay.services.apigatewayv2.outgoing import Outgoing

Event = dict[str, Any]

_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})
# API Gateway writes these itself, spelled like this, in format 1.0.
_OWN_NAMES = {
    "content-length": "Content-Length",
    "host": "Host",
    "user-agent": "User-Agent",
    "x-amzn-trace-id": "X-Amzn-Trace-Id",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-port": "X-Forwarded-Port",
    "x-forwarded-proto": "X-Forwarded-Proto",
}


def event_v2(exchange: Exchange, sent: Outgoing, trace_id: str) -> Event:
    """Return the event of format 2.0; what is absent is left out."""
    request = exchange.request
    event: Event = {
        "version": "2.0",
        "routeKey": exchange.route_key,
        "rawPath": exchange.raw_path if sent.path is None else sent.path,
        "rawQueryString": sent.query,
    }
    headers = _headers(exchange, sent, trace_id)
    cookie = headers.pop("cookie", None)
    if cookie is not None:
        event["cookies"] = [part.strip() for part in cookie.split(";") if part.strip()]
    event["headers"] = headers
    if sent.query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in parse_query(sent.query).items()}
    event["requestContext"] = _context_v2(exchange)
    if exchange.path_parameters:
        event["pathParameters"] = dict(exchange.path_parameters)
    if exchange.place.variables:
        event["stageVariables"] = dict(exchange.place.variables)
    text, is_base64 = body_text(request.body, request.headers)
    if text is not None:
        event["body"] = text
    event["isBase64Encoded"] = is_base64
    return event


def event_v1(exchange: Exchange, sent: Outgoing, trace_id: str) -> Event:
    """Return the event of format 1.0; what is absent is null."""
    request = exchange.request
    headers = {_OWN_NAMES.get(name, name): value for name, value in _headers(exchange, sent, trace_id).items()}
    query = parse_query(sent.query)
    text, is_base64 = body_text(request.body, request.headers)
    path = exchange.raw_path if sent.path is None else sent.path
    return {
        "version": "1.0",
        "resource": exchange.resource,
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "requestContext": _context_v1(exchange, path),
        "pathParameters": dict(exchange.path_parameters) or None,
        "stageVariables": dict(exchange.place.variables) or None,
        "body": text,
        "isBase64Encoded": is_base64,
    }


def authorizer_event_v2(exchange: Exchange, sent: Outgoing, trace_id: str, identity: Sequence[str]) -> Event:
    """Return what an authorizer of format 2.0 is asked."""
    event = event_v2(exchange, sent, trace_id)
    del event["isBase64Encoded"]
    event.pop("body", None)
    return {**event, "type": "REQUEST", "routeArn": route_arn(exchange), "identitySource": list(identity) or None}


def authorizer_event_v1(exchange: Exchange, sent: Outgoing, trace_id: str, identity: Sequence[str]) -> Event:
    """Return what an authorizer of format 1.0 is asked."""
    event = event_v1(exchange, sent, trace_id)
    for absent in ("body", "isBase64Encoded", "multiValueHeaders", "multiValueQueryStringParameters"):
        del event[absent]
    token = ",".join(identity)
    return {
        **event,
        "type": "REQUEST",
        "methodArn": route_arn(exchange),
        "identitySource": token,
        "authorizationToken": token,
    }


def route_arn(exchange: Exchange) -> str:
    """Return the ARN of the request's method and path, as policies name it."""
    place, path = exchange.place, exchange.path().lstrip("/")
    resource = f"{place.api_id}/{place.stage}/{exchange.request.method}/{path}"
    return f"arn:aws:execute-api:{place.region}:{place.account}:{resource}"


def body_text(body: bytes, headers: Mapping[str, str]) -> tuple[str | None, bool]:
    """Return a body as events hold it, and whether that is base64; only types that are text stay text."""
    if not body:
        return None, False
    if is_text(headers):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def is_text(headers: Mapping[str, str]) -> bool:
    """Return whether a body's type is one that HTTP APIs take for text; forms are not."""
    if headers.get("content-encoding", "identity") != "identity":
        return False
    media_type = headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml"))


def forwarded(exchange: Exchange) -> dict[str, str]:
    """Return the headers that say where a request came from."""
    request = exchange.request
    scheme = "https" if request.secure else "http"
    _, _, port = request.host.rpartition(":")
    earlier = request.headers.get("x-forwarded-for")
    return {
        "x-forwarded-for": f"{earlier}, {request.peer}" if earlier else request.peer,
        "x-forwarded-port": port if port.isdecimal() else "443" if request.secure else "80",
        "x-forwarded-proto": scheme,
    }


def _headers(exchange: Exchange, sent: Outgoing, trace_id: str) -> dict[str, str]:
    headers = {**sent.headers, **forwarded(exchange), "x-amzn-trace-id": trace_id}
    headers.setdefault("content-length", str(len(exchange.request.body)))
    # The body has been read: however it was framed, this is its length.
    headers.pop("transfer-encoding", None)
    return headers


def _context_v2(exchange: Exchange) -> Event:
    place, request = exchange.place, exchange.request
    context: Event = {
        "accountId": place.account,
        "apiId": place.api_id,
        "domainName": place.domain_name,
        "domainPrefix": place.domain_name.partition(".")[0],
        "http": {
            "method": request.method,
            "path": exchange.raw_path,
            "protocol": exchange.protocol,
            "sourceIp": request.peer,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": exchange.request_id,
        "routeKey": exchange.route_key,
        "stage": place.stage,
        "time": exchange.time,
        "timeEpoch": int(exchange.at * 1000),
    }
    if exchange.authorizer is not None:
        context["authorizer"] = {exchange.authorizer_kind: dict(exchange.authorizer)}
    return context


def _context_v1(exchange: Exchange, path: str) -> Event:
    place, request = exchange.place, exchange.request
    iam: Mapping[str, Any] = {}
    if exchange.authorizer_kind == "iam" and exchange.authorizer is not None:
        iam = exchange.authorizer
    custom = exchange.authorizer if exchange.authorizer_kind in ("lambda", "jwt") else None
    return {
        "accountId": place.account,
        "apiId": place.api_id,
        "authorizer": {"claims": None, "scopes": None} if custom is None else dict(custom),
        "domainName": place.domain_name,
        "domainPrefix": place.domain_name.partition(".")[0],
        "extendedRequestId": exchange.request_id,
        "httpMethod": request.method,
        "identity": {
            "accessKey": iam.get("accessKey"),
            "accountId": iam.get("accountId"),
            "caller": iam.get("callerId"),
            "cognitoAmr": None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": request.peer,
            "user": iam.get("userId"),
            "userAgent": request.headers.get("user-agent", ""),
            "userArn": iam.get("userArn"),
        },
        "path": path,
        "protocol": exchange.protocol,
        "requestId": exchange.request_id,
        "requestTime": exchange.time,
        "requestTimeEpoch": int(exchange.at * 1000),
        "resourceId": exchange.route_key,
        "resourcePath": exchange.resource,
        "stage": place.stage,
    }
