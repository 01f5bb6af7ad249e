"""AWS JSON 1.0 and 1.1: one JSON body in, one out, the operation named by a header.

This is the hot path. msgspec reads valid input straight into the structure; only what it refuses is read again, slowly,
to be understood or explained.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from zlib import crc32

import msgspec

from forebay.core.convert import DEPTH_MAX, base64_text, inner_types, is_recursive, plain, read_shape
from forebay.core.decoding import new_json_decoder
from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.schema import ListOf, MapOf, Node, Number, Time, schema_of
from forebay.core.shapes import Empty, Encoded, Operation, ServiceModel, Shape
from forebay.core.timestamps import format_http_date, format_iso8601
from forebay.wire.codecs.dynamodb import DIALECT, check_table_first, read_body
from forebay.wire.codecs.errors import error_members, error_type, json_plain, query_error

# What msgspec raises for input it cannot take. Its own errors are ValueErrors, as is invalid UTF-8.
UNREADABLE = (ValueError, RecursionError)
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_TEXT = re.compile(rb'"[^"]*"')
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'{}[]"'))
_ONE_KIND = bytes.maketrans(b"[]", b"{}")


class JsonCodec:
    """Codec of AWS JSON; `model` is None where the service could not be told."""

    def __init__(self, model: ServiceModel | None) -> None:
        self._model = model
        self._content_type = ("Content-Type", f"application/x-amz-json-{(model and model.json_version) or '1.0'}")
        # DynamoDB's answers bear a checksum, and clients compare it.
        self._is_checked = model is not None and model.name in {"dynamodb", "dynamodbstreams"}
        self._decoders: dict[Operation, msgspec.json.Decoder[Shape]] = {}
        self._encoder = msgspec.json.Encoder()

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:  # noqa: ARG002  the contract's
        """Read the body, which may be empty for an empty structure."""
        decoder = self._decoders.get(operation)
        if decoder is None:
            decoder = self._decoders[operation] = new_json_decoder(operation.input)
        body = read_body(request) if self._is_checked else request.body or b"{}"
        try:
            shape = decoder.decode(body)
        except UNREADABLE:
            return self._read(operation, body)
        if is_recursive(operation.input):
            check_depth(body)
        return shape

    def _read(self, operation: Operation, body: bytes) -> Shape:
        if not self._is_checked:
            return read_shape(operation.input, parse_json(body))
        # DynamoDB says nothing of what is no JSON.
        raw = parse_json(body, "")
        check_table_first(operation.input.__name__, raw)
        return read_shape(operation.input, raw, dialect=DIALECT)

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write the body, which is empty for an operation without output."""
        headers = (self._content_type, ("x-amzn-RequestId", request_id))
        if type(output) is Encoded:
            body = output.body
        elif output is None or operation.output is Empty:
            body = b""
        else:
            body = self._encoder.encode(output) if is_plain(operation.output) else encode_json(json_values(output))
        if self._is_checked:
            headers = (*headers, ("x-amz-crc32", str(crc32(body))))
        return Response(200, headers, body)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write `__type` and the message; where clients still know Query's codes, name those in a header."""
        body = {"__type": error_type(self._model, error), **error_members(error, json_plain)}
        if error.code == "SerializationException" and self._is_checked:
            # DynamoDB's answers bear the text under a capital letter where the request could not be read.
            text = body.pop("message")
            body |= {"Message": text} if text else {}
        if error.code == "UnknownOperationException" and self._is_checked:
            # Nor do they say which operation was not known.
            del body["message"]
        headers = [self._content_type, ("x-amzn-RequestId", request_id)]
        if self._model is not None and self._model.query_compatible:
            headers.append(("x-amzn-query-error", query_error(error)))
        encoded = self._encoder.encode(body)
        if self._is_checked:
            headers.append(("x-amz-crc32", str(crc32(encoded))))
        return Response(error.status, tuple(headers), encoded)


def parse_json(body: bytes, text: str = "Could not parse the request body as JSON.") -> object:
    """Read any JSON text into plain values, or raise SerializationException."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        raise ServiceError.of("SerializationException", text) from None


def check_depth(body: bytes) -> None:
    """Refuse JSON that is valid but deeper than whoever walks it should have to bear."""
    # Most bodies have fewer brackets than the limit; counting those is far cheaper than matching them.
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return
    # What is left of texts after this has no quote but the two around it.
    plain_texts = _ESCAPE.sub(b"", body) if b"\\" in body else body
    marks = plain_texts.translate(_ONE_KIND, _NEITHER_BRACKET_NOR_QUOTE)
    # If no text holds a bracket, each is two quotes in a row; if one does, the quote before that bracket stays.
    brackets = marks.replace(b'""', b"")
    if b'"' in brackets:
        brackets = _TEXT.sub(b"", marks)
    # Each round takes away the innermost pairs, so there are as many rounds as levels.
    for _ in range(DEPTH_MAX + 1):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"")
    raise ServiceError.of("SerializationException", "The request is nested too deeply.")


@cache
def is_plain(type_: type[Shape]) -> bool:
    """Tell whether msgspec's own JSON is this structure's JSON: no special timestamps, no numbers without a numeral."""
    return _is_plain(type_, set())


def json_values(shape: Shape) -> dict[str, Any]:
    """Give a structure as values of which msgspec writes AWS's JSON."""
    values = plain(shape, names="wire", time=json_time, blob=base64_text)
    return numerals(values)


def json_time(at: float, form: str | None) -> float | str:
    """Write a timestamp for a JSON body."""
    if form == "iso8601":
        return format_iso8601(at)
    return format_http_date(at) if form == "rfc822" else at


def encode_json(value: object) -> bytes:
    """Write plain values as JSON."""
    return msgspec.json.encode(value)


def _is_plain(type_: type[Shape], seen: set[type[Shape]]) -> bool:
    seen.add(type_)
    own = all(_writes_itself(member.node) for member in schema_of(type_).members)
    return own and all(inner in seen or _is_plain(inner, seen) for inner in inner_types(type_))


def _writes_itself(node: Node) -> bool:
    match node:
        case Time():
            return node.format in {None, "unixTimestamp"}
        case Number():
            return node.whole
        case ListOf():
            return _writes_itself(node.item)
        case MapOf():
            return _writes_itself(node.value)
        case _:
            return True


def numerals(value: Any) -> Any:
    """Replace NaN and the infinities, which JSON cannot write, by AWS's words for them."""
    if isinstance(value, dict):
        return {key: numerals(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [numerals(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not -1e309 < value < 1e309:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124  NaN's own test
    return value
