"""Asynchronous invocations as deliveries: a function's own queue of events is the outbox.

Whoever sends an event to a function (the Event invocation type, a rule, another function's destination) has it
accepted as a delivery of the function to itself, retried as the function's settings say.
"""

from collections.abc import Mapping

import msgspec

from forebay.delivery.contract import Delivery, RetryPolicy
from forebay.services.lambda_.address import FunctionAddress
from forebay.services.lambda_.invoke_config import DEFAULT, INVOKE_CONFIG, InvokeConfig, invoke_config_key
from forebay.store.contract import Store

# Marks a delivery as the function's own, and carries what Invoke was given beside the payload.
OWN = "lambda.async"
CLIENT_CONTEXT = "lambda.client_context"


class Answer(msgspec.Struct, frozen=True):
    """What a function answered, as `detail` of its delivery's outcome, for destinations."""

    payload: bytes
    executed_version: str
    function_error: str | None = None
    error_message: str = ""


def own_delivery(request_id: str, address: FunctionAddress, payload: str, now: float, config: InvokeConfig) -> Delivery:
    """Return the delivery that keeps an event for a function until it has run."""
    # The pauses between attempts come with each outcome; the policy only says when to stop.
    policy = RetryPolicy(config.retries_max, config.age_seconds_max, backoff_seconds_min=0.0, backoff_seconds_max=0.0)
    return Delivery(request_id, address.arn, address.arn, payload, now, policy, request_id, parameters={OWN: "1"})


def is_own(parameters: Mapping[str, str]) -> bool:
    """Tell whether a delivery is a function's own."""
    return OWN in parameters


async def find_config(store: Store, address: FunctionAddress) -> InvokeConfig:
    """Return how a function's asynchronous invocations are treated."""
    return await store.find(INVOKE_CONFIG, invoke_config_key(address.key, address.qualifier)) or DEFAULT


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as a delivery's detail."""
    return msgspec.msgpack.encode(answer)


def decode_answer(detail: bytes) -> Answer | None:
    """Return the answer in a delivery's detail, or None where the function never answered."""
    return msgspec.msgpack.decode(detail, type=Answer) if detail else None
