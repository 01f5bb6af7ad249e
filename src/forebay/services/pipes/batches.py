"""Where a pipe's batches go: through the enrichment, into the template, to the target."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from forebay.api import lambda_ as lambda_api
from forebay.api import pipes as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.timestamps import format_iso8601
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Rejected, Retry, RetryPolicy
from forebay.delivery.poller import Batch, BatchOutcome, Busy, Failed, Taken, parse_failures
from forebay.languages.json_path import MISSING, JsonPath
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.services.pipes.input_template import InputTemplate, PipeVariables, seen
from forebay.services.pipes.pipe import Pipe
from forebay.store.commands import Command

_THROTTLED = "TooManyRequestsException"
# The source gives its records again; there is no retry besides.
_NO_RETRY = RetryPolicy(0, 0)

_Text = msgspec.Raw


class _NotTaken(Exception):
    """A batch went no further; `outcome` says why."""

    def __init__(self, outcome: Failed | Busy) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


class PipeBatches:
    """Hands batches of a pipe's source to its target. A `BatchTarget`."""

    def __init__(self, pipe: Pipe, platform: Platform) -> None:
        self._pipe = pipe
        self._platform = platform
        self._parameters = pipe.target_parameters or api.PipeTargetParameters()
        enrichment = pipe.enrichment_parameters
        self._enrichment_template = _template(None if enrichment is None else enrichment.input_template)
        self._target_template = _template(self._parameters.input_template)

    async def find_problem(self) -> str | None:
        """Return nothing: what is wrong with a target shows when it is handed a batch."""
        return None

    async def take(self, batch: Batch) -> BatchOutcome:
        """Enrich, transform and hand over one batch."""
        record_ids = [record.record_id for record in batch.records]
        try:
            texts: Sequence[_Text] = batch.texts
            if self._pipe.enrichment is not None:
                texts = await self._enrich(texts)
            payloads = [self._transformed(text, self._target_template) for text in texts]
            if not payloads:
                return Taken()
            if Arn.parse(self._pipe.target).service == "lambda":
                return await self._invoke(payloads, record_ids)
            failures = await self._deliver(payloads, texts)
        except _NotTaken as stop:
            return stop.outcome
        if failures and self._pipe.enrichment is not None:
            # Which record an enriched event comes from is not known.
            return Failed(failures[min(failures)])
        if len(failures) == len(record_ids):
            return Failed(failures[0])
        return Taken(frozenset(record_ids[position] for position in failures))

    async def _enrich(self, texts: Sequence[_Text]) -> Sequence[_Text]:
        """Return the events that the enrichment makes of a batch; none where it answers with nothing."""
        asked = [self._transformed(text, self._enrichment_template) for text in texts]
        answer = await self._run(str(self._pipe.enrichment), _array(asked))
        try:
            decoded: object = msgspec.json.decode(answer) if answer.strip() else None
        except (msgspec.DecodeError, RecursionError):
            raise _NotTaken(Failed("InvalidEnrichmentResponse")) from None
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

    async def _invoke(self, payloads: Sequence[str], record_ids: Sequence[str]) -> BatchOutcome:
        parameters = self._parameters.lambda_function_parameters
        forgets = parameters is not None and parameters.invocation_type == "FIRE_AND_FORGET"
        answer = await self._run(self._pipe.target, _array(payloads), forgets=forgets)
        if forgets:
            return Taken()
        try:
            document: object = msgspec.json.decode(answer) if answer.strip() else None
        except (msgspec.DecodeError, RecursionError):
            document = None
        if not isinstance(document, dict) or "batchItemFailures" not in document:
            return Taken()
        failed = parse_failures(answer, set(record_ids))
        return Failed("InvalidBatchResponse") if failed is None else Taken(failed)

    async def _run(self, function: str, payload: bytes, *, forgets: bool = False) -> bytes:
        """Run a function and return what it answered."""
        pipe, platform = self._pipe, self._platform
        caller = new_caller(pipe.region, pipe.account, platform.ids, platform.endpoint(), "pipes")
        request = lambda_api.InvocationRequest(
            function_name=function,
            invocation_type="Event" if forgets else "RequestResponse",
            payload=payload,
        )
        try:
            answer: Any = await platform.table.run(caller, "lambda", "Invoke", request)
        except ServiceError as error:
            outcome = Busy(error.code) if error.code == _THROTTLED else Failed(error.code, error.message)
            raise _NotTaken(outcome) from None
        if answer.function_error is not None:
            raise _NotTaken(Failed(answer.function_error))
        return answer.payload or b""

    async def _deliver(self, payloads: Sequence[str], texts: Sequence[_Text]) -> dict[int, str]:
        """Deliver events one by one, in one commit as far as they go to the store; return codes of failed ones."""
        commands: list[Command[Any]] = []
        failures: dict[int, str] = {}
        for position, (payload, text) in enumerate(zip(payloads, texts, strict=True)):
            delivery = self._delivery(payload, text)
            target = await self._platform.deliveries.target_of(delivery)
            assert target is not None, "pipes are made with a target that the node has"
            match await target.accept(delivery):
                case Accepted(accepted):
                    commands += accepted
                case Rejected(code):
                    failures[position] = code
                case Deferred():
                    match await target.deliver(delivery):
                        case Delivered():
                            pass
                        case Retry(code) | Rejected(code):
                            failures[position] = code
        if commands:
            await self._platform.store.submit(commands)
        return failures

    def _delivery(self, payload: str, text: _Text) -> Delivery:
        event = seen(msgspec.json.decode(text))
        queue = self._parameters.sqs_queue_parameters or api.PipeTargetSqsQueueParameters()
        return Delivery(
            self._platform.ids.uuid(),
            self._pipe.arn(),
            self._pipe.target,
            payload,
            self._platform.clock.now(),
            _NO_RETRY,
            group=_filled(queue.message_group_id, event) or None,
            deduplication=_filled(queue.message_deduplication_id, event) or None,
            parameters=self._event_parameters(event),
        )

    def _event_parameters(self, event: object) -> Mapping[str, str]:
        """Return how an event on a bus is named ("Pipes targets specifics", EventBridge event bus)."""
        if Arn.parse(self._pipe.target).service != "events":
            return {}
        given = self._parameters.event_bridge_event_bus_parameters or api.PipeTargetEventBridgeEventBusParameters()
        resources = [_filled(text, event) or "" for text in given.resources or ()]
        return {
            "Source": _filled(given.source, event) or f"Pipe {self._pipe.name}",
            "DetailType": _filled(given.detail_type, event) or "Event from aws:sqs",
            "Resources": msgspec.json.encode(resources).decode(),
        }


def _template(text: str | None) -> InputTemplate | None:
    return InputTemplate.parse(text) if text else None


def _array(payloads: Sequence[str]) -> bytes:
    return f"[{','.join(payloads)}]".encode()


def _filled(text: str | None, event: object) -> str | None:
    """Return a dynamic parameter's value: `$.path` is looked up in the event, anything else stands for itself."""
    if text is None or not text.startswith("$."):
        return text
    is_object = isinstance(event, dict)
    value = JsonPath.parse(text).find(cast("dict[str, object]", event)) if is_object else MISSING
    if value is MISSING or isinstance(value, str):
        return value if isinstance(value, str) else None
    return msgspec.json.encode(value).decode()
