"""Operations on the targets of rules."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from forebay.api import events as api
from forebay.core.arn import Arn
from forebay.core.errors import ServiceError
from forebay.core.validation import show
from forebay.operations import universal
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events import limits
from forebay.services.events.bus import BusAddress, load_bus
from forebay.services.events.errors import too_many, validation_error
from forebay.services.events.managed import check_own, load_any_rule
from forebay.services.events.pages import page
from forebay.services.events.rule import RULE, load_rule
from forebay.services.events.rule_target import check_target


@operation
async def put_targets(call: Call, request: api.PutTargetsRequest) -> api.PutTargetsResponse:
    """Add targets to a rule; one whose id it has already is replaced.

    A target of a kind that this node cannot deliver to is answered as a failed entry that says so.

    Raises:
        LimitExceededException: the rule would have more targets than AWS allows.
    """
    _check_count(request.targets)
    address = BusAddress.of(call, request.event_bus_name)
    for target in request.targets:
        check_target(target)
    refusals = {target.id: text for target in request.targets if (text := await _find_refusal(call, target.arn))}
    added = {target.id: target for target in request.targets if target.id not in refusals}
    await call.transact(lambda inner: _put(inner, address, request.rule, added))
    failed = [
        api.PutTargetsResultEntry(target_id=target_id, error_code="NotImplemented", error_message=text)
        for target_id, text in refusals.items()
    ]
    return api.PutTargetsResponse(failed_entry_count=len(failed), failed_entries=failed)


@operation
def remove_targets(call: Call, request: api.RemoveTargetsRequest) -> api.RemoveTargetsResponse:
    """Take targets from a rule; ids that it does not have are skipped."""
    address = BusAddress.of(call, request.event_bus_name)
    check_own(call, address, request.rule, forces=request.force)
    rule = load_rule(call, address, request.rule)
    kept = tuple(target for target in rule.targets if target.id not in request.ids)
    call.records.put(RULE, rule.key(), replace(rule, targets=kept))
    return api.RemoveTargetsResponse(failed_entry_count=0, failed_entries=[])


@operation(readonly=True)
def list_targets_by_rule(call: Call, request: api.ListTargetsByRuleRequest) -> api.ListTargetsByRuleResponse:
    """List the targets of a rule by id."""
    rule = load_any_rule(call, BusAddress.of(call, request.event_bus_name), request.rule)
    targets = sorted(rule.targets, key=lambda target: target.id)
    shown, next_token = page(targets, lambda target: target.id, request.next_token, request.limit)
    return api.ListTargetsByRuleResponse(targets=shown, next_token=next_token)


def _put(call: Call, address: BusAddress, name: str, added: Mapping[str, api.Target]) -> None:
    load_bus(call, address)
    check_own(call, address, name)
    rule = load_rule(call, address, name)
    targets = {target.id: target for target in rule.targets}
    targets.update(added)
    if len(targets) > limits.TARGETS_PER_RULE_MAX:
        raise too_many()
    call.records.put(RULE, rule.key(), replace(rule, targets=tuple(targets.values())))


async def _find_refusal(call: Call, text: str) -> str | None:
    """Return why this node cannot deliver to an ARN, or None where it can."""
    if universal.is_universal(text):
        return await _find_universal_refusal(call, text)
    arn = Arn.parse(text)
    if arn.service == "events" and not arn.resource.startswith(("event-bus/", "api-destination/")):
        kind = arn.resource.split("/", 1)[0]
        return f"Targets of kind {kind} are not implemented by Forebay: {text} was not added."
    if not await call.deliveries.has_target(arn.service):
        return f"Targets of service {arn.service} are not implemented by Forebay: {text} was not added."
    return None


async def _find_universal_refusal(call: Call, text: str) -> str | None:
    """Return why an operation of the node cannot be a target, as a schedule's could, or None where it can."""
    table = call.platform.table
    service, action = universal.parts_of(text)
    found = None
    if service and not universal.is_read_only(action):
        try:
            found = await universal.find_operation(table, text)
        except ServiceError as error:
            return error.message
    if found is None:
        return f"{action} API is not supported."
    if not universal.is_implemented(table, found):
        return f"Operation {found.operation} of {found.service} is not implemented by Forebay."
    return None


def _check_count(targets: Sequence[api.Target]) -> None:
    if len(targets) > limits.TARGETS_PER_REQUEST_MAX:
        # The model says 100; AWS's documentation and answers say 10.
        raise validation_error(
            f"1 validation error detected: Value '{show(targets)}' at 'targets' failed to satisfy constraint: "
            f"Member must have length less than or equal to {limits.TARGETS_PER_REQUEST_MAX}"
        )
