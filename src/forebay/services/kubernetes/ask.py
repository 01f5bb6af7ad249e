"""A request to the API, taken apart: which kind, where, and with which options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import msgspec
import yaml

from forebay.core.http import Request
from forebay.scaling.cluster.kinds import BY_PATH, NAMESPACES, Object, Resource
from forebay.scaling.cluster.status import StatusError, bad_request, no_such_path
from forebay.services.kubernetes.protobuf import read_protobuf

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?P<watch>/watch)?(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?/?"
)
_NAMESPACE_PATH = re.compile(
    r"/api/v1(?P<watch>/watch)?/namespaces(?:/(?P<name>[^/]+)(?:/(?P<sub>status|finalize))?)?/?"
)
_YES = frozenset({"1", "t", "T", "TRUE", "true", "True"})


@dataclass(frozen=True)
class Ask:
    """What a request asks for."""

    request: Request
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    is_watch: bool

    @property
    def accept(self) -> str:
        """The form of answer that the client wants first."""
        return self.request.headers.get("accept", "")

    @property
    def wants_table(self) -> bool:
        """Whether the answer is to be a printed table."""
        return "as=Table" in self.accept

    @property
    def wants_metadata_only(self) -> bool:
        """Whether only metadata is wanted."""
        return "as=PartialObjectMetadata" in self.accept and not self.wants_table

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is to be kept."""
        return self.query.get("dryRun") == "All"

    def flag(self, name: str) -> bool:
        """Return a yes-or-no parameter."""
        return self.query.get(name, "") in _YES

    def number(self, name: str) -> int | None:
        """Return a parameter that is a number.

        Raises:
            StatusError: it is none.
        """
        text = self.query.get(name)
        if not text:
            return None
        if not text.removeprefix("-").isdecimal():
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    @property
    def manager(self) -> str:
        """The name under which the client's fields are noted: what it says, or its program's name."""
        given = self.query.get("fieldManager")
        agent = self.request.headers.get("user-agent", "")
        return given or re.split(r"[/ ]", agent, maxsplit=1)[0] or "unknown"


def parse_ask(request: Request) -> Ask:
    """Return what a request asks for.

    Raises:
        StatusError: no kind is served there.
    """
    path = unquote(request.path)
    query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    match = _NAMESPACE_PATH.fullmatch(path)
    if match is not None:
        is_watch = bool(match["watch"]) or query.get("watch", "") in _YES
        return Ask(request, NAMESPACES, "", match["name"] or "", match["sub"] or "", query, is_watch)
    match = _PATH.fullmatch(path)
    if match is None:
        raise no_such_path()
    resource = BY_PATH.get((match["group"] or "", match["core"] or match["version"], match["plural"]))
    namespace = match["namespace"] or ""
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    if resource.namespaced and not namespace and match["name"]:
        raise no_such_path()
    subresource = match["sub"] or ""
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    is_watch = bool(match["watch"]) or query.get("watch", "") in _YES
    return Ask(request, resource, namespace, match["name"] or "", subresource, query, is_watch)


def body_of(request: Request) -> Any:
    """Return a request's body, JSON or YAML.

    Raises:
        StatusError: it is of another type, or cannot be read.
    """
    kind = request.headers.get("content-type", "application/json").split(";", 1)[0].strip()
    if kind == "application/vnd.kubernetes.protobuf":
        return read_protobuf(request.body)
    if "cbor" in kind:
        text = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml"
        )
        raise StatusError(415, "UnsupportedMediaType", text)
    try:
        if "yaml" in kind:
            return yaml.safe_load(request.body)
        return msgspec.json.decode(request.body)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized: couldn't parse the body: {error}") from None


def object_of(ask: Ask) -> Object:
    """Return the object in a request's body, with the place that the path gives it.

    Raises:
        StatusError: it is none, of another kind, or of another place than the path says.
    """
    given = body_of(ask.request)
    if not isinstance(given, dict):
        raise bad_request("the object provided is unrecognized (must be of type Object)")
    thing = cast("Object", given)
    place(ask, thing)
    return thing


def place(ask: Ask, thing: Object) -> None:
    """Give an object the place that the path says.

    Raises:
        StatusError: it says another one itself.
    """
    resource = ask.resource
    given = thing.setdefault("apiVersion", resource.api_version), thing.setdefault("kind", resource.kind)
    if given != (resource.api_version, resource.kind):
        raise bad_request(
            f"{given[1]} in version {given[0]!r} cannot be handled as a {resource.kind}: no kind {given[1]!r} is "
            f"registered for version {given[0]!r} here".replace("'", '"')
        )
    metadata = thing.get("metadata")
    if metadata is None:
        metadata = thing["metadata"] = {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata is no object")
    values = cast("Object", metadata)
    if ask.namespace and values.setdefault("namespace", ask.namespace) != ask.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if ask.name and values.setdefault("name", ask.name) != ask.name:
        text = f"the name of the object ({values['name']}) does not match the name on the URL ({ask.name})"
        raise bad_request(text)
    if not resource.namespaced:
        values.pop("namespace", None)
