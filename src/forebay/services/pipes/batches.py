"""Where a pipe's batches go: through the enrichment, into the template, to the target."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.core.timestamps import format_iso8601
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Rejected, Retry
from forebay.delivery.poller import Batch, BatchOutcome, Busy, Failed, Taken, parse_failures
from forebay.delivery.stream import TOLD, Discarded, WindowCall, batch_info
from forebay.languages.json_path import MISSING, JsonPath
from forebay.operations.platform import Platform
from forebay.services.pipes.asking import NO_RETRY, Asking, NotTaken, http_parameters
from forebay.services.pipes.input_template import InputTemplate, PipeVariables, seen
from forebay.services.pipes.pipe import Pipe
from forebay.services.pipes.pipe_log import PipeLog
from forebay.store.commands import Command

_FORGETS = "FIRE_AND_FORGET"
# Targets that get a batch as one JSON array and may answer which records of it have failed.
_WHOLE = frozenset({"lambda", "states"})

_Text = msgspec.Raw


class PipeBatches:
    """Hands batches of a pipe's source to its target. A `BatchTarget`, and a `StreamTarget`."""

    def __init__(self, pipe: Pipe, platform: Platform) -> None:
        self._pipe = pipe
        self._platform = platform
        self._asking = Asking(pipe, platform)
        self._parameters = pipe.target_parameters or api.PipeTargetParameters()
        self._enrichment = pipe.enrichment_parameters or api.PipeEnrichmentParameters()
        self._enrichment_template = _template(self._enrichment.input_template)
        self._target_template = _template(self._parameters.input_template)
        self._target_service = Arn.parse(pipe.target).service

    async def find_problem(self) -> str | None:
        """Return nothing: what is wrong with a target shows when it is handed a batch."""
        return None

    async def tell(self, discarded: Discarded, destination: str) -> Sequence[Delivery]:
        """Return the delivery that tells a dead-letter queue or topic of discarded records."""
        now = self._platform.clock.now()
        told = {
            "context": {"partnerResourceArn": self._pipe.arn(), "condition": discarded.condition},
            "version": "1.0",
            "timestamp": format_iso8601(now),
            "DDBStreamBatchInfo": batch_info(discarded, self._pipe.source),
        }
        payload = msgspec.json.encode(told).decode()
        return [Delivery(self._platform.ids.uuid(), self._pipe.arn(), destination, payload, now, TOLD)]

    async def take(self, batch: Batch, window: WindowCall | None = None) -> BatchOutcome:  # noqa: ARG002 pipes have none
        """Enrich, transform and hand over one batch, and log what became of it."""
        log = PipeLog(self._pipe, self._platform)
        log.note("ExecutionStarted", [bytes(text).decode() for text in batch.texts])
        outcome = await self._take(batch, log)
        match outcome:
            case Taken(failed) if not failed:
                log.note("ExecutionSucceeded")
            case Taken():
                log.note("ExecutionPartiallyFailed")
            case Failed(code, message):
                log.note("ExecutionFailed", error={"errorCode": code, "message": message})
            case Busy(code):
                log.note("ExecutionThrottled", error={"errorCode": code})
        await log.write()
        return outcome

    async def _take(self, batch: Batch, log: PipeLog) -> BatchOutcome:
        record_ids = [record.record_id for record in batch.records]
        try:
            texts: Sequence[_Text] = batch.texts
            if self._pipe.enrichment is not None:
                texts = await self._enriched(texts, log)
            payloads = [self._transformed(text, self._target_template) for text in texts]
            if not payloads:
                return Taken()
            return await self._handed_over(payloads, texts, record_ids, log)
        except NotTaken as stop:
            return stop.outcome

    async def _enriched(self, texts: Sequence[_Text], log: PipeLog) -> Sequence[_Text]:
        log.note("EnrichmentStageEntered")
        try:
            enriched = await self._enrich(texts)
        except NotTaken as stop:
            log.note("EnrichmentInvocationFailed", error={"errorCode": stop.outcome.code})
            raise
        log.note("EnrichmentStageExited", [bytes(text).decode() for text in enriched])
        return enriched

    async def _handed_over(
        self, payloads: Sequence[str], texts: Sequence[_Text], record_ids: Sequence[str], log: PipeLog
    ) -> BatchOutcome:
        log.note("TargetStageEntered", payloads)
        log.note("TargetInvocationStarted")
        try:
            if self._target_service in _WHOLE:
                outcome = await self._hand_over_whole(payloads, record_ids)
            else:
                outcome = self._outcome(await self._deliver(payloads, texts), record_ids)
        except NotTaken as stop:
            log.note("TargetInvocationFailed", error={"errorCode": stop.outcome.code})
            raise
        has_failed = isinstance(outcome, Failed)
        log.note("TargetInvocationFailed" if has_failed else "TargetInvocationSucceeded")
        log.note("TargetStageExited")
        return outcome

    def _outcome(self, failures: Mapping[int, str], record_ids: Sequence[str]) -> BatchOutcome:
        if failures and self._pipe.enrichment is not None:
            # Which record an enriched event comes from is not known.
            return Failed(failures[min(failures)])
        if failures and len(failures) == len(record_ids):
            return Failed(failures[0])
        return Taken(frozenset(record_ids[position] for position in failures))

    async def _enrich(self, texts: Sequence[_Text]) -> Sequence[_Text]:
        """Return the events that the enrichment makes of a batch; none where it answers with nothing."""
        asked = [self._transformed(text, self._enrichment_template) for text in texts]
        first = seen(msgspec.json.decode(texts[0]))
        added = http_parameters(self._enrichment.http_parameters, lambda text: _filled(text, first))
        answer = await self._asking.ask(str(self._pipe.enrichment), _array(asked), added)
        try:
            decoded: object = msgspec.json.decode(answer) if answer.strip() else None
        except (msgspec.DecodeError, RecursionError):
            raise NotTaken(Failed("InvalidEnrichmentResponse")) from None
        if not decoded:
            return ()
        events = msgspec.json.decode(answer, type=list[_Text]) if isinstance(decoded, list) else [_Text(answer)]
        # "{}" in an array is an empty event like an empty answer, and is left out.
        return [event for event in events if bytes(event).strip() not in (b"{}", b'""', b"null")]

    def _transformed(self, text: _Text, template: InputTemplate | None) -> str:
        if template is None:
            return bytes(text).decode()
        pipe = self._pipe
        now = format_iso8601(self._platform.clock.now())
        variables = PipeVariables(pipe.arn(), pipe.name, pipe.source, pipe.enrichment or "", pipe.target, now)
        return template.apply(msgspec.json.decode(text), variables)

    async def _hand_over_whole(self, payloads: Sequence[str], record_ids: Sequence[str]) -> BatchOutcome:
        payload, target = _array(payloads), self._pipe.target
        if self._target_service == "lambda":
            function = self._parameters.lambda_function_parameters
            forgets = function is not None and function.invocation_type == _FORGETS
            answer = await self._asking.invoke(target, payload, forgets=forgets)
        else:
            machine = self._parameters.step_function_state_machine_parameters
            given = None if machine is None else machine.invocation_type
            # Executions of Standard workflows cannot be waited for.
            forgets = given == _FORGETS or (given is None and not await self._asking.is_express(target))
            if forgets:
                await self._asking.start(target, payload)
                return Taken()
            answer = await self._asking.execute(target, payload)
        return Taken() if forgets else _failures_in(answer, record_ids)

    async def _deliver(self, payloads: Sequence[str], texts: Sequence[_Text]) -> dict[int, str]:
        """Deliver events one by one, in one commit as far as they go to the store; return codes of failed ones."""
        commands: list[Command[Any]] = []
        failures: dict[int, str] = {}
        for position, (payload, text) in enumerate(zip(payloads, texts, strict=True)):
            event = seen(msgspec.json.decode(text))
            logs = self._parameters.cloud_watch_logs_parameters
            if self._target_service == "logs" and logs is not None and logs.log_stream_name:
                await self._append(logs, payload, event)
                continue
            code = await self._hand_over_one(self._delivery(payload, event), commands)
            if code is not None:
                failures[position] = code
        if commands:
            await self._platform.store.submit(commands)
        return failures

    async def _hand_over_one(self, delivery: Delivery, commands: list[Command[Any]]) -> str | None:
        """Deliver one event, to a global endpoint where the pipe names one; return the code of its failure."""
        bus = self._parameters.event_bridge_event_bus_parameters
        if bus is None or bus.endpoint_id is None:
            return await self._deliver_one(delivery, commands)
        return await self._asking.put_event(bus.endpoint_id, delivery.target, delivery.payload, delivery.parameters)

    async def _deliver_one(self, delivery: Delivery, commands: list[Command[Any]]) -> str | None:
        """Deliver one event, by commands where the target is in the store; return the code of its failure."""
        target = await self._platform.deliveries.target_of(delivery)
        assert target is not None, "pipes are made with a target that the node has"
        match await target.accept(delivery):
            case Accepted(accepted):
                commands += accepted
                return None
            case Rejected(code):
                return code
            case Deferred():
                match await target.deliver(delivery):
                    case Delivered():
                        return None
                    case Retry(code) | Rejected(code):
                        return code

    async def _append(self, logs: api.PipeTargetCloudWatchLogsParameters, payload: str, event: object) -> None:
        at = self._platform.clock.now()
        given = None if logs.timestamp is None else _filled(logs.timestamp, event)
        at_ms = int(given) if given is not None and given.isdecimal() else int(at * 1000)
        stream = _filled(logs.log_stream_name, event) or ""
        await self._asking.append(self._pipe.target, stream, payload, at_ms)

    def _delivery(self, payload: str, event: object) -> Delivery:
        queue = self._parameters.sqs_queue_parameters or api.PipeTargetSqsQueueParameters()
        added = http_parameters(self._parameters.http_parameters, lambda text: _filled(text, event))
        return Delivery(
            self._platform.ids.uuid(),
            self._pipe.arn(),
            self._pipe.target,
            payload,
            self._platform.clock.now(),
            NO_RETRY,
            group=_filled(queue.message_group_id, event) or None,
            deduplication=_filled(queue.message_deduplication_id, event) or None,
            parameters={**self._event_parameters(event), **added},
        )

    def _event_parameters(self, event: object) -> Mapping[str, str]:
        """Return how an event on a bus is named ("Pipes targets specifics", EventBridge event bus)."""
        if self._target_service != "events":
            return {}
        given = self._parameters.event_bridge_event_bus_parameters or api.PipeTargetEventBridgeEventBusParameters()
        resources = [_filled(text, event) or "" for text in given.resources or ()]
        source = Arn.parse(self._pipe.source).service
        parameters = {
            "Source": _filled(given.source, event) or f"Pipe {self._pipe.name}",
            "DetailType": _filled(given.detail_type, event) or f"Event from aws:{source}",
            "Resources": msgspec.json.encode(resources).decode(),
        }
        time = None if given.time is None else _instant(_filled(given.time, event))
        return parameters if time is None else {**parameters, "Time": str(time)}


