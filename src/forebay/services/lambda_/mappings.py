"""The pollers behind event source mappings: one for each that is enabled, following the records."""

from functools import partial
from typing import NamedTuple

import msgspec

from forebay.background.supervisor import Duty
from forebay.core.arn import Arn
from forebay.delivery.poller import (
    Batch,
    BatchOutcome,
    Busy,
    Failed,
    Poller,
    PollerSettings,
    Taken,
    parse_failures,
)
from forebay.operations.platform import Platform
from forebay.services.lambda_.address import FunctionAddress, address_of
from forebay.services.lambda_.mapping import MAPPING, Mapping
from forebay.services.lambda_.runner import Broken, Missing, Order, Ran, Runner, Throttled


class Mappings:
    """Starts and stops pollers as mappings come, change and go."""

    def __init__(self, platform: Platform, runner: Runner) -> None:
        self._platform = platform
        self._runner = runner
        self._running: dict[str, _Running] = {}

    async def open(self) -> None:
        """Start the pollers of all enabled mappings, and follow the records from now on."""
        store = self._platform.store
        store.watch(MAPPING, self._on_change)
        found = await store.view(lambda view: view.records.list(MAPPING))
        for key, mapping in found:
            if key not in self._running:
                self._on_change(key, mapping)

    def problem_of(self, mapping: Mapping) -> str:
        """Return why a mapping reads nothing at present; empty when all is well."""
        running = self._running.get(mapping.key)
        return "" if running is None else running.poller.problem

    def _on_change(self, key: str, mapping: Mapping | None) -> None:
        running = self._running.get(key)
        if running is not None:
            if mapping is not None and _is_same(running.mapping, mapping):
                return
            running.duty.stop()
            del self._running[key]
        if mapping is not None and mapping.is_enabled:
            self._running[key] = self._start(mapping)

    def _start(self, mapping: Mapping) -> "_Running":
        platform = self._platform
        settings = PollerSettings(
            name=f"lambda.mapping.{mapping.uuid}",
            source=mapping.source_arn,
            target=mapping.function_arn,
            batch_size=mapping.batch_size,
            window_seconds=mapping.window_seconds,
            patterns=mapping.patterns(),
            concurrency_max=mapping.concurrency_max,
        )
        source = Arn.parse(mapping.source_arn)
        poller = Poller(
            settings,
            partial(platform.open_source, source),
            FunctionBatches(mapping, self._runner, platform),
            store=platform.store,
            clock=platform.clock,
            ids=platform.ids,
            spawn=platform.spawn,
            trace=platform.trace,
        )
        duty = platform.start_worker(poller)
        poller.stopping = duty.stopping
        return _Running(mapping, poller, duty)


class _Running(NamedTuple):
    """A mapping whose poller runs."""

    mapping: Mapping
    poller: Poller
    duty: Duty


class FunctionBatches:
    """Hands batches to a function. A `BatchTarget`."""

    def __init__(self, mapping: Mapping, runner: Runner, platform: Platform) -> None:
        address = address_of(mapping.function_arn)
        assert address is not None, "mappings are made with the ARN of a function"
        self._address: FunctionAddress = address
        self._reports_failures = mapping.reports_failures
        self._runner = runner
        self._ids = platform.ids

    async def find_problem(self) -> str | None:
        """Return that the function is gone, if it is."""
        return None if await self._runner.find(self._address) else f"Function not found: {self._address.arn}"

    async def take(self, batch: Batch) -> BatchOutcome:
        """Invoke the function with the records."""
        payload = msgspec.json.encode({"Records": batch.texts})
        run = await self._runner.run(Order(address=self._address, payload=payload, request_id=self._ids.uuid()))
        match run:
            case Ran(result):
                if result.function_error is not None:
                    return Failed(result.error_type or result.function_error)
                if not self._reports_failures:
                    return Taken()
                failed = parse_failures(result.payload, {record.record_id for record in batch.records})
                return Failed("InvalidBatchResponse") if failed is None else Taken(failed)
            case Throttled(reason):
                return Busy(reason)
            case Missing():
                return Failed("ResourceNotFoundException")
            case Broken(message):
                return Failed("InvalidRuntimeException", message)


def _is_same(one: Mapping, other: Mapping) -> bool:
    """Tell whether the difference between two states of a mapping is none of its poller's."""
    return msgspec.structs.replace(one, tags={}, modified_at=0.0) == msgspec.structs.replace(
        other, tags={}, modified_at=0.0
    )
