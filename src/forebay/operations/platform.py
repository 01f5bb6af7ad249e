"""What a node gives its services: the store, time, chance, settings and the ways to each other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from forebay.background.supervisor import Duty, Spawn
from forebay.background.worker import Worker
from forebay.config import Config
from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Source
from forebay.delivery.outbox import Deliveries
from forebay.delivery.stream import StreamSource
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
