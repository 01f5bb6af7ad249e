"""What a codec is: bytes to structures and back, in one protocol's words, without I/O."""

from collections.abc import Mapping
from typing import Protocol

from forebay.core.errors import ServiceError
from forebay.core.http import Request, Response
from forebay.core.shapes import Operation, Shape


class Codec(Protocol):
    """One service's requests and answers in one protocol.

    Whatever a client sends, `decode` either returns a structure of the operation's input type or raises a ServiceError
    with a 4xx status; it is bounded in time and depth.
    """

    def decode(self, operation: Operation, request: Request, labels: Mapping[str, str]) -> Shape:
        """Read a request; `labels` are the path's, percent-decoded."""
        ...

    def encode(self, operation: Operation, output: Shape | None, request_id: str) -> Response:
        """Write an answer; None stands for an operation without output."""
        ...

    def encode_error(self, operation: Operation | None, error: ServiceError, request_id: str) -> Response:
        """Write an error, also one that arose before the operation was known."""
        ...
