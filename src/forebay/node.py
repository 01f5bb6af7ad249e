"""The composition root: builds one node from its parts. Read this as the system's table of contents."""

import asyncio
import importlib
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import structlog

import forebay
from forebay.background.supervisor import Supervisor
from forebay.config import Config
from forebay.console.control import Control
from forebay.console.metrics import MetricsPage
from forebay.core.clock import Clock
from forebay.core.errors import ConfigError
from forebay.core.ids import Ids
from forebay.delivery.contract import Sender, Target
from forebay.delivery.outbox import KIND as DELIVERY
from forebay.delivery.outbox import Deliveries, Dispatcher
from forebay.delivery.trace import Trace
from forebay.operations.credentials import CREDENTIAL, Credential, load_credentials
from forebay.operations.metrics import Metrics
from forebay.operations.platform import Platform
from forebay.operations.service import Address, Parts, Service
from forebay.operations.table import OperationTable
from forebay.scaling.external_scaler.gauge import QueueGauge
from forebay.store.commands import ExpireLog
from forebay.store.contract import Store
from forebay.store.records import Kind
from forebay.wire.application import Application, Special
from forebay.wire.authentication import Authenticator
from forebay.wire.limits import ServerLimits
from forebay.wire.server import Server
from forebay.wire.tls import load_tls

log = structlog.get_logger()

CATALOG: Mapping[str, str] = {
    "apigatewayv2": "forebay.services.apigatewayv2",
    "cloudformation": "forebay.services.cloudformation",
    "cloudwatch": "forebay.services.cloudwatch",
    "dynamodb": "forebay.services.dynamodb",
    "dynamodbstreams": "forebay.services.dynamodb.streams_service",
    "events": "forebay.services.events",
    "iam": "forebay.services.iam",
    "lambda": "forebay.services.lambda_",
    "logs": "forebay.services.logs",
    "pipes": "forebay.services.pipes",
    "s3": "forebay.services.s3",
    "scheduler": "forebay.services.scheduler",
    "secretsmanager": "forebay.services.secretsmanager",
    "sns": "forebay.services.sns",
    "sqs": "forebay.services.sqs",
    "ssm": "forebay.services.ssm",
    "stepfunctions": "forebay.services.stepfunctions",
    "sts": "forebay.services.sts",
}
"""Every service of a node, by its name in AWS's models."""

ROOMS: Mapping[str, str] = {"kubernetes": "forebay.services.kubernetes"}
"""What is loaded, supervised and closed like a service, but is no API of AWS."""

# The service in an ARN where it is not the model's name.
ARN_SERVICES: Mapping[str, str] = {"execute-api": "apigatewayv2", "states": "stepfunctions"}

INGRESS_SERVICES: Mapping[str, str] = {
    "custom-domain": "apigatewayv2",
    "execute-api": "apigatewayv2",
    "kubernetes": "kubernetes",
    "lambda-url": "lambda",
    "sns": "sns",
}


USED_SERVICE = Kind("node.used_service", str)
"""Marks a service that this store has ever used: it is loaded at the next start, for its workers."""


