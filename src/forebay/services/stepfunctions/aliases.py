"""Operations on the aliases of state machines."""

from collections.abc import Sequence

from msgspec.structs import replace

from forebay.api import stepfunctions as api
from forebay.operations.call import Call
from forebay.operations.service import operation
from forebay.services.stepfunctions import limits
from forebay.services.stepfunctions.address import MachineName, unlabelled
from forebay.services.stepfunctions.pages import page
from forebay.services.stepfunctions.state_machine import (
    ALIAS,
    STATE_MACHINE,
    VERSION,
    Alias,
    alias_key,
    load_active,
    load_alias,
    no_machine,
    no_resource,
    version_key,
)

Routing = tuple[tuple[int, int], ...]


@operation
def create_state_machine_alias(
    call: Call, request: api.CreateStateMachineAliasInput
) -> api.CreateStateMachineAliasOutput:
    """Make an alias of one version or two. The same request again is answered as the first one was.

    Raises:
        ConflictException: there is an alias of that name that differs.
    """
    machine, routing = _parse_routing(request.routing_configuration)
    load_active(call, machine)
    _check_versions(call, machine, routing)
    existing = call.records.find(ALIAS, alias_key(machine, request.name))
    if existing is not None:
        if (existing.routing, existing.description) != (routing, request.description):
            raise api.ConflictException(
                "Failed to create alias because an alias with the same name and a different routing configuration "
                f"already exists: '{existing.arn()}'"
            )
        return api.CreateStateMachineAliasOutput(
            state_machine_alias_arn=existing.arn(), creation_date=existing.created_at
        )
    if len(call.records.list(ALIAS, machine.prefix(), limit=limits.ALIASES_MAX)) >= limits.ALIASES_MAX:
        raise api.ServiceQuotaExceededException(
            f"The number of aliases of the state machine exceeds the limit of {limits.ALIASES_MAX}."
        )
    alias = Alias(machine, request.name, routing, call.now, call.now, request.description)
    call.records.put(ALIAS, alias_key(machine, alias.name), alias)
    return api.CreateStateMachineAliasOutput(state_machine_alias_arn=alias.arn(), creation_date=call.now)


@operation
def update_state_machine_alias(
    call: Call, request: api.UpdateStateMachineAliasInput
) -> api.UpdateStateMachineAliasOutput:
    """Change an alias's description or routing.

    Raises:
        ValidationException: nothing is to be changed.
    """
    name = _alias_name(request.state_machine_alias_arn)
    if request.description is None and request.routing_configuration is None:
        raise api.ValidationException(
            "Either the description or the routing configuration must be specified.",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    alias = load_alias(call, name)
    load_active(call, name)
    if request.routing_configuration is not None:
        machine, routing = _parse_routing(request.routing_configuration)
        if machine != name.base():
            raise _invalid_routing("Routing configuration must only contain versions of the alias's state machine.")
        _check_versions(call, machine, routing)
        alias = replace(alias, routing=routing)
    if request.description is not None:
        alias = replace(alias, description=request.description)
    call.records.put(ALIAS, alias_key(name, alias.name), replace(alias, updated_at=call.now))
    return api.UpdateStateMachineAliasOutput(update_date=call.now)


@operation(readonly=True)
def describe_state_machine_alias(
    call: Call, request: api.DescribeStateMachineAliasInput
) -> api.DescribeStateMachineAliasOutput:
    """Return an alias."""
    alias = load_alias(call, _alias_name(request.state_machine_alias_arn))
    return api.DescribeStateMachineAliasOutput(
        state_machine_alias_arn=alias.arn(),
        name=alias.name,
        description=alias.description,
        routing_configuration=[
            api.RoutingConfigurationListItem(
                state_machine_version_arn=alias.machine.qualified(str(version)).arn(), weight=weight
            )
            for version, weight in alias.routing
        ],
        creation_date=alias.created_at,
        update_date=alias.updated_at,
    )


@operation(readonly=True)
def list_state_machine_aliases(
    call: Call, request: api.ListStateMachineAliasesInput
) -> api.ListStateMachineAliasesOutput:
    """List the aliases of a state machine, or those that route to one of its versions, by name."""
    name = unlabelled(request.state_machine_arn)
    if call.reader.find(STATE_MACHINE, name.base().key()) is None:
        raise no_machine(name.base())
    number = name.version
    if number is not None and call.reader.find(VERSION, version_key(name, number)) is None:
        raise no_resource(name.arn())
    aliases, token = page(call.reader, ALIAS, name.prefix(), request.next_token, request.max_results)
    return api.ListStateMachineAliasesOutput(
        state_machine_aliases=[
            api.StateMachineAliasListItem(state_machine_alias_arn=alias.arn(), creation_date=alias.created_at)
            for alias in aliases
            if number is None or any(version == number for version, _ in alias.routing)
        ],
        next_token=token,
    )


@operation
def delete_state_machine_alias(
    call: Call, request: api.DeleteStateMachineAliasInput
) -> api.DeleteStateMachineAliasOutput:
    """Delete an alias. Executions that were started through it go on."""
    name = _alias_name(request.state_machine_alias_arn)
    load_alias(call, name)
    call.records.delete(ALIAS, alias_key(name, name.qualifier or ""))
    return api.DeleteStateMachineAliasOutput()


def _alias_name(arn: str) -> MachineName:
    name = unlabelled(arn)
    if name.qualifier is None or name.version is not None:
        raise api.InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    return name


def _parse_routing(items: Sequence[api.RoutingConfigurationListItem]) -> tuple[MachineName, Routing]:
    """Return the state machine of a routing, and its versions with their weights.

    Raises:
        ValidationException: the weights do not add up, or the versions are the same or of different state machines.
    """
    names = [unlabelled(item.state_machine_version_arn) for item in items]
    weights = [item.weight for item in items]
    for name in names:
        if name.version is None:
            raise _invalid_routing("Routing configuration must contain state machine version ARNs.")
    if len({name.base() for name in names}) > 1:
        raise _invalid_routing(
            f"Routing configuration must contain versions of the same state machine. Received: {_listed(names)}"
        )
    if len(set(names)) < len(names):
        raise _invalid_routing(
            f"Routing configuration must contain distinct state machine version ARNs. Received: {_listed(names)}"
        )
    if sum(weights) != 100:
        raise _invalid_routing(
            f"Sum of routing configuration weights must equal 100. Received: [{', '.join(map(str, weights))}]"
        )
    return names[0].base(), tuple((name.version or 0, weight) for name, weight in zip(names, weights, strict=True))


def _listed(names: Sequence[MachineName]) -> str:
    return f"[{', '.join(name.arn() for name in names)}]"


def _check_versions(call: Call, machine: MachineName, routing: Routing) -> None:
    for version, _ in routing:
        if call.reader.find(VERSION, version_key(machine, version)) is None:
            raise no_resource(machine.qualified(str(version)).arn())


def _invalid_routing(text: str) -> api.ValidationException:
    return api.ValidationException(text, reason="INVALID_ROUTING_CONFIGURATION")
