"""What follows when an asynchronous invocation has found its end: destinations and the dead-letter queue."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from forebay.core.arn import Arn
from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.core.timestamps import format_iso8601
from forebay.delivery.contract import (
    Delivered,
    Delivery,
    Exhausted,
    MessageAttribute,
    Rejected,
    RetryPolicy,
    Settled,
)
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import FunctionAddress, address_of
from forebay.services.lambda_.async_invocation import Answer, decode_answer, find_config, is_own
from forebay.services.lambda_.function import LATEST
from forebay.services.lambda_.runner import Runner
from forebay.store.contract import Store

# A queue takes its message in the commit that settles the delivery; a topic or bus that is busy is tried for a day.
_RETRY = RetryPolicy(185, 86_400)

_CONDITIONS = {"MaximumRetryAttempts": "RetriesExhausted", "MaximumEventAgeInSeconds": "EventAgeExceeded"}


class FunctionSender:
    """Sends the results of asynchronous invocations. A `Sender`."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, runner: Runner) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._runner = runner

    async def follow_up(self, delivery: Delivery, settled: Settled) -> Sequence[Delivery]:
        """Return the record for the destination, and the event itself for the dead-letter queue."""
        address = address_of(delivery.source)
        if address is None or not is_own(delivery.parameters):
            return ()
        config = await find_config(self._store, address)
        if isinstance(settled, Delivered):
            answer = decode_answer(settled.detail)
            return self._to_destination(config.on_success, delivery, address, "Success", answer)
        answer = decode_answer(settled.detail)
        condition = _CONDITIONS.get(settled.condition, "") if isinstance(settled, Exhausted) else settled.code
        return [
            *self._to_destination(config.on_failure, delivery, address, condition, answer),
            *await self._to_dead_letter_queue(delivery, address, settled, answer),
        ]

    def _to_destination(
        self, destination: str, delivery: Delivery, address: FunctionAddress, condition: str, answer: Answer | None
    ) -> Sequence[Delivery]:
        if not destination:
            return ()
        record = destination_record(delivery, address, condition, answer, self._clock.now())
        kind = "Success" if condition == "Success" else "Failure"
        parameters: dict[str, str] = {}
        if Arn.parse(destination).service == "events":
            resources = msgspec.json.encode([destination, _qualified(address)]).decode()
            detail_type = f"Lambda Function Invocation Result - {kind}"
            parameters = {"Source": "lambda", "DetailType": detail_type, "Resources": resources}
        return [self._next(delivery, destination, msgspec.json.encode(record).decode(), parameters=parameters)]

    async def _to_dead_letter_queue(
        self, delivery: Delivery, address: FunctionAddress, settled: Rejected | Exhausted, answer: Answer | None
    ) -> Sequence[Delivery]:
        found = await self._runner.find(address)
        if found is None or not found[1].dead_letter:
            return ()
        message = (answer.error_message if answer else "") or settled.message
        texts = {
            "RequestID": ("String", delivery.delivery_id),
            "ErrorCode": ("Number", "200" if answer else "429"),
            "ErrorMessage": ("String", message[: limits.DEAD_LETTER_MESSAGE_CHARACTERS_MAX]),
        }
        attributes = {name: MessageAttribute(kind, text) for name, (kind, text) in texts.items() if text}
        return [self._next(delivery, found[1].dead_letter, delivery.payload, attributes=attributes)]

    def _next(
        self,
        delivery: Delivery,
        target: str,
        payload: str,
        *,
        parameters: Mapping[str, str] | None = None,
        attributes: Mapping[str, MessageAttribute] | None = None,
    ) -> Delivery:
        return Delivery(
            self._ids.uuid(),
            delivery.source,
            target,
            payload,
            self._clock.now(),
            _RETRY,
            delivery.event_id,
            delivery.trace_header,
            attributes=attributes or {},
            parameters=parameters or {},
        )


def destination_record(
    delivery: Delivery, address: FunctionAddress, condition: str, answer: Answer | None, now: float
) -> dict[str, Any]:
    """Return the invocation record of the developer guide's "Retaining records of asynchronous invocations"."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": format_iso8601(now),
        "requestContext": {
            "requestId": delivery.delivery_id,
            "functionArn": _qualified(address),
            "condition": condition,
            "approximateInvokeCount": delivery.attempts,
        },
        "requestPayload": msgspec.Raw(delivery.payload.encode()),
    }
    if answer is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": answer.executed_version}
        if answer.function_error is not None:
            context["functionError"] = answer.function_error
        record["responseContext"] = context
        record["responsePayload"] = _as_json(answer.payload)
    return record


def _as_json(payload: bytes) -> object:
    """Return a function's answer as it stands where it is JSON, as a text where it is not."""
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return payload.decode(errors="replace")
    return msgspec.Raw(payload)


def _qualified(address: FunctionAddress) -> str:
    return f"{address.function_arn}:{address.qualifier or LATEST}"