class Node:
    """One running node."""

    def __init__(self, platform: Platform, supervisor: Supervisor, metrics: Metrics) -> None:
        self.control = Control(platform, forebay.__version__, lambda: self.is_ready, self.mark_loaded)
        self.platform = platform
        self.supervisor = supervisor
        self.metrics = metrics
        self.port = 0
        self.external_scaler_port: int | None = None
        self.is_ready = False
        self._parts: dict[str, Parts] = {}
        self._used: set[str] = set()

    @property
    def config(self) -> Config:
        """The settings it was built with."""
        return self.platform.config

    @property
    def clock(self) -> Clock:
        """Its clock."""
        return self.platform.clock

    @property
    def store(self) -> Store:
        """Its store."""
        return self.platform.store

    @property
    def url(self) -> str:
        """The base URL under which it is reached."""
        return self.platform.endpoint()

    def take_in(self, service: Service, parts: Parts) -> None:
        """Put a service's workers under supervision; called by the table when a service is first needed."""
        self._parts[service.name] = parts
        for duty in parts.duties:
            self.supervisor.start(duty.worker, duty.topics)

    async def find_ingress(self, address: Address) -> Special | None:
        """Return what answers requests that come in at an address."""
        service = INGRESS_SERVICES.get(address.label)
        parts = None if service is None else await self.platform.table.parts(service)
        if parts is None or parts.ingress is None:
            return None
        ingress = parts.ingress
        return lambda request: ingress.handle(request, address)

    async def load_used(self) -> None:
        """Load the services that this data folder has used before, so that their workers run."""
        names = await self.store.view(lambda view: [key for key, _ in view.records.list(USED_SERVICE)])
        self._used.update(names)
        for name in names:
            if name in self.platform.table.names:
                await self.platform.table.load(name)

    def drain(self) -> None:
        """Answer whoever waits for something to come, so that the last requests end now."""
        self.control.drain()
        for parts in self._parts.values():
            for end_waiting in parts.drain:
                end_waiting()

    async def close_parts(self) -> None:
        """Close what services hold open (function pools), after the workers have stopped."""
        closed: set[str] = set()
        # Closing one may load another: functions' last log lines go to CloudWatch Logs.
        while waiting := [name for name in self._parts if name not in closed]:
            for name in waiting:
                closed.add(name)
                for close in self._parts[name].close:
                    await close()

    async def mark_loaded(self) -> None:
        """Mark every loaded service as used again; after a wipe, which took the marks too."""
        self._used.clear()
        for name in list(self._parts):
            await self.mark_used(name)

    async def mark_used(self, name: str) -> None:
        """Mark a service as used before anything of it runs, so that no kill can come between."""
        if name not in self._used:
            await self.store.transact(lambda transaction: transaction.records.put(USED_SERVICE, name, name))
            self._used.add(name)


@asynccontextmanager
async def open_node(config: Config, clock: Clock | None = None, ids: Ids | None = None) -> AsyncGenerator[Node]:
    """Start a node, yield it while it serves, and stop it: requests first, then workers, then the store.

    Raises:
        ConfigError: it must not start like this.
    """
    clock, ids = clock or Clock(), ids or Ids()
    store = await _open_store(config)
    refusals: list[BaseException] = []
    try:
        node, application = _build(config, store, clock, ids)
        server = Server(application.handle, _server_limits(config), clock, _tls(config))
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            supervising = group.create_task(node.supervisor.run(started))
            await started.wait()
            node.port = await _listen(server, config)
            node.is_ready = True
            node.supervisor.spawn(node.load_used())
            try:
                async with _serve_external_scaler(node) as node.external_scaler_port:
                    yield node
            finally:
                node.is_ready = False
                node.drain()
                await server.drain(config.shutdown_seconds)
                await node.supervisor.stop(config.shutdown_seconds)
                await supervising
                await node.close_parts()
    except* ConfigError as group:
        # A port in use is for the user to read, not a failure of the task group.
        refusals += group.exceptions
    finally:
        await store.close()
    if refusals:
        raise refusals[0]


def _build(config: Config, store: Store, clock: Clock, ids: Ids) -> tuple[Node, Application]:
    metrics = Metrics()
    table = OperationTable({name: partial(_import_service, path) for name, path in {**CATALOG, **ROOMS}.items()})
    supervisor = Supervisor(clock, ids, store.listen)
    trace = Trace(store, config.trace_seconds)
    deliveries = Deliveries(clock, trace, partial(_find_target, table), partial(_find_sender, table))
    platform = Platform(
        config,
        store,
        clock,
        ids,
        trace,
        deliveries,
        table,
        supervisor.start,
        supervisor.spawn,
        lambda: _endpoint(config, node.port),
    )
    node = Node(platform, supervisor, metrics)
    table.start(platform, node.take_in, node.mark_used)
    supervisor.start(Dispatcher(store, clock, ids, deliveries, supervisor.spawn), [("timers", DELIVERY)])
    supervisor.start(LogExpiry(store, clock))
    application = Application(
        table,
        _authenticator(config, store),
        metrics,
        ids,
        default_region=config.region,
        public_url=config.public_url,
        specials={"_forebay": node.control.handle, "metrics": MetricsPage(metrics).handle},
        find_ingress=node.find_ingress,
        hosts=platform.hosts,
    )
    return node, application


