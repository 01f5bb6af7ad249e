"""The operation table: from a service's and an operation's name to the function that bears it, and its run.

There is exactly one, and every caller goes through it: the wire, API Gateway's integrations, CloudFormation, the
console. Services are loaded when they are first needed, so that a node starts without paying for all of them.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from forebay.core.decoding import new_json_decoder
from forebay.core.errors import ServiceError
from forebay.core.ids import Ids
from forebay.core.shapes import Encoded, ServiceModel, Shape, shape_from_wire, shape_to_wire
from forebay.operations.call import Call, Caller
from forebay.operations.platform import Platform
from forebay.operations.service import Parts, Service, function_name, operation_mark

T = TypeVar("T")

Run = Callable[[Call, Shape], Awaitable[Shape | None]]


class OperationTable:
    """Loads services, and runs their operations."""

    def __init__(self, catalog: Mapping[str, Callable[[], Service]]) -> None:
        self._catalog = catalog
        self._platform: Platform | None = None
        self._loaded: dict[str, _Loaded] = {}
        self._loading: dict[str, asyncio.Lock] = {}
        self._before_load: Callable[[str], Awaitable[None]] = _do_nothing
        self._on_load: Callable[[Service, Parts], None] = lambda _service, _parts: None

    def start(
        self,
        platform: Platform,
        on_load: Callable[[Service, Parts], None],
        before_load: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """Open the table; `on_load` is called once for each service when it is first needed.

        `before_load` is awaited first, with the service's name: nothing of the service has run then.
        """
        self._platform = platform
        self._on_load = on_load
        self._before_load = before_load or _do_nothing

    @property
    def names(self) -> tuple[str, ...]:
        """The services of this node, loaded or not."""
        return tuple(self._catalog)

    @property
    def loaded(self) -> tuple[Service, ...]:
        """The services that have been needed so far."""
        return tuple(loaded.service for loaded in self._loaded.values())

    async def load(self, service: str) -> "ServiceModel":
        """Load a service if it is not yet and return its model.

        Raises:
            ServiceError: the node has no such service.
        """
        return (await self._load(service)).service.model

    async def parts(self, service: str) -> Parts | None:
        """Return the parts of a service, loading it; None where the node has no such service."""
        return (await self._load(service)).parts if service in self._catalog else None

    def shared(self, service: str, part_type: type[T]) -> T:
        """Return the part of a loaded service that has the given type."""
        return self._loaded[service].shared[part_type]

    def is_implemented(self, service: Service, operation: str) -> bool:
        """Return whether a service has a function for an operation of its model."""
        return operation in _functions(service)

    async def run(self, caller: Caller, service: str, operation: str, request: Shape) -> Shape | None:
        """Run an operation and return its output shape (None: it has none).

        Raises:
            ServiceError: the caller's answer, also where the operation is not implemented.
        """
        output = await self.run_encoded(caller, service, operation, request)
        return new_json_decoder(output.of).decode(output.body) if isinstance(output, Encoded) else output

    def run_encoded(self, caller: Caller, service: str, operation: str, request: Shape) -> Awaitable[Shape | None]:
        """Run an operation as `run` does, and return its output as it comes: it may be `Encoded`."""
        loaded = self._loaded.get(service)
        if loaded is None:
            return self._load_and_run(caller, service, operation, request)
        run = loaded.runs.get(operation)
        if run is None:
            raise _not_implemented(loaded.service, operation)
        assert self._platform is not None
        call = Call(self._platform, service, caller, self._platform.clock.now())
        return run(call, request)

    async def run_params(
        self, caller: Caller, service: str, operation: str, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run an operation with members by their wire names and return the output in the same form.

        Raises:
            ServiceError: the caller's answer, also where the parameters do not fit the model.
        """
        model = await self.load(service)
        modelled = model.operations.get(operation)
        if modelled is None:
            raise ServiceError.of("UnknownOperationException", f"{service} has no operation {operation}.")
        request = shape_from_wire(modelled.input, params)
        output = await self.run(caller, service, operation, request)
        return {} if output is None else shape_to_wire(output)

    async def _load_and_run(self, caller: Caller, service: str, operation: str, request: Shape) -> Shape | None:
        await self._load(service)
        return await self.run_encoded(caller, service, operation, request)

    async def _load(self, name: str) -> "_Loaded":
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._catalog:
            raise ServiceError.of("NotImplemented", f"Service {name} is not part of Forebay.", 501)
        lock = self._loading.setdefault(name, asyncio.Lock())
        async with lock:
            if name not in self._loaded:
                assert self._platform is not None, "the table is started before it runs"
                # Importing takes milliseconds; other requests go on meanwhile.
                service = await asyncio.to_thread(self._catalog[name])
                await self._before_load(name)
                parts: Parts = await service.build(self._platform)
                self._loaded[name] = _Loaded(service, parts)
                self._on_load(service, parts)
        return self._loaded[name]


async def _do_nothing(_name: str) -> None:
    pass


class _Loaded:
    """A service in use."""

    __slots__ = ("parts", "runs", "service", "shared")

    def __init__(self, service: Service, parts: Parts) -> None:
        self.service = service
        self.parts = parts
        self.shared: dict[type, Any] = {type(part): part for part in parts.shared}
        self.runs = {name: _runner(function) for name, function in _functions(service).items()}


def new_caller(config_region: str, account: str, ids: Ids, endpoint: str, service: str) -> Caller:
    """Return the caller that a service of this node is when it acts by itself (a worker, a target)."""
    principal = f"arn:aws:iam::{account}:role/{service}"
    return Caller(account, config_region, "", principal, ids.uuid(), endpoint)


def _functions(service: Service) -> dict[str, Callable[..., Any]]:
    """Return the service's declared functions by the names of the operations they bear."""
    by_snake = {function_name(name): name for name in service.model.operations}
    functions: dict[str, Callable[..., Any]] = {}
    for module in service.operations:
        for name, function in vars(module).items():
            if operation_mark(function) is not None and function.__module__ == module.__name__:
                assert name in by_snake, f"{service.name} has no operation called {name}"
                functions[by_snake[name]] = function
    return functions


def _runner(function: Callable[..., Any]) -> Run:
    if inspect.iscoroutinefunction(function):
        return function
    if operation_mark(function) == "readonly":

        async def look(call: Call, request: Shape) -> Shape | None:
            return await call.look(lambda inner: function(inner, request))

        return look

    async def transact(call: Call, request: Shape) -> Shape | None:
        return await call.transact(lambda inner: function(inner, request))

    return transact


def _not_implemented(service: Service, operation: str) -> ServiceError:
    return ServiceError.of(
        "NotImplemented", f"Operation {operation} of {service.name} is not implemented by Forebay.", 501
    )
