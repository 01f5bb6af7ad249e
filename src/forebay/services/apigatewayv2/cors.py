"""Cross-origin requests: the rules of a CORS configuration, and the headers that follow from it.

Where an API has a configuration, it answers preflight requests itself and its headers take the place of the
integration's (developer guide, "Configure CORS for HTTP APIs").
"""

from collections.abc import Mapping

from forebay.api import apigatewayv2 as api
from forebay.core.http import Response
from forebay.services.apigatewayv2.errors import bad_request

Headers = tuple[tuple[str, str], ...]

_MAX_AGE_SECONDS_MAX = 86_400
_ANY_OF_SCHEME = ("http://*", "https://*")


def check_cors(cors: api.Cors | None) -> None:
    """Check a configuration that was given.

    Raises:
        BadRequestException: its parts do not go together.
    """
    if cors is None:
        return
    if cors.allow_credentials and "*" in (cors.allow_origins or ()):
        raise bad_request("Invalid CORS configuration: allowCredentials cannot be true if allowOrigins is set to *")
    if cors.max_age is not None and not -1 <= cors.max_age <= _MAX_AGE_SECONDS_MAX:
        raise bad_request("Invalid CORS configuration: maxAge must be between -1 and 86400")
    for origin in cors.allow_origins or ():
        if origin != "*" and not origin.startswith(("http://", "https://")) and "://" not in origin:
            raise bad_request(f"Invalid CORS configuration: {origin} is not a valid origin")


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks what it may do."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(cors: api.Cors, headers: Mapping[str, str]) -> Response:
    """Return the answer to a preflight request; an origin that is not allowed gets no headers."""
    origin = _allowed(cors, headers.get("origin", ""))
    if origin is None:
        return Response(204)
    answer = [("access-control-allow-origin", origin)]
    if cors.allow_methods:
        answer.append(("access-control-allow-methods", ",".join(cors.allow_methods)))
    if cors.allow_headers:
        answer.append(("access-control-allow-headers", ",".join(cors.allow_headers)))
    if cors.max_age is not None:
        answer.append(("access-control-max-age", str(cors.max_age)))
    return Response(204, (*answer, *_shared(cors)))


def cors_headers(cors: api.Cors, headers: Mapping[str, str]) -> Headers:
    """Return the headers that the answer to a request gets."""
    origin = _allowed(cors, headers["origin"]) if "origin" in headers else None
    return () if origin is None else (("access-control-allow-origin", origin), *_shared(cors))


def without_cors(headers: Headers) -> Headers:
    """Return an integration's headers without those that the configuration decides."""
    return tuple(item for item in headers if not item[0].lower().startswith("access-control-"))


def _shared(cors: api.Cors) -> Headers:
    shared: list[tuple[str, str]] = []
    if cors.allow_credentials:
        shared.append(("access-control-allow-credentials", "true"))
    if cors.expose_headers:
        shared.append(("access-control-expose-headers", ",".join(cors.expose_headers)))
    return tuple(shared)


def _allowed(cors: api.Cors, origin: str) -> str | None:
    """Return the origin as the answer names it, or None where it is not allowed."""
    origins = cors.allow_origins or ()
    if "*" in origins:
        return "*"
    for allowed in origins:
        if allowed in _ANY_OF_SCHEME and origin.startswith(allowed[:-1]):
            return origin
        if allowed.lower() == origin.lower():
            return origin
    return None
