"""HTTP tasks (`http:invoke`): requests to other servers, with what an EventBridge connection adds to them.

Source: developer guide, "Call HTTPS APIs in Step Functions workflows".
"""

import asyncio
import base64
import importlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import msgspec

from forebay.api import events as events_api
from forebay.operations.platform import Platform
from forebay.operations.secret_box import SecretBox
from forebay.services.stepfunctions.integrations.outcome import Done, Failed, Outcome, Task
from forebay.services.stepfunctions.integrations.sdk import unusable
from forebay.services.stepfunctions.payload import as_object
from forebay.store.records import Kind, record_key

if TYPE_CHECKING:
    import aiohttp

_RUNTIME = "States.Runtime"
_SECONDS_MAX = 60.0
_ANSWER_BYTES_MAX = 262_144
_MEMBERS = frozenset({
    "ApiEndpoint", "Method", "Authentication", "InvocationConfig", "Headers", "QueryParameters", "RequestBody",
    "Transform",
})  # fmt: skip
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"})


class _Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What of EventBridge's record of a connection an HTTP task needs."""

    parameters: events_api.CreateConnectionAuthRequestParameters | None
    # All parameters with their secrets, encrypted.
    sealed: str | None = None


# EventBridge writes these records; that both services know them is AWS's design, where both read the same secret.
_CONNECTION = Kind("events.connection", _Connection)
_decode_parameters = msgspec.json.Decoder(events_api.CreateConnectionAuthRequestParameters).decode


class HttpRequest(msgspec.Struct, frozen=True):
    """A request to another server. `host` is the Host header where that is not the URL's."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    # Names of headers and of query parameters that a connection has added: secrets.
    secrets: tuple[str, ...] = ()


class HttpResponse(msgspec.Struct, frozen=True):
    """The answer, as far as it is read."""

    status: int
    reason: str
    headers: Mapping[str, list[str]]
    body: bytes


class HttpExchange(msgspec.Struct, frozen=True):
    """A request and its answer, if it had one."""

    request: HttpRequest
    response: HttpResponse | None = None


class NoAnswer(Exception):
    """A server did not answer; the text says why."""


class Unusable(Exception):
    """The arguments do not make a request; the text says why."""


class HttpTasks:
    """Sends requests for tasks; connections are opened when first needed."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        config = platform.config
        self._secrets = SecretBox(platform.store, platform.ids, config.secrets_key or config.data / "secrets.key")
        self._session: aiohttp.ClientSession | None = None

    async def call(self, task: Task) -> Outcome:
        """Send a task's request; its answer is the output, if its status says that it succeeded."""
        outcome, _ = await self.exchange(task)
        return outcome

    async def exchange(self, task: Task) -> tuple[Outcome, HttpExchange | None]:
        """Send a task's request; return also what was sent and answered."""
        try:
            request = await self.request_of(task)
        except Unusable as error:
            return Failed(_RUNTIME, str(error)), None
        try:
            answer = await self.send(request)
        except NoAnswer as error:
            return Failed("States.Http.Socket", str(error)), HttpExchange(request)
        exchange = HttpExchange(request, answer)
        if answer.status >= 300:
            text = answer.body.decode(errors="replace")
            return Failed(f"States.Http.StatusCode.{answer.status}", text), exchange
        return Done(answer_text(answer)), exchange

    async def request_of(self, task: Task) -> HttpRequest:
        """Return the request that a task's arguments describe.

        Raises:
            Unusable: they do not.
        """
        arguments = msgspec.json.decode(task.arguments)
        given = cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
        faults = [f'The field "{name}" is not supported by Step Functions' for name in given if name not in _MEMBERS]
        faults += [
            f"The field '{name}' is required but was missing" for name in ("ApiEndpoint", "Method") if name not in given
        ]
        if faults or str(given["Method"]) not in _METHODS:
            raise Unusable(unusable(task.arguments, faults))
        added = await self._added(task, given)
        headers = {
            "User-Agent": "Amazon|StepFunctions|HttpInvoke|" + task.execution.name.region,
            "Range": "bytes=0-262144",
        }
        _put_headers(headers, _texts(given.get("Headers")))
        query = _pairs(given.get("QueryParameters"))
        body, content_type = _body(given, headers)
        if content_type is not None:
            _put_headers(headers, [("Content-Type", content_type)])
        _put_headers(headers, added.headers)
        query += added.query
        if added.body and body:
            document = msgspec.json.decode(body)
            body = msgspec.json.encode({**document, **dict(added.body)} if isinstance(document, dict) else document)
        url = str(given["ApiEndpoint"])
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote)
        names = tuple(name for name, _ in (*added.headers, *added.query))
        return HttpRequest(str(given["Method"]), url, headers, body, names)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the answer; redirects are not followed.

        Raises:
            NoAnswer: there is none in time.
        """
        if self._session is None:
            # Loading it takes a fifth of a second, which no other request waits for.
            await asyncio.to_thread(importlib.import_module, "aiohttp")
        import aiohttp  # noqa: PLC0415 - see above
        import yarl  # noqa: PLC0415 - comes with aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        try:
            async with (
                asyncio.timeout(_SECONDS_MAX),
                self._session.request(
                    request.method,
                    yarl.URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(_ANSWER_BYTES_MAX)
                names = dict.fromkeys(name.lower() for name in answer.headers)
                headers = {name: answer.headers.getall(name) for name in names}
                return HttpResponse(answer.status, answer.reason or "", headers, body)
        except TimeoutError:
            raise NoAnswer(f"No answer within {_SECONDS_MAX:g} seconds.") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise NoAnswer(f"The endpoint cannot be reached: {error}") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _added(self, task: Task, given: dict[str, Any]) -> "_Added":
        """Return what the task's connection adds, its authorization among it."""
        place = as_object(given.get("InvocationConfig") or given.get("Authentication"))
        arn = place.get("ConnectionArn")
        if not isinstance(arn, str):
            return _Added()
        name = arn.partition(":connection/")[2].partition("/")[0]
        key = record_key(task.execution.name.account, task.execution.name.region, name)
        connection = await self._platform.store.view(lambda view: view.records.find(_CONNECTION, key))
        if connection is None or connection.parameters is None:
            raise Unusable(f"The connection {arn} does not exist or is not authorized.")
        parameters = connection.parameters
        if connection.sealed is not None:
            parameters = _decode_parameters(await self._secrets.open(connection.sealed))
        more = parameters.invocation_http_parameters or events_api.ConnectionHttpParameters()
        token = None
        if parameters.o_auth_parameters is not None:
            token = await self._token(parameters.o_auth_parameters)
        return _Added(
            [*_keyed(more.header_parameters), *_authorization(parameters, token)],
            _keyed(more.query_string_parameters),
            _keyed(more.body_parameters),
        )

    async def _token(self, parameters: events_api.CreateConnectionOAuthRequestParameters) -> str:
        """Get a token by client credentials (RFC 6749, 4.4)."""
        more = parameters.o_auth_http_parameters or events_api.ConnectionHttpParameters()
        client = parameters.client_parameters
        form = {
            "grant_type": "client_credentials",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            **dict(_keyed(more.body_parameters)),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", **dict(_keyed(more.header_parameters))}
        url, body = parameters.authorization_endpoint, urlencode(form).encode()
        query = _keyed(more.query_string_parameters)
        if parameters.http_method == "GET":
            query, body = [*form.items(), *query], b""
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote)
        try:
            answer = await self.send(HttpRequest(parameters.http_method, url, headers, body))
            return msgspec.json.decode(answer.body, type=_Token).access_token
        except (NoAnswer, msgspec.MsgspecError) as error:
            raise Unusable(f"No token could be had for the connection: {error}") from None


