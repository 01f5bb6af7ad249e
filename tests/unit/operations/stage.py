"""A platform on the store's oracle with services made up for a test: real models, functions given by the test."""

from types import ModuleType

from forebay.config import Config
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.outbox import Deliveries
from forebay.delivery.trace import Trace
from forebay.operations.call import Caller
from forebay.operations.platform import Platform
from forebay.operations.service import Parts, Service
from forebay.operations.table import OperationTable
from forebay.store.memory import MemoryStore

CALLER = Caller("111122223333", "eu-west-1", "key", "arn:aws:iam::111122223333:root", "request", "http://localhost")


class Stage:
    """A table over made-up services, and what stands below it."""

    def __init__(self, *services, store=None, **settings):
        self.store = store or MemoryStore()
        self.clock = Clock(frozen_at=1_000.0)
        self.ids = Ids(seed=1)
        self.loads = []
        self.table = OperationTable(
            {service.name: lambda service=service: self._loaded(service) for service in services}
        )
        trace = Trace(self.store, retention_seconds=60)
        self.platform = Platform(
            Config(**settings),
            self.store,
            self.clock,
            self.ids,
            trace,
            Deliveries(self.clock, trace, _nobody, _nobody),
            self.table,
            lambda _worker: None,
            lambda _step: None,
            lambda: "http://localhost",
        )
        self.table.start(self.platform, lambda service, _parts: self.loads.append(service.name))

    async def run(self, service, operation, request):
        return await self.table.run(CALLER, service, operation, request)

    def _loaded(self, service):
        return service


def made_up(model, *functions, name=None, build=None, parts=None):
    """Return a service of a real model whose operations are the functions given."""
    module = ModuleType("made_up")
    for function in functions:
        function.__module__ = "made_up"
        setattr(module, function.__name__, function)

    async def with_parts(_platform):
        return parts or Parts()

    return Service(name or model.name, model, [module], build or with_parts)


async def _nobody(_service):
    return None
