"""State machines as targets: a delivery's payload becomes an execution's input.

Executions of Standard state machines start in the commit of whoever sends, exactly once; Express ones, which live in
memory, when the delivery's turn comes, at least once.
"""

from forebay.core.errors import ServiceError
from forebay.delivery.contract import Accepted, Deferred, Delivered, Delivery, Outcome, Rejected, Retry
from forebay.services.stepfunctions.address import unlabelled
from forebay.services.stepfunctions.starting import Order, Starter

# EventBridge's words in a dead letter's ERROR_CODE (user guide, "Using dead-letter queues").
_NO_RESOURCE = "NO_RESOURCE"
_INVALID_PARAMETER = "INVALID_PARAMETER"


class StateMachineTarget:
    """Starts executions for deliveries. A `Target`."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter

    async def accept(self, delivery: Delivery) -> Accepted | Deferred | Rejected:
        """Start an execution in the sender's commit, or say that it is to be started later."""
        try:
            resolved = await self._starter.resolve(unlabelled(delivery.target))
            if resolved.machine.type == "EXPRESS":
                return Deferred()
            return Accepted(await self._starter.commands(_order(delivery)))
        except ServiceError as error:
            return _rejected(error)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Start an execution for a delivery that was deferred."""
        try:
            await self._starter.start(_order(delivery), delivery.account(), delivery.region())
        except ServiceError as error:
            return Retry(error.code, error.message) if error.status >= 500 else _rejected(error)
        return Delivered()


def _order(delivery: Delivery) -> Order:
    return Order(delivery.target, None, delivery.payload, delivery.trace_header)


def _rejected(error: ServiceError) -> Rejected:
    is_missing = error.code in {"StateMachineDoesNotExist", "StateMachineDeleting"}
    return Rejected(_NO_RESOURCE if is_missing else _INVALID_PARAMETER, error.message)
