"""Plain HTTP to functions: function URLs, and the links under which code is fetched."""

from urllib.parse import parse_qsl

import msgspec

from forebay.core.http import Request, Response
from forebay.operations.platform import Platform
from forebay.operations.service import Address
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import address_of
from forebay.services.lambda_.code import CodeStore
from forebay.services.lambda_.code_links import CODE_RESOURCE, CodeLinks
from forebay.services.lambda_.function_url import FUNCTION_URL, URL_ID, FunctionUrl
from forebay.services.lambda_.runner import Broken, Missing, Order, Ran, Runner, Throttled
from forebay.services.lambda_.url_event import BAD_GATEWAY, preflight, url_event, url_response, with_cors


class FunctionIngress:
    """Answers requests to function URLs. An `Ingress`."""

    def __init__(self, platform: Platform, runner: Runner, code: CodeStore, links: CodeLinks) -> None:
        self._platform = platform
        self._runner = runner
        self._code = code
        self._links = links

    async def handle(self, request: Request, address: Address) -> Response:
        """Run the function behind a URL and return its answer."""
        if address.resource_id == CODE_RESOURCE:
            return await self._send_code(request, address.path)
        store = self._platform.store
        key = await store.find(URL_ID, address.resource_id)
        url = None if key is None else await store.find(FUNCTION_URL, key)
        if url is None:
            return _message(403, "Forbidden")
        origin = request.headers.get("origin")
        if request.method == "OPTIONS" and url.cors is not None and "access-control-request-method" in request.headers:
            return preflight(url.cors, request.headers)
        if url.auth_type == "AWS_IAM" and not _is_signed(request):
            return with_cors(_message(403, "Forbidden"), url.cors, origin)
        if len(request.body) > limits.SYNC_PAYLOAD_BYTES_MAX:
            return with_cors(_message(413, "Request Too Long"), url.cors, origin)
        return with_cors(await self._run(request, address.path, url), url.cors, origin)

    async def _run(self, request: Request, path: str, url: FunctionUrl) -> Response:
        function = address_of(url.arn)
        assert function is not None, "URLs are made with the ARN of a function"
        request_id = self._platform.ids.uuid()
        event = url_event(request, path, url_id=url.url_id, request_id=request_id, now=self._platform.clock.now())
        trace_header = request.headers.get("x-amzn-trace-id", "")
        order = Order(
            address=function, payload=msgspec.json.encode(event), request_id=request_id, trace_header=trace_header
        )
        match await self._runner.run(order):
            case Ran(result):
                answer = url_response(result.payload, result.content_type, streams=url.invoke_mode == "RESPONSE_STREAM")
                return BAD_GATEWAY if result.function_error else answer
            case Throttled():
                return _message(429, "Rate Exceeded.")
            case Missing():
                return _message(404, "Not Found")
            case Broken(message):
                return _message(502, message)

    async def _send_code(self, request: Request, path: str) -> Response:
        """Send an archive to whoever holds a link to it that is not over."""
        sha256, query = path.strip("/"), dict(parse_qsl(request.query))
        now = self._platform.clock.now()
        if not self._links.is_valid(sha256, query.get("Expires", ""), query.get("Signature", ""), now):
            return _message(403, "The link is not valid, or its time is over.")
        try:
            archive = await self._code.archive(sha256)
        except KeyError:
            return _message(404, "The code is not there any more.")
        return Response(200, (("Content-Type", "application/zip"),), archive)


def _is_signed(request: Request) -> bool:
    """Tell whether a request bears a signature; on a node without credentials any is as good as another."""
    return request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256") or (
        "X-Amz-Signature=" in request.query
    )


def _message(status: int, text: str) -> Response:
    return Response(status, (("Content-Type", "application/json"),), msgspec.json.encode({"Message": text}))