def _failures_in(answer: bytes, record_ids: Sequence[str]) -> BatchOutcome:
    """Return what an answer says of a batch, where it is a partial batch response."""
    try:
        document: object = msgspec.json.decode(answer) if answer.strip() else None
    except (msgspec.DecodeError, RecursionError):
        document = None
    if not isinstance(document, dict) or "batchItemFailures" not in document:
        return Taken()
    failed = parse_failures(answer, set(record_ids))
    return Failed("InvalidBatchResponse") if failed is None else Taken(failed)


def _template(text: str | None) -> InputTemplate | None:
    return InputTemplate.parse(text) if text else None


def _array(payloads: Sequence[str]) -> bytes:
    return f"[{','.join(payloads)}]".encode()


def _instant(text: str | None) -> float | None:
    """Return a time in seconds since the epoch: one in milliseconds, or ISO 8601."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text) / 1000
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _filled(text: str | None, event: object) -> str | None:
    """Return a dynamic parameter's value: `$.path` is looked up in the event, anything else stands for itself."""
    if text is None or not text.startswith("$."):
        return text
    is_object = isinstance(event, dict)
    value = JsonPath.parse(text).find(cast("dict[str, object]", event)) if is_object else MISSING
    if value is MISSING or isinstance(value, str):
        return value if isinstance(value, str) else None
    return msgspec.json.encode(value).decode()
