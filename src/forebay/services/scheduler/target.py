"""Universal targets: any operation that the node serves, run as the account of the schedule or rule."""

import json
from typing import Any, cast

from msgspec.structs import replace

from forebay.core.errors import ServiceError
from forebay.core.marks import Shape
from forebay.core.schema import Blob, ListOf, MapOf, Node, Structure, schema_of
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected, Retry
from forebay.operations.platform import Platform
from forebay.operations.table import new_caller
from forebay.operations.universal import ROLE, find_operation, is_universal
from forebay.services.scheduler.firing import ATTEMPT_NUMBER
from forebay.services.scheduler.schedule_target import render

_THROTTLED = frozenset({
    "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "RequestThrottled",
    "LimitExceededException", "ProvisionedThroughputExceededException", "ServiceUnavailable", "SlowDown",
})  # fmt: skip
_NOT_IMPLEMENTED_STATUS = 501


class UniversalTarget:
    """Runs operations for schedules and rules. A `Target`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Put the delivery in the outbox: operations commit by themselves."""
        if not is_universal(delivery.target):
            return Rejected("INVALID_PARAMETER", f"Forebay does not deliver to {delivery.target}.")
        return Deferred()

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Run the operation; what the caller is to blame for is not tried again."""
        try:
            await self._run(delivery)
        except ServiceError as error:
            is_fleeting = error.status >= 500 and error.status != _NOT_IMPLEMENTED_STATUS
            if is_fleeting or error.code in _THROTTLED:
                return Retry(error.code, error.message)
            return Rejected(error.code, error.message)
        return Delivered()

    async def _run(self, delivery: Delivery) -> None:
        table = self._platform.table
        found = await find_operation(table, delivery.target)
        if found is None:
            raise ServiceError.of("UnknownOperationException", f"{delivery.target} names no operation.")
        params = json.loads(render(delivery.payload, {ATTEMPT_NUMBER: str(max(delivery.attempts, 1))}))
        if not isinstance(params, dict):
            raise ServiceError.of("ValidationException", "The input of a universal target must be a JSON object.")
        model = await table.load(found.service)
        request_type = model.operations[found.operation].input
        caller = new_caller(
            delivery.region(), delivery.account(), self._platform.ids, self._platform.endpoint(), "scheduler"
        )
        caller = replace(caller, principal=delivery.parameters.get(ROLE, caller.principal))
        await table.run_params(
            caller, found.service, found.operation, _with_bytes(request_type, cast("dict[str, Any]", params))
        )


def _with_bytes(type_: type[Shape], params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with texts as bytes where the model wants bytes: inputs give a function's payload as text."""
    nodes = {member.name: member.node for member in schema_of(type_).members}
    return {name: _value(nodes[name], value) if name in nodes else value for name, value in params.items()}


def _value(node: Node, value: Any) -> Any:
    match node, value:
        case Blob(), str():
            return value.encode()
        case Structure(), dict():
            return _with_bytes(node.type, cast("dict[str, Any]", value))
        case ListOf(), list():
            return [_value(node.item, item) for item in cast("list[Any]", value)]
        case MapOf(), dict():
            return {key: _value(node.value, item) for key, item in cast("dict[str, Any]", value).items()}
        case _:
            return value
