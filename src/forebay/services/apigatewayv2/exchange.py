"""One request on its way through an API: what was asked, where it led, and what becomes of it.

It is what parameter mappings, events for functions and access logs take their values from, so each part of the
request is read at most once, and only if something asks for it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from forebay.core.http import Request, Response
from forebay.languages.json_path import MISSING
from forebay.services.apigatewayv2 import limits
from forebay.services.apigatewayv2.parameter_mapping import text_of
from forebay.services.apigatewayv2.refusal import Refusal

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNREAD: Any = object()


class Place(msgspec.Struct, frozen=True):
    """Where a request came in: the API and its stage, and the names by which it was reached."""

    account: str
    region: str
    api_id: str
    stage: str
    variables: Mapping[str, str]
    domain_name: str


class Exchange:
    """One request and what becomes of it. A `Source` of parameter mappings.

    `path` is the decoded path without stage or mapping key; `raw_path` is with them, as functions see it.
    """

    def __init__(
        self,
        request: Request,
        place: Place,
        *,
        path: str,
        raw_path: str,
        request_id: str,
        at: float,
    ) -> None:
        self.request = request
        self.place = place
        self._path = path
        self.raw_path = raw_path
        self.request_id = request_id
        self.at = at
        self.route_key = ""
        self.resource = ""
        self.path_parameters: Mapping[str, str] = {}
        # What an authorizer found out about the caller, in the form of the event's `authorizer`.
        self.authorizer: Mapping[str, Any] | None = None
        self.authorizer_kind = ""
        self.error: Refusal | None = None
        self.integration_error = ""
        self.integration_status = ""
        self.integration_latency_ms = 0
        self.answer: Response | None = None
        self._query: dict[str, list[str]] | None = None
        self._document = _UNREAD
        self._answer_document = _UNREAD

    # --- the request ---

    @property
    def query_values(self) -> dict[str, list[str]]:
        """The query's parameters, decoded, each with all its values."""
        if self._query is None:
            self._query = parse_query(self.request.query)
        return self._query

    def header(self, name: str) -> str | None:
        """Return a request header by its lower-case name."""
        return self.request.headers.get(name)

    def query(self, name: str) -> str | None:
        """Return a query parameter; several values are joined with commas."""
        values = self.query_values.get(name)
        return None if values is None else ",".join(values)

    def path(self) -> str:
        """Return the request's path without the stage."""
        return self._path

    def path_parameter(self, name: str) -> str | None:
        """Return a path parameter."""
        return self.path_parameters.get(name)

    def body(self) -> str | None:
        """Return the body as text; None where it is empty.

        Raises:
            Refusal: it is not text.
        """
        if not self.request.body:
            return None
        try:
            return self.request.body.decode()
        except UnicodeDecodeError:
            raise Refusal(400, "The request body is not UTF-8") from None

    def document(self) -> Any:
        """Return the body as JSON, or `MISSING` where it is none."""
        if self._document is _UNREAD:
            self._document = _parse(self.request.body)
        return self._document

    def stage_variable(self, name: str) -> str | None:
        """Return a stage variable."""
        return self.place.variables.get(name)

    def context(self, name: str) -> str | None:
        """Return a context variable."""
        if name.startswith("authorizer."):
            return self._of_authorizer(name.removeprefix("authorizer."))
        return self._known(name) if name in _CONTEXT else None

    # --- the integration's answer ---

    def response_header(self, name: str) -> str | None:
        """Return a header of the integration's answer by its lower-case name."""
        if self.answer is None:
            return None
        values = [value for key, value in self.answer.headers if key.lower() == name]
        return ",".join(values) if values else None

    def response_body(self) -> str | None:
        """Return the integration's answer as text."""
        return None if self.answer is None else self.answer.body.decode("utf-8", "replace")

    def response_document(self) -> Any:
        """Return the integration's answer as JSON, or `MISSING` where it is none."""
        if self._answer_document is _UNREAD:
            self._answer_document = MISSING if self.answer is None else _parse(self.answer.body)
        return self._answer_document

    @property
    def protocol(self) -> str:
        """The version of HTTP; the server speaks one."""
        return "HTTP/1.1"

    @property
    def time(self) -> str:
        """When the request came, in the common log format."""
        moment = datetime.fromtimestamp(self.at, UTC)
        return f"{moment.day:02}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"

    def _of_authorizer(self, name: str) -> str | None:
        known: Any = self.authorizer or {}
        if self.authorizer_kind == "jwt" and name.startswith("claims."):
            known, name = known["claims"], name.removeprefix("claims.")
        return text_of(known.get(name, MISSING))

    def _known(self, name: str) -> str | None:
        value = _CONTEXT[name](self)
        return None if value is None or value == "" else str(value)


def parse_query(query: str) -> dict[str, list[str]]:
    """Return a query string's parameters with all their values."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return values


def _parse(body: bytes) -> Any:
    # AWS cuts the body off at this size before it selects; what is left is no JSON.
    if not body or len(body) > limits.SELECTED_BODY_BYTES_MAX:
        return MISSING
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return MISSING


# Context variables (developer guide, "Customize HTTP API access logs").
_CONTEXT: Mapping[str, Callable[[Exchange], object]] = {
    "accountId": lambda x: x.place.account,
    "apiId": lambda x: x.place.api_id,
    "domainName": lambda x: x.place.domain_name,
    "domainPrefix": lambda x: x.place.domain_name.partition(".")[0],
    "error.message": lambda x: x.error and x.error.text,
    "error.messageString": lambda x: x.error and f'"{x.error.text}"',
    "error.responseType": lambda x: x.error and x.error.text.upper().replace(" ", "_"),
    "extendedRequestId": lambda x: x.request_id,
    "httpMethod": lambda x: x.request.method,
    "identity.sourceIp": lambda x: x.request.peer,
    "identity.userAgent": lambda x: x.request.headers.get("user-agent"),
    "integration.error": lambda x: x.integration_error,
    "integration.latency": lambda x: x.integration_latency_ms,
    "integration.status": lambda x: x.answer and x.answer.status,
    "integration.integrationStatus": lambda x: x.integration_status,
    "integrationErrorMessage": lambda x: x.integration_error,
    "integrationLatency": lambda x: x.integration_latency_ms,
    "integrationStatus": lambda x: x.integration_status,
    "path": lambda x: x.raw_path,
    "protocol": lambda x: x.protocol,
    "requestId": lambda x: x.request_id,
    "requestTime": lambda x: x.time,
    "requestTimeEpoch": lambda x: int(x.at * 1000),
    "routeKey": lambda x: x.route_key,
    "stage": lambda x: x.place.stage,
}
