"""The API's front: who may ask, and which part answers a path and method."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

import forebay
from forebay.core.errors import Unavailable
from forebay.core.http import Answer, Request, Response
from forebay.operations.credentials import CREDENTIAL, load_credentials
from forebay.operations.platform import Platform
from forebay.operations.service import Address
from forebay.scaling.cluster.kinds import DEFINITIONS, OLD_AUTOSCALERS, PODS, Object, Resource
from forebay.scaling.cluster.objects import Objects, name_of, uid_of
from forebay.scaling.cluster.status import StatusError, no_such_path
from forebay.services.kubernetes import discovery, openapi
from forebay.services.kubernetes.answers import JSON, answer, refusal
from forebay.services.kubernetes.ask import Ask, parse_ask
from forebay.services.kubernetes.definitions import custom_definitions
from forebay.services.kubernetes.reads import Reader
from forebay.services.kubernetes.scales import Scales
from forebay.services.kubernetes.writes import Writes

log = structlog.get_logger()

Subresource = Callable[[Ask], Awaitable[Answer]]
Virtual = Callable[[str], list[Object]]

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


class ApiServer:
    """Answers requests to Kubernetes' API. An `Ingress`."""

    def __init__(
        self,
        platform: Platform,
        objects: Objects,
        subresources: Mapping[str, Subresource],
        virtual: Mapping[str, Virtual],
    ) -> None:
        self._platform = platform
        self._subresources = subresources
        self._virtual: Mapping[str, Virtual] = {DEFINITIONS.id: lambda _: custom_definitions(), **virtual}
        self._reader = Reader(objects, platform.clock, self._find_virtual)
        self._writes = Writes(objects, platform.clock, platform.ids)
        self._scales = Scales(objects, platform.clock)
        config = platform.config
        self._credentials = load_credentials(config.credentials) if config.credentials else None

    def drain(self) -> None:
        """End all watches: the node is about to stop."""
        self._reader.drain()

    async def handle(self, request: Request, address: Address) -> Answer:
        """Answer a request; every failure is a `Status`."""
        del address
        try:
            await self._check_caller(request)
            return self._fixed(request) or await self._answer(parse_ask(request))
        except StatusError as error:
            return refusal(error)
        except Unavailable as error:
            return refusal(StatusError(503, "ServiceUnavailable", str(error)))
        except Exception:
            log.exception("kubernetes.request_failed", method=request.method, path=request.path)
            text = "an error on the server has prevented the request from succeeding"
            return refusal(StatusError(500, "InternalError", f"Internal error occurred: {text}"))

    async def _check_caller(self, request: Request) -> None:
        """Refuse web pages of other origins, and where keys are set, who has none of them."""
        if self._credentials is None:
            _check_origin(request)
            return
        if request.path.rstrip("/") in {"/healthz", "/readyz", "/livez"}:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        access_key, _, secret = token.strip().partition(":")
        known = self._credentials.get(access_key) or await self._platform.store.find(CREDENTIAL, access_key)
        if scheme != "Bearer" or known is None or not hmac.compare_digest(known.secret_key.encode(), secret.encode()):
            raise StatusError(401, "Unauthorized", "Unauthorized")

    def _fixed(self, request: Request) -> Response | None:  # noqa: C901, PLR0911 - one case a path
        """Answer what is about the API itself."""
        path, accept = request.path.rstrip("/"), request.headers.get("accept", "")
        match path.split("/")[1:]:
            case ["healthz" | "readyz" | "livez", *_]:
                return Response(200, _TEXT, b"ok")
            case ["version"]:
                return answer(discovery.version(forebay.__version__))
            case ["api" | "apis" as root] if discovery.wants_aggregated(accept):
                found, content_type = discovery.aggregated(core=root == "api")
                made = answer(found)
                return made._replace(headers=(("Content-Type", content_type), *made.headers[1:]))
            case ["api"]:
                return answer(discovery.api_versions(request.host))
            case ["api", "v1"]:
                return answer(discovery.resource_list("", "v1"))
            case ["apis"]:
                return answer(discovery.group_list())
            case ["apis", group] if group in discovery.groups():
                return answer(discovery.api_group(group))
            case ["apis", group, version] if version in discovery.versions_of(group):
                return answer(discovery.resource_list(group, version))
            case ["openapi", *rest]:
                return _openapi(rest, accept)
            case _:
                return None

    async def _answer(self, ask: Ask) -> Answer:  # noqa: C901, PLR0911 - one case a verb
        if ask.subresource == "scale":
            return await self._scale(ask)
        if ask.subresource in self._subresources:
            return await self._subresources[ask.subresource](ask)
        method = ask.request.method
        if ask.resource is OLD_AUTOSCALERS and method in {"PUT", "PATCH"}:
            raise StatusError(405, "MethodNotAllowed", "autoscaling/v1 is for reading and creating: use autoscaling/v2")
        if ask.resource.read_only and method not in {"GET", "HEAD"}:
            raise _not_allowed()
        match method, bool(ask.name):
            case (("GET" | "HEAD"), _) if ask.is_watch:
                return self._reader.watch(ask)
            case (("GET" | "HEAD"), True):
                return self._reader.get(ask)
            case (("GET" | "HEAD"), False):
                return self._reader.list_page(ask)
            case "POST", False:
                written = await self._writes.create(ask)
                return self._reader.shown(ask, written.thing, 201, written.warnings)
            case "PUT", True:
                written = await self._writes.update(ask)
                return self._reader.shown(ask, written.thing, 200, written.warnings)
            case "PATCH", True:
                written = await self._writes.patch(ask)
                return self._reader.shown(ask, written.thing, 201 if written.is_new else 200, written.warnings)
            case "DELETE", _:
                return await self._delete(ask)
            case _:
                raise _not_allowed()

    async def _scale(self, ask: Ask) -> Answer:
        if ask.request.method == "GET":
            return answer(self._scales.get(ask))
        if ask.request.method in {"PUT", "PATCH"}:
            return answer(await self._scales.put(ask))
        raise _not_allowed()

    async def _delete(self, ask: Ask) -> Answer:
        if not ask.name:
            things = self._reader.selected(ask)
            listed = self._reader.list_page(ask)
            await self._writes.delete_all(ask, things)
            return listed
        thing, is_gone = await self._writes.delete(ask)
        if not is_gone or ask.resource is PODS:
            return self._reader.shown(ask, thing)
        details: dict[str, Any] = {"name": name_of(thing), "kind": ask.resource.plural, "uid": uid_of(thing)}
        if ask.resource.group:
            details["group"] = ask.resource.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return answer(status)

    def _find_virtual(self, resource: Resource, namespace: str) -> list[Object] | None:
        if not resource.read_only:
            return None
        return self._virtual[resource.id](namespace)


