"""Who may use a route: answers of Lambda authorizers, read and kept for a while."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from forebay.api import apigatewayv2 as api
from forebay.core.clock import Clock
from forebay.operations.platform import Platform
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.functions import invoke, resolve_variables, trace_id
from forebay.services.apigatewayv2.integration import function_arn
from forebay.services.apigatewayv2.outgoing import outgoing
from forebay.services.apigatewayv2.parameter_mapping import compile_value
from forebay.services.apigatewayv2.refusal import Refusal
from forebay.services.apigatewayv2.request_event import authorizer_event_v1, authorizer_event_v2, route_arn

_INVOKE = "execute-api:Invoke"
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")

CacheKey = tuple[str, str, str, tuple[str, ...]]


class Statement(msgspec.Struct, frozen=True):
    """One statement of a policy, as far as it decides on invoking."""

    is_allow: bool
    resources: tuple[re.Pattern[str], ...]


class Verdict(msgspec.Struct, frozen=True):
    """What an authorizer said: yes or no, or a policy to ask for each route; and what it knows of the caller."""

    is_authorized: bool | None
    statements: tuple[Statement, ...] = ()
    context: Mapping[str, Any] = {}

    def allows(self, arn: str) -> bool:
        """Return whether a route may be used; a Deny wins over every Allow."""
        if self.is_authorized is not None:
            return self.is_authorized
        hits = [item.is_allow for item in self.statements if any(rule.fullmatch(arn) for rule in item.resources)]
        return bool(hits) and all(hits)


class AuthorizerCache:
    """Verdicts by what identified the caller, each until its time is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._verdicts: OrderedDict[CacheKey, tuple[float, Verdict]] = OrderedDict()

    def find(self, key: CacheKey) -> Verdict | None:
        """Return a verdict that still holds."""
        found = self._verdicts.get(key)
        if found is None or found[0] <= self._clock.now():
            return None
        return found[1]

    def put(self, key: CacheKey, verdict: Verdict, seconds: float) -> None:
        """Keep a verdict; the oldest goes when there are too many."""
        self._verdicts[key] = (self._clock.now() + seconds, verdict)
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > limits.AUTHORIZER_CACHE_ENTRIES_MAX:
            self._verdicts.popitem(last=False)

    def reset(self, api_id: str, stage: str) -> None:
        """Forget all verdicts of a stage."""
        for key in [key for key in self._verdicts if key[:2] == (api_id, stage)]:
            del self._verdicts[key]


class LambdaAuthorizer:
    """A REQUEST authorizer as a stage uses it."""

    def __init__(self, platform: Platform, cache: AuthorizerCache, authorizer: api.Authorizer) -> None:
        self._platform = platform
        self._cache = cache
        self._authorizer = authorizer
        self._sources = [compile_value(source) for source in authorizer.identity_source or ()]
        self._ttl_seconds = authorizer.authorizer_result_ttl_in_seconds or 0

    async def __call__(self, exchange: Exchange) -> None:
        """Let the request pass and note what is known of the caller.

        Raises:
            Refusal: an identity source is missing (401), it may not pass (403), or the function failed (500).
        """
        given = [source(exchange) for source in self._sources]
        identity = tuple(value for value in given if value)
        if len(identity) < len(given):
            raise Refusal(401, "An identity source is missing")
        place = exchange.place
        key = (place.api_id, place.stage, self._authorizer.authorizer_id or "", identity)
        verdict = self._cache.find(key) if self._ttl_seconds else None
        if verdict is None:
            verdict = await self._ask(exchange, identity)
            if self._ttl_seconds:
                self._cache.put(key, verdict, self._ttl_seconds)
        exchange.authorizer, exchange.authorizer_kind = verdict.context, "lambda"
        if not verdict.allows(route_arn(exchange)):
            raise Refusal(403, "The authorizer denied access")

    async def _ask(self, exchange: Exchange, identity: Sequence[str]) -> Verdict:
        is_v1 = self._authorizer.authorizer_payload_format_version == "1.0"
        make = authorizer_event_v1 if is_v1 else authorizer_event_v2
        event = make(exchange, outgoing(exchange, ()), trace_id(exchange, self._platform.ids), identity)
        uri = resolve_variables(self._authorizer.authorizer_uri or "", exchange.stage_variable)
        try:
            payload = await invoke(
                exchange,
                self._platform,
                function_arn(uri) or uri,
                event,
                timeout_seconds=limits.AUTHORIZER_TIMEOUT_SECONDS,
            )
        except Refusal as refusal:
            raise Refusal(500, f"Authorizer: {refusal.detail}") from None
        return parse_verdict(payload, is_simple=bool(self._authorizer.enable_simple_responses))


async def check_signed(exchange: Exchange) -> None:
    """Let a request pass that names an access key; on a node that is open, every key is accepted.

    Raises:
        Refusal: it is not signed.
    """
    match = _CREDENTIAL.match(exchange.header("authorization") or "")
    if match is None:
        raise Refusal(403, "The request is not signed")
    account = exchange.place.account
    exchange.authorizer_kind = "iam"
    exchange.authorizer = {
        "accessKey": match[1],
        "accountId": account,
        "callerId": match[1],
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{account}:root",
        "userId": match[1],
    }


def parse_verdict(payload: bytes, *, is_simple: bool) -> Verdict:
    """Read what an authorizer returned.

    Raises:
        Refusal: it is not of the form that it must have (500).
    """
    try:
        value: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _malformed()
    answer = cast("dict[str, Any]", value)
    context: Any = answer.get("context") or {}
    if not isinstance(context, dict):
        raise _malformed()
    if is_simple:
        is_authorized = answer.get("isAuthorized")
        if not isinstance(is_authorized, bool):
            raise _malformed()
        return Verdict(is_authorized, context=cast("dict[str, Any]", context))
    principal, policy = answer.get("principalId"), answer.get("policyDocument")
    if not isinstance(principal, str) or not isinstance(policy, dict):
        raise _malformed()
    statements: Any = cast("dict[str, Any]", policy).get("Statement")
    items = cast("list[Any]", statements if isinstance(statements, list) else [statements])
    return Verdict(
        None,
        tuple(statement for item in items if (statement := _statement(item)) is not None),
        {**cast("dict[str, Any]", context), "principalId": principal},
    )


def _statement(raw: object) -> Statement | None:
    if not isinstance(raw, dict):
        raise _malformed()
    item = cast("dict[str, Any]", raw)
    effect = item.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise _malformed()
    if not any(_pattern(action).fullmatch(_INVOKE) for action in _texts(item.get("Action"))):
        return None
    return Statement(effect == "Allow", tuple(map(_pattern, _texts(item.get("Resource")))))


def _texts(value: object) -> list[str]:
    items = cast("list[Any]", value if isinstance(value, list) else [value])
    if not all(isinstance(item, str) for item in items):
        raise _malformed()
    return items


def _pattern(text: str) -> re.Pattern[str]:
    # Runs of stars say no more than one, and would make the match slow.
    parts = [
        ".*" if part[0] == "*" else "." if part == "?" else re.escape(part)
        for part in re.findall(r"\*+|\?|[^*?]+", text)
    ]
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


def _malformed() -> Refusal:
    return Refusal(500, "The authorizer's answer is malformed")
