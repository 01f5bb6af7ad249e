"""The error tree. Everything that Forebay raises on purpose hangs on one of its four branches.

- `ForebayError`
  - `ServiceError`: the caller's answer, AWS's code, text and HTTP status (generated in `forebay.api`)
  - `StoreError`: the store could not do it
    - `Conflict`: another transaction won; the store runs the work again
    - `Unavailable`: the store cannot be reached or written now; callers answer 503
  - `RuntimeFailure`: users' code could not be run (its own errors are results, not exceptions)
  - `ConfigError`: the node must not start like this
"""

from collections.abc import Mapping
from typing import ClassVar, Literal


class ForebayError(Exception):
    """The root of everything that Forebay raises on purpose."""


class ServiceError(ForebayError):
    """An answer in AWS's words: `code`, text and HTTP `status`.

    Generated subclasses in `forebay.api.<service>` carry the codes of the service's model. Raise this class
    itself only through `ServiceError.of(...)`, for codes that AWS answers but no model lists.
    """

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500
    fault: ClassVar[Literal["Sender", "Receiver"]] = "Receiver"
    # The `awsQueryCompatible` code, where the service once spoke the Query protocol (SQS).
    query_code: ClassVar[str | None] = None
    # The status in the Query protocol, where that differs from `status`.
    query_status: ClassVar[int | None] = None
    # How the wire names the message, the further members (snake_case name to wire name), and those in headers.
    message_name: ClassVar[str] = "message"
    wire_names: ClassVar[Mapping[str, str]] = {}
    wire_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str = "", **members: object) -> None:
        super().__init__(message)
        self.message = message
        # The text in the Query protocol, where that differs.
        self.query_message: str | None = None
        # Further modelled members of the error, by their snake_case name.
        self.members = members

    @staticmethod
    def of(code: str, message: str, status: int = 400, query_code: str | None = None) -> "ServiceError":
        """Make an error with a code that no model lists, such as `MissingAuthenticationToken`."""
        fault = "Sender" if status < 500 else "Receiver"
        bases = (ServiceError,)
        namespace = {"code": code, "status": status, "fault": fault, "query_code": query_code}
        return type(code, bases, namespace)(message)


class StoreError(ForebayError):
    """The store could not do what was asked."""


class Conflict(StoreError):
    """Another transaction won; the store runs the work again."""


class Unavailable(StoreError):
    """The store cannot be reached or written at the moment."""


class RuntimeFailure(ForebayError):
    """Users' code could not be run: no interpreter, no memory, no such handler file."""


class ConfigError(ForebayError):
    """The node must not start with this configuration."""
