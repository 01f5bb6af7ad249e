"""Members that travel outside the body: in the path, the query string, headers and the status."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from forebay.core.convert import Malformed, Reader
from forebay.core.errors import ServiceError
from forebay.core.http import Request, header_text
from forebay.core.marks import Header, HeaderPrefix, Operation, Query, QueryMap, Shape, StatusCode, Uri
from forebay.core.schema import ListOf, MapOf, Member, Time, schema_of
from forebay.core.validation import absence, violations_error
from forebay.wire.codecs.xml import scalar_text

PARAMETERS_MAX = 2_000
Body = dict[str, Any]


class Located:
    """A request's parts outside the body, each as text."""

    def __init__(self, request: Request, labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.headers = request.headers
        self.query: dict[str, list[str]] = {}
        try:
            parameters = parse_qsl(
                request.query, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
            )
        except ValueError:
            raise ServiceError.of("InvalidRequest", "The request's parameters cannot be read.") from None
        for name, value in parameters:
            self.query.setdefault(name, []).append(value)

    def raw(self, member: Member, known: frozenset[str]) -> Any:
        """Give a member as texts, None where it is absent; `known` are the query's other members."""
        match member.location:
            case Uri(name):
                return self.labels.get(name)
            case Query(name):
                values = self.query.get(name)
                return values if values is None or isinstance(member.node, ListOf) else values[0]
            case QueryMap():
                return self._query_map(member, known)
            case Header(name):
                return _header(member, self.headers.get(name.lower()))
            case HeaderPrefix(name):
                return _prefixed(self.headers, name.lower())
            case _:
                return None

    def _query_map(self, member: Member, known: frozenset[str]) -> Body | None:
        many = isinstance(member.node, MapOf) and isinstance(member.node.value, ListOf)
        rest = {name: values if many else values[0] for name, values in self.query.items() if name not in known}
        return rest or None


def read_located(
    operation: Operation, request: Request, labels: Mapping[str, str], body: Body, reader: Reader, malformed: str
) -> Shape:
    """Build the input from what is outside the body and from `body`, plain values by field as `reader` takes them."""
    type_ = operation.input
    schema = schema_of(type_)
    parts = Located(request, labels)
    known = _known(operation)
    texts = Reader(coerce=True, violations=reader.violations)
    values: Body = {}
    try:
        for member in schema.members:
            raw, read = body.get(member.field), reader
            if member.location is not None:
                raw, read = parts.raw(member, known), texts
            path = member.name[:1].lower() + member.name[1:]
            if raw is not None:
                values[member.field] = read.value(member.node, raw, path)
            elif member.required:
                reader.violations.append(absence(path))
    except Malformed as error:
        raise ServiceError.of(malformed, str(error)) from None
    if reader.violations:
        raise violations_error(type_.__module__.rpartition(".")[2], reader.violations)
    return type_(**values)


@cache
def _known(operation: Operation) -> frozenset[str]:
    """Name the query parameters that are members or belong to the operation's path (`?mode=import`)."""
    members = schema_of(operation.input).located
    own = {member.location.name for member in members if isinstance(member.location, Query)}
    return frozenset(own | {name for name, _ in parse_qsl(operation.uri.partition("?")[2], keep_blank_values=True)})


def write_located(output: Shape) -> tuple[int | None, list[tuple[str, str]]]:
    """Give the status that an output names, if it does, and its headers."""
    status: int | None = None
    headers: list[tuple[str, str]] = []
    for member in schema_of(type(output)).located:
        value = getattr(output, member.field)
        if value is None:
            continue
        match member.location:
            case StatusCode():
                status = value
            case Header(name):
                headers.append((name, _header_text(member, value)))
            case HeaderPrefix(name):
                headers += [(name + key, header_text(text)) for key, text in value.items()]
            case _:
                pass
    return status, headers


def _header_text(member: Member, value: Any) -> str:
    node = member.node
    if isinstance(node, ListOf):
        return ", ".join(header_text(_quoted(scalar_text(node.item, item, "rfc822"))) for item in value)
    return header_text(scalar_text(node, value, "rfc822"))


def _quoted(text: str) -> str:
    if "," not in text and '"' not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _header(member: Member, value: str | None) -> Any:
    if value is None or not isinstance(member.node, ListOf):
        return value
    if isinstance(member.node.item, Time):
        return [part.strip() for part in value.split(",")]
    return _listed(value)


def _listed(value: str) -> list[str]:
    """Split a header's list at the commas outside quotes."""
    parts: list[str] = [""]
    quoted = escaped = False
    for character in value:
        if escaped or (character not in '\\",') or (character == "," and quoted) or (character == "\\" and not quoted):
            parts[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        else:
            parts.append("")
    return [part.strip() for part in parts]


def _prefixed(headers: Mapping[str, str], prefix: str) -> Body | None:
    found = {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
    return found or None
