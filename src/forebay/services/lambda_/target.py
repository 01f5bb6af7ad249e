"""Functions as targets: someone else's delivery becomes an event in the function's own queue, which then runs it."""

import msgspec

from forebay.core.clock import Clock
from forebay.core.ids import Ids
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected, Retry
from forebay.delivery.outbox import KIND
from forebay.runtimes.contract import InvocationResult
from forebay.services.lambda_ import limits
from forebay.services.lambda_.address import address_of
from forebay.services.lambda_.async_invocation import (
    CLIENT_CONTEXT,
    Answer,
    encode_answer,
    find_config,
    is_own,
    own_delivery,
)
from forebay.services.lambda_.runner import Broken, Missing, Order, Ran, Runner, Throttled
from forebay.store.commands import PutTimers, Timer
from forebay.store.contract import Store

# EventBridge's words in a dead letter's ERROR_CODE (user guide, "Using dead-letter queues").
_NO_RESOURCE = "NO_RESOURCE"
_INVALID_PARAMETER = "INVALID_PARAMETER"


class FunctionTarget:
    """Takes deliveries to functions, and runs those that are due. A `Target`."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, runner: Runner) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._runner = runner

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Put an event into its function's own queue, in the sender's commit."""
        if is_own(delivery.parameters):
            return Deferred()
        address = address_of(delivery.target)
        if address is None:
            return Rejected(_INVALID_PARAMETER, f"Forebay does not deliver to {delivery.target}.")
        if await self._runner.find(address) is None:
            return Rejected(_NO_RESOURCE, f"Function not found: {delivery.target}")
        if not _is_json(delivery.payload):
            return Rejected(_INVALID_PARAMETER, "Could not parse request body into json.")
        now = self._clock.now()
        config = await find_config(self._store, address)
        own = own_delivery(self._ids.uuid(), address, delivery.payload, now, config)
        own = msgspec.structs.replace(own, event_id=delivery.event_id, trace_header=delivery.trace_header)
        timer = Timer(KIND, own.delivery_id, int(now * 1000), msgspec.json.encode(own))
        return Accepted([PutTimers((timer,), only_new=True)])

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Run the function with an event of its queue."""
        address = address_of(delivery.target)
        assert address is not None, "a function's own deliveries name it"
        if self._clock.now() - delivery.created_at > delivery.retry.age_seconds_max:
            return Retry("EventAgeExceeded", "The event is older than MaximumEventAgeInSeconds.", counts=False)
        order = Order(
            address=address,
            payload=delivery.payload.encode(),
            request_id=delivery.delivery_id,
            client_context=delivery.parameters.get(CLIENT_CONTEXT, ""),
            trace_header=delivery.trace_header or "",
        )
        match await self._runner.run(order):
            case Ran(result, version):
                return _outcome(result, version, delivery.attempts)
            case Throttled(reason):
                return self._later("TooManyRequestsException", reason, delivery)
            case Broken(message):
                return self._later("ServiceException", message, delivery)
            case Missing(arn):
                return Rejected(_NO_RESOURCE, f"Function not found: {arn}")

    def _later(self, code: str, message: str, delivery: Delivery) -> Retry:
        """Return the event to the queue; the pause grows with the event's age, as it would by doubling."""
        age_seconds = self._clock.now() - delivery.created_at
        pause_seconds = min(max(age_seconds, limits.THROTTLE_PAUSE_SECONDS_MIN), limits.THROTTLE_PAUSE_SECONDS_MAX)
        return Retry(code, message, pause_seconds * self._ids.uniform(0.5, 1.0), counts=False)


def _outcome(result: InvocationResult, version: str, attempts: int) -> Outcome:
    message = _error_message(result.payload) if result.function_error else ""
    detail = encode_answer(Answer(result.payload, version, result.function_error, message))
    if result.function_error is None:
        return Delivered(detail)
    pauses = limits.ASYNC_PAUSES_SECONDS
    return Retry(
        result.error_type or result.function_error,
        message,
        pauses[min(attempts, len(pauses)) - 1],
        detail,
    )


class _ErrorDocument(msgspec.Struct, rename="camel"):
    error_message: str | None = None


def _error_message(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_ErrorDocument).error_message or ""
    except (msgspec.DecodeError, RecursionError):
        return ""


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
