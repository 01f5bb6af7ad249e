"""How a service is declared: its model, its operations and its parts that live as long as the node."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from forebay.background.worker import Worker
from forebay.core.http import Answer, Request
from forebay.core.shapes import ServiceModel
from forebay.delivery.contract import Sender, SourceOpener, Target
from forebay.delivery.stream import StreamOpener
from forebay.store.contract import Topic

if TYPE_CHECKING:
    from forebay.operations.call import Caller
    from forebay.operations.platform import Platform

F = TypeVar("F", bound=Callable[..., Any])

# The two steps of botocore's xform_name: before a capitalised word, and between a small and a capital letter.
_WORD = re.compile(r"(.)([A-Z][a-z]+)")
_CAPITAL = re.compile(r"([a-z0-9])([A-Z])")

_MARK = "__forebay_operation__"


@overload
def operation(function: F) -> F: ...
@overload
def operation(*, readonly: bool) -> Callable[[F], F]: ...
def operation(function: F | None = None, *, readonly: bool = False) -> F | Callable[[F], F]:
    """Declare a function as the operation whose name it bears in snake_case.

    A plain function runs inside one transaction (`readonly`: on a snapshot): return is commit, exception is rollback;
    it may be run again on a conflict. An `async def` is for what waits or uses the grouped hot path; it commits through
    `call.submit` or `call.transact` itself.
    """

    def mark(marked: F) -> F:
        setattr(marked, _MARK, "readonly" if readonly else "changing")
        return marked

    return mark if function is None else mark(function)


def function_name(operation_name: str) -> str:
    """Return the name of the function that implements an operation: AWS's name in snake_case."""
    return _CAPITAL.sub(r"\1_\2", _WORD.sub(r"\1_\2", operation_name)).lower()


def operation_mark(function: object) -> str | None:
    """Return `readonly` or `changing` for a declared operation, None for any other object."""
    return getattr(function, _MARK, None)


@dataclass(frozen=True)
class Address:
    """Where a request came in that is not an API operation: `<id>.<label>.<domain>`, or by path.

    `label` is `execute-api` or `lambda-url`; `path` is what is left of the path (percent-encoded) for the resource.
    """

    label: str
    resource_id: str
    path: str


class Ingress(Protocol):
    """Answers plain HTTP that is no API operation: API Gateway's APIs, function URLs."""

    async def handle(self, request: Request, address: Address) -> Answer:
        """Answer a request; every failure of the caller is an answer, not an exception."""
        ...


@dataclass(frozen=True)
class Duty:
    """A worker of a service and the store's topics that wake it."""

    worker: Worker
    topics: Sequence[Topic] = ()


Control = Callable[["Caller", Mapping[str, str]], Awaitable[object]]
"""Answers `/_forebay/<service>/<name>` with something that JSON can hold, given the query's parameters."""


@dataclass(frozen=True)
class Parts:
    """What of a service lives as long as the node; built once by `Service.build`."""

    target: Target | None = None
    sender: Sender | None = None
    sources: SourceOpener | None = None
    streams: StreamOpener | None = None
    ingress: Ingress | None = None
    duties: Sequence[Duty] = ()
    # Objects that operations take by their type: `call.part(RuleIndex)`.
    shared: Sequence[object] = ()
    # What AWS has no operation for (peeking into a queue): `/_forebay/<service>/<name>`, in local mode only.
    controls: Mapping[str, Control] = field(default_factory=dict[str, Control])
    # Called when the node begins to stop: whoever waits for something to come is answered now, with nothing.
    drain: Sequence[Callable[[], None]] = ()
    # Run after the workers have stopped.
    close: Sequence[Callable[[], Awaitable[None]]] = ()


async def no_parts(_platform: "Platform") -> Parts:
    """Build nothing: for services that are all operations."""
    return Parts()


@dataclass(frozen=True)
class Service:
    """One AWS service: everything that the node and the operation table need to know of it.

    `labels` are the host labels (`execute-api`) whose requests its ingress answers.
    """

    name: str
    model: ServiceModel
    operations: Sequence[ModuleType]
    build: Callable[["Platform"], Awaitable[Parts]] = no_parts
    labels: Sequence[str] = field(default=())
