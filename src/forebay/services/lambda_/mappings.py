"""The pollers behind event source mappings: one for each that is enabled, following the records."""

from collections.abc import Mapping as ContextMapping
from collections.abc import Sequence

import msgspec

from forebay.core.arn import Arn
from forebay.delivery.contract import Delivery
from forebay.delivery.kept_pollers import KeptPollers
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
from forebay.delivery.stream import TOLD, Discarded, Reading, WindowCall
from forebay.delivery.stream_reader import StreamReader
from forebay.operations.platform import Platform
from forebay.runtimes.contract import InvocationResult
from forebay.services.lambda_.address import FunctionAddress, address_of
from forebay.services.lambda_.failure_bucket import put_failure
from forebay.services.lambda_.mapping import MAPPING, Mapping
from forebay.services.lambda_.mapping_stream import failure_record, window_members
from forebay.services.lambda_.runner import Broken, Missing, Order, Ran, Runner, Throttled


class Mappings:
    """The pollers of mappings, as these come, change and go."""

    def __init__(self, platform: Platform, runner: Runner) -> None:
        self._platform = platform
        self._runner = runner
        self._pollers = KeptPollers(platform.store, MAPPING, platform.start_worker, state_of=_state_of, make=self._make)

    async def open(self) -> None:
        """Start the pollers of all enabled mappings, and follow the records from now on."""
        await self._pollers.open()

    def status_of(self, mapping: Mapping) -> tuple[str, str]:
        """Return why a mapping reads nothing at present (empty when all is well), and what became of the last batch."""
        poller = self._pollers.find(mapping.key)
        if poller is None:
            return "", ""
        return poller.problem, poller.last_result if isinstance(poller, StreamReader) else ""

    def _make(self, mapping: Mapping) -> Poller | StreamReader:
        target = FunctionBatches(mapping, self._runner, self._platform)
        if mapping.stream is not None:
            reading = Reading(
                id=mapping.uuid,
                source=mapping.source_arn,
                target=mapping.function_arn,
                stream=mapping.stream,
                batch_size=mapping.batch_size,
                window_seconds=mapping.window_seconds,
                patterns=mapping.patterns(),
            )
            return self._platform.stream_reader(reading, target)
        settings = PollerSettings(
            name=f"lambda.mapping.{mapping.uuid}",
            source=mapping.source_arn,
            target=mapping.function_arn,
            batch_size=mapping.batch_size,
            window_seconds=mapping.window_seconds,
            patterns=mapping.patterns(),
            concurrency_max=mapping.concurrency_max,
        )
        return self._platform.poller(settings, target)


class FunctionBatches:
    """Hands batches to a function. A `BatchTarget`, and a `StreamTarget`."""

    def __init__(self, mapping: Mapping, runner: Runner, platform: Platform) -> None:
        address = address_of(mapping.function_arn)
        assert address is not None, "mappings are made with the ARN of a function"
        self._address: FunctionAddress = address
        self._mapping = mapping
        self._platform = platform
        self._runner = runner

    async def find_problem(self) -> str | None:
        """Return that the function is gone, if it is."""
        return None if await self._runner.find(self._address) else f"Function not found: {self._address.arn}"

    async def take(self, batch: Batch, window: WindowCall | None = None) -> BatchOutcome:
        """Invoke the function with the records."""
        event: dict[str, object] = {"Records": batch.texts}
        if window is not None:
            event |= window_members(window, self._mapping.source_arn)
        request_id = self._platform.ids.uuid()
        order = Order(address=self._address, payload=msgspec.json.encode(event), request_id=request_id)
        match await self._runner.run(order):
            case Ran(result, version):
                context = {"requestId": request_id, "executedVersion": version}
                return self._judged(result, batch, context)
            case Throttled(reason):
                return Busy(reason)
            case Missing():
                return Failed("ResourceNotFoundException")
            case Broken(message):
                return Failed("InvalidRuntimeException", message)

    def _judged(self, result: InvocationResult, batch: Batch, context: ContextMapping[str, str]) -> BatchOutcome:
        """Return what a function's answer means for its batch."""
        error = result.function_error
        if error is not None:
            return Failed(result.error_type or error, context={**context, "functionError": error})
        if not self._mapping.reports_failures:
            return Taken(answer=result.payload, context=context)
        failed = parse_failures(result.payload, {record.record_id for record in batch.records})
        if failed is None:
            return Failed("InvalidBatchResponse", context=context)
        return Taken(failed, result.payload, context)

    async def tell(self, discarded: Discarded, destination: str) -> Sequence[Delivery]:
        """Return the delivery that tells a queue or topic of discarded records; put them into a bucket at once."""
        platform, now = self._platform, self._platform.clock.now()
        record = failure_record(
            discarded, self._address.arn, self._mapping.source_arn, now=now, request_id=platform.ids.uuid()
        )
        if Arn.parse(destination).service == "s3":
            await put_failure(platform, self._mapping, discarded, record)
            return ()
        payload = msgspec.json.encode(record).decode()
        return [Delivery(platform.ids.uuid(), self._address.arn, destination, payload, now, TOLD)]


def _state_of(mapping: Mapping) -> Mapping | None:
    """Return what of a mapping its poller depends on."""
    return msgspec.structs.replace(mapping, tags={}, modified_at=0.0) if mapping.is_enabled else None