class _Token(msgspec.Struct):
    access_token: str


class _Added(msgspec.Struct, frozen=True):
    headers: list[tuple[str, str]] = []
    query: list[tuple[str, str]] = []
    body: list[tuple[str, str]] = []


def answer_text(answer: HttpResponse) -> str:
    """Return an answer as a task's output."""
    text = answer.body.decode(errors="replace")
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
        body: object = msgspec.Raw(text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        body = text
    output = {
        "Headers": dict(sorted(answer.headers.items())),
        "ResponseBody": body,
        "StatusCode": answer.status,
        "StatusText": answer.reason or _reason(answer.status),
    }
    return msgspec.json.encode(output).decode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _body(given: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[bytes, str | None]:
    """Return the body, and its type where the headers do not give one."""
    if "RequestBody" not in given:
        return b"", None
    value = given["RequestBody"]
    kind = next((text for name, text in headers.items() if name.lower() == "content-type"), None)
    transform = as_object(given.get("Transform"))
    if transform.get("RequestBodyEncoding") == "URL_ENCODED" and isinstance(value, dict):
        options = as_object(transform.get("RequestEncodingOptions"))
        form = _encode_form(cast("dict[str, Any]", value), str(options.get("ArrayFormat", "INDICES")))
        return form.encode(), None if kind else "application/x-www-form-urlencoded"
    if isinstance(value, str) and kind is not None and not kind.startswith("application/json"):
        return value.encode(), None
    return msgspec.json.encode(value), None if kind else "application/json; charset=UTF-8"


def _encode_form(values: Mapping[str, Any], array_format: str) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if not isinstance(value, list):
            pairs.append((name, _text(value)))
            continue
        items = [_text(item) for item in cast("list[Any]", value)]
        match array_format:
            case "COMMAS":
                pairs.append((name, ",".join(items)))
            case "REPEAT":
                pairs += [(name, item) for item in items]
            case "BRACKETS":
                pairs += [(f"{name}[]", item) for item in items]
            case _:
                pairs += [(f"{name}[{index}]", item) for index, item in enumerate(items)]
    return urlencode(pairs, quote_via=quote)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _texts(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return []
    given = cast("dict[str, Any]", value)
    return [
        (name, ",".join(map(_text, cast("list[Any]", each))) if isinstance(each, list) else _text(each))
        for name, each in given.items()
    ]


def _pairs(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return []
    pairs: list[tuple[str, str]] = []
    for name, each in cast("dict[str, Any]", value).items():
        items = cast("list[Any]", each) if isinstance(each, list) else [each]
        pairs += [(name, _text(item)) for item in items]
    return pairs


def _keyed(parameters: Iterable[Any] | None) -> list[tuple[str, str]]:
    return [(each.key, each.value or "") for each in parameters or () if each.key]


def _authorization(
    parameters: events_api.CreateConnectionAuthRequestParameters, token: str | None
) -> list[tuple[str, str]]:
    basic, key = parameters.basic_auth_parameters, parameters.api_key_auth_parameters
    if basic is not None:
        word = base64.b64encode(f"{basic.username}:{basic.password}".encode()).decode()
        return [("Authorization", f"Basic {word}")]
    if key is not None:
        return [(key.api_key_name, key.api_key_value)]
    return [("Authorization", f"Bearer {token}")]


def _put_headers(headers: dict[str, str], added: Iterable[tuple[str, str]]) -> None:
    names = {name.lower(): name for name in headers}
    for name, value in added:
        headers.pop(names.get(name.lower(), name), None)
        headers[name] = value