def _openapi(rest: list[str], accept: str) -> Response:
    headers = (JSON, ("Cache-Control", "no-cache, private"))
    if rest == ["v2"]:
        if "protobuf" in accept and "json" not in accept and "*/*" not in accept:
            raise StatusError(406, "NotAcceptable", "only the following media types are accepted: application/json")
        return Response(200, headers, openapi.old_document())
    if rest == ["v3"]:
        return answer(openapi.index())
    match rest:
        case ["v3", "api", version]:
            document = openapi.document("", version)
        case ["v3", "apis", group, version]:
            document = openapi.document(group, version)
        case _:
            document = b""
    if not document:
        raise no_such_path()
    return Response(200, headers, document)


def _check_origin(request: Request) -> None:
    """Refuse what a browser sends for a page of another origin: pods run commands on this machine."""
    origin = request.headers.get("origin")
    is_foreign = origin is not None and origin.partition("://")[2] != request.host
    name = request.host if request.host.endswith("]") else request.host.rpartition(":")[0] or request.host
    is_rebound = name.lower() not in _LOCAL_NAMES and not name.lower().endswith(".localhost")
    if is_foreign or is_rebound or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise StatusError(403, "Forbidden", "this is refused to web pages of another origin")


def _not_allowed() -> StatusError:
    text = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", text)
