"""What an API destination is sent for an event: URL, headers and body, and what its answer means.

Source: user guide, "API destinations as targets in Amazon EventBridge".
"""

import base64
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode

import msgspec

from forebay.api import events as api
from forebay.delivery.contract import Delivered, Outcome, Rejected, Retry
from forebay.services.events.api_destination import ApiDestination
from forebay.services.events.connection import Connection
from forebay.services.events.event import read_document

# "Retries events associated with error codes 401, 407, 409, 429, and 5xx."
_RETRIED = frozenset({401, 407, 409, 429})
# "OAUTH tokens are refreshed when a 401 or 407 response is returned" (CreateConnection).
UNAUTHORIZED = frozenset({401, 407})
FAILURE = "SDK_CLIENT_ERROR"
_UNABLE = "Unable to invoke ApiDestination endpoint"
# "Headers EventBridge removes from requests to API destinations", among them those that it sets itself.
_REMOVED = frozenset({
    "a-im", "accept-charset", "accept-datetime", "accept-encoding", "cache-control", "connection", "content-encoding",
    "content-length", "content-md5", "date", "expect", "forwarded", "from", "host", "http2-settings", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "max-forwards", "origin", "pragma",
    "proxy-authorization", "range", "referer", "te", "trailer", "transfer-encoding", "user-agent", "upgrade", "via",
    "warning",
})  # fmt: skip
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class HttpRequest(msgspec.Struct, frozen=True):
    """A request to another server."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class HttpAnswer(msgspec.Struct, frozen=True):
    """The answer, as far as it is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def invocation(
    destination: ApiDestination, connection: Connection, given: api.HttpParameters, payload: str, token: str | None
) -> HttpRequest:
    """Return the request for a payload; what the connection adds takes precedence over what the target adds."""
    assert connection.parameters is not None, "a connection without secrets is not used"
    added = connection.parameters.invocation_http_parameters or api.ConnectionHttpParameters()
    headers = {
        "User-Agent": "Amazon/EventBridge/ApiDestinations",
        "Content-Type": "application/json; charset=utf-8",
        "Range": "bytes=0-1048575",
    }
    _put_headers(headers, _allowed((given.header_parameters or {}).items()))
    _put_headers(headers, _allowed(pairs(added.header_parameters)))
    _put_headers(headers, _authorization(connection.parameters, token))
    query = {**(given.query_string_parameters or {}), **dict(pairs(added.query_string_parameters))}
    url = with_query(_filled(destination.endpoint, given.path_parameter_values or ()), query)
    body = b"" if destination.method in _WITHOUT_BODY else _body(payload, dict(pairs(added.body_parameters)))
    return HttpRequest(destination.method, url, headers, body)


def token_request(parameters: api.CreateConnectionOAuthRequestParameters) -> HttpRequest:
    """Return the request for a token by client credentials (RFC 6749, 4.4)."""
    added = parameters.o_auth_http_parameters or api.ConnectionHttpParameters()
    client = parameters.client_parameters
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        **dict(pairs(added.body_parameters)),
    }
    headers = {"User-Agent": "Amazon/EventBridge/ApiDestinations", "Content-Type": "application/x-www-form-urlencoded"}
    _put_headers(headers, pairs(added.header_parameters))
    query = dict(pairs(added.query_string_parameters))
    if parameters.http_method == "GET":
        return HttpRequest("GET", with_query(parameters.authorization_endpoint, {**form, **query}), headers, b"")
    url = with_query(parameters.authorization_endpoint, query)
    return HttpRequest(parameters.http_method, url, headers, urlencode(form).encode())


def outcome_of(answer: HttpAnswer, now: float) -> Outcome:
    """Return what an answer means for a delivery."""
    if 200 <= answer.status < 300:
        return Delivered(answer.body)
    text = f"{_UNABLE}: Request failed with status {answer.status}"
    if answer.status in _RETRIED or answer.status >= 500:
        return Retry(FAILURE, text, _retry_after(answer.headers, now), answer.body)
    return Rejected(FAILURE, text, answer.body)


def unreachable(reason: str) -> Retry:
    """Return the outcome of a request that had no answer."""
    return Retry(FAILURE, f"{_UNABLE}: {reason}")


def pairs(
    parameters: Iterable[
        api.ConnectionHeaderParameter | api.ConnectionQueryStringParameter | api.ConnectionBodyParameter
    ]
    | None,
) -> list[tuple[str, str]]:
    """Return parameters of a connection as names and values."""
    return [(each.key, each.value or "") for each in parameters or () if each.key]


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return a URL with more parameters in its query."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"


def _filled(endpoint: str, values: Iterable[str]) -> str:
    """Put values in the place of the asterisks of an endpoint's path, in order."""
    for value in values:
        endpoint = endpoint.replace("*", quote(value, safe=""), 1)
    return endpoint


def _allowed(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _REMOVED]


def _put_headers(headers: dict[str, str], added: Iterable[tuple[str, str]]) -> None:
    names = {name.lower(): name for name in headers}
    for name, value in added:
        headers.pop(names.get(name.lower(), name), None)
        headers[name] = value


def _authorization(parameters: api.CreateConnectionAuthRequestParameters, token: str | None) -> list[tuple[str, str]]:
    basic, key = parameters.basic_auth_parameters, parameters.api_key_auth_parameters
    if basic is not None:
        word = base64.b64encode(f"{basic.username}:{basic.password}".encode()).decode()
        return [("Authorization", f"Basic {word}")]
    if key is not None:
        return [(key.api_key_name, key.api_key_value)]
    return [("Authorization", f"Bearer {token}")]


def _body(payload: str, added: Mapping[str, str]) -> bytes:
    document = read_document(payload) if added else None
    return payload.encode() if document is None else msgspec.json.encode({**document, **added})


def _retry_after(headers: Mapping[str, str], now: float) -> float:
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return 0.0
