"""Calling Lambda functions for requests: integrations and authorizers."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from forebay.api import lambda_ as lambda_api
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.refusal import Refusal

# How failures to invoke are told to the client; all others are our error.
_STATUSES = {413: 413, 429: 503}


def caller_of(exchange: Exchange, platform: Platform, role: str | None) -> Caller:
    """Return who an API is when it calls other services: its account, in its region, as its role."""
    place, request = exchange.place, exchange.request
    principal = role or f"arn:aws:iam::{place.account}:role/apigateway.amazonaws.com"
    return Caller(
        place.account,
        place.region,
        "",
        principal,
        exchange.request_id,
        platform.endpoint(),
        request.peer,
        request.headers.get("x-amzn-trace-id"),
        request.headers.get("user-agent", ""),
    )


def trace_id(exchange: Exchange, ids: Ids) -> str:
    """Return the request's trace header, or a new one."""
    return exchange.header("x-amzn-trace-id") or f"Root=1-{int(exchange.at):08x}-{ids.hex(24)}"


async def invoke(
    exchange: Exchange, platform: Platform, arn: str, event: dict[str, Any], *, timeout_seconds: float
) -> bytes:
    """Invoke a function with an event and return what it returned.

    Raises:
        Refusal: it could not be invoked, failed, or took too long.
    """
    request = lambda_api.InvocationRequest(
        function_name=arn, invocation_type="RequestResponse", payload=msgspec.json.encode(event)
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await platform.table.run(caller_of(exchange, platform, None), "lambda", "Invoke", request)
    except TimeoutError:
        raise Refusal(503, f"The function did not answer within {timeout_seconds:g} s") from None
    except ServiceError as error:
        exchange.integration_status = str(error.status)
        raise Refusal(_STATUSES.get(error.status, 500), f"{error.code}: {error.message}") from None
    assert isinstance(answer, lambda_api.InvocationResponse)
    exchange.integration_status = str(answer.status_code or 200)
    payload = answer.payload or b"null"
    if answer.function_error:
        # The error's own text is for the function's log; here only its kind.
        raise Refusal(500, f"The function ended with an error ({answer.function_error}). See its log.")
    return payload


def resolve_variables(text: str, variables: Callable[[str], str | None]) -> str:
    """Return an ARN or URL with its `${stageVariables.name}` filled in; an unknown one is empty."""
    parts = text.split("${stageVariables.")
    filled = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        filled.append((variables(name) or "") + rest if brace else part)
    return "".join(filled)
