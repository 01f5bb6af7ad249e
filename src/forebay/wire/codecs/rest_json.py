"""REST-JSON: method and path say the operation, the body is JSON or a blob."""

from collections.abc import Mapping
from typing import Any

from forebay.core.convert import Reader, base64_text, is_object, plain
from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.schema import Blob, Member, Schema, Text, schema_of
from forebay.core.shapes import Empty, Operation, ServiceModel, Shape
from forebay.wire.codecs.errors import error_headers, error_members, error_type, json_plain
from forebay.wire.codecs.json import encode_json, json_time, numerals, parse_json
from forebay.wire.codecs.rest import Body, read_located, write_located

_JSON = ("Content-Type", "application/json")
_MALFORMED = "SerializationException"


class RestJsonCodec:
    """Codec of REST-JSON; `model` is None where the service could not be told."""

    def __init__(self, model: ServiceModel | None) -> None:
        self._model = model

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:
        """Read path, query, headers and body."""
        body = _body(schema_of(operation.input), request.body)
        return read_located(operation, request, labels, body, Reader(), _MALFORMED)

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write headers and body; the status is the model's unless the output names one."""
        headers = [("x-amzn-RequestId", request_id)]
        if output is None or operation.output is Empty:
            return Response(operation.status, (*headers, _JSON), b"" if operation.status == 204 else b"{}")
        status, located = write_located(output)
        content_type, body = _content(output)
        if not any(name.lower() == "content-type" for name, _ in located):
            headers.append(("Content-Type", content_type))
        return Response(status or operation.status, (*headers, *located), body)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write the code in a header and the rest in the body."""
        kind = ("x-amzn-ErrorType", error_type(self._model, error))
        headers = (_JSON, ("x-amzn-RequestId", request_id), kind, *error_headers(error))
        return Response(error.status, headers, encode_json(error_members(error, json_plain)))


def _body(schema: Schema, body: bytes) -> Body:
    """Give the body's members by field, as plain values."""
    if schema.payload is not None:
        return _payload(schema.payload, body)
    if not body or not schema.body:
        return {}
    raw = parse_json(body)
    if raw is None:
        return {}
    if not is_object(raw):
        raise ServiceError.of(_MALFORMED, "Unexpected value type in payload")
    return {member.field: raw[member.wire] for member in schema.body if member.wire in raw}


def _payload(member: Member, body: bytes) -> Body:
    if isinstance(member.node, Blob):
        return {member.field: body} if body or member.required else {}
    if not body or member.event_stream:
        return {}
    if isinstance(member.node, Text):
        try:
            return {member.field: body.decode("utf-8")}
        except UnicodeDecodeError:
            raise ServiceError.of(_MALFORMED, "The request body is not valid UTF-8.") from None
    return {member.field: parse_json(body)}


def _content(output: Shape) -> tuple[str, bytes]:
    schema = schema_of(type(output))
    if schema.payload is None:
        return _JSON[1], encode_json(numerals(_values(output, schema.body)))
    value: Any = getattr(output, schema.payload.field)
    if isinstance(value, Shape):
        return _JSON[1], encode_json(numerals(_values(value, None)))
    if isinstance(value, str):
        return _JSON[1], value.encode("utf-8")
    return "application/octet-stream" if value else _JSON[1], value or b""


def _values(shape: Shape, members: tuple[Member, ...] | None) -> dict[str, Any]:
    return plain(shape, names="wire", time=json_time, blob=base64_text, members=members)
