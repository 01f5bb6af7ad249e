"""smithy-rpc-v2-cbor: CBOR bodies, the operation in the path. CloudWatch prefers it."""

from collections.abc import Mapping
from typing import Any

import cbor2

from forebay.core.convert import DEPTH_MAX, plain, read_shape
from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.shapes import Operation, ServiceModel, Shape
from forebay.wire.codecs.errors import error_headers, error_members, error_type, query_error

_EPOCH_TAG = 1
_HEADERS = (("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"))


class CborCodec:
    """Codec of smithy-rpc-v2-cbor."""

    def __init__(self, model: ServiceModel | None) -> None:
        self._model = model

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:  # noqa: ARG002  the contract's
        """Read the body, which may be empty for an empty structure."""
        return read_shape(operation.input, parse_cbor(request.body) if request.body else {})

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write the body; an operation without output has an empty structure."""
        body = cbor2.dumps({} if output is None else _values(output))
        return Response(200, (*_HEADERS, ("x-amzn-RequestId", request_id)), body)

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:  # noqa: ARG002  the contract's
        """Write `__type` and the message."""
        body = {"__type": error_type(self._model, error), **error_members(error, _values)}
        headers = [*_HEADERS, ("x-amzn-RequestId", request_id), *error_headers(error)]
        if self._model is not None and self._model.query_compatible:
            headers.append(("x-amzn-query-error", query_error(error)))
        return Response(error.status, tuple(headers), cbor2.dumps(body))


def parse_cbor(body: bytes) -> object:
    """Read CBOR into plain values, or raise SerializationException.

    Of the tags only the timestamp's means anything here; the others would build objects that nobody asked for.
    """
    try:
        return cbor2.loads(body, semantic_decoders=_NO_OBJECTS, max_depth=DEPTH_MAX, strict_hashable_types=True)
    except (cbor2.CBORDecodeError, ValueError, OverflowError, TypeError, RecursionError):
        raise ServiceError.of("SerializationException", "Could not parse the request body as CBOR.") from None


def _values(shape: Shape) -> dict[str, Any]:
    return plain(shape, names="wire", time=lambda at, _: cbor2.CBORTag(_EPOCH_TAG, at))


def _refuse(_decoder: object, *_rest: object) -> object:
    raise ValueError("tag")


# Shared references, expressions, dates in text, fractions, addresses, sets, ... (RFC 8949 and IANA's registry).
_NO_OBJECTS: dict[int, Any] = dict.fromkeys((4, 5, 25, 28, 29, 30, 35, 36, 37, 43000, 256, 258, 260, 261), _refuse)
