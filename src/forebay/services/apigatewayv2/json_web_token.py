"""JWT authorizers: a token's signature, its claims and scopes against what an authorizer and a route ask for.

See AWS's developer guide, "Control access to HTTP APIs with JWT authorizers" and "Troubleshooting issues with HTTP API
JWT authorizers". The signature is PyJWT's to verify; the claims are compared with the node's own clock.
"""

import asyncio
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from forebay.api import apigatewayv2 as api
from forebay.core.clock import Clock
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.http_proxy import HttpClient
from forebay.services.apigatewayv2.parameter_mapping import compile_value
from forebay.services.apigatewayv2.refusal import Refusal

if TYPE_CHECKING:
    import jwt

# "Currently, only RSA-based algorithms are supported."
_ALGORITHMS = ("RS256", "RS384", "RS512")

Claims = dict[str, Any]


class SigningKeys:
    """Public keys of issuers, as their discovery documents tell; each issuer's are kept for two hours."""

    def __init__(self, client: HttpClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._keys: dict[str, tuple[float, Mapping[str, jwt.PyJWK]]] = {}

    async def find(self, issuer: str, key_id: str) -> "jwt.PyJWK | None":
        """Return an issuer's key, asking the issuer where it is not known or known for long.

        Raises:
            Refusal: the issuer cannot be asked, or says nothing of use (503, as an integration that is out of reach).
        """
        now = self._clock.now()
        known = self._keys.get(issuer)
        age = limits.JWT_KEY_SECONDS if known is None else now - known[0]
        # A key that is not known may be new; but tokens that name any key must not make the node a burden.
        if known is None or age >= (limits.JWT_KEY_SECONDS if key_id in known[1] else limits.JWT_NEW_KEY_SECONDS):
            known = self._keys[issuer] = (now, await self._fetch(issuer))
        return known[1].get(key_id)

    async def _fetch(self, issuer: str) -> "Mapping[str, jwt.PyJWK]":
        configuration = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        keys = await self._get(str(configuration.get("jwks_uri")))
        import jwt  # noqa: PLC0415 - has been loaded by `JwtAuthorizer`

        try:
            found = jwt.PyJWKSet.from_dict(keys).keys
        except jwt.PyJWTError as error:
            raise Refusal(503, f"The keys of issuer {issuer} cannot be read: {error}") from None
        return {str(key.key_id): key for key in found}

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._client.send("GET", url, [], b"", limits.JWT_ISSUER_TIMEOUT_SECONDS)
        try:
            value: object = json.loads(answer.body)
        except (ValueError, RecursionError):
            value = None
        if answer.status != 200 or not isinstance(value, dict):
            raise Refusal(503, f"{url} answered {answer.status} without a JSON object")
        return cast("dict[str, Any]", value)


class JwtAuthorizer:
    """A JWT authorizer as a stage uses it for one route, which may ask for one of several scopes."""

    def __init__(self, keys: SigningKeys, clock: Clock, authorizer: api.Authorizer, scopes: Sequence[str]) -> None:
        configuration = authorizer.jwt_configuration or api.JWTConfiguration()
        self._keys = keys
        self._clock = clock
        self._source = compile_value((authorizer.identity_source or [""])[0])
        self._issuer = configuration.issuer or ""
        self._audience = frozenset(configuration.audience or ())
        self._scopes = scopes

    async def __call__(self, exchange: Exchange) -> None:
        """Let the request pass and note the token's claims and scopes.

        Raises:
            Refusal: no token or none that holds (401), or none of the route's scopes (403).
        """
        token = _bare(self._source(exchange))
        if token is None:
            raise Refusal(401, "No token", challenge="Bearer")
        claims = await self._verified(token)
        self._check(claims)
        scopes = scopes_of(claims)
        if self._scopes and not set(self._scopes) & set(scopes):
            asked = " ".join(self._scopes)
            raise Refusal(403, "No scope of the route", challenge=f'Bearer scope="{asked}" error="insufficient_scope"')
        exchange.authorizer_kind = "jwt"
        exchange.authorizer = {
            "claims": {name: claim_text(value) for name, value in claims.items()},
            "scopes": list(scopes) if self._scopes else None,
        }

    async def _verified(self, token: str) -> Claims:
        # Loading it costs a tenth of a second, which only nodes with such authorizers spend.
        await asyncio.to_thread(importlib.import_module, "jwt")
        import jwt  # noqa: PLC0415 - see above

        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _invalid("the token is malformed") from None
        if header.get("alg") not in _ALGORITHMS:
            raise _invalid("signing method is invalid")
        key = await self._keys.find(self._issuer, str(header.get("kid")))
        if key is None:
            raise _invalid("the token has an unknown key")
        try:
            # Which algorithm may be used is ours to say; the claims are checked below.
            return jwt.decode(token, key, algorithms=list(_ALGORITHMS), options=_SIGNATURE_ONLY)
        except jwt.PyJWTError:
            raise _invalid("signature is invalid") from None

    def _check(self, claims: Claims) -> None:
        if claims.get("iss") != self._issuer:
            raise _invalid("the token does not have a valid issuer")
        audience = claims["aud"] if "aud" in claims else claims.get("client_id")
        given = cast("list[object]", audience) if isinstance(audience, list) else [audience]
        if not any(item in self._audience for item in given if isinstance(item, str)):
            raise _invalid("the token does not have a valid audience")
        now = self._clock.now()
        if not _is_time(claims.get("exp")) or claims["exp"] <= now:
            raise _invalid("the token has expired")
        for name in ("nbf", "iat"):
            if name in claims and (not _is_time(claims[name]) or claims[name] > now):
                raise _invalid("the token is not valid yet")


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **dict.fromkeys(
        ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"), False
    ),
}


def scopes_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a token's scopes: of its claim `scope` or else `scp`, a text with blanks or a list."""
    value = claims.get("scope", claims.get("scp"))
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(map(str, cast("list[object]", value))) if isinstance(value, list) else ()


def claim_text(value: object) -> str:
    """Return a claim as functions see it: a text, whatever it was; lists in brackets, separated by blanks."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(claim_text, cast('list[object]', value)))}]"
    return json.dumps(value, separators=(",", ":"))


def _bare(value: str | None) -> str | None:
    """Return a token without the word `Bearer` in front of it."""
    if not value:
        return None
    scheme, blank, rest = value.partition(" ")
    return (rest.strip() if blank and scheme.lower() == "bearer" else value.strip()) or None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invalid(why: str) -> Refusal:
    return Refusal(401, why, challenge=f'Bearer scope="" error="invalid_token" error_description="{why}"')
