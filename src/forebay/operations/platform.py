"""What a node gives its services: the store, time, chance, settings and the ways to each other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from forebay.background.supervisor import Duty, Spawn
from forebay.background.worker import Worker
from forebay.config import Config
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Source
from forebay.delivery.outbox import Deliveries
from forebay.delivery.poller import BatchTarget, Poller, PollerSettings
from forebay.delivery.stream import Reading, StreamSource, StreamTarget
from forebay.delivery.stream_reader import StreamReader
from forebay.delivery.trace import Trace
from forebay.store.contract import Store

if TYPE_CHECKING:
    from forebay.operations.table import OperationTable


@dataclass(frozen=True)
class Platform:
    """The parts of a node that services stand on. Built by `node`, handed to `Service.build` and to each `Call`.

    `start_worker` puts a worker under supervision at any time (a poller for a new event source mapping);
    `open_source` and `open_stream` open a queue or a stream of any service by ARN;
    `endpoint` is the node's own URL, for functions;
    `hosts` says which host names of their own lead to which ingress (custom domain names of APIs), by label.
    """

    config: Config
    store: Store
    clock: Clock
    ids: Ids
    trace: Trace
    deliveries: Deliveries
    table: "OperationTable"
    start_worker: Callable[[Worker], Duty]
    spawn: Spawn
    endpoint: Callable[[], str]
    hosts: dict[str, str] = field(default_factory=dict[str, str])

    async def open_source(self, arn: Arn) -> Source | None:
        """Return the source behind an ARN, or None where its service has none or the resource is not there."""
        parts = await self.table.parts(arn.service)
        return None if parts is None or parts.sources is None else await parts.sources.open(arn)

    async def open_stream(self, arn: Arn) -> StreamSource | None:
        """Return the stream behind an ARN, or None where its service has none or the resource is not there."""
        parts = await self.table.parts(arn.service)
        return None if parts is None or parts.streams is None else await parts.streams.open(arn)

    def poller(self, settings: PollerSettings, target: BatchTarget) -> Poller:
        """Return what reads a queue for a target; it runs once it is started as a worker."""
        return Poller(
            settings,
            partial(self.open_source, Arn.parse(settings.source)),
            target,
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            spawn=self.spawn,
            trace=self.trace,
        )

    def stream_reader(self, reading: Reading, target: StreamTarget) -> StreamReader:
        """Return what reads a stream for a target; it runs once it is started as a worker."""
        return StreamReader(
            reading,
            partial(self.open_stream, Arn.parse(reading.source)),
            target,
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            spawn=self.spawn,
            deliveries=self.deliveries,
        )
