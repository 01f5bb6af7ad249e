"""APIs as targets: a delivery becomes a request to a route of one, like any other that comes in.

The target's ARN is that of a route, `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>`; the
delivery's parameter `HttpParameters` fills the asterisks of the path and adds headers and a query (EventBridge user
guide, "Amazon API Gateway as a target"). Requests are not signed: a route that wants IAM refuses them.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from forebay.core.arn import Arn
from forebay.core.http import Request
from forebay.delivery.contract import Deferred, Delivered, Delivery, Outcome, Rejected, Retry
from forebay.operations.service import Address
from forebay.services.apigatewayv2.ingress import HttpApiIngress
from forebay.services.apigatewayv2.live_apis import LiveApis

_NO_RESOURCE = "NO_RESOURCE"
_FAILURE = "SDK_CLIENT_ERROR"
_RETRIED = frozenset({409, 429})
_NO_STAGE = frozenset({"$default", "*"})


class HttpParameters(msgspec.Struct, frozen=True, rename="pascal"):
    """What a target adds to the request."""

    path_parameter_values: list[str] | None = None
    header_parameters: dict[str, str] | None = None
    query_string_parameters: dict[str, str] | None = None


_decode = msgspec.json.Decoder(HttpParameters).decode


class ApiTarget:
    """Sends deliveries to routes of APIs. A `Target`."""

    def __init__(self, apis: LiveApis, ingress: HttpApiIngress) -> None:
        self._apis = apis
        self._ingress = ingress

    async def accept(self, delivery: Delivery) -> Deferred | Rejected:
        """Say that a delivery goes to the outbox first, where there is such an API."""
        api_id = Arn.parse(delivery.target).resource.partition("/")[0]
        if self._apis.find(api_id) is None:
            return Rejected(_NO_RESOURCE, f"API {api_id} does not exist.")
        return Deferred()

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Send the request. Failures of the server are tried again, refusals are not."""
        api_id, stage, method, path = _parts(Arn.parse(delivery.target).resource)
        given = _decode(delivery.parameters.get("HttpParameters", "{}"))
        for value in given.path_parameter_values or ():
            path = path.replace("*", quote(value, safe=""), 1)
        path = path if stage in _NO_STAGE else f"/{stage}{path}"
        query = urlencode(given.query_string_parameters or {}, quote_via=quote)
        region = Arn.parse(delivery.target).region
        host = f"{api_id}.execute-api.{region}.amazonaws.com"
        body = b"" if method in {"GET", "HEAD"} else delivery.payload.encode()
        request = Request(method, path, query, _headers(delivery, given), body, host, "127.0.0.1", secure=True)
        answer = await self._ingress.handle(request, Address("execute-api", api_id, path))
        if 200 <= answer.status < 300:
            return Delivered(answer.body)
        text = f"The API answered {answer.status}."
        if answer.status >= 500 or answer.status in _RETRIED:
            return Retry(_FAILURE, text, detail=answer.body)
        return Rejected(_FAILURE, text, answer.body)


def _parts(resource: str) -> tuple[str, str, str, str]:
    """Return API, stage, method and path of a route's ARN; without a method it is POST, without a path the root."""
    api_id, stage, method, path = [*resource.split("/", 3), "", "", ""][:4]
    return api_id, stage or "$default", "POST" if method in {"", "*"} else method, f"/{path}"


def _headers(delivery: Delivery, given: HttpParameters) -> Mapping[str, str]:
    headers = {"content-type": "application/json", "user-agent": "Amazon/EventBridge"}
    if delivery.trace_header is not None:
        headers["x-amzn-trace-id"] = delivery.trace_header
    return headers | {name.lower(): value for name, value in (given.header_parameters or {}).items()}
