"""Operations on rules."""

from msgspec.structs import replace

from forebay.api import events as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.events.bus import BusAddress, load_bus
from forebay.services.events.errors import too_many, validation_error
from forebay.services.events.managed import check_own, load_any_rule, rules_of
from forebay.services.events.pages import page
from forebay.services.events.rule import DISABLED, RULE, RULE_COUNT, Rule, RuleCount, check_rule, load_rule, rule_key
from forebay.services.events.schedule import keep_schedule
from forebay.services.events.tags import merge_tags
from forebay.store.records import key_prefix


@operation
def put_rule(call: Call, request: api.PutRuleRequest) -> api.PutRuleResponse:
    """Create a rule, or replace what an existing one is; its targets and tags stay.

    Raises:
        LimitExceededException: the bus has as many rules as AWS allows.
    """
    address = BusAddress.of(call, request.event_bus_name)
    check_rule(request, address)
    bus = load_bus(call, address)
    check_own(call, address, request.name)
    existing = call.records.find(RULE, rule_key(address, request.name))
    if existing is None:
        _count(call, address, 1)
        existing = Rule(
            account=bus.account,
            region=bus.region,
            bus=bus.name,
            name=request.name,
            tags=merge_tags({}, request.tags),
            state=DISABLED,
        )
    rule = replace(
        existing,
        state=request.state or "ENABLED",
        pattern=request.event_pattern or None,
        schedule=request.schedule_expression or None,
        description=request.description or None,
        role=request.role_arn,
    )
    _keep(call, existing, rule)
    return api.PutRuleResponse(rule_arn=rule.arn())


@operation(readonly=True)
def describe_rule(call: Call, request: api.DescribeRuleRequest) -> api.DescribeRuleResponse:
    """Return a rule."""
    rule = load_any_rule(call, BusAddress.of(call, request.event_bus_name), request.name)
    return api.DescribeRuleResponse(
        name=rule.name,
        arn=rule.arn(),
        event_pattern=rule.pattern,
        schedule_expression=rule.schedule,
        state=rule.state,
        description=rule.description,
        role_arn=rule.role,
        managed_by=rule.managed_by,
        event_bus_name=rule.bus,
        created_by=rule.account,
    )


@operation
def delete_rule(call: Call, request: api.DeleteRuleRequest) -> None:
    """Delete a rule; one that is not there is as good as deleted.

    Raises:
        ValidationException: the rule has targets.
    """
    address = BusAddress.of(call, request.event_bus_name)
    load_bus(call, address)
    check_own(call, address, request.name, forces=request.force)
    rule = call.records.find(RULE, rule_key(address, request.name))
    if rule is None:
        return
    if rule.targets:
        raise validation_error("Rule can't be deleted since it has targets.")
    _count(call, address, -1)
    call.records.delete(RULE, rule.key())
    keep_schedule(call, rule, None)


@operation
def enable_rule(call: Call, request: api.EnableRuleRequest) -> None:
    """Let a rule match events again, and its schedule run."""
    address = BusAddress.of(call, request.event_bus_name)
    check_own(call, address, request.name)
    rule = load_rule(call, address, request.name)
    if not rule.is_enabled:
        _keep(call, rule, replace(rule, state="ENABLED"))


@operation
def disable_rule(call: Call, request: api.DisableRuleRequest) -> None:
    """Let a rule match nothing, and its schedule stand still, until it is enabled again."""
    address = BusAddress.of(call, request.event_bus_name)
    check_own(call, address, request.name)
    rule = load_rule(call, address, request.name)
    _keep(call, rule, replace(rule, state=DISABLED))


@operation(readonly=True)
def list_rules(call: Call, request: api.ListRulesRequest) -> api.ListRulesResponse:
    """List the rules of a bus by name."""
    rules = _rules(call, BusAddress.of(call, request.event_bus_name))
    found = [rule for rule in rules if rule.name.startswith(request.name_prefix or "")]
    shown, next_token = page(found, lambda rule: rule.name, request.next_token, request.limit)
    return api.ListRulesResponse(rules=[_listed(rule) for rule in shown], next_token=next_token)


@operation(readonly=True)
def list_rule_names_by_target(
    call: Call, request: api.ListRuleNamesByTargetRequest
) -> api.ListRuleNamesByTargetResponse:
    """List the rules of a bus that have a target with this ARN."""
    rules = _rules(call, BusAddress.of(call, request.event_bus_name))
    names = [rule.name for rule in rules if any(target.arn == request.target_arn for target in rule.targets)]
    shown, next_token = page(names, lambda name: name, request.next_token, request.limit)
    return api.ListRuleNamesByTargetResponse(rule_names=shown, next_token=next_token)


def _count(call: Call, address: BusAddress, change: int) -> None:
    """Keep the number of a bus's rules, without looking at them all each time.

    Raises:
        LimitExceededException: there are as many as the node allows.
    """
    known = call.records.find(RULE_COUNT, address.key())
    count = len(call.records.list(RULE, key_prefix(address.key()))) if known is None else known.rules
    if change > 0 and count >= call.platform.config.events_rules_max:
        raise too_many()
    call.records.put(RULE_COUNT, address.key(), RuleCount(max(0, count + change)))


def _rules(call: Call, address: BusAddress) -> list[Rule]:
    load_bus(call, address)
    return rules_of(call, address)


def _keep(call: Call, before: Rule, rule: Rule) -> None:
    """Put a rule that has changed; its schedule begins anew if it was not running like this before."""
    if (before.schedule, before.is_enabled) != (rule.schedule, rule.is_enabled):
        rule = replace(rule, scheduled_from=call.now)
        keep_schedule(call, before, rule)
    call.records.put(RULE, rule.key(), rule)


def _listed(rule: Rule) -> api.Rule:
    return api.Rule(
        name=rule.name,
        arn=rule.arn(),
        event_pattern=rule.pattern,
        state=rule.state,
        description=rule.description,
        schedule_expression=rule.schedule,
        role_arn=rule.role,
        managed_by=rule.managed_by,
        event_bus_name=rule.bus,
    )