class LogExpiry:
    """Deletes log entries whose time to live has ended. A `Worker`."""

    name = "node.log_expiry"

    _LIMIT = 1_000
    _PAUSE_SECONDS = 60.0

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run_once(self) -> float:
        """Delete a batch."""
        (count,) = await self._store.submit([ExpireLog(int(self._clock.now() * 1000), self._LIMIT)])
        return 0.0 if count == self._LIMIT else self._PAUSE_SECONDS


async def _find_target(table: OperationTable, arn_service: str) -> Target | None:
    parts = await table.parts(ARN_SERVICES.get(arn_service, arn_service))
    return None if parts is None else parts.target


async def _find_sender(table: OperationTable, arn_service: str) -> Sender | None:
    parts = await table.parts(ARN_SERVICES.get(arn_service, arn_service))
    return None if parts is None else parts.sender


def _import_service(path: str) -> Service:
    return importlib.import_module(path).SERVICE


async def _open_store(config: Config) -> Store:
    if config.store is None or config.store.startswith("sqlite:"):
        from forebay.store.sqlite import open_sqlite  # noqa: PLC0415 - only the chosen engine is loaded

        directory = (
            config.data if config.store is None else Path(config.store.removeprefix("sqlite:").removeprefix("//"))
        )
        return await open_sqlite(directory)
    if config.store == "memory:":
        from forebay.store.memory import MemoryStore  # noqa: PLC0415 - only the chosen engine is loaded

        return MemoryStore()
    scheme = config.store.split(":", 1)[0]
    if scheme in {"postgresql", "postgres"}:
        from forebay.store.postgres import open_postgres  # noqa: PLC0415 - only the chosen engine is loaded

        return await open_postgres(config.store, wait_seconds=config.store_wait_seconds)
    raise ConfigError(f"There is no store engine for {scheme}: URLs; use sqlite:DIRECTORY or postgresql://HOST/NAME.")


@asynccontextmanager
async def _serve_external_scaler(node: Node) -> AsyncGenerator[int | None]:
    """Serve KEDA's external scaler where a port is configured for it."""
    config = node.config
    if config.external_scaler_port is None:
        yield None
        return
    try:
        from forebay.scaling.external_scaler import scaler, server  # noqa: PLC0415 - an extra; loaded where wanted
    except ImportError as error:
        raise ConfigError("The external scaler needs gRPC: install forebay[kubernetes].") from error
    certificate = None
    if config.tls_certificate is not None and config.tls_key is not None:
        certificate = server.Certificate(config.tls_certificate, config.tls_key)
    answers = scaler.Scaler(LoadedGauges(node.platform.table), config.account, config.region)
    async with server.serve(answers, config.host, config.external_scaler_port, certificate) as port:
        yield port


class LoadedGauges:
    """Queues' gauges, of a service that is loaded when first asked. A `QueueGauges`."""

    def __init__(self, table: OperationTable) -> None:
        self._table = table

    async def find(self, account: str, region: str, name: str) -> QueueGauge | None:
        """Return a queue's gauge, or None where there is no such queue."""
        from forebay.services.sqs.gauge import Gauges  # noqa: PLC0415 - services are loaded when they are needed

        await self._table.load("sqs")
        return await self._table.shared("sqs", Gauges).find(account, region, name)


def _authenticator(config: Config, store: Store) -> Authenticator:
    configured: Mapping[str, Credential] = load_credentials(config.credentials) if config.credentials else {}
    return Authenticator(
        configured,
        lambda access_key: store.find(CREDENTIAL, access_key),
        default_account=config.account,
        is_open=config.credentials is None,
    )


def _server_limits(config: Config) -> ServerLimits:
    return ServerLimits(body_bytes_max=config.body_bytes_max, connections_max=config.connections_max)


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.tls_certificate is None or config.tls_key is None:
        return None
    return load_tls(config.tls_certificate, config.tls_key)


async def _listen(server: Server, config: Config) -> int:
    try:
        return await server.start(config.host, config.port)
    except OSError as error:
        raise ConfigError(f"Cannot listen on {config.host}:{config.port}: {os.strerror(error.errno or 0)}.") from error


def _endpoint(config: Config, port: int) -> str:
    scheme = "http" if config.tls_certificate is None else "https"
    host = f"[{config.host}]" if ":" in config.host else config.host
    return config.public_url or f"{scheme}://{host}:{port}"
