"""Operations on permissions: who may put events on a bus. Kept and shown; IAM is not enforced."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events.bus import BUS, BusAddress, load_bus
from forebay.services.events.errors import validation_error
from forebay.services.events.policy import new_statement, parse_policy, with_statement, without_statement


@operation
def put_permission(call: Call, request: api.PutPermissionRequest) -> None:
    """Add a statement to a bus's policy (one with the same id is replaced), or set the whole policy."""
    bus = load_bus(call, BusAddress.of(call, request.event_bus_name))
    if request.policy is not None:
        parts = (request.action, request.principal, request.statement_id, request.condition)
        if any(part is not None for part in parts):
            raise validation_error(
                "Parameter Policy cannot be combined with Action, Principal, StatementId or Condition."
            )
        policy = parse_policy(request.policy)
    else:
        policy = with_statement(bus.policy, new_statement(request, bus.arn()))
    call.records.put(BUS, bus.address().key(), replace(bus, policy=policy))


@operation
def remove_permission(call: Call, request: api.RemovePermissionRequest) -> None:
    """Take a statement from a bus's policy, or all of them."""
    bus = load_bus(call, BusAddress.of(call, request.event_bus_name))
    if request.remove_all_permissions:
        policy = None
    elif request.statement_id is None:
        raise validation_error("Parameter(s) StatementId or RemoveAllPermissions must be specified.")
    else:
        policy = without_statement(bus.policy, request.statement_id)
    call.records.put(BUS, bus.address().key(), replace(bus, policy=policy))
