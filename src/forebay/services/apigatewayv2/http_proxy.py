"""HTTP integrations: the request goes on to another HTTP server, its answer comes back.

What concerns one connection only (hop-by-hop headers, RFC 9110 7.6.1) is not passed on in either direction;
redirects, cookies and compressed bodies are the client's to deal with.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from forebay.api import apigatewayv2 as api
from forebay.core.http import Request, Response
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.exchange import Exchange
from forebay.services.apigatewayv2.functions import resolve_variables
from forebay.services.apigatewayv2.outgoing import Outgoing, outgoing
from forebay.services.apigatewayv2.parameter_mapping import compile_request_changes
from forebay.services.apigatewayv2.refusal import Refusal

if TYPE_CHECKING:
    import aiohttp

_CONNECT_SECONDS_MAX = 10.0
_CONNECTIONS_MAX = 256
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What the client of the other server, and our own server, write themselves.
_NOT_SENT = _HOP_BY_HOP | {"content-length", "expect", "host"}
_NOT_RETURNED = _HOP_BY_HOP | {"content-length", "date"}


class HttpClient:
    """Connections to other servers, shared by all integrations and opened when first needed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, timeout_seconds: float
    ) -> Response:
        """Send a request and return the answer.

        Raises:
            Refusal: there is no answer in time, none at all, or one that is too large.
        """
        # Loading it takes a fifth of a second, which only nodes with such integrations spend, and no other request
        # waits for.
        if self._session is None:
            await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415 - see above
        import yarl  # noqa: PLC0415 - comes with aiohttp

        session = self._open()
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                session.request(
                    method, yarl.URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False
                ) as answer,
            ):
                return Response(answer.status, _returned(answer.headers.items()), await _read(answer))
        except TimeoutError:
            raise Refusal(503, f"{url} did not answer within {timeout_seconds:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise Refusal(503, f"Cannot reach {url}: {error}") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - see send

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                # The integration's own timeout rules; connecting alone must not use all of it.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                trust_env=False,
            )
        return self._session


def http_integration(client: HttpClient, integration: api.Integration) -> Callable[[Exchange], Awaitable[Response]]:
    """Return what answers requests to an HTTP integration."""
    changes = compile_request_changes(integration.request_parameters or {})
    method = integration.integration_method or "ANY"
    timeout_seconds = (integration.timeout_in_millis or limits.TIMEOUT_MS_MAX) / 1000

    async def integrate(exchange: Exchange) -> Response:
        sent = outgoing(exchange, changes)
        url = _url(resolve_variables(integration.integration_uri or "", exchange.stage_variable), exchange, sent)
        used = exchange.request.method if method == "ANY" else method
        headers = _sent(exchange.request, sent)
        response = await client.send(used, url, headers, exchange.request.body, timeout_seconds)
        exchange.integration_status = str(response.status)
        return response

    return integrate


def _url(uri: str, exchange: Exchange, sent: Outgoing) -> str:
    for name, value in exchange.path_parameters.items():
        filled = quote(value, safe="/:@!$&'()*+,;=~-._")
        uri = uri.replace("{" + name + "}", filled).replace("{" + name + "+}", filled)
    parts = urlsplit(uri)
    path = parts.path if sent.path is None else quote(sent.path, safe="/:@!$&'()*+,;=~-._%")
    query = "&".join(part for part in (parts.query, sent.query) if part)
    path = path if path.startswith("/") else "/" + path
    return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{query}" if query else "")


def _sent(request: Request, sent: Outgoing) -> list[tuple[str, str]]:
    named = {part.strip().lower() for part in sent.headers.get("connection", "").split(",")}
    headers = [(name, value) for name, value in sent.headers.items() if name not in _NOT_SENT and name not in named]
    scheme = "https" if request.secure else "http"
    hop = f"for={_node(request.peer)};host={request.host};proto={scheme}"
    earlier = sent.headers.get("forwarded")
    headers = [item for item in headers if item[0] not in ("forwarded", "via")]
    via = sent.headers.get("via")
    headers.append(("forwarded", f"{earlier}, {hop}" if earlier else hop))
    headers.append(("via", f"{via}, HTTP/1.1 AmazonAPIGateway" if via else "HTTP/1.1 AmazonAPIGateway"))
    return headers


def _node(peer: str) -> str:
    """Return an address as RFC 7239 writes it."""
    return f'"[{peer}]"' if ":" in peer else peer


def _returned(headers: Any) -> tuple[tuple[str, str], ...]:
    items: list[tuple[str, str]] = [(name.lower(), value) for name, value in headers]
    named = {part.strip().lower() for name, value in items if name == "connection" for part in value.split(",")}
    return tuple(item for item in items if item[0] not in _NOT_RETURNED and item[0] not in named)


async def _read(answer: "aiohttp.ClientResponse") -> bytes:
    """Read the body; it is not read further than an API may return."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_chunked(64 * 1024):
        size += len(chunk)
        if size > limits.PAYLOAD_BYTES_MAX:
            raise Refusal(500, "The integration's answer is larger than 10 MB")
        chunks.append(chunk)
    return b"".join(chunks)
